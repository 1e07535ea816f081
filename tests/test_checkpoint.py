"""Checkpoints of every kind load under one set of names; safetensors files are written whole or not at all."""

import hashlib
import json
import random
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from refcodec.errors import FileError, ModelError
from refcodec.models.architecture import identify
from refcodec.models.checkpoint import load_array, load_parameters, read_metadata, save_parameters
from refcodec.models.shipped import shipped_names, shipped_path

FIXTURES = Path(__file__).parent / "fixtures"
CHECKPOINT = FIXTURES / "hyperprior_n2_m3.pth.tar"
SHIPPED = "balle2018-relu-n32-m64-lambda0130"

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([[1, -2]], np.int32),
    "c": np.array(2.5, np.float64),
    "d": np.zeros((0, 4), np.float16),
}


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(
        found[name].dtype == array.dtype and found[name].shape == array.shape and np.array_equal(found[name], array)
        for name, array in wanted.items()
    )


# --- loading


def test_load_parameters_gives_a_torch_checkpoint_its_present_names():
    names = set(load_parameters(CHECKPOINT))
    kinds = {"matrices": 5, "biases": 5, "factors": 4}
    assert {f"entropy_bottleneck.{kind}.{i}" for kind, count in kinds.items() for i in range(count)} <= names
    assert {"g_a.0.weight", "g_s.5.gamma", "h_a.4.bias", "h_s.4.weight", "entropy_bottleneck.quantiles"} <= names
    assert not any("module" in name or "._m" in name for name in names)


def test_load_parameters_keeps_the_values_of_renamed_parameters():
    matrix = load_parameters(CHECKPOINT)["entropy_bottleneck.matrices.1"]
    start = zlib.crc32(b"entropy_bottleneck._matrix1")  # the rule of fixtures/make_checkpoint.py
    np.testing.assert_array_equal(matrix.ravel(), [((start + 37 * k) % 101 - 50) / 128 for k in range(18)])


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors", "a.pth.tar", "a"])
def test_load_parameters_goes_by_content_not_by_name(tmp_path, name):
    path = tmp_path / name
    for write in (lambda stream: np.savez(stream, **ARRAYS), lambda stream: np.savez_compressed(stream, **ARRAYS)):
        with path.open("wb") as stream:
            write(stream)
        assert same(load_parameters(path), ARRAYS)
    save_file(ARRAYS, path)
    assert same(load_parameters(str(path)), ARRAYS)
    path.write_bytes(CHECKPOINT.read_bytes())
    assert "g_a.0.weight" in load_parameters(path)


def test_load_parameters_strips_the_wrapper_only_where_all_names_have_it(tmp_path):
    x = np.zeros(1, np.float32)
    np.savez(tmp_path / "all.npz", **{"module.a": x, "module.b.module.c": x})
    assert load_parameters(tmp_path / "all.npz").keys() == {"a", "b.module.c"}
    np.savez(tmp_path / "some.npz", **{"module.a": x, "b": x})
    assert load_parameters(tmp_path / "some.npz").keys() == {"module.a", "b"}


def test_load_parameters_renames_nested_bottlenecks_and_nothing_else(tmp_path):
    x = np.zeros(1, np.float32)
    names = (
        "img.entropy_bottleneck._factor3",
        "entropy_bottleneck._offset",
        "other._matrix0",
        "entropy_bottleneck._bias",
    )
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, x))
    assert list(load_parameters(tmp_path / "a.npz")) == ["img.entropy_bottleneck.factors.3", *names[1:]]


def test_load_parameters_gives_both_spellings_of_a_checkerboard_hyperprior_one_name(tmp_path):
    """CompressAI versions differ in where a checkerboard's hyperprior stands (fixtures/compressai_layouts.json)."""
    layout = json.loads((FIXTURES / "compressai_layouts.json").read_text())["checkerboard cheng2020"]
    wanted = {name: np.full(shape, number, np.float32) for number, (name, shape) in enumerate(layout.items())}
    other = {
        name.replace("latent_codec.hyper.entropy_bottleneck.", "latent_codec.z.entropy_bottleneck.").replace(
            "latent_codec.hyper.h_", "latent_codec.h_"
        ): array
        for name, array in wanted.items()
    }
    assert sum(name not in wanted for name in other) == 35
    for spelling in (wanted, other):
        np.savez(tmp_path / "a.npz", **spelling)
        found = load_parameters(tmp_path / "a.npz")
        assert same(found, wanted)
        assert identify(found).family == "checkerboard"
    older = {name.replace(".matrices.", "._matrix"): array for name, array in other.items()}
    np.savez(tmp_path / "a.npz", **older)
    assert same(load_parameters(tmp_path / "a.npz"), wanted)
    for name in ("latent_codec.z.other", "latent_codec.y.h_a.0.weight", "latent_codec.h_x.0", "h_a.0.weight"):
        np.savez(tmp_path / "a.npz", **{name: np.zeros(1, np.float32)})
        assert list(load_parameters(tmp_path / "a.npz")) == [name]
    np.savez(tmp_path / "a.npz", **wanted, **{"latent_codec.h_a.0.bias": np.zeros(6, np.float32)})
    with pytest.raises(ModelError, match=r"RC-CHECKPOINT-PARAMETER: latent_codec\.hyper\.h_a\.0\.bias: wanted once"):
        load_parameters(tmp_path / "a.npz")


