"""Every node of a float network becomes integers whose real values are those of the node, within what rounding allows.

Each tensor of an integer program, times its steps, is compared with float64 arithmetic on the integers that it was made
of. The bounds are derived: half a unit for each rounding, half a weight step for each sample that a weight meets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from formula_codecs import formula
from naive_float import naive_leaky, naive_shuffle
from small_codecs import ARCHITECTURES, label, latent_of, small_codec, watched

from refcodec.errors import ModelError
from refcodec.formats import IntFormat
from refcodec.models import network as nodes
from refcodec.models.architecture import Architecture
from refcodec.models.densities import SCALE_TABLE_BITS
from refcodec.models.float_codec import FloatCodec
from refcodec.models.network import Activation, Convolution, Join, Network, Node, Normalisation, Port, Shuffle, Sum
from refcodec.program import operations as ops
from refcodec.program.program import Program
from refcodec.quantize import compile as compiling
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.compile import Compiler
from refcodec.quantize.integerise import program_of
from refcodec.quantize.layers import decoder_networks
from refcodec.quantize.recipe import Recipe

BOUNDS = np.array(SCALE_TABLE_BITS, np.uint32).view(np.float32)[:63].astype(np.float64)
WIDE = next(a for a in ARCHITECTURES if a.family == "mean-scale-hyperprior" and a.stem)
CHENG = next(a for a in ARCHITECTURES if a.family == "checkerboard" and a.backbone == "cheng2020")
GDN = next(a for a in ARCHITECTURES if a.family == "scale-hyperprior" and a.backbone == "gdn")


def recipe_of(codec: FloatCodec, bits: int, activations: str = "channel", weights: str = "channel") -> Recipe:
    """No weight saturates, so that a bound can be derived; gamma has all bits there are."""
    choices = Choices(bits, bits, 16, observer="minmax", activations=activations, weights=weights)
    return choose(codec, watched(codec), choices)


def draw_inputs(program: Program) -> dict[str, np.ndarray]:
    """Integers of the sizes that latents have, some at the ends of their formats."""
    found = {}
    for tensor in program.inputs:
        spread = {"z": 4, "y": 6, "y_hat": 6 << 8}.get(tensor.name, tensor.format.hi)
        x = np.rint(formula(tensor.name, (tensor.channels, 6, 7)) * spread)
        found[tensor.name] = np.clip(x, tensor.format.lo, tensor.format.hi).astype(np.int64)
    return found


# --- what an integer program gives, node by node


@dataclass(frozen=True)
class Real:
    """An integer tensor, and the real value (C,) of one LSB of each channel."""

    integers: np.ndarray
    steps: np.ndarray

    @property
    def values(self) -> np.ndarray:
        return self.integers * self.steps[:, None, None]


def column(steps: np.ndarray) -> np.ndarray:
    return steps[:, None, None]


def tap_sums(x: np.ndarray, weight: np.ndarray, node: Convolution) -> np.ndarray:
    """A convolution in float64, tap by tap; weight (O, C, K, K)."""
    k, stride, pad = node.kernel, node.stride, 0 if node.valid else node.kernel // 2
    _, height, width = x.shape
    if node.transposed:
        out = np.zeros((len(weight), stride * height + k, stride * width + k))
        for dy, dx in np.ndindex(k, k):
            rows, columns = slice(dy, dy + stride * height, stride), slice(dx, dx + stride * width, stride)
            out[:, rows, columns] += np.einsum("oc,cyx->oyx", weight[:, :, dy, dx], x)
        return out[:, pad : pad + stride * height, pad : pad + stride * width]
    wide = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    rows, columns = ((n + 2 * pad - k) // stride + 1 for n in (height, width))
    return sum(
        np.einsum("oc,cyx->oyx", weight[:, :, dy, dx],
                  wide[:, dy : dy + stride * rows : stride, dx : dx + stride * columns : stride][:, :rows, :columns])
        for dy, dx in np.ndindex(k, k)
    )  # fmt: skip


def check_convolution(node: Convolution, source: Real, found: np.ndarray, recipe: Recipe, codec: FloatCodec) -> Real:
    weight = node.weight(codec.parameters).astype(np.float64)
    steps, corrections = (np.array(table[node.name]) for table in (recipe.weight_steps, recipe.bias_corrections))
    unit = steps * source.steps.max()
    wanted = tap_sums(source.values, weight, node) + column(node.bias(codec.parameters) - corrections)
    reached = tap_sums(np.abs(source.integers).astype(np.float64), (weight != 0).astype(np.float64), node)
    allowed = column(unit) / 2 * (1 + reached) * (1 + 1e-9) + 1e-12 * np.abs(wanted).max()
    assert (np.abs(found * column(unit) - wanted) <= allowed).all(), node.name
    return Real(found, unit)


def check_rounded(name: str, found: np.ndarray, wanted: np.ndarray, fmt: IntFormat, slack: np.ndarray | float) -> None:
    """Integers nearest to what was wanted, in steps, and saturated; slack is what multipliers add to half a step."""
    exact = np.clip(wanted, fmt.lo, fmt.hi)
    assert (np.abs(found - exact) <= 0.5 + slack).all(), name


def check_activation(node: Activation, source: Real, program: Program, taps, recipe: Recipe) -> Real:
    if node.form == "scale":
        indexes = taps["indexes"]
        above = source.integers[..., None] * source.steps[:, None, None, None] > BOUNDS
        near = np.abs(source.values[..., None] / BOUNDS - 1).min(axis=-1) < 1e-12  # decided in fractions below
        np.testing.assert_array_equal(indexes[~near], above.sum(axis=-1)[~near])
        return Real(indexes, np.ones(len(indexes)))
    tensor, channels = program.tensor(node.name), len(source.steps)
    chosen = {"sample": [1 / 255], "mean": [2.0**-recipe.mean_fraction]}.get(node.form)
    steps = np.broadcast_to(chosen if chosen else recipe.activation_steps[node.name], channels)
    bits = recipe.activation_bits
    fmt = {"sample": IntFormat(8, False), "mean": IntFormat(16, True)}.get(node.form)
    assert tensor.format == (fmt or IntFormat(bits, node.form not in ("relu", "qrelu")))
    form: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "relu": lambda x: np.maximum(x, 0), "qrelu": lambda x: np.clip(x, 0, 255), "leaky": naive_leaky
    }  # fmt: skip
    wanted = form.get(node.form, lambda x: x)(source.values) / column(steps)
    accumulator = program.tensor(node.source).format.bits if node.source in taps else 32
    slack = np.abs(source.values / column(steps)) * 2.0 ** -(31 if accumulator <= 32 else 15) + 1e-6
    check_rounded(node.name, taps[node.name], wanted, tensor.format, slack)
    return Real(taps[node.name], steps)


def check_normalisation(
    node: Normalisation, source: Real, found: np.ndarray, recipe: Recipe, codec: FloatCodec
) -> Real:
    beta, gamma = (codec.parameters[f"{node.prefix}.{part}"].astype(np.float64) for part in ("beta", "gamma"))
    norm = np.einsum("oc,cyx->oyx", gamma, np.abs(source.values) ** node.exponent) + column(beta)
    steps = np.broadcast_to(recipe.activation_steps[node.name], len(beta))
    wanted = source.values * (norm if node.exponent == 1 else np.sqrt(norm)) / column(steps)
    fmt = IntFormat(recipe.activation_bits, True)
    check_rounded(node.name, found, wanted, fmt, 2.1)  # as one layer in test_normalisation
    return Real(found, steps)


def check_sum(node: Sum, left: Real, right: Real, found: np.ndarray, recipe: Recipe) -> Real:
    steps = np.broadcast_to(recipe.activation_steps[node.name], len(left.steps))
    wanted = (left.values + right.values) / column(steps)
    slack = (np.abs(left.values) + np.abs(right.values)) / column(steps) * 2.0**-29
    check_rounded(node.name, found, wanted, IntFormat(recipe.activation_bits, True), slack)
    return Real(found, steps)


def check_node(node: Node, live: dict[str, Real], program: Program, taps, recipe: Recipe, codec: FloatCodec) -> Real:
    sources = [live[name] for name in node.reads]
    if isinstance(node, Activation):
        return check_activation(node, sources[0], program, taps, recipe)
    found = taps[node.name]
    if isinstance(node, Convolution):
        return check_convolution(node, sources[0], found, recipe, codec)
    if isinstance(node, Normalisation):
        return check_normalisation(node, sources[0], found, recipe, codec)
    if isinstance(node, Sum):
        return check_sum(node, *sources, found, recipe)
    if isinstance(node, Join):
        np.testing.assert_array_equal(found, np.concatenate([source.integers for source in sources]))
        return Real(found, np.concatenate([source.steps for source in sources]))
    assert isinstance(node, Shuffle)
    np.testing.assert_array_equal(found, naive_shuffle(sources[0].integers, node.factor))
    return Real(found, np.broadcast_to(sources[0].steps[0], len(found)))


def check_ports(codec: FloatCodec, network: Network, program: Program, taps, recipe: Recipe) -> dict[str, Real]:
    """The quantised inputs of a network, from symbols, fixed-point latents, or what another network gave."""
    live = {}
    for port in network.inputs:
        fmt = IntFormat(recipe.activation_bits, True)
        name = "y_hat.x" if "y_hat.x" in taps and port.name == "y_hat" else port.name
        row = recipe.activation_steps[port.name]
        steps = np.broadcast_to(row, port.channels)
        assert program.tensor(name).format == fmt
        if port.name == "z_hat" or (port.name == "y_hat" and codec.architecture.family == "factorised"):
            symbol = "z" if port.name == "z_hat" else "y"
            medians = np.floor(codec.medians.astype(np.float64) * 256 + 0.5)
            exact = taps[symbol] + column(medians) / 256
            np.testing.assert_array_equal(taps[f"{symbol}_mean"], exact * 256)
        elif name == "y_hat.x":
            exact = np.ldexp(taps["y_hat"].astype(np.float64), -recipe.mean_fraction)
        elif port.name == "y_hat":
            exact = taps["y"].astype(np.float64)
        else:
            exact = taps[name] * column(steps)
        slack = np.abs(exact / column(steps)) * 2.0**-15
        check_rounded(name, taps[name], exact / column(steps), fmt, slack)
        live[port.name] = Real(taps[name], steps)
    return live


def check_network(codec: FloatCodec, name: str, recipe: Recipe) -> dict[str, Real]:
    """Run one network as integers and compare every tensor."""
    program, network = program_of(name, codec, recipe), decoder_networks(codec)[name]
    taps: dict[str, np.ndarray] = {}
    program.run_all(draw_inputs(program), taps.__setitem__)
    taps = {key: values.astype(np.int64) for key, values in taps.items()}
    live = check_ports(codec, network, program, taps, recipe)
    for node in network.nodes:
        live[node.name] = check_node(node, live, program, taps, recipe, codec)
    return live


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_every_node_keeps_the_real_values_of_its_inputs(architecture: Architecture, bits: int) -> None:
    codec = small_codec(architecture)
    recipe = recipe_of(codec, bits)
    for name in decoder_networks(codec):
        live = check_network(codec, name, recipe)
        assert all(np.ptp(real.integers) > 0 for real in live.values()), "a constant tensor shows nothing"


@pytest.mark.parametrize("activations", ["tensor", "channel", "equalised"])
@pytest.mark.parametrize("weights", ["tensor", "channel"])
def test_every_grain_of_steps_keeps_the_real_values(activations: str, weights: str) -> None:
    for architecture in (GDN, CHENG):
        codec = small_codec(architecture)
        recipe = recipe_of(codec, 12, activations, weights)
        for name in decoder_networks(codec):
            check_network(codec, name, recipe)


# --- a wrong constant is noticed


def test_a_wrong_fold_of_steps_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = small_codec(GDN)
    recipe = recipe_of(codec, 16)
    assert any(len(set(recipe.activation_steps[name])) > 1 for name in ("h_s.1", "g_s.1"))
    for wrong in (
        lambda weight, steps: weight.astype(np.float64),
        lambda weight, steps: weight * (steps.max() / steps)[None, :, None, None],
        lambda weight, steps: weight * (steps / steps.min())[None, :, None, None],
    ):
        monkeypatch.setattr(compiling, "folded_weight", wrong)
        with pytest.raises(AssertionError, match=r"h_s\.[02]"):
            check_network(codec, "h_s", recipe)


@pytest.mark.parametrize("slope", [0.0, 0.02, 0.1, 1.0])
def test_a_wrong_slope_is_noticed(slope: float, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = small_codec(CHENG)
    recipe = recipe_of(codec, 16)
    monkeypatch.setattr(compiling, "LEAKY_SLOPE", slope)
    with pytest.raises(AssertionError, match=r"h_s\.1"):
        check_network(codec, "h_s", recipe)


# --- the whole function


def synthesis_error(codec: FloatCodec, bits: int, activations: str) -> float:
    """Mean square distance of a picture from the float one, where samples do not saturate, beyond their rounding."""
    recipe = choose(codec, watched(codec), Choices(bits, bits, 16, activations=activations))
    program, y_hat = program_of("g_s", codec, recipe), codec.code(latent_of(codec, (1, 2))).y_hat
    fraction = recipe.mean_fraction if program.input.name == "y_hat" else 0
    y = np.rint(np.ldexp(y_hat, fraction)).astype(np.int64)
    found = program.run(y).astype(np.float64)
    exact = 255 * codec.synthesis(np.ldexp(y, -fraction).astype(np.float32))
    inside = (exact > 1) & (exact < 254)
    assert inside.mean() > 0.3
    return float(np.mean((found - exact)[inside] ** 2)) - 1 / 12


@pytest.mark.parametrize("activations", ["tensor", "channel", "equalised"])
@pytest.mark.parametrize("architecture", [WIDE, GDN, CHENG], ids=label)
def test_the_real_function_stays_and_its_error_shrinks_with_the_bits(
    architecture: Architecture, activations: str
) -> None:
    """Two bits more make steps four times finer, and squares sixteen times smaller; at 16 bits next to none is left."""
    codec = small_codec(architecture)
    errors = [synthesis_error(codec, bits, activations) for bits in (6, 8, 10, 16)]
    assert errors[0] > 6 * errors[1] > 36 * errors[2], errors
    assert abs(errors[3]) < 0.006, errors


# --- single nodes

STEP = 0.25


def compiled(network: Network, steps: dict[str, list[float]], bits: int = 8, fmt: IntFormat | None = None) -> Compiler:
    """The operations of a network without parameters, whose inputs are integer tensors of 20 bits and steps of 1/4."""
    to = Compiler({}, Recipe(bits, bits, bits, "by hand", 6, steps, {}, {}), np.append(BOUNDS, 256.0))
    for port in network.inputs:
        tensor = ops.Tensor(port.name, port.channels, fmt or IntFormat(20, True))
        to.take(tensor, np.full(port.channels, STEP), port.name)
    to.run(network)
    return to


def run_single(node: Node, steps: dict[str, list[float]], x: np.ndarray, bits: int = 8) -> tuple[np.ndarray, Compiler]:
    to = compiled(Network((Port("x", len(x)),), (node,)), steps, bits)
    return to.program("p").run(x), to


@pytest.mark.parametrize(
    ("step", "clipped"),
    [
        (0.5, False),
        (1.0, False),
        (1.001, False),
        (1.003, True),
        (255 / 255.4, False),
        (2.0, True),
        (100.0, True),
        (600.0, True),
    ],
)
def test_qrelu_clips_exactly_where_the_format_reaches_beyond_255(step: float, clipped: bool) -> None:
    """An unsigned format of 8 bits ends at 255 steps; a step above one reaches beyond what QReLU lets through."""
    x = np.arange(-50, 1200).reshape(1, 1, -1)  # quarters: -12.5 .. 299.75
    found, to = run_single(Activation("out", "x", "qrelu"), {"out": [step]}, x)
    assert any(isinstance(op, ops.Clip) for op in to.operations) == clipped
    limit = min(int(np.floor(255 / step + 0.5)), 255)
    assert found.max() == min(limit, int(np.floor(299.75 / step + 0.5)))
    for value, integer in zip(x.ravel().tolist(), found.ravel().tolist(), strict=True):
        exact = Fraction(value, 4) / Fraction(step)
        nearest = int((exact + Fraction(1, 2)).__floor__())
        assert abs(integer - min(max(nearest, 0), limit)) <= (abs(exact - nearest) > Fraction(499999, 1000000))


def test_leaky_slope_is_a_hundredth_of_the_positive_scale() -> None:
    x = np.array([-40000, -4000, -400, 0, 400, 4000]).reshape(1, 1, -1)
    found, to = run_single(Activation("out", "x", "leaky"), {"out": [1.0]}, x, 16)
    assert found.ravel().tolist() == [-100, -10, -1, 0, 100, 1000]
    (op,) = to.operations
    assert isinstance(op, ops.LeakyRequantise)
    ratio = Fraction(int(op.negative_multiplier[0]), int(op.multiplier[0]))
    assert abs(ratio - Fraction(1, 100)) < Fraction(1, 10**9)


@pytest.mark.parametrize("seed", range(4))
def test_scale_thresholds_are_exact_at_every_bound(seed: int) -> None:
    """accumulator * unit > bound exactly where accumulator > threshold, in fractions; a unit may divide a bound."""
    rng = np.random.default_rng(seed)
    steps = np.exp2(rng.uniform(-20, 3, 6)) if seed else BOUNDS[[0, 7, 20, 40, 62, 62]] / [1, 3, 8, 100, 5, 1]
    to = Compiler({}, Recipe(8, 8, 8, "by hand", 6, {}, {}, {}), np.append(BOUNDS, 256.0))
    tensor = ops.Tensor("x", 6, IntFormat(32, True))
    to.take(tensor, steps, "x")
    to.run(Network((Port("x", 6),), (Activation("scales", "x", "scale"),)))
    (op,) = to.operations
    assert isinstance(op, ops.ScaleIndex)
    for unit, row in zip(steps.tolist(), op.thresholds.tolist(), strict=True):
        for bound, threshold in zip(BOUNDS.tolist(), row, strict=True):
            if threshold < tensor.format.hi:
                assert threshold * Fraction(unit) <= Fraction(bound) < (threshold + 1) * Fraction(unit)
            else:  # no accumulator is above it
                assert tensor.format.hi * Fraction(unit) <= Fraction(bound)
    assert to.live["scales"].tensor.format == IntFormat(6, False)


@pytest.mark.parametrize("fraction", [0, 6, 12])
def test_means_have_the_fraction_of_the_recipe_and_16_bits(fraction: int) -> None:
    to = Compiler({}, Recipe(8, 8, 8, "by hand", fraction, {}, {}, {}), BOUNDS)
    to.take(ops.Tensor("x", 1, IntFormat(30, True)), np.full(1, 2.0**-14), "x")
    to.run(Network((Port("x", 1),), (Activation("means", "x", "mean"),)))
    program = to.program("p")
    assert program.output.format == IntFormat(16, True)
    x = np.array([-(1 << 29), -(3 << 13), -1, 0, 1, 5 << 13, (1 << 29) - 1]).reshape(1, 1, -1)
    wanted = [int((Fraction(v, 1 << 14) * 2**fraction + Fraction(1, 2)).__floor__()) for v in x.ravel().tolist()]
    assert program.run(x).ravel().tolist() == [min(max(v, -32768), 32767) for v in wanted]


def test_samples_have_eight_bits_and_end_at_white() -> None:
    x = np.arange(-8, 12).reshape(1, 1, -1)  # quarters of the range from black to white
    found, to = run_single(Activation("x_hat", "x", "sample"), {}, x)
    assert to.program("p").output.format == IntFormat(8, False)
    wanted = [int((Fraction(v, 4) * 255 + Fraction(1, 2)).__floor__()) for v in x.ravel().tolist()]
    assert found.ravel().tolist() == [min(max(v, 0), 255) for v in wanted]


@pytest.mark.parametrize("scale", [1.0, 0.001, 300.0])
def test_sum_weighs_its_tensors_by_their_steps(scale: float) -> None:
    network = Network((Port("a", 2), Port("b", 2)), (Sum("out", ("b", "a")),))
    to = Compiler({}, Recipe(8, 12, 8, "by hand", 6, {"out": [0.5 * scale]}, {}, {}), BOUNDS)
    for port, step in zip(network.inputs, (0.1 * scale, 0.7 * scale), strict=True):
        to.take(ops.Tensor(port.name, 2, IntFormat(12, True)), np.full(2, step), port.name)
    to.run(network)
    a, b = (np.rint(2047 * formula(name, (2, 9, 9))).astype(np.int64) for name in "ab")
    found = to.program("p").run_all({"a": a, "b": b})["out"]
    wanted = np.clip((a * 0.1 + b * 0.7) / 0.5, -2048, 2047)
    assert np.abs(found - wanted).max() <= 0.5 + 1e-4
    assert np.ptp(found) > 3000


def test_accumulators_are_exactly_as_wide_as_their_bounds() -> None:
    for architecture in (WIDE, CHENG):
        codec = small_codec(architecture)
        for bits in (4, 16):
            recipe = recipe_of(codec, bits)
            for name in decoder_networks(codec):
                program = program_of(name, codec, recipe)
                for op in program.operations:
                    if isinstance(op, ops.Convolution | ops.TransposedConvolution | ops.MaskedConvolution):
                        bound, accumulator = (
                            op.bound(program.tensor(op.source).format),
                            program.tensor(op.target).format,
                        )
                        assert IntFormat(accumulator.bits - 1, True).hi < bound <= accumulator.hi


# --- refusals


def test_a_decoder_has_no_forward_normalisation() -> None:
    node = Normalisation("g_a.1", "x", 1, False, 2, "g_a.1")
    with pytest.raises(ModelError, match=r"^RC-MODEL-FAMILY: g_a\.1: a decoder has no forward normalisation"):
        compiled(Network((Port("x", 1),), (node,)), {"g_a.1": [1.0]})


def test_other_nodes_are_refused_by_name() -> None:
    class Attention:
        name = "attention"
        reads = ("x",)

    with pytest.raises(ModelError, match=r"^RC-MODEL-FAMILY: attention: a decoder has no Attention"):
        compiled(Network((Port("x", 1),), (Attention(),)), {})  # type: ignore[arg-type]


@pytest.mark.parametrize("node", [Shuffle("out", "mid", 2), Sum("out", ("mid", "mid"))])
def test_shuffles_and_sums_need_one_step(node: Node) -> None:
    network = Network((Port("x", 4),), (Activation("mid", "x", "linear"), node))
    compiled(network, {"mid": [0.5], "out": [0.5]})
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: (mid: a shuffle|out: a sum) needs one step"):
        compiled(network, {"mid": [0.5, 0.5, 0.5, 0.6], "out": [0.5]})


def test_a_recipe_without_a_tensor_is_refused_by_its_name() -> None:
    codec = small_codec(WIDE)
    recipe = recipe_of(codec, 8)
    for field, lost in (("activation_steps", "g_s.3"), ("weight_steps", "g_s.4"), ("bias_corrections", "g_s.6")):
        kept = {name: row for name, row in getattr(recipe, field).items() if name != lost}
        with pytest.raises(ModelError, match=f"^RC-MODEL-SCHEMA: the recipe lacks .*{lost}"):
            program_of("g_s", codec, replace(recipe, **{field: kept}))


def test_every_kind_of_node_is_compiled() -> None:
    """So that a new kind is not forgotten above."""
    assert {node.__name__ for node in nodes.Node.__args__} == {
        "Activation", "Convolution", "Join", "Normalisation", "Shuffle", "Sum"
    }  # fmt: skip
    seen = {
        type(node).__name__ + (node.form if isinstance(node, Activation) else "")
        for a in ARCHITECTURES for network in decoder_networks(small_codec(a)).values() for node in network.nodes
    }  # fmt: skip
    forms = {f"Activation{form}" for form in nodes.FORMS}
    assert seen == {"Convolution", "Join", "Normalisation", "Shuffle", "Sum"} | forms
