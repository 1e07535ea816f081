"""A checkpoint becomes float networks and tables: its own, or those that its parameters give."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from formula_codecs import formula_picture
from small_codecs import ARCHITECTURES, label, metadata_of, parameters_of, small_codec

from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import ModelError
from refcodec.models.architecture import Architecture
from refcodec.models.checkpoint import save_parameters
from refcodec.models.densities import factorised_tables, gaussian_tables
from refcodec.models.latent_tables import carried, counted_tables
from refcodec.models.trained import load_trained

BLS = Architecture("factorised", "bls2017", "none", 4, 6, 1)


def save(path: Path, architecture: Architecture, **more: np.ndarray) -> Path:
    path = path / "checkpoint.safetensors"
    save_parameters(path, parameters_of(architecture) | more, {**metadata_of(architecture), "lambda": "0.013"})
    return path


def same(found: FrequencyTables, wanted: FrequencyTables) -> bool:
    return found.digest() == wanted.digest()


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != BLS], ids=label)
def test_load_trained_builds_the_tables_of_every_family(architecture: Architecture, tmp_path: Path) -> None:
    path = save(tmp_path, architecture)
    trained = load_trained(path)
    assert trained.twin.architecture == architecture
    own = factorised_tables(parameters_of(architecture), architecture.bottleneck)
    assert own.rows == architecture.density_channels
    if architecture.family == "factorised":
        assert trained.z_tables is None
        assert same(trained.y_tables, own)
    else:
        assert trained.z_tables is not None
        assert same(trained.z_tables, own)
        assert same(trained.y_tables, gaussian_tables())
    assert trained.provenance["source"] == path.name
    assert trained.provenance["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert trained.provenance["trained_lambda"] == "0.013"


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != BLS], ids=label)
def test_load_trained_keeps_the_tables_that_a_checkpoint_carries(architecture: Architecture, tmp_path: Path) -> None:
    counts = [np.array([0, 10 + row, 65530, 65536]) for row in range(architecture.density_channels)]
    tables = FrequencyTables.from_rows(counts, np.full(len(counts), -1, np.int32))
    trained = load_trained(save(tmp_path, architecture, **carried(tables, architecture.bottleneck)))
    found = trained.y_tables if architecture.family == "factorised" else trained.z_tables
    assert found is not None
    assert same(found, tables)


def test_load_trained_of_a_codec_without_density_asks_for_tables(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^RC-CHECKPOINT-PARAMETER: entropy_bottleneck\._quantized_cdf: found none"):
        load_trained(save(tmp_path, BLS))
    tables = counted_tables(small_codec(BLS), [formula_picture(64, 96)])
    trained = load_trained(save(tmp_path, BLS, **carried(tables, "entropy_bottleneck.")))
    assert trained.z_tables is None
    assert same(trained.y_tables, tables)
