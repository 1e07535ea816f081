"""A trained codec as loaded: float networks and the integer tables of its entropy coder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refcodec.entropy.tables import FrequencyTables
from refcodec.models.checkpoint import load_parameters, read_metadata
from refcodec.models.densities import SCALE_TABLE_BITS, carried_tables, factorised_tables, gaussian_tables
from refcodec.models.scale_hyperprior import FloatScaleHyperprior


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """Float twin and tables of one checkpoint.

    twin  the float networks;  z_tables  one row a channel of z;  y_tables  64 Gaussian rows
    provenance  free text by key, for the model files made from it.
    """

    twin: FloatScaleHyperprior
    z_tables: FrequencyTables
    y_tables: FrequencyTables
    provenance: Mapping[str, str]


def scale_table() -> np.ndarray:
    """The 64 rising scale bounds, (64,) float64 of their float32 bit patterns."""
    return np.array(SCALE_TABLE_BITS, np.uint32).view(np.float32).astype(np.float64)


def load_trained(path: str | Path) -> Trained:
    """Load a checkpoint; tables that it carries are kept, others are built from its parameters.

    Raises FileError RC-FILE-READ, ModelError RC-CHECKPOINT-FILE, -PICKLE, -PARAMETER, RC-MODEL-FAMILY, RC-MODEL-TABLE.
    """
    parameters, metadata = load_parameters(path), read_metadata(path)
    twin = FloatScaleHyperprior(parameters, metadata)
    provenance = {
        "source": Path(path).name,
        "source_sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        **{f"trained_{key}": value for key, value in sorted(metadata.items())},
    }
    return Trained(
        twin,
        carried_tables(parameters, "entropy_bottleneck.") or factorised_tables(parameters),
        carried_tables(parameters, "gaussian_conditional.") or gaussian_tables(),
        provenance,
    )
