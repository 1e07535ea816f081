"""Layouts have the parameters of CompressAI's models, name by name, and networks that fit together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_codecs import ARCHITECTURES, label

from refcodec.models.architecture import Architecture
from refcodec.models.layouts import networks
from refcodec.models.network import Convolution, Network
from refcodec.models.parameters import parameter_shapes

Shapes = dict[str, tuple[int, ...]]
LAYOUTS = Path(__file__).parent / "fixtures" / "compressai_layouts.json"

# CompressAI's models of N = 4 and M = 6 (make_compressai_reference.py), as this package calls them.
KINDS = {
    "factorised relu": Architecture("factorised", "relu", "none", 4, 6, 1),
    "factorised gdn": Architecture("factorised", "gdn", "none", 4, 6, 1),
    "scale-hyperprior relu": Architecture("scale-hyperprior", "relu", "balle2018", 4, 6, 4),
    "scale-hyperprior gdn": Architecture("scale-hyperprior", "gdn", "balle2018", 4, 6, 4),
    "scale-hyperprior gdn1": Architecture("scale-hyperprior", "gdn1", "balle2018", 4, 6, 4),
    "mean-scale-hyperprior gdn": Architecture("mean-scale-hyperprior", "gdn", "mbt2018", 4, 6, 4),
    "autoregressive gdn": Architecture("autoregressive", "gdn", "mbt2018", 4, 6, 4),
    "autoregressive cheng2020": Architecture("autoregressive", "cheng2020", "cheng2020", 6, 6, 6),
    "checkerboard cheng2020": Architecture("checkerboard", "cheng2020", "cheng2020", 6, 6, 6),
}
# numel() of every parameter of CompressAI's own modules at the sizes of its zoo
COUNTS = {
    2_998_147: Architecture("factorised", "gdn", "none", 128, 192, 1),
    5_075_843: Architecture("scale-hyperprior", "gdn", "balle2018", 128, 192, 128),
    11_816_323: Architecture("scale-hyperprior", "gdn", "balle2018", 192, 320, 192),
    7_028_003: Architecture("mean-scale-hyperprior", "gdn", "mbt2018", 128, 192, 128),
    17_561_699: Architecture("mean-scale-hyperprior", "gdn", "mbt2018", 192, 320, 192),
    14_130_467: Architecture("autoregressive", "gdn", "mbt2018", 192, 192, 192),
    25_504_596: Architecture("autoregressive", "gdn", "mbt2018", 192, 320, 192),
    11_833_149: Architecture("autoregressive", "cheng2020", "cheng2020", 128, 128, 128),
    26_598_956: Architecture("checkerboard", "cheng2020", "cheng2020", 192, 192, 192),
    1_443_776 + 1_443_587 + 8_307_840: Architecture("mean-scale-hyperprior", "relu", "ssf2020", 128, 192, 192, "img"),
    8_307_840: Architecture("entropy-parameters", "none", "ssf2020", 1, 192, 192, "motion"),
    1_767_171: Architecture("factorised", "bls2017", "none", 128, 128, 1),  # shared/data, of another project
}


def compressai(kind: str) -> Shapes:
    return {name: tuple(shape) for name, shape in json.loads(LAYOUTS.read_text())[kind].items()}


@pytest.mark.parametrize("kind", KINDS)
def test_parameter_shapes_are_those_of_compressai(kind: str) -> None:
    assert parameter_shapes(KINDS[kind]) == compressai(kind)


@pytest.mark.parametrize(
    ("stem", "family", "backbone", "n", "heads"),
    [
        ("img", "mean-scale-hyperprior", "relu", 128, ("img_encoder.", "img_decoder.", "img_hyperprior.")),
        ("img", "entropy-parameters", "none", 1, ("img_hyperprior.",)),
        ("motion", "entropy-parameters", "none", 1, ("motion_hyperprior.",)),
        ("res", "entropy-parameters", "none", 1, ("res_hyperprior.",)),
    ],
)
def test_parameter_shapes_of_a_part_are_those_of_ssf2020(
    stem: str, family: str, backbone: str, n: int, heads: tuple[str, ...]
) -> None:
    wanted = {name: shape for name, shape in compressai("ssf2020").items() if name.startswith(heads)}
    assert parameter_shapes(Architecture(family, backbone, "ssf2020", n, 192, 192, stem)) == wanted


def test_the_whole_of_ssf2020_has_its_published_number_of_parameters() -> None:
    """What is not ours is four networks of motion and residuals; the rest is counted by `parameter_shapes`."""
    shapes = compressai("ssf2020")
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 34_209_609
    ours = parameter_shapes(Architecture("mean-scale-hyperprior", "relu", "ssf2020", 128, 192, 192, "img"))
    for stem in ("motion", "res"):
        ours |= parameter_shapes(Architecture("entropy-parameters", "none", "ssf2020", 1, 192, 192, stem))
    others = {name.split(".")[0] for name in shapes.keys() - ours.keys()}
    assert others == {"motion_encoder", "motion_decoder", "res_encoder", "res_decoder"}


@pytest.mark.parametrize("count", COUNTS)
def test_parameter_shapes_count_what_published_models_count(count: int) -> None:
    assert sum(int(np.prod(shape)) for shape in parameter_shapes(COUNTS[count]).values()) == count


def test_parameter_shapes_of_bls2017_are_those_of_its_file() -> None:
    """Written out from the description of the file: kernels of 9, 5, 5 and 5, 5, 9; the last of g_a has no bias."""
    wanted: Shapes = {"g_a.0.weight": (4, 3, 9, 9), "g_a.2.weight": (4, 4, 5, 5), "g_a.4.weight": (6, 4, 5, 5)}
    wanted |= {"g_s.0.weight": (6, 4, 5, 5), "g_s.2.weight": (4, 4, 5, 5), "g_s.4.weight": (4, 3, 9, 9)}
    wanted |= {f"{layer}.bias": (4,) for layer in ("g_a.0", "g_a.2", "g_s.0", "g_s.2")} | {"g_s.4.bias": (3,)}
    for layer in ("g_a.1", "g_a.3", "g_s.1", "g_s.3"):
        wanted |= {f"{layer}.beta": (4,), f"{layer}.gamma": (4, 4)}
    assert parameter_shapes(Architecture("factorised", "bls2017", "none", 4, 6, 1)) == wanted


def test_hidden_latent_and_hyper_latent_channels_are_told_apart() -> None:
    shapes = parameter_shapes(Architecture("mean-scale-hyperprior", "gdn", "mbt2018", 4, 6, 5))
    assert shapes["g_a.6.weight"] == (6, 4, 5, 5)
    assert shapes["h_a.0.weight"] == (5, 6, 3, 3)
    assert shapes["h_a.4.weight"] == (5, 5, 5, 5)
    assert shapes["h_s.0.weight"] == (5, 6, 5, 5)
    assert shapes["h_s.2.weight"] == (6, 9, 5, 5)
    assert shapes["h_s.4.weight"] == (12, 9, 3, 3)
    assert shapes["entropy_bottleneck.quantiles"] == (5, 1, 3)


# --- networks


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_networks_are_those_of_the_family(architecture: Architecture) -> None:
    found = networks(architecture)
    transforms = [] if architecture.backbone == "none" else ["g_a", "g_s"]
    hyper = [] if architecture.hyper == "none" else ["h_a", "h_s"]
    context = ["context", "entropy_parameters"] if architecture.family in ("checkerboard", "autoregressive") else []
    assert list(found) == [*transforms, *hyper, *context]
    gives = {name: set(network.outputs) for name, network in found.items()}
    means = {"scales"} if architecture.hyper == "balle2018" else {"scales", "means"}
    wanted = {
        "g_a": {"y"},
        "g_s": {"x_hat"},
        "h_a": {"z"},
        "h_s": {"side"} if context else means,
        "context": {"context"},
        "entropy_parameters": {"scales", "means"},
    }
    assert gives == {name: wanted[name] for name in found}


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_networks_read_only_what_is_there_and_name_nothing_twice(architecture: Architecture) -> None:
    for network in networks(architecture).values():
        there = {port.name for port in network.inputs}
        for node in network.nodes:
            assert set(node.reads) <= there, node.name
            assert node.name not in there
            there.add(node.name)
    names = [node.name for network in networks(architecture).values() for node in network.nodes]
    assert len(set(names)) == len(names), "a recipe could not tell two tensors apart"


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_channels_of_a_convolution_are_those_of_what_it_reads(architecture: Architecture) -> None:
    for network in networks(architecture).values():
        channels = channels_of(network)
        for layer in network.convolutions():
            assert channels[layer.source] == layer.inputs, layer.name


def channels_of(network: Network) -> dict[str, int]:
    """Channels of every tensor, counted from the ports on."""
    found = dict(network.inputs)
    for node in network.nodes:
        before = [found[name] for name in node.reads]
        if isinstance(node, Convolution):
            found[node.name] = node.outputs
        elif type(node).__name__ == "Shuffle":
            found[node.name] = before[0] // 4
        elif type(node).__name__ == "Join":
            found[node.name] = sum(before)
        else:
            assert len(set(before)) == 1, node.name
            found[node.name] = before[0]
    return found


def test_scales_come_before_means() -> None:
    for architecture in (KINDS["mean-scale-hyperprior gdn"], KINDS["checkerboard cheng2020"]):
        nodes = {n.name: n for network in networks(architecture).values() for n in network.convolutions()}
        (scales,) = (node for name, node in nodes.items() if name.endswith(".scales"))
        (means,) = (node for name, node in nodes.items() if name.endswith(".means"))
        assert (scales.first, scales.outputs, means.first, means.outputs) == (0, 6, 6, 6)
        assert scales.prefix == means.prefix
        assert scales.stored == means.stored == 12


def test_context_and_side_are_joined_in_the_order_of_each_family() -> None:
    order = {
        kind: networks(KINDS[kind])["entropy_parameters"].nodes[0].reads
        for kind in ("autoregressive gdn", "autoregressive cheng2020", "checkerboard cheng2020")
    }
    assert order["autoregressive gdn"] == order["autoregressive cheng2020"] == ("side", "context")
    assert order["checkerboard cheng2020"] == ("context", "side")


def test_contexts_have_the_mask_of_their_family_and_a_causal_one_reads_windows() -> None:
    causal = next(networks(KINDS["autoregressive gdn"])["context"].convolutions())
    assert (causal.mask, causal.valid, causal.kernel) == ("causal", True, 5)
    checkerboard = next(networks(KINDS["checkerboard cheng2020"])["context"].convolutions())
    assert (checkerboard.mask, checkerboard.valid, checkerboard.kernel) == ("checkerboard", False, 5)
