"""The precision study: real streams and decodes, Bjontegaard figures, a folder that can be taken up again."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from formula_codecs import formula_picture
from small_codecs import ARCHITECTURES, label, metadata_of, parameters_of, small_codec, small_trained

from refcodec.codecs.family import codec_of
from refcodec.codecs.picture import read_picture
from refcodec.codecs.stream import parse
from refcodec.errors import FileError, RangeError, RefcodecError, StreamError
from refcodec.metrics.ms_ssim import ms_ssim
from refcodec.metrics.psnr import psnr, psnr_channels
from refcodec.models.architecture import AUTOREGRESSIVE, CHECKERBOARD, FACTORISED, MEAN_SCALE, SCALE, Architecture
from refcodec.models.checkpoint import save_parameters
from refcodec.models.encoder import encode_picture, float_planes
from refcodec.models.float_codec import Coded
from refcodec.models.latent_tables import carried
from refcodec.models.shipped import DEFAULT_FLOAT, shipped_path
from refcodec.models.trained import load_trained
from refcodec.quantize.calibrate import observe
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.integerise import integerise
from refcodec.study import plot
from refcodec.study.precision import measure, workers
from refcodec.study.precision.folder import SCHEMA, open_study
from refcodec.study.precision.measure import BOTH, FLOAT, HYPER, PARTS, SYNTHESIS, Row, parts_of
from refcodec.study.precision.points import Calibration, RatePoint, rate_points, widths
from refcodec.study.precision.report import markdown_table, plain_table
from refcodec.study.precision.study import Plan, study_precision
from refcodec.study.precision.summary import summarise

MODEL = shipped_path(DEFAULT_FLOAT)
slow = pytest.mark.slow
ONE_EACH = [
    next(a for a in ARCHITECTURES if a.family == family and a.backbone != "none")
    for family in (FACTORISED, SCALE, MEAN_SCALE, CHECKERBOARD, AUTOREGRESSIVE)
]
every_family = pytest.mark.parametrize("architecture", ONE_EACH, ids=label)


def picture_of(height: int, width: int) -> np.ndarray:
    return np.rint(formula_picture(height, width) * 255).astype(np.uint8).transpose(1, 2, 0)


PICTURE = picture_of(128, 192)


def small_point(architecture: Architecture, *bits: int) -> RatePoint:
    """Without clipping, on PICTURE."""
    trained = small_trained(small_codec(architecture))
    seen = observe(trained.twin, [trained.twin.analysis(float_planes(PICTURE, trained.twin.multiple))])
    recipes = {f"W{n}A{n}": choose(trained.twin, seen, Choices(n, n, n, "minmax")) for n in bits}
    return RatePoint(f"{label(architecture)} {bits}", 1.0, trained, recipes)


def rows_by(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    return {(row.part, row.precision): row for row in rows}


# --- what is measured


@every_family
def test_measure_counts_the_bytes_of_real_streams(architecture: Architecture) -> None:
    point, picture = small_point(architecture, 8, 16), picture_of(90, 150)
    parts = parts_of(architecture)
    rows = measure.measure(point, "one", picture, parts)
    assert [(row.part, row.precision) for row in rows] == [
        (FLOAT, FLOAT), *((part, precision) for precision in ("W8A8", "W16A16") for part in parts)
    ]  # fmt: skip
    found = rows_by(rows)
    for precision, recipe in point.recipes.items():
        model = integerise(point.trained, recipe)
        content = encode_picture(picture, model)
        decoded = codec_of(model).decode(content)
        payloads = {tag: len(payload) for tag, payload in parse(content).payloads.items() if tag != "CTXF"}
        row = found[BOTH, precision]
        assert row.stream_bytes == len(content)
        assert row.z_bytes + row.y_bytes == sum(payloads.values())
        assert row.z_bytes == payloads.get("ZSYM", 0)
        assert row.bpp == 8 * sum(payloads.values()) / (90 * 150)
        assert row.psnr_db == psnr(picture, decoded)
        assert (row.psnr_r_db, row.psnr_g_db, row.psnr_b_db) == psnr_channels(picture, decoded)
        assert (row.width, row.height, row.ms_ssim) == (150, 90, None)
        for name in ("z_bytes", "y_bytes", "stream_bytes"):
            if HYPER in parts:
                assert getattr(found[HYPER, precision], name) == getattr(row, name)
        synthesis = found[SYNTHESIS, precision]
        assert (synthesis.z_bytes, synthesis.y_bytes) == (found[FLOAT, FLOAT].z_bytes, found[FLOAT, FLOAT].y_bytes)
        assert synthesis.stream_bytes is None


@every_family
def test_float_size_of_what_a_stream_carries_is_that_of_its_payloads(architecture: Architecture) -> None:
    point = small_point(architecture, 8)
    model = integerise(point.trained, point.recipes["W8A8"])
    content = encode_picture(PICTURE, model)
    taps: dict[str, np.ndarray] = {}
    codec_of(model).decode(content, taps.__setitem__)
    carried_by_stream = Coded(taps.get("z"), taps["y"], taps.get("indexes"), taps["y"].astype(np.float32))
    found, wanted = measure.float_size(point.trained, carried_by_stream), measure.stream_size(content)
    assert (found.z, found.y) == (wanted.z, wanted.y)
    assert found.stream is None


@every_family
def test_measure_finds_sixteen_bits_close_to_float_in_every_part(architecture: Architecture) -> None:
    point = small_point(architecture, 16)
    found = rows_by(measure.measure(point, "one", PICTURE, parts_of(architecture)))
    reference = found[FLOAT, FLOAT]
    for row in found.values():
        assert row.psnr_db == pytest.approx(reference.psnr_db, abs=0.05)
        assert row.z_bytes == reference.z_bytes
        # a raster recursion carries a symbol that differs on to the next ones
        assert abs(row.y_bytes - reference.y_bytes) <= (8 if architecture.family == AUTOREGRESSIVE else 4)


@pytest.mark.parametrize("architecture", [a for a in ONE_EACH if a.family == SCALE], ids=label)
def test_measure_isolates_each_half(architecture: Architecture) -> None:
    """Without means the symbols are float's: integer h_s costs bytes alone, integer g_s PSNR alone."""
    point = small_point(architecture, 4)
    found = rows_by(measure.measure(point, "one", PICTURE, PARTS))
    reference, hyper = found[FLOAT, FLOAT], found[HYPER, "W4A4"]
    synthesis, both = found[SYNTHESIS, "W4A4"], found[BOTH, "W4A4"]
    assert hyper.psnr_db == reference.psnr_db
    assert hyper.y_bytes != reference.y_bytes
    assert synthesis.psnr_db != reference.psnr_db
    assert synthesis.y_bytes == reference.y_bytes
    assert both.psnr_db == synthesis.psnr_db
    assert both.y_bytes == hyper.y_bytes


