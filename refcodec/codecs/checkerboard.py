"""Checkerboard-context image codec: stream in, picture out (SPEC CKBD-1 to CKBD-6, PIC-1 to PIC-3).

z symbols --h_s--> side
anchors:  zeros, side --entropy_parameters--> indexes, means --rANS--> symbols --means--> y_hat at the anchors
others:   y_hat --context--> context, side --entropy_parameters--> indexes, means --rANS--> symbols --means--> y_hat
y_hat --g_s--> picture --crop--> result
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from refcodec.codecs.codec import Formats, Latents, program_formats
from refcodec.codecs.latent_coding import accept, channel_rows, covering, symbols_about
from refcodec.codecs.model_tables import check_rows, model_tables
from refcodec.codecs.picture import crop
from refcodec.codecs.program_checks import (
    enlargements,
    family_programs,
    mean_fraction,
    require,
    require_context,
    require_latent,
    require_parameters,
    require_picture,
    require_symbols,
    setting,
)
from refcodec.codecs.stream import TWO_PASSES, Geometry, Stream, open_stream, pack
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import StreamError
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format, latent_means
from refcodec.layers.scale_index import INDEX_FORMAT, THRESHOLDS
from refcodec.program.model_file import Model
from refcodec.program.operations import Concatenate, Size
from refcodec.program.program import Program, Tap

FAMILY = "checkerboard"
PASSES = (("anchors", "YANC"), ("others", "YNAN"))
CONTEXT_FIRST, SIDE_FIRST = 0, 1
# of a part of the latent: its mask (h, w), indexes and means (M, n) -> symbols (M, n) int16
CodePart = Callable[[str, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Checkerboard:
    """The integer decoder of one model (SPEC CKBD-1).  Raises ModelError RC-MODEL-FAMILY, -SCHEMA, -TABLE, -TENSOR.

    fraction  0..16, y_hat and its means are in units of 2**-fraction
    anchor_parity  that of row + column at the anchors of the streams that `encode` makes, 0 or 1.
    """

    identity: str
    fraction: int
    anchor_parity: int
    h_s: Program
    context: Program
    entropy_parameters: Program
    g_s: Program
    z_tables: FrequencyTables
    y_tables: FrequencyTables
    order: int = field(init=False)  # of the concatenation in entropy_parameters, a field of streams
    latent_stride: int = field(init=False)  # picture samples to one y sample, along each axis
    multiple: int = field(init=False)  # picture samples to one z sample

    def __post_init__(self) -> None:
        z = require_symbols(self.h_s, "z")
        channels = require_parameters(self.entropy_parameters, self.fraction)
        require_latent(self.context, self.fraction, channels)
        require_latent(self.g_s, self.fraction, channels)
        require_context(self.h_s, self.context, self.entropy_parameters)
        require_picture(self.g_s)
        check_rows(self.z_tables, z.channels, self.y_tables, THRESHOLDS + 1)
        hyper, context, parameters, latent = enlargements(self.programs)
        require(context == parameters == 1, "context and entropy_parameters must keep height and width")
        object.__setattr__(self, "order", concatenation_order(self.entropy_parameters))
        object.__setattr__(self, "latent_stride", latent)
        object.__setattr__(self, "multiple", hyper * latent)

    @classmethod
    def from_model(cls, model: Model) -> Checkerboard:
        """The decoder that a model file describes (SPEC CKBD-1)."""
        h_s, context, parameters, g_s = family_programs(model, FAMILY, "h_s", "context", "entropy_parameters", "g_s")
        fraction, parity = mean_fraction(model), setting(model, "anchor_parity", 0, 1)
        z_tables, y_tables = model_tables(model, "z", "y")
        return cls(model.identity, fraction, parity, h_s, context, parameters, g_s, z_tables, y_tables)

    @property
    def family(self) -> str:
        """What the model says it is."""
        return FAMILY

    @property
    def programs(self) -> tuple[Program, ...]:
        """h_s, context, entropy_parameters and g_s."""
        return (self.h_s, self.context, self.entropy_parameters, self.g_s)

    def formats(self) -> Formats:
        """Those of the tensors of h_s and g_s, of each pass, and of the whole latent, its indexes and its means."""
        means = self.entropy_parameters.tensor("means").format
        anchors = {f"anchors.{t.name}": t.format for t in self.entropy_parameters.tensors}
        others = {f"others.{t.name}": t.format for p in (self.context, self.entropy_parameters) for t in p.tensors}
        whole = {"indexes": INDEX_FORMAT, "means": means, "y": SYMBOL_FORMAT}
        return program_formats((self.h_s, self.g_s)) | anchors | others | whole

    def latent_sizes(self, geometry: Geometry) -> tuple[Size, Size]:
        """Heights and widths of z and y for a picture (SPEC PIC-1)."""
        height, width = covering(geometry, self.multiple)
        scale = self.multiple // self.latent_stride
        return (height, width), (scale * height, scale * width)

    def decode_latents(self, content: bytes, tap: Tap | None = None) -> tuple[Latents, Geometry]:
        """The latent y_hat (M, h, w) of a stream, its symbols z (N, h', w'), and its geometry (SPEC CKBD-4, CKBD-5).

        tap  called with every tensor of h_s, those of entropy_parameters in the first pass as `anchors.` and the name,
             those of context and entropy_parameters in the second as `others.` and the name, and with `indexes`,
             `means` and `y`, each put together from both passes.
        Raises StreamError.
        """
        stream = open_stream(content, self.identity, TWO_PASSES)
        parity = self._parity(stream)
        rows = channel_rows(self.z_tables.rows, self.latent_sizes(stream.geometry)[0])
        z = rans_decode(stream.payloads["ZSYM"], rows, self.z_tables, stream.offsets["ZSYM"])

        def symbols(tag: str, mask: np.ndarray, indexes: np.ndarray, means: np.ndarray) -> np.ndarray:
            return rans_decode(stream.payloads[tag], indexes, self.y_tables, stream.offsets[tag])

        y_hat = self._two_passes(self.h_s.run(z, tap), parity, symbols, tap)
        return Latents(y_hat, z), stream.geometry

    def decode(self, content: bytes, tap: Tap | None = None) -> np.ndarray:
        """Decode a stream into a picture (SPEC CKBD-4 to CKBD-6).

        tap  called as by `decode_latents`, and with every tensor of g_s.
        Returns (H, W, 3) or (H, W) uint8.  Raises StreamError.
        """
        latents, geometry = self.decode_latents(content, tap)
        return crop(self.g_s.run(latents.y, tap), geometry)

    def encode(self, latents: Latents, geometry: Geometry) -> bytes:
        """Code y (M, h, w) in units of 2**-fraction and z (N, h', w') into a stream, by the same passes (SPEC CKBD-6).

        Raises ShapeError, RangeError.
        """
        z_size, y_size = self.latent_sizes(geometry)
        rows = channel_rows(self.z_tables.rows, z_size)
        z = accept(latents, rows.shape, (self.g_s.input.channels, *y_size), geometry)
        payloads = {"CTXF": bytes([self.anchor_parity, self.order]), "ZSYM": rans_encode(z, rows, self.z_tables)}

        def symbols(tag: str, mask: np.ndarray, indexes: np.ndarray, means: np.ndarray) -> np.ndarray:
            found = symbols_about(latents.y[:, mask], means, self.fraction)
            payloads[tag] = rans_encode(found, indexes, self.y_tables)
            return found

        self._two_passes(self.h_s.run(z), self.anchor_parity, symbols, None)
        return pack(geometry, self.identity, payloads)

    def _parity(self, stream: Stream) -> int:
        """The anchors of a stream whose context fields are those of the model (SPEC CKBD-3).  Raises StreamError."""
        fields, offset = stream.payloads["CTXF"], stream.offsets["CTXF"]
        if len(fields) < 2:
            raise StreamError(
                "RC-STREAM-TRUNCATED", f"section CTXF has {len(fields)} bytes, not 2", offset + len(fields)
            )
        if len(fields) > 2:
            raise StreamError("RC-STREAM-TRAILING", f"section CTXF has {len(fields)} bytes, not 2", offset + 2)
        parity, order = fields
        if parity > 1:
            raise StreamError("RC-STREAM-LIMIT", f"the anchors' parity is {parity}, not 0 or 1", offset)
        if order > 1:
            raise StreamError("RC-STREAM-LIMIT", f"the order of concatenation is {order}, not 0 or 1", offset + 1)
        if order != self.order:
            message = f"the stream concatenates in order {order}, the model in order {self.order}"
            raise StreamError("RC-STREAM-MODEL", message, offset + 1)
        return parity

    def _two_passes(self, side: np.ndarray, parity: int, code: CodePart, tap: Tap | None) -> np.ndarray:
        """y_hat (M, h, w), first at the anchors and without a context, then at the others (SPEC CKBD-4, CKBD-5)."""
        size = side.shape[1:]
        y_hat = np.zeros((self.g_s.input.channels, *size), latent_format(self.fraction).dtype)
        context = self.entropy_parameters.tensor("context")
        seen = np.zeros((context.channels, *size), context.format.dtype)  # no bias of the context network either
        anchors = np.indices(size).sum(axis=0) % 2 == parity
        whole: dict[str, np.ndarray] = {}
        for (name, tag), mask in zip(PASSES, (anchors, ~anchors), strict=True):
            report = _prefixed(tap, name)
            if name == "others":
                seen = self.context.run(y_hat, report)
            found = self.entropy_parameters.run_all({"context": seen, "side": side}, report)
            part = {key: found[key][:, mask] for key in ("indexes", "means")}
            part["y"] = code(tag, mask, part["indexes"], part["means"])
            for key, values in part.items():
                whole.setdefault(key, np.zeros(y_hat.shape, values.dtype))[:, mask] = values
            y_hat[:, mask] = latent_means(part["y"][:, None], part["means"][:, None], self.fraction)[:, 0]
        if tap:
            for key, values in whole.items():
                tap(key, values)
        return y_hat


def _prefixed(tap: Tap | None, name: str) -> Tap | None:
    """A tap that puts the name of a pass before that of each tensor."""
    return (lambda tensor, values: tap(f"{name}.{tensor}", values)) if tap else None


def concatenation_order(program: Program) -> int:
    """Which comes first where entropy_parameters joins context and side (SPEC CKBD-2).

    Returns 0 for the context, 1 for the side.  Raises ModelError RC-MODEL-SCHEMA unless exactly one Concatenate joins
    what comes of one to what comes of the other.
    """
    origins = {tensor.name: frozenset({tensor.name}) for tensor in program.inputs}
    orders = []
    for op in program.operations:
        sources = [origins[name] for name in op.reads]
        origins[op.target] = frozenset[str]().union(*sources)
        if isinstance(op, Concatenate) and sources in (
            [frozenset({"context"}), frozenset({"side"})],
            [frozenset({"side"}), frozenset({"context"})],
        ):
            orders.append(CONTEXT_FIRST if "context" in sources[0] else SIDE_FIRST)
    require(len(orders) == 1, f"{program.name} must concatenate context and side once, not {len(orders)} times")
    return orders[0]
