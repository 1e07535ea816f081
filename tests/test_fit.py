"""Fits: where they begin, how they go on, that they learn, and that an interrupted one ends like any other."""

from __future__ import annotations

import json
import math
import shutil
from functools import cache

import numba
import numpy as np
import pytest

from refcodec.codecs.inr.architecture import Block, Hierarchical, Levels, Shuffled, Stage, parameters
from refcodec.codecs.inr.nodes import BIAS, GELU, GRID, SILU, TANH
from refcodec.errors import FileError, ModelError, RangeError, ShapeError
from refcodec.fit.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from refcodec.fit.loop import FLOOR, Schedule, begin, fit_epoch, learning_rate, psnr
from refcodec.fit.start import GRID_RANGE, initial_parameters, principal_components
from refcodec.fit.video import Job, fit_video
from refcodec.gradient import convolution
from refcodec.models.checkpoint import load_parameters, read_metadata, save_parameters
from refcodec.models.inr import twin
from refcodec.models.inr.trained import load_video

FRAMES, HEIGHT, WIDTH = 5, 7, 10
HNERV = Shuffled(
    FRAMES, HEIGHT, WIDTH, (2, 3), (Levels(FRAMES, 4),), True, (), False, (6,), (True,),
    (Block(1, 2, 6), Block(3, 2, 5)), GELU, 3, TANH,
)  # fmt: skip
NERV = Shuffled(
    FRAMES, HEIGHT, WIDTH, (2, 3), (), True, (1 << 36, 1 << 38, 77 << 30), True, (8, 36), (True, True),
    (Block(3, 2, 6), Block(3, 2, 5)), SILU, 1, TANH,
)  # fmt: skip
HINERV = Hierarchical(
    FRAMES, HEIGHT, WIDTH, (2, 3), (Levels(2, 3), Levels(1, 4)), 6, 3, True, 3,
    (Stage(2, 6, (Levels(2, 2),), 1, 12), Stage(2, 4, (), 1, 8)),
)  # fmt: skip
NETWORKS = {"hnerv": HNERV, "nerv": NERV, "hinerv": HINERV}


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny frames are quicker without threads that wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@cache
def clip(frames=FRAMES, height=HEIGHT, width=WIDTH):
    """Travelling waves, (T, H, W, 3) uint8."""
    t, y, x, c = np.meshgrid(*map(np.arange, (frames, height, width, 3)), indexing="ij")
    waves = np.sin(0.7 * x + 0.9 * t + c) + np.cos(0.6 * y - 0.4 * t)
    return np.rint(127.5 + 60 * waves).astype(np.uint8)


def silent(*_):
    """Progress that nobody looks at."""


def equal_parameters(left, right):
    return left.keys() == right.keys() and all(left[name].tobytes() == right[name].tobytes() for name in left)


# --- where a fit begins


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_and_biases_begin_as_pytorch_draws_them(name):
    found = initial_parameters(NETWORKS[name], clip(), 3)
    fan_in = None
    for parameter in parameters(NETWORKS[name].nodes()):
        array = found[parameter.name]
        assert array.dtype == np.float32
        assert array.shape == parameter.shape
        assert array.flags.c_contiguous
        if parameter.kind == GRID:
            continue
        fan_in = fan_in if parameter.kind == BIAS else math.prod(parameter.shape[1:])
        limit = fan_in**-0.5
        assert np.abs(array).max() <= limit
        if array.size > 100:
            assert array.std() == pytest.approx(limit / 3**0.5, rel=0.15)
    again, other = (initial_parameters(NETWORKS[name], clip(), seed) for seed in (3, 4))
    assert equal_parameters(found, again)
    assert not equal_parameters(found, other)


def test_grids_begin_near_zero_where_they_are_no_embeddings():
    found = initial_parameters(HINERV, clip(), 0)
    for name in ("grids.0", "grids.1", "stages.0.grids.0"):
        assert 0 < np.abs(found[name]).max() <= GRID_RANGE


