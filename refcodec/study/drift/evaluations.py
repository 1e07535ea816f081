"""Ways in which machines evaluate the convolutions of one network: all of them right, few of them equal in floats.

A convolution is a sum of products. Which is added to which first, whether a product is rounded before it is added, and
how many bits a sum carries is decided by a library, a compiler and a processor, and a float result depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refcodec.fixed import convolution_size, phase_taps, transposed_size
from refcodec.kernel import kernel

# (weights (G, P, O), operands (G, P, N)) -> sums (O, N): G groups of P products for each of O channels at N places.
Sum = Callable[[np.ndarray, np.ndarray], np.ndarray]
Change = Callable[[np.ndarray], np.ndarray]


# --- sums of products


def _flat(products: np.ndarray) -> np.ndarray:
    return products.reshape(-1, products.shape[-1])


def _add_up(weights: np.ndarray, operands: np.ndarray) -> np.ndarray:
    """One product after another, (K, O) and (K, N) to (O, N); each product is rounded, then each sum."""
    total = np.multiply.outer(weights[0], operands[0])
    product = np.empty_like(total)
    for weight, operand in zip(weights[1:], operands[1:], strict=True):
        np.multiply.outer(weight, operand, out=product)
        total += product
    return total


def one_after_another(weights: np.ndarray, operands: np.ndarray) -> np.ndarray:
    """One product after another, each rounded and then added."""
    return _add_up(_flat(weights), _flat(operands))


@kernel
def _multiply_add(weights, operands, total):
    for o in range(total.shape[0]):
        for k in range(weights.shape[0]):
            weight = np.float64(weights[k, o])
            for n in range(total.shape[1]):
                product = weight * np.float64(operands[k, n])  # exact: twice 24 bits fit in 53
                before = np.float64(total[o, n])
                nearest = before + product
                shared = nearest - before
                error = (before - (nearest - shared)) + (product - shared)  # exact (Knuth's two-sum)
                rounded = np.float32(nearest)
                if error != 0:
                    # The sum lies between `nearest` and its neighbour `beyond`. Only a `nearest` half way between two
                    # float32 can be rounded wrongly, and then the sum belongs to where `beyond` goes.
                    beyond = np.float32(np.nextafter(nearest, np.copysign(np.inf, error)))
                    if 2 * nearest == np.float64(rounded) + np.float64(beyond):
                        rounded = beyond
                total[o, n] = rounded


def fused(weights: np.ndarray, operands: np.ndarray) -> np.ndarray:
    """One product after another by fused multiply-add, exactly: only the sum is rounded.  float32 alone."""
    total = np.zeros((weights.shape[-1], operands.shape[-1]), np.float32)
    _multiply_add(_flat(weights), _flat(operands), total)
    return total


def pairwise(weights: np.ndarray, operands: np.ndarray) -> np.ndarray:
    """Sums of the two halves, and so on down to single products."""

    def halves(low: int, high: int) -> np.ndarray:
        if high - low == 1:
            return np.multiply.outer(flat_weights[low], flat_operands[low])
        middle = (low + high) >> 1
        return halves(low, middle) + halves(middle, high)

    flat_weights, flat_operands = _flat(weights), _flat(operands)
    return halves(0, len(flat_weights))


def _tree(parts: list[np.ndarray]) -> np.ndarray:
    """Neighbours added until one is left."""
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + parts[len(parts) & ~1 :]
    return parts[0]


def lanes(count: int) -> Sum:
    """A sum for every lane of a vector register, each taking every count-th product; then the lanes are added."""

    def add_up(weights: np.ndarray, operands: np.ndarray) -> np.ndarray:
        w, x = _flat(weights), _flat(operands)
        return _tree([_add_up(w[lane::count], x[lane::count]) for lane in range(min(count, len(w)))])

    return add_up


def scattered(seed: int) -> Sum:
    """A sum for every group, and the groups added in an order that nobody controls: here, in one drawn from a seed."""

    def add_up(weights: np.ndarray, operands: np.ndarray) -> np.ndarray:
        order = np.random.default_rng(seed).permutation(len(weights))
        total = _add_up(weights[order[0]], operands[order[0]])
        for group in order[1:]:
            total += _add_up(weights[group], operands[group])
        return total

    return add_up


def matrix_product(weights: np.ndarray, operands: np.ndarray) -> np.ndarray:
    """One matrix product, as the BLAS of this machine computes it."""
    return np.ascontiguousarray(_flat(weights).T) @ _flat(operands)


def product_per_group(weights: np.ndarray, operands: np.ndarray) -> np.ndarray:
    """A matrix product for every group, added one after another."""
    total = np.ascontiguousarray(weights[0].T) @ operands[0]
    for weight, operand in zip(weights[1:], operands[1:], strict=True):
        total += np.ascontiguousarray(weight.T) @ operand
    return total


# --- narrow formats


def _keep(x: np.ndarray) -> np.ndarray:
    return x


def to_mantissa(bits: int) -> Change:
    """Round float32 to so many bits after the leading one, halves to even: 10 for TF32, 7 for bfloat16."""
    drop = 23 - bits

    def change(x: np.ndarray) -> np.ndarray:
        pattern = np.ascontiguousarray(x, np.float32).view(np.uint32)
        half = np.uint32((1 << (drop - 1)) - 1) + ((pattern >> np.uint32(drop)) & np.uint32(1))
        return ((pattern + half) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)

    return change


def to_half(x: np.ndarray) -> np.ndarray:
    """Round float32 to float16; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return x.astype(np.float16).astype(np.float32)


