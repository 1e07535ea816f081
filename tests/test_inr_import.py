"""Checkpoints of implicit videos: their float twins give the authors' pictures, and other variants are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from refcodec.cli import main
from refcodec.codecs.inr.architecture import Block, Hierarchical, Levels, Shuffled, Stage
from refcodec.errors import ModelError, RangeError
from refcodec.models.checkpoint import load_parameters
from refcodec.models.inr.ffnerv import quantised
from refcodec.models.inr.importers import import_video, is_video, source_of
from refcodec.models.inr.options import ImportOptions
from refcodec.models.inr.quantised_checkpoint import dequantise
from refcodec.models.inr.trained import TrainedVideo, load_video
from refcodec.models.inr.twin import run

FOLDER = Path(__file__).parent / "fixtures" / "inr"
KEPT = [1, 4]  # of five frames, those whose pictures fixtures/make_inr_checkpoints.py stores
TOLERANCE = 1e-5  # of samples in 0 .. 1, in float32
Arrays = dict[str, np.ndarray]

# what each checkpoint does not tell
SAID: dict[str, dict[str, Any]] = {
    "nerv": {"frames": 5, "size": (12, 18), "activation": "silu"},
    "nerv_pruned": {"frames": 5, "size": (12, 18), "head": "sigmoid"},
    "hnerv": {},
    "hnerv_enlarging": {},
    "hnerv_encoding": {"frames": 5, "size": (12, 18)},
    "neuroquant": {},
    "neuroquant_encoding": {"frames": 5, "size": (6, 12)},
    "quant_vid": {},
    "hinerv": {"frames": 5, "size": (12, 18)},
    "hinerv_plain": {"frames": 5, "size": (12, 18), "normed": False},
    "ffnerv": {"frames": 5, "bits": 6, "independent": True},
}
ORIGINS = {
    "nerv": "NeRV", "nerv_pruned": "NeRV", "hnerv": "HNeRV", "hnerv_enlarging": "HNeRV", "quant_vid": "HNeRV",
    "hnerv_encoding": "HNeRV's NeRV", "neuroquant": "NeuroQuant", "neuroquant_encoding": "NeuroQuant's NeRV",
    "hinerv": "HiNeRV", "hinerv_plain": "HiNeRV", "ffnerv": "FFNeRV's independent frames",
}  # fmt: skip


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def layer(name: str, *shape: int) -> Arrays:
    return {f"{name}.weight": zeros(*shape), f"{name}.bias": zeros(shape[0])}


def loaded(name: str) -> Arrays:
    return load_parameters(FOLDER / f"{name}.pth")


def options(name: str) -> ImportOptions:
    with np.load(FOLDER / "embeddings.npz") as stored:
        embeddings = stored.get(name)
    return ImportOptions(**SAID[name], embeddings=embeddings)


def imported(name: str, parameters: Arrays | None = None, **other: Any) -> TrainedVideo:
    return import_video(parameters or loaded(name), replace(options(name), **other))


def pictures(video: TrainedVideo) -> np.ndarray:
    """Those of the kept frames, (N, 3, H, W)."""
    computed = run(video.architecture.nodes(), video.parameters, KEPT, video.architecture.frames)
    return np.moveaxis(computed, 1, 0)


def wanted_pictures(name: str) -> np.ndarray:
    with np.load(FOLDER / "outputs.npz") as stored:
        return stored[name]


def largest_difference(name: str, video: TrainedVideo) -> float:
    return float(np.abs(pictures(video) - wanted_pictures(name)).max())


# --- the pictures


@pytest.mark.parametrize("name", SAID)
def test_import_gives_the_pictures_of_the_authors_network(name: str) -> None:
    video = imported(name)
    assert all(array.dtype == np.float32 for array in video.parameters.values())
    assert video.provenance == {"origin": ORIGINS[name]}
    assert wanted_pictures(name).std() > 0.08  # what differs would show
    assert largest_difference(name, video) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("nerv", {"activation": "gelu"}),
        ("nerv", {"ratio": 1.26}),
        ("nerv", {"frames": 6}),
        ("nerv_pruned", {"head": "tanh"}),
        ("hnerv_encoding", {"ratio": 1.2}),
        ("hinerv", {"normed": False}),
        ("ffnerv", {"bits": 8}),
        ("ffnerv", {"bits": None}),
    ],
)
def test_import_of_something_else_gives_other_pictures(name: str, other: dict[str, Any]) -> None:
    """The pictures depend on all that the checkpoint does not tell, so their test can fail."""
    assert largest_difference(name, imported(name, **other)) > 10 * TOLERANCE


# --- the architectures


def test_import_finds_widths_strides_and_kernels_in_the_shapes() -> None:
    found = imported("nerv").architecture
    assert isinstance(found, Shuffled)
    assert (found.base, found.stem, found.stem_activations) == ((2, 3), (7, 24), (True, True))
    assert (found.blocks, found.head_kernel, found.interleaved) == ((Block(3, 3, 5), Block(3, 2, 3)), 1, True)
    assert (found.grids, len(found.increments), found.head) == ((), 4, "tanh")
    hybrid = imported("hnerv").architecture
    assert isinstance(hybrid, Shuffled)
    assert (hybrid.frames, hybrid.height, hybrid.width, hybrid.base) == (5, 6, 12, (1, 2))
    assert (hybrid.grids, hybrid.stem, hybrid.stem_activations) == ((Levels(5, 4),), (6,), (True,))
    assert hybrid.blocks == (Block(1, 3, 5), Block(3, 2, 4))
    bare = imported("neuroquant").architecture
    assert isinstance(bare, Shuffled)
    assert (bare.stem_activations, bare.blocks[1].kernel) == ((False,), 5)
    enlarging = imported("hnerv_enlarging").architecture
    assert isinstance(enlarging, Shuffled)
    assert (enlarging.stem, enlarging.blocks[0]) == ((), Block(1, 2, 6))


def test_import_finds_the_stages_of_hinerv_in_its_grids() -> None:
    found = imported("hinerv").architecture
    assert isinstance(found, Hierarchical)
    assert (found.base, found.channels, found.stem_kernel, found.kernel) == ((2, 3), 6, 3, 3)
    assert found.grids == (Levels(3, 2), Levels(1, 4))
    assert found.stages[0] == Stage(3, 6, (Levels(5, 4), Levels(2, 8)), 2, 12)
    assert found.stages[1] == Stage(2, 3, (Levels(2, 2), Levels(1, 4)), 1, 3)
    assert (found.normed, found.head) == (True, "sigmoid")
    assert imported("hinerv_plain").architecture.nodes() != found.nodes()


def test_import_takes_the_left_spread_grids_of_ffnerv() -> None:
    found = imported("ffnerv").architecture
    assert isinstance(found, Shuffled)
    assert (found.centred, found.grids, found.stem) == (False, (Levels(2, 2), Levels(4, 2)), ())


def test_import_takes_a_smaller_picture_of_the_same_network() -> None:
    cropped = imported("nerv", size=(11, 14))
    assert (cropped.architecture.height, cropped.architecture.width) == (11, 14)
    assert cropped.architecture.size == (12, 18)
    assert largest_difference("nerv", cropped) < TOLERANCE


# --- the authors' own sizes, whose parameters they and others have counted


def count(video: TrainedVideo) -> int:
    return sum(array.size for array in video.parameters.values())


def test_import_of_hnerv_of_one_and_a_half_million_parameters() -> None:
    """The shapes of the repository's `quant_vid.pth`: 1,488,276 parameters and 132 embeddings of 128 numbers."""
    shapes = [(1425, 68, 1), (768, 57, 3), (640, 48, 5), (132, 40, 5), (112, 33, 5)]
    parameters = layer("decoder.0.conv.downconv", 68, 16, 1, 1) | layer("head_layer", 3, 28, 3, 3)
    for k, (outputs, inputs, kernel) in enumerate(shapes, 1):
        parameters |= layer(f"decoder.{k}.conv.upconv.0", outputs, inputs, kernel, kernel)
    video = import_video(parameters, ImportOptions(embeddings=zeros(132, 16, 2, 4)))
    assert count(video) == 1_488_276 + 132 * 128
    assert (video.architecture.height, video.architecture.width) == (640, 1280)
    assert isinstance(video.architecture, Shuffled)
    assert [block.stride for block in video.architecture.blocks] == [5, 4, 4, 2, 2]


