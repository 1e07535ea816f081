"""Bits of each layer for a size: the choice that raises the error least, by Omega over the whole network.

Source: NeuroQuant, Eq. 7 to 9. With d(l, b) what naive quantisation of layer l to b bits changes, Omega of a choice is
the sum over all pairs of layers of d(l, b_l)^T H d(m, b_m), so one table of pairs gives it exactly for every choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.stream import pack, read_layout
from refcodec.errors import RangeError
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.hessian import Change, Tick, curvature
from refcodec.quantize.inr.objective import Objective
from refcodec.quantize.inr.uniform import CHANNEL, dequantise, quantise

CHOICES = tuple(range(3, 9))
TOLERANCE = 0.05
MOST_COMBINATIONS = 1 << 23  # that are all looked at
PRICES = 4.0 ** np.arange(-20, 11)  # of a byte, each the start of a search among more combinations


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What each choice of bits costs.

    names    (L,) of the layers to choose for;  choices  (B,) bits, rising
    omegas   (L, B, L, B) float64, d^T H d of each pair of a layer and its bits
    sizes    (L, B) of each layer, in bytes or in any other unit;  fixed  of everything else.
    """

    names: tuple[str, ...]
    choices: tuple[int, ...]
    omegas: np.ndarray
    sizes: np.ndarray
    fixed: float = 0.0

    @property
    def smallest(self) -> float:
        """The least size of any choice."""
        return self.fixed + float(self.sizes.min(axis=1).sum())

    def at_least(self, bits: int) -> Table:
        """The same without the choices of fewer bits."""
        kept = [k for k, choice in enumerate(self.choices) if choice >= bits]
        omegas = self.omegas[:, kept][:, :, :, kept]
        return Table(self.names, tuple(self.choices[k] for k in kept), omegas, self.sizes[:, kept], self.fixed)

    def size(self, picks: np.ndarray) -> float:
        """The size of a choice.  picks  (L,) indexes of `choices`."""
        return self.fixed + float(self.sizes[np.arange(len(picks)), picks].sum())

    def omega(self, picks: np.ndarray) -> float:
        """Omega of a choice."""
        layers = np.arange(len(picks))
        pairs = self.omegas[layers[:, None], picks[:, None], layers[None, :], picks[None, :]]
        return float(pairs.sum())

    def bits(self, picks: np.ndarray) -> dict[str, int]:
        """Bits by name."""
        return {name: self.choices[pick] for name, pick in zip(self.names, picks.tolist(), strict=True)}

    def picks(self, bits: Mapping[str, int]) -> np.ndarray:
        """The inverse of `bits`."""
        return np.array([self.choices.index(bits[name]) for name in self.names])

    def in_bits(self, trained: TrainedVideo) -> Table:
        """The same with a layer's size as its number of weights times its bits."""
        counts = np.array([trained.parameters[name].size for name in self.names])
        return Table(self.names, self.choices, self.omegas, counts[:, None] * np.array(self.choices), 0.0)


def measure(
    trained: TrainedVideo,
    objective: Objective,
    names: Sequence[str],
    batches: Sequence[Sequence[int]],
    choices: Sequence[int] = CHOICES,
    others: Mapping[str, int] | None = None,
    granularity: str = CHANNEL,
    tick: Tick | None = None,
) -> Table:
    """The table of some layers of a network.

    names  of the parameters to choose for;  batches  of frames, whose mean error Omega is about
    others  bits of parameters that have no choice;  tick  called after each of len(names) * len(choices) * len(batches)
    products.  Raises RangeError.
    """
    kept = [p.name for p in parameters(trained.architecture.nodes()) if p.name in set(names)]
    changes, sizes, total = [], [], 0
    for bits in choices:
        video = quantise(trained, {**(others or {}), **dict.fromkeys(kept, bits)}, granularity)
        content, values = pack(video), dequantise(video)
        spans = {entry.parameter.name: entry.end - entry.steps_at for entry in read_layout(content).entries}
        sizes.append([spans[name] for name in kept])
        total = len(content) - sum(sizes[-1])
        changes.append([Change(name, values[name] - trained.parameters[name]) for name in kept])
    ordered = [changes[b][k] for k in range(len(kept)) for b in range(len(choices))]
    pairs = curvature(objective, trained.parameters, ordered, batches, tick)
    shape = (len(kept), len(choices), len(kept), len(choices))
    return Table(tuple(kept), tuple(choices), pairs.reshape(shape), np.array(sizes).T, total)


def allocate(table: Table, least: float, most: float) -> dict[str, int]:
    """Bits as of `find_bits`.  Raises RangeError where no choice has such a size."""
    bits = find_bits(table, least, most)
    if bits is None:
        sizes = f"{table.smallest:.0f} and more"
        raise RangeError(f"no choice of bits has a size of {least:.0f}..{most:.0f}: there are {sizes}")
    return bits


def find_bits(table: Table, least: float, most: float) -> dict[str, int] | None:
    """Bits of the least Omega among all choices of a size from `least` to `most`, None where there are none.

    Where there are at most MOST_COMBINATIONS choices, all are compared. Otherwise the search starts once for each price
    of a byte: the layer that gains most takes the bits of less Omega plus price until none gains; then one or two
    layers at a time change their bits while that lowers Omega within the sizes.
    """
    exact = len(table.choices) ** len(table.names) <= MOST_COMBINATIONS
    picks = _enumerated(table, least, most) if exact else _searched(table, least, most)
    return None if picks is None else table.bits(picks)