def test_embeddings_begin_as_principal_components():
    frames = clip(6, 16, 24)
    found = principal_components(frames, (6, 5, 2, 3), (16, 24))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous, "what is not cannot be trained in place"
    flat = found.transpose(1, 0, 2, 3).reshape(5, -1).astype(np.float64)
    np.testing.assert_allclose(flat @ flat.T / flat.shape[1], np.eye(5), atol=1e-5)  # unit variance, uncorrelated
    np.testing.assert_allclose(flat.mean(axis=1), 0, atol=1e-6)
    assert found.tobytes() == principal_components(frames, (6, 5, 2, 3), (16, 24)).tobytes()
    # the first one explains more of the cells than any other direction could: the second, at least
    cells = frames.reshape(6, 2, 8, 3, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(36, -1) / 255.0
    explained = [np.linalg.norm(row @ (cells - cells.mean(axis=0))) for row in flat]
    assert explained == sorted(explained, reverse=True)
    assert explained[0] == pytest.approx(np.linalg.norm(cells - cells.mean(axis=0), 2) * 36**0.5, rel=1e-5)


def test_embeddings_of_a_network_larger_than_the_picture_repeat_the_border():
    """Cells beyond the picture see its last row and column."""
    frames = clip(3, 9, 13)
    rows, columns = np.minimum(np.arange(16), 8), np.minimum(np.arange(24), 12)
    wide = np.ascontiguousarray(frames[:, rows][:, :, columns])
    found, wanted = (principal_components(f, (3, 4, 2, 3), (16, 24)) for f in (frames, wide))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_embeddings_of_a_constant_clip_are_zero(value):
    frames = np.full((3, 16, 16, 3), value, np.uint8)
    assert not principal_components(frames, (3, 4, 2, 2), (16, 16)).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_embeddings_of_a_single_frame(size):
    """A single cell has no deviation; few cells have fewer components than an embedding has channels."""
    frames = clip(1, 8 * size[0], 8 * size[1])
    found = principal_components(frames, (1, 9, *size), frames.shape[1:3])
    assert np.isfinite(found).all()
    live = np.flatnonzero(found.any(axis=(0, 2, 3)))
    assert live.tolist() == list(range(size[0] * size[1] - 1))


def test_begin_refuses_frames_that_are_not_the_networks():
    for frames in (clip(4), clip(FRAMES, 8), clip().astype(np.float32), clip()[..., :1], clip()[0]):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: wanted uint8 frames \(5, 7, 10, 3\), got "):
            begin(HNERV, frames, 0)


# --- how it goes on


def test_learning_rate_rises_and_falls():
    schedule = Schedule(10, rate=0.5)
    rates = [learning_rate(schedule, k / 1000) for k in range(1001)]
    assert rates[0] == pytest.approx(FLOOR * 0.5)
    assert rates[50] == pytest.approx(0.25)
    assert max(rates) == rates[100] == pytest.approx(0.5)
    assert rates[550] == pytest.approx(0.5 * (FLOOR + (1 - FLOOR) / 2))
    assert rates[1000] == pytest.approx(FLOOR * 0.5)
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)


def test_psnr_of_an_error():
    assert psnr(1) == 0
    assert psnr(0.001) == pytest.approx(30)
    assert psnr(0) == 100