def test_import_of_nerv_s() -> None:
    """`--fc_hw_dim 9_16_26 --expansion 1 --strides 5 2 2 2 2 --lower-width 96`: 3,201,905 parameters."""
    parameters = layer("stem.0", 512, 80) | layer("stem.2", 9 * 16 * 26, 512) | layer("head_layers.4", 3, 96, 1, 1)
    widths = [26, 26, 96, 96, 96, 96]
    for k, stride in enumerate((5, 2, 2, 2, 2)):
        parameters |= layer(f"layers.{k}.conv.conv", widths[k + 1] * stride**2, widths[k], 3, 3)
    video = import_video(parameters, ImportOptions(frames=132, size=(720, 1280)))
    assert count(video) == 3_201_905
    assert video.architecture.base == (9, 16)


def test_import_of_hinerv_s() -> None:
    """`bunny-hinerv-s_1280x720`: 3.25 million parameters."""
    parameters = layer("decoder.stem.conv", 280, 24, 3, 3) | layer("decoder.head.linear", 3, 35)
    parameters |= {f"encoding.grids.{n}.weight": zeros((40 >> n) * 18 * 32, 8 << n) for n in range(2)}
    width = 280
    for k, (factor, depth, expansion) in enumerate(((5, 3, 4), (2, 3, 4), (2, 3, 4), (2, 1, 1))):
        stage, channels = f"decoder.blocks.{k}", 16 >> k
        for n in range(3):
            parameters[f"{stage}.1.enc.grids.{n}.weight"] = zeros(132 >> n, factor**2 * (channels << n))
        parameters |= layer(f"{stage}.1.enc.linear", width, 7 * channels)
        for j in range(2, 2 + depth):
            parameters[f"{stage}.{j}.dconv.weight"] = zeros(width, 1, 3, 3)
            inputs, width = width, 280 >> k
            parameters[f"{stage}.{j}.fc1.weight"] = zeros(width * expansion, inputs)
            parameters[f"{stage}.{j}.fc2.weight"] = zeros(width, width * expansion)
    video = import_video(parameters, ImportOptions(frames=132, size=(720, 1280)))
    assert round(count(video), -4) == 3_250_000
    assert isinstance(video.architecture, Hierarchical)
    assert [stage.factor for stage in video.architecture.stages] == [5, 2, 2, 2]