def _enumerated(table: Table, least: float, most: float) -> np.ndarray | None:
    """The best of all choices, each an index of an array that has an axis for every layer."""
    layers, count = len(table.names), len(table.choices)
    sizes, omegas = np.full((count,) * layers, float(table.fixed)), np.zeros((count,) * layers)
    for k in range(layers):
        sizes += _along(table.sizes[k], layers, k)
        omegas += _along(np.diagonal(table.omegas[k, :, k, :]), layers, k)
        for j in range(k):
            omegas += _along(2 * table.omegas[j, :, k, :], layers, j, k)
    omegas[(sizes < least) | (sizes > most)] = np.inf
    best = int(np.argmin(omegas))
    return np.array(np.unravel_index(best, omegas.shape)) if np.isfinite(omegas.flat[best]) else None


def _along(values: np.ndarray, layers: int, *axes: int) -> np.ndarray:
    """An array in a shape that broadcasts to an axis for every layer."""
    return values.reshape([values.shape[axes.index(k)] if k in axes else 1 for k in range(layers)])


def _searched(table: Table, least: float, most: float) -> np.ndarray | None:
    priced = {tuple(_priced(table, price)) for price in PRICES * float(np.einsum("lblb->", table.omegas))}
    fitted = [_fitted(table, np.array(picks), least, most) for picks in sorted(priced)]
    starts = {tuple(picks) for picks in fitted if picks is not None}
    found = [_exchanged(table, np.array(picks), least, most) for picks in sorted(starts)]
    return min(found, key=table.omega) if found else None


def _moves(table: Table, picks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What giving one layer other bits adds to Omega and to the size, (L, B) both: with e what it adds to the change d
    of all weights, 2 e^T H d + e^T H e."""
    layers = np.arange(len(picks))
    mixed = table.omegas[:, :, layers, picks].sum(axis=2)
    own, crossed = np.einsum("lblb->lb", table.omegas), table.omegas[layers, :, layers, picks]
    first = mixed - mixed[layers, picks][:, None]
    second = own - 2 * crossed + own[layers, picks][:, None]
    return 2 * first + second, table.sizes - table.sizes[layers, picks][:, None]


def _double_moves(table: Table, picks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What giving two layers other bits adds to Omega and to the size, (L, B, L, B) both; of one layer twice, infinity.

    A layer may keep its bits, so single moves are among them.
    """
    layers = np.arange(len(picks))
    omegas, sizes = _moves(table, picks)
    left = table.omegas - table.omegas[layers, picks][:, None]
    crossed = left - left[:, :, layers, picks][..., None]
    both = omegas[:, :, None, None] + omegas + 2 * crossed
    both[layers, :, layers, :] = np.inf
    return both, sizes[:, :, None, None] + sizes


def _priced(table: Table, price: float) -> np.ndarray:
    """A choice of which no layer alone can lower Omega plus price times size."""
    picks = np.full(len(table.names), len(table.choices) - 1)
    while True:
        omegas, sizes = _moves(table, picks)
        costs = omegas + price * sizes
        layer, pick = np.unravel_index(int(np.argmin(costs)), costs.shape)
        if not costs[layer, pick] < 0:
            return picks
        picks[layer] = pick


def _fitted(table: Table, picks: np.ndarray, least: float, most: float) -> np.ndarray | None:
    """A choice brought within the sizes: by one or two layers at once where that does, else by whichever layer adds
    least to Omega for what it adds to the size."""
    for _ in range(table.sizes.size):
        size = table.size(picks)
        found = _best_moves(table, picks, least, most)
        if least <= size <= most or found is not None:
            return picks if found is None else found[0]
        omegas, sizes = _moves(table, picks)
        wanted = sizes > 0 if size < least else sizes < 0
        if not wanted.any():
            return None
        costs = np.where(wanted, omegas / np.where(wanted, abs(sizes), 1), np.inf)
        layer, pick = np.unravel_index(int(np.argmin(costs)), costs.shape)
        picks = np.where(np.arange(picks.size) == layer, pick, picks)
    return None


def _best_moves(table: Table, picks: np.ndarray, least: float, most: float) -> tuple[np.ndarray, float] | None:
    """The choice of least Omega within the sizes that differs in two layers at most, and what Omega gains."""
    omegas, sizes = _double_moves(table, picks)
    after = table.size(picks) + sizes
    omegas[(after < least) | (after > most)] = np.inf
    first, pick, second, other = np.unravel_index(int(np.argmin(omegas)), omegas.shape)
    moved = picks.copy()
    moved[first], moved[second] = pick, other
    change = float(omegas[first, pick, second, other])
    return (moved, change) if np.isfinite(change) else None


def _exchanged(table: Table, picks: np.ndarray, least: float, most: float) -> np.ndarray:
    """A choice that no change of one or two layers within the sizes improves."""
    while True:
        found = _best_moves(table, picks, least, most)
        # rounding must not let it go round in circles
        if found is None or not found[1] < -1e-9 * abs(table.omega(picks)):
            return picks
        picks = found[0]