def test_measure_takes_the_means_of_the_integer_hyper_decoder() -> None:
    """With means the latent itself is coarser: the float g_s then decodes another latent than the float codec's."""
    (architecture,) = (a for a in ONE_EACH if a.family == MEAN_SCALE)
    point, picture = small_point(architecture, 4), PICTURE
    found = rows_by(measure.measure(point, "one", picture, PARTS))
    model = integerise(point.trained, point.recipes["W4A4"])
    codec = codec_of(model)
    latents, _ = codec.decode_latents(encode_picture(picture, model))
    y_hat = (latents.y / 2.0**codec.fraction).astype(np.float32)
    planes = np.clip(np.rint(point.trained.twin.synthesis(y_hat) * 255), 0, 255)[:, :128, :192]
    assert found[HYPER, "W4A4"].psnr_db == psnr(picture, planes.transpose(1, 2, 0).astype(np.uint8))
    assert found[HYPER, "W4A4"].psnr_db != found[FLOAT, FLOAT].psnr_db


@pytest.mark.parametrize(("shape", "similar"), [((17, 33), False), ((161, 170), True)])
def test_measure_takes_grey_pictures_and_those_too_small_for_ms_ssim(shape: tuple[int, int], similar: bool) -> None:
    point = small_point(ONE_EACH[1], 16)
    picture = np.ascontiguousarray(picture_of(*shape)[:, :, 0])
    rows = measure.measure(point, "grey", picture, PARTS)
    assert len(rows) == 4
    for row in rows:
        assert row.psnr_r_db == row.psnr_g_db == row.psnr_b_db == pytest.approx(row.psnr_db, abs=1e-9)
        assert (row.ms_ssim is not None) is similar
    if similar:
        model = integerise(point.trained, point.recipes["W16A16"])
        decoded = codec_of(model).decode(encode_picture(picture, model))
        assert rows_by(rows)[BOTH, "W16A16"].ms_ssim == pytest.approx(ms_ssim(picture, decoded), abs=1e-12)