# --- names and wrappers


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_import_strips_what_stands_before_every_name(prefix: str) -> None:
    wrapped = {prefix + name: array for name, array in loaded("hinerv").items()}
    assert largest_difference("hinerv", imported("hinerv", wrapped)) < TOLERANCE


def test_import_leaves_out_the_blocks_of_older_names() -> None:
    old = {name.replace(".conv.conv.", ".blocks.0.conv.conv."): array for name, array in loaded("nerv").items()}
    assert "layers.0.blocks.0.conv.conv.weight" in old
    assert largest_difference("nerv", imported("nerv", old)) < TOLERANCE


def test_import_takes_grids_that_are_parameters_themselves() -> None:
    plain = loaded("hinerv_plain")
    for name in [name for name in plain if ".grids." in name]:
        plain[name.removesuffix(".weight")] = plain.pop(name)
    assert largest_difference("hinerv_plain", imported("hinerv_plain", plain)) < TOLERANCE


def test_import_makes_missing_biases_zero() -> None:
    bare = loaded("nerv")
    del bare["layers.0.conv.conv.bias"]
    zero = imported("nerv", bare).parameters["blocks.0.bias"]
    np.testing.assert_array_equal(zero, np.zeros(45, np.float32))


def test_source_of_knows_each_checkpoint_and_nothing_else() -> None:
    for name in SAID:
        parameters = loaded(name)
        source = source_of(parameters)
        assert is_video(parameters)
        assert name == "quant_vid" or (source is not None and ORIGINS[name].startswith(source.name))
    picture = load_parameters(FOLDER.parent / "hyperprior_n2_m3.pth.tar")
    assert not is_video(picture)
    with pytest.raises(ModelError, match=r"RC-MODEL-FAMILY: no known implicit video has parameters called entropy_"):
        import_video(picture, ImportOptions())