def to_single(x: np.ndarray) -> np.ndarray:
    """float32."""
    return x.astype(np.float32)


def to_double(x: np.ndarray) -> np.ndarray:
    """float64."""
    return x.astype(np.float64)


def to_long(x: np.ndarray) -> np.ndarray:
    """int64."""
    return x.astype(np.int64)


# --- orders of products, given as (taps, channels, ...)


def channels_first(products: np.ndarray) -> np.ndarray:
    """All taps of one channel, then those of the next."""
    return products.swapaxes(0, 1)


def backwards(products: np.ndarray) -> np.ndarray:
    """The last tap and channel first."""
    return products[::-1, ::-1]


# --- evaluations


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One way to evaluate a convolution.

    name, found_in  for people: what it is, and which hardware or library does it
    add_up   the sum of products;  arrange  their order, from (taps, channels, ...) to groups (G, P, ...)
    operands what becomes of inputs and weights before;  result  of each layer's output, and of its bias
    bias_first  whether the sum begins with the bias instead of ending with it.
    """

    name: str
    found_in: str
    add_up: Sum = one_after_another
    arrange: Change = _keep
    operands: Change = _keep
    result: Change = _keep
    bias_first: bool = False

    def sums(self, weights: np.ndarray, x: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """Weighted sums with a bias, (O, N), of weights (taps, C, O), operands (taps, C, N) and bias (O,)."""
        weights, x = self.arrange(self.operands(weights)), self.arrange(self.operands(x))
        if not self.bias_first:
            return self.result(self.add_up(weights, x) + self.result(bias)[:, None])
        first, ones = self.operands(bias)[None], np.ones((1, x.shape[-1]), x.dtype)
        joined = np.concatenate([first, _flat(weights)]), np.concatenate([ones, _flat(x)])
        return self.result(self.add_up(joined[0][None], joined[1][None]))


REFERENCE = Evaluation("one after another", "a plain loop, as compiled for x86-64 without AVX2")

ORDERS = (
    Evaluation("channels first", "im2col of (C, H, W) tensors, as in Caffe", arrange=channels_first),
    Evaluation("backwards", "transposed convolution as the gradient of a convolution", arrange=backwards),
    Evaluation("bias first", "XNNPACK: a sum starts at the bias", bias_first=True),
    Evaluation("pairwise", "tree reductions", pairwise),
    Evaluation("4 lanes", "dot products on SSE and NEON", lanes(4)),
    Evaluation("8 lanes", "dot products on AVX", lanes(8)),
    Evaluation("16 lanes", "dot products on AVX-512", lanes(16)),
)


def _scattered(seed: int) -> Evaluation:
    return Evaluation("scattered groups", "GPU kernels that split a sum and add the parts atomically", scattered(seed))


def float_evaluations(seed: int) -> tuple[Evaluation, ...]:
    """What a float decoder may do instead of REFERENCE; `seed` draws the order of scattered sums.

    The narrow formats are rounded to nearest and summed in float32; what tensor cores lose in their sums is left out.
    """
    tf32, bfloat16 = to_mantissa(10), to_mantissa(7)
    return (
        *ORDERS,
        _scattered(seed),
        Evaluation("fused", "compilers for AArch64, Power, GPUs, x86-64 with FMA", fused),
        Evaluation("BLAS per tap", "a matrix product of this machine's NumPy for every tap", product_per_group),
        Evaluation("float64 sums", "libraries that add in double precision", operands=to_double, result=to_single),
        Evaluation("float64", "the same network in double precision", operands=to_double),
        Evaluation("TF32", "tensor cores of NVIDIA since Ampere, PyTorch's default there", operands=tf32),
        Evaluation("float16", "mixed precision on GPUs", operands=to_half, result=to_half),
        Evaluation("bfloat16", "mixed precision on TPUs and CPUs with AMX", operands=bfloat16, result=bfloat16),
    )


def integer_evaluations(seed: int) -> tuple[Evaluation, ...]:
    """The same orders for integers, and matrix products in float64, which hold every accumulator exactly."""
    exact = [
        Evaluation(f"float64 {name}", "exact below 2**53", add_up, operands=to_double, result=to_long)
        for name, add_up in (("BLAS", matrix_product), ("BLAS per tap", product_per_group), ("8 lanes", lanes(8)))
    ]
    return (REFERENCE, *ORDERS, _scattered(seed), *exact)


# --- convolutions


class Window(NamedTuple):
    """Geometry of a convolution: weight (O, C, K, K) everywhere, output padding only where transposed."""

    stride: int
    padding: int
    transposed: bool
    output_padding: int = 0


class _Phase(NamedTuple):
    """Taps (ky, kx) with their input offsets, for outputs that start at (row, column)."""

    taps: Sequence[tuple[int, int]]
    offsets: Sequence[tuple[int, int]]
    row: int
    column: int


def _phases(kernel: int, window: Window) -> Iterator[_Phase]:
    if not window.transposed:
        taps = list(np.ndindex(kernel, kernel))
        yield _Phase(taps, [(ky - window.padding, kx - window.padding) for ky, kx in taps], 0, 0)
        return
    axis = [phase_taps(kernel, window.stride, window.padding, phase) for phase in range(window.stride)]
    for row, column in np.ndindex(window.stride, window.stride):
        pairs = [(down, across) for down in axis[row] for across in axis[column]]
        taps = [(down[0], across[0]) for down, across in pairs]
        yield _Phase(taps, [(down[1], across[1]) for down, across in pairs], row, column)


def _output_size(size: int, kernel: int, window: Window) -> int:
    if window.transposed:
        return transposed_size(size, kernel, window.stride, window.padding, window.output_padding)
    return convolution_size(size, kernel, window.stride, window.padding)


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, window: Window, by: Evaluation) -> np.ndarray:
    """A convolution of one of the two kinds, evaluated in a given way.

    x  (C, H, W);  weight  (O, C, K, K), output channel first, larger than the stride;  bias  (O,)
    Returns (O, H', W') of the type that the evaluation leaves.
    """
    kernel = weight.shape[2]
    height, width = (_output_size(size, kernel, window) for size in x.shape[1:])
    read, write = (1, window.stride) if window.transposed else (window.stride, 1)
    wide = np.pad(x, ((0, 0), (kernel, kernel), (kernel, kernel)))  # no tap reaches further than the kernel
    planes: dict[tuple[int, int], np.ndarray] = {}
    for phase in _phases(kernel, window):
        rows, columns = len(range(phase.row, height, write)), len(range(phase.column, width, write))
        gathered = np.stack([
            wide[:, kernel + dy :, kernel + dx :][:, : rows * read : read, : columns * read : read]
            for dy, dx in phase.offsets
        ])  # fmt: skip
        weights = np.stack([weight[:, :, ky, kx].T for ky, kx in phase.taps])
        sums = by.sums(weights, gathered.reshape(*gathered.shape[:2], -1), bias)
        planes[phase.row, phase.column] = sums.reshape(-1, rows, columns)
    out = np.empty((len(weight), height, width), planes[0, 0].dtype)
    for (row, column), plane in planes.items():
        out[:, row::write, column::write] = plane
    return out