def test_load_parameters_refuses_a_parameter_under_both_names(tmp_path):
    x = np.zeros(1, np.float32)
    np.savez(tmp_path / "a.npz", **{"entropy_bottleneck._bias0": x, "entropy_bottleneck.biases.0": x})
    with pytest.raises(ModelError, match=r"RC-CHECKPOINT-PARAMETER: entropy_bottleneck\.biases\.0: wanted once"):
        load_parameters(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".pth.tar", ".npz", ".safetensors"])
def test_load_parameters_reports_missing_files_and_folders(tmp_path, suffix):
    (tmp_path / f"folder{suffix}").mkdir()
    for stem in ("none", "folder"):
        with pytest.raises(FileError, match=f"RC-FILE-READ: .*{stem}"):
            load_parameters(tmp_path / f"{stem}{suffix}")
        with pytest.raises(FileError, match=f"RC-FILE-READ: .*{stem}"):
            read_metadata(tmp_path / f"{stem}{suffix}")


def unreadable(path: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_parameters(path)
    assert caught.value.code == "RC-CHECKPOINT-FILE"


def test_load_parameters_refuses_objects_in_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.array([{"x": 1}], object))
    unreadable(path, "object")


def test_load_parameters_refuses_npz_headers_that_claim_more_than_they_have(tmp_path):
    path, claim = tmp_path / "a.npz", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    header = claim.ljust(118 - 1) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(24)
        )
    unreadable(path, r"float32 \(1000000000000,\) in a record of 152 bytes")


def test_load_parameters_reads_column_major_and_second_version_arrays(tmp_path):
    path, x = tmp_path / "a.npz", np.asfortranarray(np.arange(6.0).reshape(2, 3))
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as stream:
        np.lib.format.write_array(stream, x, version=(2, 0))
    assert same(load_parameters(path), {"a": x})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x08" + bytes(7) + b"{", "a.bin"),
        (b"\xff" * 8 + b"{}", "a.bin"),
        (b"nonsense", "neither"),
        (b"\x80\x02}.", "legacy"),
        (b"", "neither"),
    ],
)
def test_load_parameters_refuses_unreadable_files(tmp_path, content, message):
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    unreadable(path, message)


def test_load_parameters_refuses_files_without_arrays(tmp_path):
    save_parameters(tmp_path / "a.safetensors", {}, {})
    unreadable(tmp_path / "a.safetensors", "holds no arrays")


def test_load_parameters_refuses_dtypes_numpy_lacks(tmp_path):
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    unreadable(tmp_path / "a.safetensors", "bfloat16")
    pytest.importorskip("ml_dtypes")  # teaches NumPy bfloat16
    unreadable(tmp_path / "a.safetensors", "a holds bfloat16, which NumPy lacks")