# --- quantised parameters


def test_dequantise_is_exact_and_rounds_once() -> None:
    stored = loaded("quant_vid")
    exact = dequantise(stored)
    assert stored["model.decoder.1.conv.upconv.0.weight.scale"].shape == (45, 1, 1, 1)
    assert stored["model.decoder.0.conv.downconv.weight.min"].shape == (1, 4, 1, 1)
    assert stored["embed.scale"].shape == (1, 4, 1, 2)
    assert stored["model.head_layer.weight.min"].dtype == np.float32
    for name, array in exact.items():
        owner = name if name == "embed" else f"model.{name}"
        codes, low, step = (stored[f"{owner}.{part}"] for part in ("quant", "min", "scale"))
        low, step = np.broadcast_to(low, codes.shape), np.broadcast_to(step, codes.shape)
        for found, *numbers in zip(array.ravel(), codes.ravel(), low.ravel(), step.ravel(), strict=True):
            code, minimum, unit = (Fraction(float(number)) for number in numbers)
            assert Fraction(float(found)) == minimum + unit * code
    video = imported("quant_vid")
    np.testing.assert_array_equal(video.parameters["grids.0"], exact["embed"].astype(np.float32))
    np.testing.assert_array_equal(video.parameters["head.weight"], exact["head_layer.weight"].astype(np.float32))


def test_import_prefers_embeddings_that_are_given() -> None:
    other = np.zeros((5, 4, 1, 2), np.float32)
    assert not imported("quant_vid", embeddings=other).parameters["grids.0"].any()
    assert imported("quant_vid").parameters["grids.0"].any()


def test_import_computes_the_encoding_that_a_quantised_video_stores() -> None:
    """HNeRV's code stores sines like embeddings; what the first layer enlarges shows that they are none."""
    stored = {
        f"model.{name}.quant": np.zeros(array.shape, np.uint8) for name, array in loaded("hnerv_encoding").items()
    }
    stored["embed.quant"] = np.zeros((7, 10, 1, 1), np.uint8)
    for name in list(stored):
        owner = name.removesuffix(".quant")
        stored |= {f"{owner}.min": np.zeros((), np.float32), f"{owner}.scale": np.ones((), np.float32)}
    found = import_video(stored, ImportOptions(size=(12, 18))).architecture
    assert isinstance(found, Shuffled)
    assert (found.frames, found.grids, len(found.increments)) == (7, (), 5)


def test_ffnerv_rounds_towards_zero_between_tangents() -> None:
    """By the definition in exact steps: 31 on either side of zero for 6 bits."""
    values = np.array([0.0, 0.02, -0.02, 0.5, -0.5, 9.0, -9.0], np.float32)
    steps = [0, 0, 0, 14, -14, 30, -30]  # tanh(0.5) is 0.462, tanh(9) just below 1
    np.testing.assert_array_equal(quantised(values, 6), (np.array(steps) / 31).astype(np.float32))
    assert quantised(values, None) is values


# --- what is refused


def change(name: str, other: Mapping[str, np.ndarray | None]) -> Arrays:
    """A checkpoint with arrays replaced, added, or left out where None."""
    parameters: dict[str, np.ndarray | None] = {**loaded(name), **other}
    return {key: array for key, array in parameters.items() if array is not None}