@pytest.mark.parametrize(("name", "batch"), [("hnerv", 1), ("hnerv", 9), ("nerv", 2), ("hinerv", 1), ("hinerv", 5)])
def test_fit_learns(name, batch):
    """Every parameter moves and the last pass is better, also where a step wants more frames than there are."""
    schedule = Schedule(6 * min(batch, 3), rate=1e-2, batch=batch)
    fit = begin(NETWORKS[name], clip(), 0)
    before = {key: array.copy() for key, array in fit.parameters.items()}
    seen = []
    for _ in range(schedule.epochs):
        fit_epoch(fit, clip(), schedule, seen.append)
    assert fit.epoch == len(fit.history) == schedule.epochs
    assert fit.history[-1] > fit.history[0] + 1
    still = [key for key, array in fit.parameters.items() if (array == before[key]).all()]
    assert not still
    steps = -(-FRAMES // batch)
    assert len(seen) == steps * schedule.epochs
    assert seen[steps - 1 :: steps] == fit.history


def test_every_embedding_is_trained_once_in_a_pass():
    fit = begin(HNERV, clip(), 0)
    before = fit.parameters["grids.0"].copy()
    fit_epoch(fit, clip(), Schedule(3, batch=2), silent)
    assert (fit.adam.steps["grids.0"] == 1).all()
    assert (fit.adam.steps["head.bias"] == 3).all()
    assert (fit.parameters["grids.0"] != before).all()


def test_passes_take_frames_in_an_order_of_seed_and_pass(monkeypatch):
    orders = []
    run = twin.run
    monkeypatch.setattr(twin, "run", lambda n, p, numbers, t: orders.append(tuple(numbers)) or run(n, p, numbers, t))
    for seed, batch in ((0, 1), (0, 1), (1, 1), (0, 2)):
        fit = begin(HNERV, clip(), 0)
        for _ in range(2):
            fit_epoch(fit, clip(), Schedule(2, batch=batch, seed=seed), silent)
    first, again, other = (orders[k : k + 10] for k in (0, 10, 20))
    assert first == again != other
    assert first[:5] != first[5:]
    assert sorted(first[:5]) == sorted(first[5:]) == [(k,) for k in range(FRAMES)]
    pairs = orders[30:33]
    assert [len(numbers) for numbers in pairs] == [2, 2, 1]
    assert [(k,) for numbers in pairs for k in numbers] == first[:5], "the batch does not change the order"


def test_gradients_of_a_fit_are_float32(monkeypatch):
    """In float64 a step would take twice as long."""
    dtypes = set()
    for name in ("spread", "weigh"):
        function = getattr(convolution, name)

        def recorded(*arguments, function=function):
            dtypes.update(getattr(a, "dtype", None) for a in arguments if not isinstance(a, int))
            return function(*arguments)

        monkeypatch.setattr(convolution, name, recorded)
    for architecture in NETWORKS.values():
        fit_epoch(begin(architecture, clip(), 0), clip(), Schedule(1), silent)
    assert dtypes == {np.dtype(np.float32)}


@pytest.mark.parametrize("frames", [np.full((FRAMES, HEIGHT, WIDTH, 3), 77, np.uint8)], ids=["constant"])
def test_fit_of_a_constant_clip(frames):
    fit = begin(HNERV, frames, 0)
    for _ in range(5):
        fit_epoch(fit, frames, Schedule(5, rate=1e-2), silent)
    assert fit.history[-1] > fit.history[0]


def test_fit_of_a_single_frame():
    single = Shuffled(
        1, 3, 2, (1, 1), (Levels(1, 2),), True, (), False, (3,), (True,), (Block(1, 3, 3),), GELU, 3, TANH
    )
    fit = begin(single, clip(1, 3, 2), 0)
    for _ in range(10):
        fit_epoch(fit, clip(1, 3, 2), Schedule(10, rate=1e-2), silent)
    assert fit.history[-1] > fit.history[0]


def test_fit_that_diverges_says_so():
    fit = begin(HNERV, clip(), 0)
    fit.parameters["head.bias"][:] = np.nan
    with pytest.raises(RangeError, match=r"^RC-RANGE: the fit diverged in pass 1: a rate of 0\.9 is too large"):
        fit_epoch(fit, clip(), Schedule(3, rate=0.9), silent)


# --- files


SCHEDULE = Schedule(4, rate=1e-2, batch=2, seed=5)


def job(folder, architecture=HNERV, schedule=SCHEDULE, resume=False):
    return Job(architecture, schedule, folder / "video.safetensors", resume, {"clip": "waves"})


class Interruption(KeyboardInterrupt):
    """Ctrl-C, at a step of our choice."""


def interrupted(folder, architecture=HNERV, after=8):
    """The state of a fit that stopped in its third pass; its path."""
    seen = []

    def stop(done, value):
        seen.append(done)
        if len(seen) == after:
            raise Interruption

    with pytest.raises(Interruption):
        fit_video(job(folder, architecture), clip(), stop)
    return checkpoint_path(folder / "video.safetensors")


@pytest.mark.parametrize("name", NETWORKS)
def test_resumed_fit_equals_an_uninterrupted_one(name, tmp_path):
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    whole = fit_video(job(tmp_path / "whole", NETWORKS[name]), clip(), silent)
    state = interrupted(tmp_path / "parts", NETWORKS[name])
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [state.name]
    assert load_checkpoint(state, SCHEDULE).epoch == 2
    done = []
    parts = fit_video(
        job(tmp_path / "parts", NETWORKS[name], resume=True), clip(), lambda passes, value: done.append(passes)
    )
    assert done == [2, 2, 2, 3, 3, 3]
    assert equal_parameters(whole.parameters, parts.parameters)
    contents = {folder: (tmp_path / folder / "video.safetensors").read_bytes() for folder in ("whole", "parts")}
    assert contents["whole"] == contents["parts"]
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["video.safetensors"], "no state is left"


def test_result_says_how_it_was_made(tmp_path):
    progress = []
    video = fit_video(job(tmp_path), clip(), lambda done, value: progress.append((done, value)))
    assert [done for done, _ in progress] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    last = progress[-1][1]
    wanted = {"clip": "waves", "epochs": "4", "rate": "0.01", "batch": "2", "seed": "5", "psnr": f"{last:.3f}"}
    assert video.provenance == wanted
    found = load_video(tmp_path / "video.safetensors")
    assert dict(found.provenance) == wanted
    assert found.architecture == HNERV
    assert equal_parameters(dict(found.parameters), dict(video.parameters))


def test_interruption_before_the_first_step_leaves_a_state_too(tmp_path):
    state = interrupted(tmp_path, after=1)
    assert load_checkpoint(state, SCHEDULE).epoch == 0
    fit_video(job(tmp_path, resume=True), clip(), silent)


def test_interruption_after_the_last_pass_is_resumed_without_a_step(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("refcodec.fit.video.save_video", lambda *_: (_ for _ in ()).throw(Interruption))
        with pytest.raises(Interruption):
            fit_video(job(tmp_path), clip(), silent)
    fit_video(job(tmp_path, resume=True), clip(), lambda *_: pytest.fail("a step"))
    assert load_video(tmp_path / "video.safetensors").provenance["epochs"] == "4"


def test_unfinished_fit_is_not_begun_anew(tmp_path):
    state = interrupted(tmp_path)
    before = state.read_bytes()
    with pytest.raises(
        FileError, match=r"^RC-FILE-WRITE: .*video\.safetensors\.checkpoint holds an unfinished fit: --resume"
    ):
        fit_video(job(tmp_path), clip(), silent)
    assert state.read_bytes() == before


def test_resume_wants_a_state(tmp_path):
    with pytest.raises(FileError, match=r"^RC-FILE-READ: .*video\.safetensors\.checkpoint"):
        fit_video(job(tmp_path, resume=True), clip(), silent)


@pytest.mark.parametrize(
    "schedule", [Schedule(5, 1e-2, 2, 5), Schedule(4, 2e-2, 2, 5), Schedule(4, 1e-2, 1, 5), Schedule(4, 1e-2, 2, 6)]
)
def test_resume_refuses_another_schedule(schedule, tmp_path):
    interrupted(tmp_path)
    wanted = f"was begun with epochs 4, rate 0.01, batch 2, seed 5, not epochs {schedule.epochs}, rate {schedule.rate}"
    with pytest.raises(ModelError, match=f"^RC-USAGE: .*{wanted}"):
        fit_video(job(tmp_path, schedule=schedule, resume=True), clip(), silent)


def test_resume_refuses_another_network_and_another_clip(tmp_path):
    interrupted(tmp_path)
    with pytest.raises(ModelError, match=r"^RC-USAGE: .* is the state of another network than the one asked for"):
        fit_video(job(tmp_path, NERV, resume=True), clip(), silent)
    other = clip().copy()
    other[0, 0, 0, 0] ^= 1
    for frames in (other, clip()[:4]):
        with pytest.raises(ModelError, match=r"^RC-USAGE: .* is the state of a fit to another clip"):
            fit_video(job(tmp_path, resume=True), frames, silent)


def test_output_that_cannot_be_written_is_refused_before_the_first_step(tmp_path):
    (tmp_path / "video.safetensors").mkdir()
    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: .*it is a folder"):
        fit_video(job(tmp_path), clip(), lambda *_: pytest.fail("a step"))
    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: "):
        fit_video(job(tmp_path / "nowhere"), clip(), lambda *_: pytest.fail("a step"))
    for output in ("", "/"):
        with pytest.raises(FileError, match=r"^RC-FILE-WRITE: "):
            fit_video(Job(HNERV, SCHEDULE, type(tmp_path)(output), False, {}), clip(), silent)


# --- damaged states


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Of a fit after two of four passes."""
    folder = tmp_path_factory.mktemp("state")
    fit = begin(HNERV, clip(), SCHEDULE.seed)
    for _ in range(2):
        fit_epoch(fit, clip(), SCHEDULE, silent)
    save_checkpoint(folder / "state", fit, SCHEDULE)
    return folder / "state"


def test_state_holds_everything(state):
    found = load_checkpoint(state, SCHEDULE)
    assert found.epoch == len(found.history) == 2
    assert found.architecture == HNERV
    again = begin(HNERV, clip(), SCHEDULE.seed)
    for _ in range(2):
        fit_epoch(again, clip(), SCHEDULE, silent)
    assert equal_parameters(found.parameters, again.parameters)
    for group in ("first", "second", "steps"):
        assert equal_parameters(getattr(found.adam, group), getattr(again.adam, group))
    assert found.history == again.history
    assert found.clip == again.clip


TEXTS = {
    "no schedule": ("RC-CHECKPOINT-FILE", {"schedule": None}),
    "no history": ("RC-CHECKPOINT-FILE", {"history": None}),
    "no clip": ("RC-CHECKPOINT-FILE", {"clip": None}),
    "no architecture": ("RC-CHECKPOINT-FILE", {"architecture": None}),
    "schedule of one number": ("RC-CHECKPOINT-FILE", {"schedule": "4"}),
    "schedule of other words": ("RC-CHECKPOINT-FILE", {"schedule": '{"epochs":4,"speed":1}'}),
    "schedule that is no JSON": ("RC-CHECKPOINT-FILE", {"schedule": "{"}),
    "endless schedule": ("RC-CHECKPOINT-FILE", {"schedule": "[" * 100_000}),
    "history of words": ("RC-CHECKPOINT-FILE", {"history": '["much"]'}),
    "history that is no list": ("RC-CHECKPOINT-FILE", {"history": "7"}),
    "longer history": ("RC-CHECKPOINT-FILE", {"history": "[1,2,3,4,5]"}),
    "architecture that is none": ("RC-MODEL-FAMILY", {"architecture": "{}"}),
}


@pytest.mark.parametrize("name", TEXTS)
def test_state_with_damaged_texts_is_refused(name, state, tmp_path):
    code, changes = TEXTS[name]
    texts = {key: text for key, text in {**read_metadata(state), **changes}.items() if text is not None}
    save_parameters(tmp_path / "state", load_parameters(state), texts)
    with pytest.raises(ModelError, match=f"^{code}: "):
        load_checkpoint(tmp_path / "state", SCHEDULE)


ARRAYS = {
    "missing": ("first/head.bias", None, "first/head.bias is missing"),
    "surplus": ("third/head.bias", np.zeros(3, np.float32), "third/head.bias is surplus"),
    "shape": ("second/head.bias", np.zeros((3, 1), np.float32), r"second/head.bias: wanted finite float32 \(3,\)"),
    "dtype": ("parameters/head.bias", np.zeros(3), r"parameters/head.bias: wanted finite float32 \(3,\), got float64"),
    "nan": ("parameters/head.bias", np.full(3, np.nan, np.float32), "parameters/head.bias: wanted finite float32"),
    "steps": ("steps/head.bias", np.zeros(3, np.float32), r"steps/head.bias: wanted finite int64 \(3,\), got float32"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_state_with_damaged_arrays_is_refused(name, state, tmp_path):
    key, array, text = ARRAYS[name]
    arrays = {k: a for k, a in {**load_parameters(state), key: array}.items() if a is not None}
    save_parameters(tmp_path / "state", arrays, read_metadata(state))
    with pytest.raises(ModelError, match=f"^RC-CHECKPOINT-PARAMETER: {text}"):
        load_checkpoint(tmp_path / "state", SCHEDULE)


def test_state_cut_anywhere_is_refused(state, tmp_path):
    whole = state.read_bytes()
    for length in (0, 7, 8, 9, 500, len(whole) // 2, len(whole) - 1):
        (tmp_path / "state").write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"^RC-CHECKPOINT-FILE: "):
            load_checkpoint(tmp_path / "state", SCHEDULE)


def test_video_is_no_state(tmp_path):
    fit_video(job(tmp_path), clip(), silent)
    shutil.copy(tmp_path / "video.safetensors", tmp_path / "video.safetensors.checkpoint")
    with pytest.raises(ModelError, match=r"^RC-CHECKPOINT-FILE: .* is no state of a fit"):
        fit_video(job(tmp_path, resume=True), clip(), silent)


def test_state_records_its_schedule_as_text(state):
    assert json.loads(read_metadata(state)["schedule"]) == {"epochs": 4, "rate": 0.01, "batch": 2, "seed": 5}
