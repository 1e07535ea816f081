"""Which clause defines a tensor of a case, so that a difference can be traced to a sentence (SPEC VEC-6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from refcodec.program.program import Program

# kind of operation, or function -> the clause that says what comes out of it
DEFINING: Mapping[str, str] = {
    "add": "ADD-1",
    "clip": "CLIP-1",
    "concatenate": "CAT-1",
    "convolution": "CONV-2",
    "crop": "CROP-1",
    "depthwise_convolution": "DW-1",
    "embedding": "EMB-1",
    "gdn": "GDN-3",
    "interpolated_table": "TAB-2",
    "inverse_gdn": "GDN-4",
    "latent_mean": "MEAN-1",
    "latent_means": "MEAN-3",
    "layer_norm": "LN-1",
    "leaky_requantise": "LEAKY-1",
    "linear": "LIN-1",
    "masked_convolution": "MASK-3",
    "nearest": "NEAR-1",
    "pad": "PAD-1",
    "pixel_shuffle": "PS-1",
    "positional_encoding": "PE-2",
    "requantise": "RQ-1",
    "resize": "RES-2",
    "scale_index": "SCALE-1",
    "scale_space": "BLUR-3",
    "table": "TAB-1",
    "threshold_head": "HEAD-1",
    "tile": "TILE-1",
    "transposed_convolution": "TCONV-3",
    "warp": "WARP-2",
    "counter_random": "VEC-2",
    "frequencies": "CDF-2",
    "rans_decode": "RANS-2",
    "rans_encode": "RANS-1",
    "relu": "CLIP-2",
}
CODED = "RANS-2"  # what comes out of a payload
ADDED = "MEAN-3"  # symbols and means


def defined_in(programs: Iterable[Program]) -> dict[str, str]:
    """The clause that defines each tensor that an operation of these programs gives, by the tensor's name."""
    return {op.target: DEFINING[op.kind] for program in programs for op in program.operations}


def defined_in_stream(names: Sequence[str], programs: Iterable[Program], picture: str) -> dict[str, str]:
    """The clause of each tensor of a decode, by name.

    names  as the decode reports them; a pass of a context model puts its own name and a dot before a tensor's
    picture  the clause of the picture.  A tensor of no program comes out of a payload, or of symbols and means.
    """
    known = defined_in(programs) | {"picture": picture, "y_hat": ADDED}
    return {name: known.get(name, known.get(name.partition(".")[2], CODED)) for name in names}