FIRST, STAGES = "layers.0.conv.conv", "decoder.blocks"
LOCAL = f"{STAGES}.0.1.enc"
REFUSED: list[tuple[str, Mapping[str, np.ndarray | None], str]] = [
    ("nerv", {"layers.0.norm.weight": zeros(5)}, r"layers\.0\.norm\.weight: surplus; only NeRV's convolution"),
    ("nerv", {f"{FIRST}.weight": zeros(45, 4, 2, 2)}, "square window of odd sides"),
    ("nerv", {f"{FIRST}.weight": zeros(45, 4, 3, 1)}, "square window of odd sides"),
    ("nerv", {f"{FIRST}.bias": zeros(5)}, r"conv\.bias: wanted \(45,\), got \(5,\)"),
    ("nerv", {f"{FIRST}.bias": np.full(45, np.nan, np.float32)}, "finite floating point of 1 axes"),
    ("nerv", {f"{FIRST}.bias": np.zeros(45, np.int32)}, "got int32"),
    ("nerv", {"stem.0.weight": zeros(7, 9)}, "pairs of sines and cosines"),
    ("nerv", layer("stem.2", 20, 7), "20 outputs are not the 4 channels of 2 x 3"),
    ("nerv", layer("layers.1.conv.conv", 12, 4, 3, 3), "45 outputs are no square number of times the 4 inputs"),
    ("nerv", layer("head_layers.1", 4, 3, 1, 1), "a head has 3 outputs, not 4"),
    ("nerv", {f"head_layers.{k}.weight": None for k in (0, 1)}, r"head_layers\.N\.weight: found none"),
    ("nerv_pruned", {"stem.0.weight_mask": zeros(7, 7)}, r"stem\.0\.weight: a mask \(7, 7\) without"),
    ("nerv_pruned", {"stem.0.weight_orig": None}, r"stem\.0\.weight: a mask \(7, 8\) without"),
    ("hnerv", layer("decoder.2.conv.upconv.0", 16, 6, 3, 3), "45 outputs are no square number of times the 6 inputs"),
    ("hnerv", {"decoder.1.norm.weight": zeros(5)}, "without normalisation"),
    ("hinerv", {f"{STAGES}.0.0.norm.weight": zeros(6)}, "only HiNeRV of ConvNeXt blocks without biases and affine"),
    ("hinerv", {f"{STAGES}.0.2.fc1.bias": zeros(12)}, r"blocks\.0\.2\.fc1\.bias: surplus"),
    ("hinerv", {f"{STAGES}.0.2.fc1.parametrizations.weight.1.zero": zeros(1)}, r"weight\.1\.zero: surplus"),
    ("hinerv_plain", {f"{STAGES}.0.2.layerscale": zeros(5)}, r"layerscale: wanted \(6,\), got \(5,\)"),
    ("hinerv_plain", {f"{LOCAL}.grids.0.weight": zeros(5, 4)}, "no window for each of the 12 inputs"),
    (
        "hinerv_plain",
        {f"{LOCAL}.grids.0.weight": zeros(5, 40), f"{LOCAL}.grids.1.weight": zeros(2, 68)},
        "40 columns are no windows of 3 x 3",
    ),
    ("hinerv_plain", {f"{LOCAL}.grids.{k}.weight": None for k in (0, 1)}, r"enc\.grids\.0: found none"),
    ("hinerv_plain", {f"{LOCAL}.linear.weight": None}, r"1\.enc\.linear\.weight: wanted"),
    ("hinerv_plain", {f"{LOCAL}.linear.weight": zeros(5, 12)}, r"linear\.bias: wanted \(5,\)"),
    ("hinerv_plain", layer(f"{LOCAL}.linear", 5, 12), "wanted a linear layer of 6 outputs"),
    ("hinerv_plain", {f"{STAGES}.0.2.dconv.weight": None}, r"dconv\.weight: wanted"),
    ("hinerv_plain", {f"{STAGES}.0.2.dconv.weight": zeros(6, 1, 5, 5)}, "wanted blocks of one kernel"),
    ("hinerv_plain", {f"{STAGES}.1.2.dconv.weight": zeros(6, 1, 5, 5)}, "wanted one size of kernels"),
    ("hinerv_plain", {f"{STAGES}.1.2.dconv.weight": zeros(6, 6, 3, 3)}, r"wanted \(channels, 1, kernel, kernel\)"),
    ("hinerv_plain", layer("decoder.head.linear", 4, 3), "a head is a linear layer of 3 outputs"),
    ("hinerv_plain", {"encoding.grids.0.weight": zeros(17, 2)}, "17 rows are no tensors of 2 x 3 samples"),
    ("ffnerv", {"layers.1.conv.conv2.weight": zeros(36, 36, 1, 1)}, "compact convolutions, in groups, has no integer"),
    ("ffnerv", {"video_field.1": zeros(4, 2, 2, 2)}, "grids of one height and width"),
    ("quant_vid", {"embed.quant": zeros(5, 4, 1, 2)}, r"embed\.quant: wanted uint8, got float32"),
    ("quant_vid", {"embed.min": None}, r"embed\.min: wanted float16 or float32 for codes \(5, 4, 1, 2\), got float64"),
    ("quant_vid", {"embed.scale": zeros(2, 1)}, r"embed\.scale: wanted"),
    ("quant_vid", {"embed.bits": zeros(1)}, r"embed\.bits: surplus"),
]