@every_family
def test_measure_refuses_a_payload_that_does_not_decode_to_its_symbols(
    architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = measure.rans_decode
    monkeypatch.setattr(measure, "rans_decode", lambda *arguments: decode(*arguments) ^ 1)
    with pytest.raises(StreamError, match="RC-STREAM-RANS: the payload does not decode to its symbols"):
        measure.measure(small_point(architecture), "one", picture_of(64, 64), [SYNTHESIS])


# --- rate points


@pytest.mark.parametrize(
    "architecture", [a for a in ARCHITECTURES if a.family == FACTORISED and a.backbone != "gdn"], ids=label
)
def test_rate_points_of_a_factorised_codec_have_tables_for_their_step(
    architecture: Architecture, tmp_path: Path
) -> None:
    parameters = parameters_of(architecture)
    if not architecture.density_channels:
        parameters |= carried(small_trained(small_codec(architecture)).y_tables, architecture.bottleneck)
    model = tmp_path / "model.safetensors"
    save_parameters(model, parameters, metadata_of(architecture))
    photographs = folder_of(tmp_path / "photographs", {"a.png": picture_of(96, 128)})
    points = rate_points(model, (1.0, 0.25), ("W8A8",), Calibration(photographs, 1), open_study(tmp_path / "out"))
    coarse, fine = points
    picture = picture_of(96, 128)
    coarse_row, row = (measure.measure(point, "one", picture, ())[0] for point in points)
    assert row.y_bytes > coarse_row.y_bytes
    assert row.psnr_db != coarse_row.psnr_db
    coded = fine.trained.twin.code(fine.trained.twin.analysis(float_planes(picture, fine.trained.twin.multiple)))
    with_old_tables = dataclasses.replace(fine.trained, y_tables=coarse.trained.y_tables)
    assert row.y_bytes == measure.float_size(fine.trained, coded).y
    assert row.y_bytes < measure.float_size(with_old_tables, coded).y


def test_rate_points_differ_by_whatever_decides_their_figures(tmp_path: Path) -> None:
    photographs = folder_of(tmp_path / "p", {"a.png": picture_of(64, 64), "b.png": picture_of(64, 96)})
    others = folder_of(tmp_path / "q", {"a.png": picture_of(64, 64)[::-1].copy()})
    out = open_study(tmp_path / "out")
    architecture = ONE_EACH[1]
    models = []
    for scale in (1.0, 1.01):
        parameters = parameters_of(architecture)
        parameters["g_s.6.bias"] *= np.float32(scale)
        models.append(tmp_path / f"{scale}.safetensors")
        save_parameters(models[-1], parameters, metadata_of(architecture))

    def identity(model: Path, step: float, precision: str, folder: Path, count: int) -> str:
        (point,) = rate_points(model, [step], [precision], Calibration(folder, count), out)
        return point.identity

    usual = (models[0], 1.0, "W8A8", photographs, 2)
    changes = [(0, models[1]), (1, 2.0), (2, "W8A9"), (3, others), (4, 1)]
    found = {identity(*usual[:at], value, *usual[at + 1 :]) for at, value in changes}  # type: ignore[arg-type]
    assert len(found | {identity(*usual)}) == 6
    assert len(list((out.path / "recipes").iterdir())) == 6
    assert identity(*usual) == identity(*usual)


@pytest.mark.parametrize(("text", "wanted"), [("W8A8", (8, 8)), ("w4a16", (4, 16))])
def test_widths_of_a_precision(text: str, wanted: tuple[int, int]) -> None:
    assert widths(text) == wanted


@pytest.mark.parametrize("text", ["8", "W8", "A8W8", "W8A8 ", "W-8A8", "w8a8b", "W1A8", "W8A17", ""])
def test_widths_refuses_what_is_no_precision(text: str) -> None:
    with pytest.raises(RangeError):
        widths(text)


# --- Bjontegaard figures of made-up rows


RATES = {1.0: 0.8, 1.5: 0.6, 2.25: 0.4, 3.375: 0.25}


def made_up(
    picture: str, part: str, precision: str, rate: Callable[[float], float], loss: Callable[[float], float],
    steps: Sequence[float] = tuple(RATES),
) -> list[Row]:  # fmt: skip
    rows = []
    for step in steps:
        bpp, level = rate(RATES[step]), 36 - 4 * np.log2(step) - loss(step) + (2.0 if picture == "b" else 0.0)
        similarity = 1 - 10 ** (-level / 20)
        rows.append(Row(picture, 96, 64, step, part, precision, 10, 90, None, bpp, *[float(level)] * 4, similarity))
    return rows


def unchanged(rate: float) -> float:
    return rate


def reference_rows(steps: Sequence[float] = tuple(RATES)) -> list[Row]:
    return [row for name in "ab" for row in made_up(name, FLOAT, FLOAT, unchanged, lambda step: 0.0, steps)]


def test_summary_of_dearer_streams_is_their_price() -> None:
    rows = reference_rows()
    rows += made_up("a", HYPER, "W8A8", lambda rate: 1.1 * rate, lambda step: 0.0)
    rows += made_up("b", HYPER, "W8A8", lambda rate: 1.2 * rate, lambda step: 0.0)
    (found,) = summarise(rows).comparisons
    for method in ("pchip", "cubic"):
        average = found.bd_rate[method]
        assert average.mean == pytest.approx(15)
        assert (average.worst_picture, average.worst) == ("b", pytest.approx(20))
        assert (average.compared, average.pictures, average.reason) == (2, 2, "")
        assert average.of_mean_curves == pytest.approx(15)
    assert found.bd_rate_ms_ssim is not None
    assert found.bd_rate_ms_ssim.mean == pytest.approx(15)
    assert found.rate_change == pytest.approx(15)
    assert found.psnr_loss_db == 0
    assert found.bpp == pytest.approx(0.8 * 1.15)


def test_summary_of_worse_pictures_is_their_loss() -> None:
    rows = reference_rows()
    rows += made_up("a", SYNTHESIS, "W8A8", unchanged, lambda step: 0.5)
    rows += made_up("b", SYNTHESIS, "W8A8", unchanged, lambda step: 0.25 + 0.25 * (step == 1))
    summary = summarise(rows)
    (found,) = summary.comparisons
    assert summary.step == 1
    assert summary.pictures == 2
    assert found.psnr_loss_db == pytest.approx(0.5)
    assert found.worst_loss_db == pytest.approx(0.5)
    assert found.psnr_db == pytest.approx(36.5)
    average = found.bd_psnr["pchip"]
    assert average.worst_picture == "a"
    assert average.worst == pytest.approx(-0.5)
    assert average.mean is not None
    assert -0.5 < average.mean < -0.375
    assert found.bd_rate["pchip"].mean is not None
    assert found.bd_rate["pchip"].mean > 1
    assert [point.step for point in summary.curves[FLOAT]] == [1.0, 1.5, 2.25, 3.375]
    assert summary.curves[FLOAT][0].psnr_db == pytest.approx(37)


def test_summary_without_overlap_has_no_figure_and_says_so() -> None:
    rows = reference_rows()
    rows += made_up("a", BOTH, "W4A4", unchanged, lambda step: 20.0)
    rows += made_up("b", BOTH, "W4A4", unchanged, lambda step: 20.0)
    rows += made_up("a", BOTH, "W8A8", unchanged, lambda step: 20.0)
    rows += made_up("b", BOTH, "W8A8", unchanged, lambda step: 0.1)
    summary = summarise(rows)
    none, half = summary.comparisons
    for method in ("pchip", "cubic"):
        assert none.bd_rate[method].mean is none.bd_rate[method].of_mean_curves is None
        assert none.bd_psnr[method].mean == pytest.approx(-20)
        assert half.bd_rate[method].mean is None
        assert half.bd_rate[method].compared == 1
    text = plain_table(summary)
    assert text.splitlines()[-2].count("no overlap") == 2
    assert text.splitlines()[-1].count("no overlap in 1") == 2
    assert json.dumps(dataclasses.asdict(summary), allow_nan=False)


def test_summary_of_curves_that_touch_at_their_ends_has_no_figure() -> None:
    """The finest point of one just above the coarsest of the other says nothing of their distance."""
    rows = reference_rows()
    low, high = min(row.psnr_db for row in rows[:4]), max(row.psnr_db for row in rows[:4])
    for name in "ab":
        rows += made_up(name, BOTH, "W4A4", unchanged, lambda step: 0.95 * (high - low))
    (found,) = summarise(rows).comparisons
    assert found.bd_rate["pchip"].mean is None
    assert found.bd_rate["pchip"].reason == "no overlap"


def test_summary_of_few_steps_lacks_the_polynomial_alone() -> None:
    steps = (1.0, 2.25)
    rows = reference_rows(steps)
    for name in "ab":
        rows += made_up(name, BOTH, "W8A8", lambda rate: 1.1 * rate, lambda step: 0.0, steps)
    (found,) = summarise(rows).comparisons
    assert found.bd_rate["pchip"].mean == pytest.approx(10)
    assert found.bd_rate["cubic"].mean is None
    assert "few steps" in plain_table(summarise(rows))


def test_summary_of_falling_psnr_has_no_rate() -> None:
    rows = reference_rows()
    for name in "ab":
        rows += made_up(name, BOTH, "W6A6", unchanged, lambda step: 3.0 if step == 1 else 0.0)
    (found,) = summarise(rows).comparisons
    assert found.bd_rate["pchip"].mean is None
    assert "must rise" in found.bd_rate["pchip"].reason
    assert found.bd_psnr["pchip"].mean is not None
    assert plain_table(summarise(rows)).count("not monotone") == 2


def test_reference_step_is_the_one_nearest_to_one() -> None:
    steps = (1.5, 2.25, 3.375)
    rows = reference_rows(steps)
    for name in "ab":
        rows += made_up(name, BOTH, "W8A8", unchanged, lambda step: 0.0, steps)
    assert summarise(rows).step == 1.5


def test_markdown_table_has_a_cell_for_every_column() -> None:
    rows = reference_rows() + [row for name in "ab" for row in made_up(name, BOTH, "W8A8", unchanged, lambda step: 0.1)]
    lines = markdown_table(summarise(rows)).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "| both | W8A8 | 0.8000 | 36.900 | 0.100 | 0.100 |" in lines[-1]
    assert "-0.100" in lines[-1]


# --- whole studies


def folder_of(path: Path, pictures: dict[str, np.ndarray]) -> Path:
    path.mkdir()
    for name, picture in pictures.items():
        imageio.imwrite(path / name, picture)
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, two photographs, and a study of them."""
    folder = tmp_path_factory.mktemp("study")
    folder_of(folder / "pictures", {"one.png": picture_of(64, 128), "two.png": picture_of(161, 162)})
    folder_of(folder / "photographs", {"x.png": picture_of(128, 64), "y.png": picture_of(80, 64)})
    study_precision(plan_of(folder, "done"))
    return folder


def plan_of(folder: Path, name: str, **changes: object) -> Plan:
    usual = Plan(MODEL, folder / "pictures", folder / "photographs", folder / name, ("W8A8", "w6a10"), steps=(1.0, 2.0))
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def copied(inputs: Path, tmp_path: Path) -> Path:
    """The same, to be spoiled."""
    return Path(shutil.copytree(inputs, tmp_path / "copy"))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Which pictures, at which steps, are measured from now on."""
    names: list[tuple[str, float]] = []
    true_measure = workers.measure

    def counted(point: RatePoint, name: str, picture: np.ndarray, parts: Sequence[str]) -> list[Row]:
        names.append((name, point.step))
        return true_measure(point, name, picture, parts)

    monkeypatch.setattr(workers, "measure", counted)
    return names


def test_study_writes_rows_summary_tables_and_curves(inputs: Path) -> None:
    out = inputs / "done"
    names = {path.name for path in out.iterdir()}
    assert names == {
        "study.json", "results", "recipes", "results.csv", "summary.json", "table.txt", "table.md", "rd.png", "rd.svg"
    }  # fmt: skip
    rows = list(csv.DictReader(io.StringIO((out / "results.csv").read_text())))
    assert len(rows) == 2 * 2 * (1 + 2 * 3)
    assert {row["precision"] for row in rows} == {"float", "W8A8", "W6A10"}
    assert all((row["ms_ssim"] == "") == (row["picture"] == "one.png") for row in rows)
    assert all((row["stream_bytes"] == "") == (row["part"] in ("float", "synthesis")) for row in rows)
    document = json.loads((out / "summary.json").read_text())
    assert document["schema"] == SCHEMA
    assert document["model"] == MODEL.name
    assert document["steps"] == [1.0, 2.0]
    assert [(c["part"], c["precision"]) for c in document["comparisons"]] == [
        (part, precision) for precision in ("W8A8", "W6A10") for part in PARTS
    ]
    found = [
        float(row["bpp"]) for row in rows if (row["part"], row["precision"], row["step"]) == ("both", "W8A8", "1.0")
    ]
    assert document["comparisons"][2]["bpp"] == pytest.approx(np.mean(found))
    assert (out / "table.txt").read_text().startswith("integer part ")
    assert (out / "table.md").read_text().startswith("| integer part |")
    assert (out / "rd.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (out / "rd.svg").read_bytes()


def test_study_stored_recipes_are_those_it_measured(inputs: Path) -> None:
    recipes = sorted((inputs / "done" / "recipes").iterdir())
    assert [path.name.rpartition("-")[0] for path in recipes] == [
        "step1-w6a10", "step1-w8a8", "step2-w6a10", "step2-w8a8"
    ]  # fmt: skip
    from refcodec.quantize.recipe import load_recipe

    model = integerise(load_trained(MODEL), load_recipe(recipes[1]))
    content = encode_picture(read_picture(inputs / "pictures" / "one.png"), model)
    rows = list(csv.DictReader(io.StringIO((inputs / "done" / "results.csv").read_text())))
    (row,) = (
        row for row in rows
        if (row["picture"], row["part"], row["precision"], row["step"]) == ("one.png", "both", "W8A8", "1.0")
    )  # fmt: skip
    assert int(row["stream_bytes"]) == len(content)


def test_study_again_measures_nothing_and_changes_nothing(
    copied: Path, measured: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("observed again")

    monkeypatch.setattr("refcodec.study.precision.points.observe", refuse)
    before = contents(copied / "done")
    study_precision(plan_of(copied, "done"))
    assert measured == []
    assert contents(copied / "done") == before


def test_study_elsewhere_gives_the_same_files(copied: Path) -> None:
    study_precision(plan_of(copied, "new"))
    assert contents(copied / "new") == contents(copied / "done")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other key", "row", "no json"])
def test_study_measures_again_what_is_missing_or_damaged(
    damage: str, copied: Path, measured: list[tuple[str, float]]
) -> None:
    before = contents(copied / "done")
    (result,) = (copied / "done" / "results").glob("two.png-step2-*")
    text = result.read_text()
    if damage == "missing":
        result.unlink()
    else:
        result.write_text({
            "empty": "",
            "cut": text[: len(text) // 2],
            "other key": text.replace('"key": "', '"key": "0'),
            "row": text.replace("psnr_g_db", "psnr_x_db", 1),
            "no json": "[" * 100000,
        }[damage])  # fmt: skip
    study_precision(plan_of(copied, "done"))
    assert measured == [("two.png", 2.0)]
    assert contents(copied / "done") == before


def test_study_measures_again_what_depends_on_a_changed_input(copied: Path, measured: list[tuple[str, float]]) -> None:
    imageio.imwrite(copied / "pictures" / "two.png", picture_of(64, 64)[::-1])
    study_precision(plan_of(copied, "done"))
    assert measured == [("two.png", 1.0), ("two.png", 2.0)]
    measured.clear()
    study_precision(plan_of(copied, "done", parts=(BOTH,)))
    study_precision(plan_of(copied, "done", steps=(1.0, 4.0)))
    assert len(measured) == 4 + 2
    measured.clear()
    imageio.imwrite(copied / "photographs" / "x.png", picture_of(128, 64)[::-1])
    study_precision(plan_of(copied, "done"))
    assert len(measured) == 4


def test_interrupted_study_goes_on_where_it_was(
    copied: Path, measured: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    true_measure = workers.measure

    def interrupted(*arguments: object) -> list[Row]:
        if len(measured) == 3:
            raise KeyboardInterrupt
        return true_measure(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(workers, "measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study_precision(plan_of(copied, "new"))
    assert len(list((copied / "new" / "results").iterdir())) == 3
    assert not (copied / "new" / "results.csv").exists()
    measured.clear()
    study_precision(plan_of(copied, "new"))
    assert measured == [("two.png", 2.0)]
    assert contents(copied / "new") == contents(copied / "done")


def test_study_leaves_other_files_of_its_folder_alone(copied: Path) -> None:
    (copied / "done" / "results" / "mine.txt").write_text("mine")
    (copied / "done" / "notes.md").write_text("notes")
    before = contents(copied / "done")
    study_precision(plan_of(copied, "done"))
    assert contents(copied / "done") == before


def test_open_study_takes_a_missing_an_empty_and_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "a" / "b", tmp_path / "empty", tmp_path / "empty"):
        assert open_study(path).path == path
        assert contents(path).keys() == {"study.json"}


@pytest.mark.parametrize("marker", [None, "{", '{"schema": "refcodec-precision-study/0"}', "[]"])
def test_open_study_refuses_another_folder_and_leaves_it(marker: str | None, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    if marker is not None:
        (tmp_path / "study.json").write_text(marker)
    before = contents(tmp_path)
    with pytest.raises(FileError, match=r"RC-FILE-WRITE: .* is no precision study to go on with: it holds letter.txt"):
        open_study(tmp_path)
    assert contents(tmp_path) == before


def test_open_study_refuses_a_file_and_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(FileError, match=r"RC-FILE-WRITE: .* is no folder"):
            open_study(tmp_path / name)
    with pytest.raises(FileError, match="RC-FILE-WRITE"):
        open_study(tmp_path / "file" / "below")


def test_study_of_a_factorised_codec_leaves_the_hyper_half_out(tmp_path: Path) -> None:
    architecture = ONE_EACH[0]
    model = tmp_path / "model.safetensors"
    save_parameters(model, parameters_of(architecture), metadata_of(architecture))
    folder_of(tmp_path / "pictures", {"a.png": picture_of(48, 64)})
    folder_of(tmp_path / "photographs", {"a.png": picture_of(64, 64)})
    plan = plan_of(tmp_path, "out", checkpoint=model, precisions=("W8A8",))
    found = study_precision(plan)
    assert {row.part for row in found.summary.comparisons} == {SYNTHESIS, BOTH}
    assert "A factorised codec has no hyper-decoder: that part is left out." in found.text
    assert found.document["remarks"]
    with pytest.raises(RangeError, match="RC-USAGE: a factorised codec has no part hyper"):
        study_precision(dataclasses.replace(plan, parts=(HYPER,)))


def test_study_refuses_a_codec_of_latents(tmp_path: Path) -> None:
    architecture = next(a for a in ARCHITECTURES if a.backbone == "none")
    model = tmp_path / "model.safetensors"
    save_parameters(model, parameters_of(architecture), metadata_of(architecture))
    for name in ("pictures", "photographs"):
        folder_of(tmp_path / name, {"a.png": picture_of(48, 64)})
    with pytest.raises(RangeError, match=r"RC-USAGE: .* this checkpoint codes latents, not pictures"):
        study_precision(plan_of(tmp_path, "out", checkpoint=model))


def test_study_refuses_folders_without_pictures(tmp_path: Path, inputs: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileError, match=r"RC-FILE-READ: .* holds no picture"):
        study_precision(plan_of(inputs, "new", images=empty, output=tmp_path / "out"))
    with pytest.raises(FileError, match=r"RC-FILE-READ: .* holds nothing to calibrate on"):
        study_precision(plan_of(inputs, "new", calibrate=empty, output=tmp_path / "out"))
    with pytest.raises(FileError, match=r"RC-FILE-READ: "):
        study_precision(plan_of(inputs, "new", checkpoint=empty / "none", output=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"precisions": ()}, {"precisions": ("W8A8", "w8a8")}, {"precisions": ("W8",)}, {"precisions": ("W1A8",)},
        {"parts": ()}, {"parts": ("decoder",)}, {"parts": (BOTH, BOTH)}, {"steps": ()}, {"steps": (1.0, 1.0)},
        {"steps": (0.0,)}, {"steps": (float("nan"),)},
    ],
    ids=str,
)  # fmt: skip
def test_plan_refuses_what_cannot_be_studied(changes: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(RangeError, match=r"^RC-(USAGE|RANGE): "):
        plan_of(tmp_path, "out", **changes)
    assert not (tmp_path / "out").exists()


def test_study_without_matplotlib_says_so_and_writes_the_rest(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RefcodecError, match="RC-EXTRA: the plot needs the package matplotlib"):
        plot.import_matplotlib()
    (copied / "done" / "rd.png").unlink()
    (copied / "done" / "results.csv").unlink()
    found = study_precision(plan_of(copied, "done"))
    assert "No plot: the plot needs the package matplotlib" in found.text
    assert (copied / "done" / "results.csv").is_file()
    assert not (copied / "done" / "rd.png").exists()


# --- a cluster


def test_study_without_distributed_says_which_extra_brings_it(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RefcodecError, match=r"RC-EXTRA: --cluster needs .* pip install 'refcodec\[cluster\]'"):
        study_precision(plan_of(copied, "new", cluster="tcp://127.0.0.1:1"))
    assert not (copied / "new").exists()


with_distributed = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="no package distributed: pip install 'refcodec[cluster]'"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a scheduler with two worker processes."""
    import dask
    import distributed

    # Workers would be told to use one BLAS thread, and then their float encoder rounds differently from the one here.
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": {}}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
    ):
        yield local.scheduler_address


@with_distributed
@pytest.mark.filterwarnings("default")  # those of another package's start and end
def test_study_on_a_cluster_gives_the_same_files(cluster: str, copied: Path, measured: list[tuple[str, float]]) -> None:
    study_precision(plan_of(copied, "new", cluster=cluster))
    assert contents(copied / "new") == contents(copied / "done")
    assert measured == []


@with_distributed
@pytest.mark.filterwarnings("default")
def test_study_refuses_an_address_where_no_scheduler_answers(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 1)
    with pytest.raises(RangeError, match=r"RC-USAGE: no Dask scheduler answers at tcp://127.0.0.1:1"):
        study_precision(plan_of(copied, "new", cluster="tcp://127.0.0.1:1"))


# --- photographs


@pytest.fixture(scope="module")
def kodak(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Four Kodak photographs."""
    found = [data / "kodak" / f"kodim{number}.png" for number in ("05", "13", "15", "23")]
    if not all(path.is_file() for path in found) or not (data / "bsds500" / "test").is_dir():
        pytest.skip("no photographs: set REFCODEC_DATA to a folder with kodak/kodim*.png and bsds500/test")
    folder = tmp_path_factory.mktemp("kodak")
    for path in found:
        shutil.copy(path, folder)
    return folder


@slow
def test_float_codec_is_that_of_its_training_record(data: Path) -> None:
    pictures = sorted((data / "kodak").glob("kodim*.png"))
    if len(pictures) != 12:
        pytest.skip("not the twelve Kodak photographs: set REFCODEC_DATA to a folder that holds kodak/kodim*.png")
    point = RatePoint("float", 1.0, load_trained(MODEL), {})
    rows = [row for path in pictures for row in measure.measure(point, path.name, read_picture(path), ())]
    assert len(rows) == 12
    assert np.mean([row.psnr_db for row in rows]) == pytest.approx(28.926, abs=0.001)
    assert np.mean([row.bpp for row in rows]) == pytest.approx(0.4282, abs=0.0002)


@slow
def test_precisions_cost_no_more_than_they_should(kodak: Path, data: Path, tmp_path: Path) -> None:
    precisions = ("W4A4", "W8A8", "W12A12", "W16A16")
    plan = Plan(MODEL, kodak, data / "bsds500" / "test", tmp_path / "out", precisions, photographs=16)
    found = study_precision(plan)
    cost = {(c.part, c.precision): c for c in found.summary.comparisons}
    for part, precision, per_cent in (
        (BOTH, "W8A8", 2.5), (HYPER, "W8A8", 0.5), (BOTH, "W12A12", 0.1), (BOTH, "W16A16", 0.1),
    ):  # fmt: skip
        mean = cost[part, precision].bd_rate["pchip"].mean
        assert mean is not None
        assert abs(mean) <= per_cent, (part, precision)
    assert cost[BOTH, "W8A8"].psnr_loss_db <= 0.12
    assert cost[BOTH, "W8A8"].worst_loss_db <= 0.25
    assert cost[BOTH, "W4A4"].psnr_loss_db > 1
    assert cost[HYPER, "W4A4"].rate_change > 1
    reference = found.summary.curves[FLOAT]
    assert all(fine.psnr_db > coarse.psnr_db for fine, coarse in pairwise(reference))
    assert reference[0].bpp > 2 * reference[-1].bpp
