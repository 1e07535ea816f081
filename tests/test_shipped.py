"""What is shipped is there, belongs together, and decodes to the same bytes on every machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import parse
from refcodec.errors import FileError, ModelError
from refcodec.models.shipped import (
    DEFAULT_CLIP,
    DEFAULT_FLOAT,
    DEFAULT_MODEL,
    DEFAULT_STREAM,
    FLOATS,
    RECIPES,
    recipe_name,
    resolve,
    shipped_names,
    shipped_path,
)
from refcodec.program.model_file import Model, load_model
from refcodec.quantize.recipe import load_recipe

IDENTITY = "10d2667964be3cef2a1f35b84571da79d903db330368ddb70ca6aa50b82ff0c4"
PICTURE = "cb2999371609a9f90e744f795fa91ad8584600a7f0f0edccd0eefacc18e213a3"
FRAMES = "01bdcac70ed4b883c9dbea951645235bfec062c8580edfe784ae24a7b03d8d51"  # of the clip: 0, 66 and 131


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(shipped_path(DEFAULT_MODEL, ".rcm"))


@pytest.fixture(scope="module")
def photograph() -> bytes:
    return shipped_path(DEFAULT_STREAM, ".rcb").read_bytes()


# --- the photograph


def test_shipped_model_has_the_recorded_identity(model: Model) -> None:
    assert model.identity == IDENTITY


def test_shipped_stream_decodes_to_the_recorded_picture(model: Model, photograph: bytes) -> None:
    stream = parse(photograph)
    assert stream.identity == IDENTITY
    assert (stream.geometry.width, stream.geometry.height, stream.geometry.channels) == (768, 512, 3)
    picture = ScaleHyperprior.from_model(model).decode(photograph)
    assert picture.shape == (512, 768, 3)
    assert picture.dtype == np.uint8
    assert hashlib.sha256(picture.tobytes()).hexdigest() == PICTURE


def test_shipped_clip_decodes_to_the_recorded_frames_in_any_order() -> None:
    video = InrVideo.from_bytes(shipped_path(DEFAULT_CLIP, ".rcv").read_bytes())
    assert (video.frames, video.geometry.width, video.geometry.height) == (132, 320, 160)
    found = {number: video.decode(number).tobytes() for number in (131, 0, 66)}
    assert hashlib.sha256(found[0] + found[66] + found[131]).hexdigest() == FRAMES


@pytest.mark.parametrize("threads", [1, 2])
def test_shipped_stream_decodes_alike_on_any_number_of_threads(threads: int, model: Model, photograph: bytes) -> None:
    codec = ScaleHyperprior.from_model(model)
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        picture = codec.decode(photograph)
    finally:
        numba.set_num_threads(before)
    assert hashlib.sha256(picture.tobytes()).hexdigest() == PICTURE


@pytest.mark.parametrize("threads", ["1", "2"])
def test_shipped_stream_decodes_alike_in_a_fresh_process(threads: str) -> None:
    script = (
        "import hashlib\n"
        "from refcodec.codecs.scale_hyperprior import ScaleHyperprior\n"
        "from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, shipped_path\n"
        "from refcodec.program.model_file import load_model\n"
        "codec = ScaleHyperprior.from_model(load_model(shipped_path(DEFAULT_MODEL, '.rcm')))\n"
        "picture = codec.decode(shipped_path(DEFAULT_STREAM, '.rcb').read_bytes())\n"
        "print(hashlib.sha256(picture.tobytes()).hexdigest())\n"
    )
    environment = {**os.environ, "NUMBA_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == PICTURE


# --- names


def test_shipped_names_are_the_documented_ones() -> None:
    assert recipe_name("w8a8") == DEFAULT_MODEL
    floats = shipped_names()
    assert floats == sorted(FLOATS)
    assert shipped_names(".rcm") == [f"{name}-w8a8" for name in floats]
    assert shipped_names(".rcb") == [DEFAULT_STREAM]
    assert shipped_names(".rcv") == [DEFAULT_CLIP]
    assert shipped_names(".json") == sorted(f"{name}-{precision}" for name in floats for precision in RECIPES)


@pytest.mark.parametrize("precision", RECIPES)
def test_shipped_recipes_have_the_widths_of_their_names(precision: str) -> None:
    recipe = load_recipe(shipped_path(recipe_name(precision), ".json"))
    assert recipe.precision.lower() == precision
    assert recipe.normalisation_bits == recipe.weight_bits
    assert recipe.method.startswith("mse, ")


def test_shipped_path_refuses_other_names() -> None:
    for name in ("nothing", "", "../shipped/photograph", f"{DEFAULT_MODEL}.rcm"):
        with pytest.raises(ModelError, match=f"^RC-MODEL-FILE: no shipped model .*there are: .*{DEFAULT_MODEL}"):
            shipped_path(name, ".rcm")


def test_resolve_prefers_files_and_names_what_is_shipped(tmp_path) -> None:
    (tmp_path / "own.rcm").write_bytes(b"")
    assert resolve(str(tmp_path / "own.rcm"), ".rcm") == tmp_path / "own.rcm"
    os.mkfifo(tmp_path / "pipe")
    assert resolve(str(tmp_path / "pipe"), ".rcm") == tmp_path / "pipe"
    assert resolve(DEFAULT_MODEL, ".rcm") == shipped_path(DEFAULT_MODEL, ".rcm")
    assert resolve(DEFAULT_CLIP, ".rcm", ".rcv") == shipped_path(DEFAULT_CLIP, ".rcv")
    for name in (str(tmp_path), "nothing", DEFAULT_CLIP):
        with pytest.raises(FileError, match=f"^RC-FILE-READ: no file .*{DEFAULT_MODEL}\\)$"):
            resolve(name, ".rcm")
    with pytest.raises(FileError, match=f"^RC-FILE-READ: no file .*{DEFAULT_MODEL}, {DEFAULT_CLIP}\\)$"):
        resolve("nothing", ".rcm", ".rcv")


# --- provenance


def test_shipped_model_says_where_it_comes_from(model: Model) -> None:
    floats = shipped_path(DEFAULT_FLOAT)
    assert model.provenance["source"] == floats.name
    assert model.provenance["source_sha256"] == hashlib.sha256(floats.read_bytes()).hexdigest()
    assert model.provenance["precision"] == "W8A8"
    assert model.provenance["method"] == load_recipe(shipped_path(DEFAULT_MODEL, ".json")).method
    for key in ("architecture", "backbone", "lambda", "training", "source_sha256", "kodak_odd_mean_psnr_db"):
        assert model.provenance[f"trained_{key}"], key


def test_shipped_folder_explains_itself() -> None:
    folder = shipped_path(DEFAULT_FLOAT).parent
    text = (folder / "PROVENANCE.md").read_text()
    for word in (DEFAULT_FLOAT, "28.926", "Terms", "Training", f"{DEFAULT_CLIP}.rcv"):
        assert word in text
    suffixes = {path.suffix for path in folder.iterdir()}
    assert suffixes == {".md", ".json", ".rcm", ".rcb", ".rcv", ".safetensors"}
