"""The definitions in the place of the kernels, so that whole streams are decoded by the text of SPEC.md (SPEC GATE-1).

These edits change no result: every case is evaluated with them first, and must give what it says.
"""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.codecs.position import WholeSum
from refcodec.entropy.rans import WORD_BYTES, Decoder
from refcodec.errors import StreamError
from refcodec.mutation.edit import Edit
from refcodec.program.program import Program
from refcodec.vectorgen.evaluate import RANS_CODES

QUICK = 1 << 15  # constants of a program, and multiplications of a layer, that lists can do in a moment


def is_quick(program: Program) -> bool:
    """Whether a program is small enough to run by the definitions again and again."""
    return sum(getattr(op, name).size for op in program.operations for name in op.constants) < QUICK


def convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Accumulators (SPEC CONV-2)."""
    return np.array(fixed.convolution(x.tolist(), weight.tolist(), bias.tolist(), stride, padding), np.int64)


def transposed_convolution(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int, output_padding: int
) -> np.ndarray:
    """Accumulators (SPEC TCONV-3)."""
    operands = x.tolist(), weight.tolist(), bias.tolist()
    return np.array(fixed.transposed_convolution(*operands, stride, padding, output_padding), np.int64)


def whole_sum(layer: WholeSum, x: np.ndarray) -> np.ndarray:
    """Accumulators (O, 1, 1) of a layer that sees its whole input (SPEC LIN-1)."""
    sample = x.reshape(-1)[layer.taps].tolist()
    return np.array(fixed.linear(sample, layer.weight.tolist(), layer.bias.tolist()), layer.result)[:, None, None]


def next_symbols(decoder: Decoder, indexes: np.ndarray) -> np.ndarray:
    """The next symbols of a payload (SPEC RANS-2)."""
    tables, words = decoder._tables, decoder._words.tolist()
    rows: dict[int, list[int]] = {}
    symbols: list[int] = []
    for index in indexes.flat:
        row = rows.get(int(index)) or rows.setdefault(int(index), tables.row(index).tolist())
        status, symbol, decoder._state, decoder._position = fixed.rans_symbol(
            decoder._state, decoder._position, words, row, int(tables.offsets[index])
        )
        if status:
            raise StreamError(RANS_CODES[status], "refused", decoder._offset + WORD_BYTES * len(symbols))
        symbols.append(symbol)
    return np.array(symbols, np.int64).astype(np.int16).reshape(indexes.shape)


def quantise_frequencies(counts: np.ndarray) -> np.ndarray:
    """A cumulative row (SPEC CDF-2)."""
    return np.array(fixed.quantise_frequencies(counts.tolist()), np.int32)


def frequencies(levels: np.ndarray, fraction: int) -> np.ndarray:
    """What levels of a table stand for, and the escape's nothing (SPEC WC-7)."""
    found = {level: fixed.table_frequency(level, fraction) for level in set(levels.tolist())}
    return np.array([*(found[level] for level in levels.tolist()), 0], np.int64)


def activations(products: np.ndarray, exponent: int, lo: int, hi: int) -> np.ndarray:
    """Entries of a grid (SPEC INR-6, INR-7)."""
    values = [fixed.clip(fixed.scaled(product, exponent, 1), lo, hi) for product in products.ravel().tolist()]
    return np.array(values, np.int64).reshape(products.shape)


# In the place of the kernels of operations, and of those of the entropy coders.
PROGRAMS = (
    Edit("refcodec.program.patches:run_patch", "local.run(read", "local.run_plain(read"),
    Edit(
        "refcodec.program.program:Program.run_all",
        "lambda op: op.run)",
        "lambda op: op.run_plain if definitions.is_quick(self) else op.run)",
    ),
    Edit(
        "refcodec.layers.convolution:convolution_plain",
        "wide = np.pad(",
        "if weight.size * height * width < definitions.QUICK:\n"
        "        return definitions.convolution(x, weight, bias, stride, padding)\n"
        "    wide = np.pad(",
    ),
    Edit(
        "refcodec.layers.transposed_convolution:transposed_convolution_plain",
        "wide = np.pad(",
        "if weight.size * x[0].size < definitions.QUICK:\n"
        "        return definitions.transposed_convolution(x, weight, bias, stride, padding, output_padding)\n"
        "    wide = np.pad(",
    ),
    Edit(
        "refcodec.layers.latent_mean:latent_means",
        "wide = (",
        "return latent_means_plain(symbols, means, fraction)\n    wide = (",
    ),
    Edit("refcodec.codecs.position:_run", "return op.run(", "return op.run_plain("),
    Edit(
        "refcodec.codecs.position:WholeSum.run",
        "out = np.empty(",
        "return definitions.whole_sum(self, inputs[0])\n    out = np.empty(",
    ),
    Edit(
        "refcodec.codecs.inr.program:_activations",
        "shifted = products",
        "return definitions.activations(products, exponent, fmt.lo, fmt.hi)\n    shifted = products",
    ),
)
CODERS = (
    Edit(
        "refcodec.entropy.rans:Decoder._next",
        "tables, symbols = self",
        "return definitions.next_symbols(self, indexes)\n    tables, symbols = self",
    ),
    Edit(
        "refcodec.entropy.tables:quantise_frequencies",
        "row = np.zeros(",
        "return definitions.quantise_frequencies(counts)\n    row = np.zeros(",
    ),
    Edit(
        "refcodec.entropy.static_integers:_frequencies",
        "return np.append(FREQUENCIES[fraction][levels], 0)",
        "return definitions.frequencies(levels, fraction)",
    ),
    Edit(
        "refcodec.entropy.adaptive_integers:decode_adaptive",
        "content, row = np",
        "return decode_adaptive_plain(payload, begin, shape, width, mode)\n    content, row = np",
    ),
    Edit(
        "refcodec.entropy.trellis:reconstruct",
        "out = np.empty(",
        "return reconstruct_plain(levels)\n    out = np.empty(",
    ),
)
