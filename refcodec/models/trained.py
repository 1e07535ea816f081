"""A trained codec as loaded: float networks and the integer tables of its entropy coder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import ModelError
from refcodec.models.architecture import FACTORISED
from refcodec.models.checkpoint import load_parameters, read_metadata
from refcodec.models.densities import carried_tables, factorised_tables, gaussian_tables
from refcodec.models.float_codec import FloatCodec
from refcodec.models.network import Parameters


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """Float twin and tables of one checkpoint.

    twin  the float networks;  z_tables  one row a channel of z, None for a factorised codec
    y_tables  64 Gaussian rows, or one row a channel of y for a factorised codec
    provenance  free text by key, for the model files made from it.
    """

    twin: FloatCodec
    z_tables: FrequencyTables | None
    y_tables: FrequencyTables
    provenance: Mapping[str, str]


def _density_tables(parameters: Parameters, twin: FloatCodec) -> FrequencyTables:
    """Tables of the factorised density: those that the checkpoint carries, or those that its parameters give."""
    prefix = twin.architecture.bottleneck
    carried = carried_tables(parameters, prefix)
    if carried is None and not twin.architecture.density_channels:
        problem = "found none, and no density to build tables from: import the checkpoint with --tables-from"
        raise ModelError("RC-CHECKPOINT-PARAMETER", f"{prefix}_quantized_cdf: {problem}")
    return carried or factorised_tables(parameters, prefix)


def load_trained(path: str | Path) -> Trained:
    """Load a checkpoint; tables that it carries are kept, others are built from its parameters.

    Raises FileError RC-FILE-READ, ModelError RC-CHECKPOINT-FILE, -PICKLE, -PARAMETER, RC-MODEL-FAMILY, RC-MODEL-TABLE.
    """
    parameters, metadata = load_parameters(path), read_metadata(path)
    twin = FloatCodec(parameters, metadata)
    provenance = {
        "source": Path(path).name,
        "source_sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        **{f"trained_{key}": value for key, value in sorted(metadata.items())},
    }
    tables = _density_tables(parameters, twin)
    if twin.architecture.family == FACTORISED:
        return Trained(twin, None, tables, provenance)
    return Trained(twin, tables, carried_tables(parameters, "gaussian_conditional.") or gaussian_tables(), provenance)
