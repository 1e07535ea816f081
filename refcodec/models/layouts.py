"""The layers of every known architecture (CompressAI models/google.py, waseda.py, sensetime.py, video/google.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from refcodec.models.architecture import Architecture
from refcodec.models.network import Activation, Convolution, Join, Network, Node, Normalisation, Port, Shuffle, Sum

CONTEXT_KERNEL = 5
Geometry = tuple[int, int, int, int]  # inputs, outputs, kernel, stride


def networks(architecture: Architecture) -> Mapping[str, Network]:
    """Every network of an architecture.

    g_a  picture -> y;  g_s  y_hat -> x_hat;  h_a  y (Balle's: its magnitude, taken by the caller) -> z
    h_s  z_hat -> scales, or scales and means, or side;  context  y_hat -> context
    entropy_parameters  context and side -> scales and means.
    """
    found = {**_transforms(architecture), **_HYPER[architecture.hyper](architecture)}
    if architecture.mask:
        m, order = architecture.m, architecture.join
        found["context"] = _context(m, architecture.mask, architecture.context_prefix)
        found["entropy_parameters"] = _entropy_parameters(m, order, architecture.parameters_prefix)
    return found


def _plain(prefix: str, index: object, source: str, geometry: Geometry, transposed: bool = False) -> Convolution:
    inputs, outputs, kernel, stride = geometry
    name = f"{prefix}.{index}"
    return Convolution(name, source, inputs, outputs, kernel, stride, transposed, name, outputs)


def _moved(nodes: Iterable[Node], home: str, prefix: str) -> Iterator[Node]:
    """The same nodes with parameters that stand under `prefix` instead of `home`."""
    for node in nodes:
        if isinstance(node, Convolution):
            yield replace(node, prefix=prefix + node.prefix.removeprefix(home))
        else:
            yield node


# --- transforms


def _transforms(architecture: Architecture) -> dict[str, Network]:
    if architecture.backbone == "none":
        return {}
    build = _residual_transforms if architecture.backbone == "cheng2020" else _plain_transforms
    analysis, synthesis = build(architecture)
    return {
        "g_a": Network((Port("picture", 3),), tuple(analysis)),
        "g_s": Network((Port("y_hat", architecture.m),), tuple(synthesis)),
    }


def _plain_transforms(architecture: Architecture) -> tuple[list[Node], list[Node]]:
    """Convolutions with a rectifier or a normalisation between them."""
    n, m = architecture.n, architecture.m
    shapes = ((9, 4), (5, 2), (5, 2)) if architecture.backbone == "bls2017" else ((5, 2),) * 4
    widths = (3, *(n for _ in shapes[1:]), m)
    forward = [(a, b, kernel, stride) for (a, b), (kernel, stride) in zip(pairwise(widths), shapes, strict=True)]
    backward = [(b, a, kernel, stride) for a, b, kernel, stride in reversed(forward)]
    analysis, synthesis = architecture.transform_prefixes
    return (
        list(_moved(_chain("g_a", "picture", forward, "y", "linear", architecture), "g_a", analysis)),
        list(_moved(_chain("g_s", "y_hat", backward, "x_hat", "sample", architecture), "g_s", synthesis)),
    )


def _chain(
    net: str, source: str, geometries: list[Geometry], last: str, form: str, architecture: Architecture
) -> Iterator[Node]:
    for index, geometry in enumerate(geometries):
        name = f"{net}.{2 * index}"
        layer = _plain(net, 2 * index, source, geometry, transposed=net == "g_s")
        yield replace(layer, biased=(architecture.backbone, last) != ("bls2017", "y") or index < len(geometries) - 1)
        source = f"{net}.{2 * index + 1}"
        if index == len(geometries) - 1:
            yield Activation(last, name, form)
        elif architecture.backbone == "relu":
            yield Activation(source, name, "relu")
        else:
            yield Activation(f"{source}.x", name, "linear")
            exponent = 2 if architecture.backbone == "gdn" else 1
            yield Normalisation(source, f"{source}.x", geometry[1], net == "g_s", exponent, source)


def _residual_transforms(architecture: Architecture) -> tuple[list[Node], list[Node]]:
    """Cheng 2020, anchor: residual blocks with 3x3 convolutions, GDN, and pixel shuffles."""
    n, analysis, synthesis = architecture.n, [], []
    source, inputs = "picture", 3
    for index in range(0, 6, 2):
        analysis += _block_with_stride(f"g_a.{index}", source, inputs, n)
        analysis += _block(f"g_a.{index + 1}", f"g_a.{index}", n)
        source, inputs = f"g_a.{index + 1}", n
    analysis += [_plain("g_a", 6, source, (n, n, 3, 2)), Activation("y", "g_a.6", "linear")]
    source = "y_hat"
    for index in range(0, 6, 2):
        synthesis += _block(f"g_s.{index}", source, n)
        synthesis += _block_upsampling(f"g_s.{index + 1}", f"g_s.{index}", n)
        source = f"g_s.{index + 1}"
    synthesis += _block("g_s.6", source, n)
    synthesis += [
        _plain("g_s", "7.0", "g_s.6", (n, 12, 3, 1)),
        Activation("samples", "g_s.7.0", "sample"),
        Shuffle("x_hat", "samples", 2),
    ]
    return analysis, synthesis


def _block(name: str, source: str, n: int) -> list[Node]:
    return [
        _plain(name, "conv1", source, (n, n, 3, 1)),
        Activation(f"{name}.act1", f"{name}.conv1", "leaky"),
        _plain(name, "conv2", f"{name}.act1", (n, n, 3, 1)),
        Activation(f"{name}.act2", f"{name}.conv2", "leaky"),
        Sum(name, (f"{name}.act2", source)),
    ]


def _block_with_stride(name: str, source: str, inputs: int, n: int) -> list[Node]:
    return [
        _plain(name, "conv1", source, (inputs, n, 3, 2)),
        Activation(f"{name}.act1", f"{name}.conv1", "leaky"),
        _plain(name, "conv2", f"{name}.act1", (n, n, 3, 1)),
        Activation(f"{name}.gdn.x", f"{name}.conv2", "linear"),
        Normalisation(f"{name}.gdn", f"{name}.gdn.x", n, False, 2, f"{name}.gdn"),
        _plain(name, "skip", source, (inputs, n, 1, 2)),
        Activation(f"{name}.skip.x", f"{name}.skip", "linear"),
        Sum(name, (f"{name}.gdn", f"{name}.skip.x")),
    ]


def _block_upsampling(name: str, source: str, n: int) -> list[Node]:
    return [
        *_subpixel(f"{name}.subpel_conv", source, n, n, "leaky"),
        _plain(name, "conv", f"{name}.subpel_conv", (n, n, 3, 1)),
        Activation(f"{name}.igdn.x", f"{name}.conv", "linear"),
        Normalisation(f"{name}.igdn", f"{name}.igdn.x", n, True, 2, f"{name}.igdn"),
        *_subpixel(f"{name}.upsample", source, n, n, "linear"),
        Sum(name, (f"{name}.igdn", f"{name}.upsample")),
    ]


def _subpixel(name: str, source: str, inputs: int, outputs: int, form: str) -> list[Node]:
    """A 3x3 convolution, its activation, and a shuffle by 2; a rectifier may stand on either side of a shuffle."""
    return [
        _plain(name, 0, source, (inputs, 4 * outputs, 3, 1)),
        Activation(f"{name}.act", f"{name}.0", form),
        Shuffle(name, f"{name}.act", 2),
    ]


# --- hyperpriors


def _no_hyper(architecture: Architecture) -> dict[str, Network]:
    del architecture
    return {}


def _balle2018(architecture: Architecture) -> dict[str, Network]:
    """Reads |y|; gives scales alone."""
    z, m = architecture.z, architecture.m
    synthesis = [
        *_activated("h_s", 0, "z_hat", (z, z, 5, 2), "relu", transposed=True),
        *_activated("h_s", 2, "h_s.1", (z, z, 5, 2), "relu", transposed=True),
        _plain("h_s", 4, "h_s.3", (z, m, 3, 1)),
        Activation("scales", "h_s.4", "scale"),
    ]
    return {
        "h_a": _hyper_analysis("h_a", [(m, z, 3, 1), (z, z, 5, 2), (z, z, 5, 2)], "relu", "h_a"),
        "h_s": Network((Port("z_hat", z),), tuple(synthesis)),
    }


def _mbt2018(architecture: Architecture) -> dict[str, Network]:
    """Gives scales and means, or side information for entropy parameters."""
    z, m, prefix = architecture.z, architecture.m, architecture.hyper_prefix
    inner = [
        *_activated("h_s", 0, "z_hat", (z, m, 5, 2), "leaky", transposed=True),
        *_activated("h_s", 2, "h_s.1", (m, 3 * m // 2, 5, 2), "leaky", transposed=True),
    ]
    last = _plain("h_s", 4, "h_s.3", (3 * m // 2, 2 * m, 3, 1))
    end = _side(last) if architecture.mask else _halves(last)
    return {
        "h_a": _hyper_analysis("h_a", [(m, z, 3, 1), (z, z, 5, 2), (z, z, 5, 2)], "leaky", f"{prefix}h_a"),
        "h_s": Network((Port("z_hat", z),), tuple(_moved([*inner, *end], "h_s", f"{prefix}h_s"))),
    }


def _cheng2020(architecture: Architecture) -> dict[str, Network]:
    n, prefix = architecture.m, architecture.hyper_prefix
    wide = 3 * n // 2
    inner = [
        *_activated("h_s", 0, "z_hat", (n, n, 3, 1), "leaky"),
        *_subpixel("h_s.2", "h_s.1", n, n, "leaky"),
        *_activated("h_s", 4, "h_s.2", (n, wide, 3, 1), "leaky"),
        *_subpixel("h_s.6", "h_s.5", wide, wide, "leaky"),
        *_side(_plain("h_s", 8, "h_s.6", (wide, 2 * n, 3, 1))),
    ]
    strides = (1, 1, 2, 1, 2)
    return {
        "h_a": _hyper_analysis("h_a", [(n, n, 3, stride) for stride in strides], "leaky", f"{prefix}h_a"),
        "h_s": Network((Port("z_hat", n),), tuple(_moved(inner, "h_s", f"{prefix}h_s"))),
    }


def _ssf2020(architecture: Architecture) -> dict[str, Network]:
    """Two networks beside each other; the rectifiers of the scales are clamped as well."""
    c, prefix = architecture.m, architecture.hyper_prefix
    five = (c, c, 5, 2)
    scale, mean = "hyper_decoder_scale", "hyper_decoder_mean"
    nodes: list[Node] = []
    source = "z_hat"
    for index in (1, 2, 3):
        name = f"{scale}.deconv{index}"
        form, target = ("qrelu", f"{scale}.qrelu{index}") if index < 3 else ("scale", "scales")
        nodes += [_plain(scale, f"deconv{index}", source, five, transposed=True), Activation(target, name, form)]
        source = target
    source = "z_hat"
    for index in (0, 2, 4):
        form, target = ("relu", f"{mean}.{index + 1}") if index < 4 else ("mean", "means")
        nodes += [
            _plain(mean, index, source, five, transposed=True),
            Activation(target, f"{mean}.{index}", form),
        ]
        source = target
    return {
        "h_a": _hyper_analysis("hyper_encoder", [five] * 3, "relu", f"{prefix}hyper_encoder"),
        "h_s": Network((Port("z_hat", c),), tuple(_moved(nodes, "", prefix))),
    }


def _activated(
    net: str, index: int, source: str, geometry: Geometry, form: str, transposed: bool = False
) -> list[Node]:
    return [
        _plain(net, index, source, geometry, transposed),
        Activation(f"{net}.{index + 1}", f"{net}.{index}", form),
    ]


def _hyper_analysis(net: str, geometries: list[Geometry], form: str, prefix: str) -> Network:
    nodes: list[Node] = []
    source = "y"
    for index, geometry in enumerate(geometries):
        last = index == len(geometries) - 1
        target = "z" if last else f"{net}.{2 * index + 1}"
        nodes += [
            _plain(net, 2 * index, source, geometry),
            Activation(target, f"{net}.{2 * index}", "linear" if last else form),
        ]
        source = target
    return Network((Port("y", geometries[0][0]),), tuple(_moved(nodes, net, prefix)))


def _halves(layer: Convolution) -> list[Node]:
    """A layer that gives scales and means, as two: scales come first in its channels."""
    half = layer.outputs // 2
    nodes: list[Node] = []
    for first, target, form in ((0, "scales", "scale"), (half, "means", "mean")):
        name = f"{layer.name}.{target}"
        part = Convolution(
            name, layer.source, layer.inputs, half, layer.kernel, layer.stride, layer.transposed, layer.prefix,
            layer.outputs, first,
        )  # fmt: skip
        nodes += [part, Activation(target, name, form)]
    return nodes


def _side(layer: Convolution) -> list[Node]:
    return [layer, Activation("side", layer.name, "linear")]


# --- contexts


def _context(m: int, mask: str, prefix: str) -> Network:
    """A masked convolution; a causal one reads windows, because its input grows position by position."""
    name, k = "context_prediction", CONTEXT_KERNEL
    layer = Convolution(name, "y_hat", m, 2 * m, k, 1, False, prefix, 2 * m, 0, mask, mask == "causal")
    return Network((Port("y_hat", m),), (layer, Activation("context", name, "linear")))


def _entropy_parameters(m: int, order: tuple[str, str], prefix: str) -> Network:
    """Three pointwise layers over context and side information."""
    net, widths = "entropy_parameters", (4 * m, 10 * m // 3, 8 * m // 3, 2 * m)
    nodes: list[Node] = [Join("parameters", order)]
    source = "parameters"
    for index, (inputs, outputs) in zip((0, 2), pairwise(widths[:3]), strict=True):
        nodes += _activated(net, index, source, (inputs, outputs, 1, 1), "leaky")
        source = f"{net}.{index + 1}"
    nodes += _halves(_plain(net, 4, source, (widths[2], widths[3], 1, 1)))
    ports = (Port("context", 2 * m), Port("side", 2 * m))
    return Network(ports, tuple(_moved(nodes, net, prefix)))


_HYPER = {
    "none": _no_hyper,
    "balle2018": _balle2018,
    "mbt2018": _mbt2018,
    "cheng2020": _cheng2020,
    "ssf2020": _ssf2020,
}
