"""Trained implicit videos on disk: they come back as they were, and what is none is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from refcodec.codecs.inr.architecture import parameters
from refcodec.errors import CODES, FileError, ModelError
from refcodec.models.checkpoint import read_metadata, save_parameters
from refcodec.models.inr.trained import (
    ARCHITECTURE,
    TrainedVideo,
    describe_architecture,
    load_video,
    parse_architecture,
    save_video,
)
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, HINERV, HNERV


def drawn(architecture, seed=0):
    draw = np.random.default_rng(seed)
    return {
        parameter.name: draw.standard_normal(parameter.shape).astype(np.float32)
        for parameter in parameters(architecture.nodes())
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "video.safetensors"


# --- round trips


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_survives_its_description(name):
    text = describe_architecture(ARCHITECTURES[name])
    found = parse_architecture(text)
    assert found == ARCHITECTURES[name]
    assert type(found) is type(ARCHITECTURES[name])
    assert found.nodes() == ARCHITECTURES[name].nodes()
    assert describe_architecture(found) == text


@pytest.mark.parametrize("architecture", [HNERV, HINERV], ids=["shuffled", "hierarchical"])
def test_video_survives_its_file(architecture, path):
    video = TrainedVideo(architecture, drawn(architecture), {"clip": "bunny", "é": "ü\n"})
    save_video(path, video)
    found = load_video(path)
    assert found.architecture == architecture
    assert dict(found.provenance) == {"clip": "bunny", "é": "ü\n"}
    assert found.parameters.keys() == video.parameters.keys()
    for name, array in video.parameters.items():
        np.testing.assert_array_equal(found.parameters[name], array)
        assert found.parameters[name].dtype == np.float32
    content = path.read_bytes()
    save_video(path, found)
    assert path.read_bytes() == content


def test_save_keeps_the_architecture_whatever_the_provenance_says(path):
    save_video(path, TrainedVideo(HNERV, drawn(HNERV), {ARCHITECTURE: "another"}))
    assert load_video(path).architecture == HNERV


def test_save_refuses_provenance_that_is_no_text(path):
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: "):
        save_video(path, TrainedVideo(HNERV, drawn(HNERV), {"epochs": 3}))
    assert not path.exists()


# --- parameters


def changed(changes):
    """Parameters of HNERV with some of them replaced, or taken away where it says None."""
    return {name: array for name, array in {**drawn(HNERV), **changes}.items() if array is not None}


WRONG = {
    "missing": ({"head.bias": None}, "head.bias is missing"),
    "surplus": ({"tail.bias": np.zeros(3, np.float32)}, "tail.bias is surplus"),
    "shape": ({"head.bias": np.zeros(4, np.float32)}, r"head.bias: wanted finite float32 \(3,\), got float32 \(4,\)"),
    "dtype": ({"head.bias": np.zeros(3)}, r"head.bias: wanted finite float32 \(3,\), got float64 \(3,\)"),
    "nan": ({"head.bias": np.array([0, np.nan, 0], np.float32)}, r"head.bias: wanted finite float32 \(3,\)"),
    "infinite": ({"grids.0": np.full((5, 4, 2, 3), np.inf, np.float32)}, r"grids.0: wanted finite float32"),
}


@pytest.mark.parametrize("name", WRONG)
def test_parameters_must_be_those_of_the_network(name, path):
    changes, text = WRONG[name]
    with pytest.raises(ModelError, match=f"^RC-CHECKPOINT-PARAMETER: {text}"):
        TrainedVideo(HNERV, changed(changes))
    save_parameters(path, changed(changes), {ARCHITECTURE: describe_architecture(HNERV)})
    with pytest.raises(ModelError, match=f"^RC-CHECKPOINT-PARAMETER: {text}"):
        load_video(path)


# --- descriptions


def broken(architecture, changes):
    """A description with some fields replaced, or taken away where it says None."""
    fields = {**json.loads(describe_architecture(architecture)), **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


NO_ARCHITECTURES = [
    "", "{", "null", "3", "[]", "{}", "[" * 100_000, '"shuffled"', '{"kind":"shuffled"}',
    broken(HNERV, {"kind": None}), broken(HNERV, {"kind": "square"}), broken(HNERV, {"kind": ["shuffled"]}),
    broken(HNERV, {"kind": "hierarchical"}), broken(HINERV, {"kind": "shuffled"}),
    broken(HNERV, {"frames": None}), broken(HNERV, {"more": 1}), broken(HNERV, {"frames": "5"}),
    broken(HNERV, {"frames": 5.0}), broken(HNERV, {"frames": True}), broken(HNERV, {"centred": 1}),
    broken(HNERV, {"base": [2]}), broken(HNERV, {"base": [2, 3, 1]}), broken(HNERV, {"base": "23"}),
    broken(HNERV, {"base": {"2": 3, "3": 2}}), broken(HNERV, {"grids": [[5, 4, 1]]}), broken(HNERV, {"grids": [5]}),
    broken(HNERV, {"stem": [6.5]}), broken(HNERV, {"stem_activations": [1]}), broken(HNERV, {"stem_activations": True}),
    broken(HNERV, {"blocks": [[1, 2]]}), broken(HNERV, {"blocks": [[1, 2, float("nan")]]}),
    broken(HNERV, {"activation": 0}), broken(HINERV, {"normed": 0}), broken(HINERV, {"stages": [[3, 6, [[4, 2]], 2]]}),
    broken(HINERV, {"stages": [[3, 6, 4, 2, 8]]}), broken(HINERV, {"stages": [[3, 6, [[4, "2"]], 2, 8]]}),
]  # fmt: skip
IMPOSSIBLE = [
    broken(HNERV, {"frames": 0}), broken(HNERV, {"frames": -1}), broken(HNERV, {"height": 10**30}),
    broken(HNERV, {"head": "relu"}), broken(HNERV, {"activation": "relu"}), broken(HNERV, {"head_kernel": 2}),
    broken(HNERV, {"blocks": [[3, 0, 4]]}), broken(HNERV, {"blocks": [[4, 2, 4], [3, 3, 3]]}),
    broken(HNERV, {"stem_activations": []}), broken(HNERV, {"stem": [0]}), broken(HNERV, {"stem": [10**9]}),
    broken(HNERV, {"grids": []}), broken(HNERV, {"grids": [[6, 4]]}), broken(HNERV, {"increments": [1]}),
    broken(HINERV, {"base": [0, 3]}), broken(HINERV, {"grids": []}), broken(HINERV, {"stages": [[6, 6, [], 1, 8]]}),
    broken(HINERV, {"stages": [[1, 6, [], 10**12, 8]]}), broken(HINERV, {"height": 13}),
    broken(ARCHITECTURES["nerv"], {"stem": [5, 23]}),
]  # fmt: skip


@pytest.mark.parametrize("text", NO_ARCHITECTURES, ids=range(len(NO_ARCHITECTURES)))
def test_parse_refuses_what_describes_no_architecture(text):
    with pytest.raises(ModelError, match=r"^RC-MODEL-FAMILY: the file describes no architecture of an implicit video$"):
        parse_architecture(text)


@pytest.mark.parametrize("text", IMPOSSIBLE, ids=range(len(IMPOSSIBLE)))
def test_parse_refuses_an_architecture_outside_its_limits(text):
    with pytest.raises(ModelError, match=r"^RC-MODEL-FAMILY: no such architecture can be: "):
        parse_architecture(text)


# --- files


def test_load_refuses_files_that_are_none(path, tmp_path):
    with pytest.raises(FileError, match=r"^RC-FILE-READ: "):
        load_video(path)
    with pytest.raises(FileError, match=r"^RC-FILE-READ: "):
        load_video(tmp_path)
    np.savez(tmp_path / "arrays.npz", **drawn(HNERV))
    with pytest.raises(ModelError, match=r"^RC-MODEL-FAMILY: "):
        load_video(tmp_path / "arrays.npz")
    save_parameters(path, drawn(HNERV), {"clip": "bunny"})
    with pytest.raises(ModelError, match=r"^RC-MODEL-FAMILY: "):
        load_video(path)
    save_parameters(path, {}, {ARCHITECTURE: describe_architecture(HNERV)})
    with pytest.raises(ModelError, match=r"^RC-CHECKPOINT-FILE: .* holds no arrays"):
        load_video(path)


def test_load_refuses_files_cut_anywhere(path):
    save_video(path, TrainedVideo(HNERV, drawn(HNERV)))
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for length in (0, 1, 7, 8, 9, 100, header - 1, header, header + 1, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"^RC-(CHECKPOINT-FILE|MODEL-FAMILY): "):
            load_video(path)


def test_load_of_a_damaged_header_gives_a_video_or_one_of_our_errors(path):
    save_video(path, TrainedVideo(HNERV, drawn(HNERV)))
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    refused = set()
    for place in np.random.default_rng(0).permutation(header)[:80].tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 7
        path.write_bytes(damaged)
        try:
            load_video(path)
        except ModelError as error:
            refused.add(error.code)
    assert refused <= CODES.keys()
    assert {"RC-CHECKPOINT-FILE", "RC-CHECKPOINT-PARAMETER", "RC-MODEL-FAMILY"} <= refused


def test_file_holds_its_description_as_text(path):
    save_video(path, TrainedVideo(HINERV, drawn(HINERV)))
    described = json.loads(read_metadata(path)[ARCHITECTURE])
    assert described["kind"] == "hierarchical"
    assert described["stages"][0] == [3, 6, [[4, 2], [3, 1]], 2, 8]