def refusal(path: Path) -> str | None:
    """The code with which `path` is refused, None where it is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of duplicate names
        try:
            load_parameters(path)
        except ModelError as error:
            return error.code
    return None


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_load_parameters_survives_bit_flips_and_truncation(tmp_path, kind):
    path, rng, refusals = tmp_path / f"a.{kind}", random.Random(4), 0
    if kind == "npz":
        np.savez(path, **ARRAYS)
    else:
        save_file(ARRAYS, path)
    content = path.read_bytes()
    for _ in range(400):
        damaged, bit = bytearray(content), rng.randrange(8 * len(content))
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
        code = refusal(path)
        assert code is None or code.startswith("RC-CHECKPOINT")
        refusals += code is not None
    assert refusals > 150


def test_load_array_reads_one_array_of_any_file(tmp_path):
    x = np.arange(6, dtype=np.float16).reshape(2, 3)
    np.save(tmp_path / "a", x)
    np.savez(tmp_path / "one.npz", other=x)
    save_file({"embed": x, "more": x + 1}, tmp_path / "many.safetensors")
    for name in ("a.npy", "one.npz", "many.safetensors"):
        found = load_array(tmp_path / name, "embed")
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, x)
    with pytest.raises(ModelError, match=r"RC-CHECKPOINT-PARAMETER: .*many.safetensors: wanted x, found 2 others"):
        load_array(tmp_path / "many.safetensors", "x")
    with pytest.raises(FileError, match="RC-FILE-READ"):
        load_array(tmp_path / "none.npy", "x")


def test_load_array_refuses_damaged_files_and_objects(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"x": 1}], object), allow_pickle=True)
    objects = path.read_bytes()
    np.save(path, np.zeros(6))
    whole = [objects, path.read_bytes()[:-1], path.read_bytes() + b"x", path.read_bytes()[:40], path.read_bytes()[:7]]
    for content in whole:
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"RC-CHECKPOINT-FILE: .*a\.npy"):
            load_array(path, "x")


# --- saving


def test_save_parameters_keeps_arrays_and_metadata(tmp_path):
    path = tmp_path / "a.safetensors"
    save_parameters(path, ARRAYS, {"lambda": "0.013", "a": "é"})
    assert same(load_file(path), ARRAYS)
    assert same(load_parameters(path), ARRAYS)
    assert read_metadata(path) == {"a": "é", "lambda": "0.013"}


def test_save_parameters_stores_views_as_they_read(tmp_path):
    """The safetensors library alone writes the memory of a transposed view, that is other numbers."""
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    views = {"transposed": x.T, "strided": x[:, ::2], "reversed": x[::-1], "swapped": x.astype(">f4")}
    save_parameters(tmp_path / "a.safetensors", views, {})
    found = load_parameters(tmp_path / "a.safetensors")
    for name, view in views.items():
        np.testing.assert_array_equal(found[name], view, err_msg=name)


def test_save_parameters_gives_equal_bytes_for_equal_input(tmp_path):
    metadata = {key: key for key in "qwertyuiop"}
    save_parameters(tmp_path / "a", ARRAYS, metadata)
    save_parameters(tmp_path / "b", dict(reversed(ARRAYS.items())), dict(reversed(metadata.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_save_parameters_keeps_arrays_aligned(tmp_path):
    for length in range(8):
        save_parameters(tmp_path / "a", ARRAYS, {"x": "x" * length})
        assert int.from_bytes((tmp_path / "a").read_bytes()[:8], "little") % 8 == 0
        assert same(load_parameters(tmp_path / "a"), ARRAYS)


def test_save_parameters_leaves_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_parameters(path, ARRAYS, {})
    before = path.read_bytes()

    def full_disk(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(FileError, match=r"RC-FILE-WRITE: .*No space left"):
        save_parameters(path, {"x": np.zeros(1)}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_save_parameters_reports_unwritable_places(tmp_path):
    with pytest.raises(FileError, match="RC-FILE-WRITE"):
        save_parameters(tmp_path / "none" / "a", ARRAYS, {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="RC-FILE-WRITE"):
        save_parameters(tmp_path / "folder", ARRAYS, {})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("name", ["file/below", "", "."])
def test_save_parameters_reports_places_that_cannot_be(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileError, match="RC-FILE-WRITE"):
        save_parameters(name, {"a": np.zeros(3, np.float32)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_save_parameters_wants_text_metadata(tmp_path):
    with pytest.raises(ModelError, match="RC-MODEL-SCHEMA"):
        save_parameters(tmp_path / "a", ARRAYS, {"n": 3})
    assert not list(tmp_path.iterdir())


def test_read_metadata_is_empty_where_there_is_none(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    save_file(ARRAYS, tmp_path / "a.safetensors")
    assert (
        read_metadata(tmp_path / "a.npz")
        == read_metadata(tmp_path / "a.safetensors")
        == read_metadata(CHECKPOINT)
        == {}
    )


def test_read_metadata_refuses_damaged_files(tmp_path):
    (tmp_path / "a").write_bytes(b"\x08" + bytes(7) + b"{")
    with pytest.raises(ModelError, match="RC-CHECKPOINT-FILE"):
        read_metadata(tmp_path / "a")


# --- what is shipped


def test_shipped_models_are_listed_and_found():
    assert SHIPPED in shipped_names()
    assert all(shipped_path(name).is_file() for name in shipped_names())
    with pytest.raises(ModelError, match=f"RC-MODEL-FILE: no shipped model 'none'; there are: .*{SHIPPED}"):
        shipped_path("none")
    with pytest.raises(ModelError, match="RC-MODEL-FILE"):
        shipped_path(f"../shipped/{SHIPPED}")


def test_shipped_model_holds_its_tables_and_not_the_universal_one():
    parameters = load_parameters(shipped_path(SHIPPED))
    assert parameters["entropy_bottleneck._quantized_cdf"].shape == (32, 121)
    assert parameters["entropy_bottleneck._cdf_length"].dtype == np.int32
    assert not [name for name in parameters if name.startswith("gaussian_conditional")]
    assert shipped_path(SHIPPED).stat().st_size < 1_500_000


def test_shipped_model_says_where_it_comes_from():
    metadata = read_metadata(shipped_path(SHIPPED))
    wanted = {"architecture": "bmshj2018-hyperprior", "backbone": "ReLU", "N": "32", "M": "64", "lambda": "0.013"}
    assert wanted.items() <= metadata.items()
    assert "54949 iterations" in metadata["training"]
    assert len(bytes.fromhex(metadata["source_sha256"])) == hashlib.sha256().digest_size


def test_importing_refcodec_imports_nothing_heavy():
    heavy = "{'numpy', 'numba', 'scipy', 'safetensors', 'imageio'}"
    program = f"import sys, refcodec; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