@pytest.mark.parametrize(("name", "other", "message"), REFUSED)
def test_import_refuses_parameters_it_cannot_place(
    name: str, other: Mapping[str, np.ndarray | None], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        imported(name, change(name, other))
    assert caught.value.code == "RC-CHECKPOINT-PARAMETER"
    assert len(str(caught.value)) < 400


def test_import_refuses_layers_that_are_not_convolutions_with_a_shuffle() -> None:
    for name, old, new in (
        ("nerv", ".conv.conv.", ".conv.up_scale."),
        ("hnerv", ".upconv.0.", ".upconv."),
        ("hnerv", ".upconv.0.", ".upconv.1."),
    ):
        other = {key.replace(old, new): array for key, array in loaded(name).items()}
        with pytest.raises(
            ModelError, match=r"RC-CHECKPOINT-PARAMETER: .* found none; other kinds of layers are not read"
        ):
            imported(name, other)


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("nerv", {"frames": None}, r"does not tell the number of frames \(--frames\)"),
        ("nerv", {"size": None}, r"does not tell the size of a picture \(--size\)"),
        ("hinerv", {"size": None}, "--size"),
        ("ffnerv", {"frames": None}, "--frames"),
        ("nerv", {"bits": 8}, "NeRV has no choice of bits"),
        ("hinerv", {"activation": "gelu"}, "HiNeRV has no choice of activation"),
        ("hnerv", {"independent": True}, "HNeRV has no choice of independent"),
        ("hnerv", {"frames": 6}, "embeddings of 5 frames, not 6"),
        ("ffnerv", {"independent": None}, r"aggregates its frames .* \(--independent-frames\)"),
        ("nerv", {"activation": "relu"}, "the activation is one of gelu, silu"),
        ("nerv", {"head": "none"}, "the head one of tanh, sigmoid"),
        ("ffnerv", {"bits": 9}, r"2\.\.8 bits, got 9"),
        ("nerv", {"ratio": -1.0}, "between 0 and 100"),
    ],
)
def test_import_refuses_options_missing_or_without_a_meaning(name: str, other: dict[str, Any], message: str) -> None:
    with pytest.raises(RangeError, match=message) as caught:
        imported(name, **other)
    assert caught.value.code == "RC-USAGE"


def test_import_refuses_sizes_and_grids_that_a_network_does_not_have() -> None:
    with pytest.raises(ModelError, match="24 outputs are not the 4 channels of 3 x 3 samples"):
        imported("nerv", size=(18, 18))
    with pytest.raises(RangeError, match="RC-RANGE: a network of 6 x 12 does not give pictures of 7 x 12"):
        imported("hnerv", size=(7, 12))
    with pytest.raises(RangeError, match=r"RC-RANGE: tensors of the grids must be 1\.\.3, got 4"):
        imported("ffnerv", frames=3)


def test_import_wants_embeddings_where_an_encoder_made_them() -> None:
    for name in ("hnerv", "neuroquant"):
        with pytest.raises(ModelError, match=r"embed: the checkpoint has none; .* \(--embeddings\)"):
            imported(name, embeddings=None)
    for wrong in (zeros(5, 3, 1, 2), zeros(5, 4), np.zeros((5, 4, 1, 2), np.uint8)):
        with pytest.raises(ModelError, match=r"embed: wanted floating point \(frames, 4, height, width\), got"):
            imported("hnerv", embeddings=wrong)
    wide = {
        name: np.repeat(array, 4, 0) if name.startswith("decoder.0.") else array
        for name, array in loaded("neuroquant").items()
    }
    with pytest.raises(ModelError, match=r"decoder\.0\.weight: a layer that enlarges"):
        imported("neuroquant", wide)


# --- the command line


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Import with some options; the status and both outputs."""

    def call(name: str, *said: object) -> tuple[int, str, str]:
        arguments = map(str, ("import", FOLDER / f"{name}.pth", *said, "-o", tmp_path / "video.safetensors"))
        status = main(list(arguments))
        return status, *capsys.readouterr()

    return call


Command = Callable[..., tuple[int, str, str]]


def test_import_command_stores_a_video(command: Command, tmp_path: Path) -> None:
    said = ("--frames", 5, "--size", "12x18", "--activation", "silu")
    assert command("nerv", *said) == (
        0,
        f"{tmp_path}/video.safetensors: NeRV, 5 frames of 12x18, 2484 parameters\n",
        "",
    )
    assert largest_difference("nerv", load_video(tmp_path / "video.safetensors")) < TOLERANCE


@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors"])
def test_import_command_reads_embeddings_of_every_file(command: Command, tmp_path: Path, suffix: str) -> None:
    with np.load(FOLDER / "embeddings.npz") as stored:
        embed, path = stored["hnerv"], tmp_path / f"e.{suffix}"
    if suffix == "npy":
        np.save(path, embed)
    elif suffix == "npz":
        np.savez(path, embed=embed, other=embed + 1)
    else:
        save_file({"embed": embed, "other": embed + 1}, path)
    assert command("hnerv", "--embeddings", path)[0] == 0
    assert largest_difference("hnerv", load_video(tmp_path / "video.safetensors")) < TOLERANCE


def test_import_command_has_an_option_for_all_that_can_be_said(command: Command, tmp_path: Path) -> None:
    said: dict[str, tuple[object, ...]] = {
        "nerv_pruned": ("--frames", 5, "--size", "12x18", "--head", "sigmoid", "--frequency-ratio", 1.25),
        "hinerv_plain": ("--frames", 5, "--size", "12x18", "--plain-enlarging"),
        "ffnerv": ("--frames", 5, "--bits", 6, "--independent-frames"),
        "quant_vid": (),
    }
    for name, options_said in said.items():
        assert command(name, *options_said)[::2] == (0, "")
        assert largest_difference(name, load_video(tmp_path / "video.safetensors")) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("nerv", (), "RC-USAGE: the checkpoint does not tell the number of frames (--frames)"),
        ("hnerv", (), "RC-CHECKPOINT-PARAMETER: embed: the checkpoint has none"),
        ("hnerv", ("--backbone", "GDN"), "RC-USAGE: --backbone says nothing of an implicit video"),
        (
            "../hyperprior_n2_m3",
            ("--plain-enlarging",),
            "RC-USAGE: --plain-enlarging says nothing of a codec of pictures",
        ),
    ],
)
def test_import_command_refuses_in_one_line(
    command: Command, tmp_path: Path, name: str, said: Any, message: str
) -> None:
    if name.startswith(".."):
        name = str(tmp_path / "picture")
        Path(f"{name}.pth").write_bytes((FOLDER.parent / "hyperprior_n2_m3.pth.tar").read_bytes())
    status, out, err = command(name, *said)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"refcodec: {message}")
    assert not (tmp_path / "video.safetensors").exists()
