"""Checkpoints written by torch.save are read exactly; anything that is not tensors is refused and never executed."""

import os
import pickle
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refcodec.errors import FileError, ModelError
from refcodec.models import torch_archive
from refcodec.models.torch_archive import interpret, read_archive

FIXTURES = Path(__file__).parent / "fixtures"
CHECKPOINT = FIXTURES / "hyperprior_n2_m3.pth.tar"
VIEWS = FIXTURES / "views_and_dtypes.pt"


def fixture_values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The rule of fixtures/make_checkpoint.py, in Python integers."""
    count = 1
    for size in shape:
        count *= size
    seed = zlib.crc32(name.encode())
    return np.array([((seed + 37 * k) % 101 - 50) / 128 for k in range(count)]).reshape(shape)


# --- a small assembler for pickles


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def name_of(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def integer(value: int) -> bytes:
    octets = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(octets)]) + octets


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def storage(kind: str = "FloatStorage", key: bytes = text("0"), numel: int = 6) -> bytes:
    return tuple_of(text("storage"), name_of("torch", kind), key, text("cpu"), integer(numel)) + b"Q"


def tensor(sizes: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, source: bytes = storage()) -> bytes:
    shape = tuple_of(*map(integer, sizes)), tuple_of(*map(integer, strides))
    arguments = tuple_of(source, integer(offset), *shape, b"\x89", name_of("collections", "OrderedDict") + b")R")
    return name_of("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def dictionary(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(name) + item for name, item in items.items()) + b"u"


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


RECORD = np.arange(6, dtype="<f4").tobytes()


def write_archive(
    path: Path, body: bytes, records: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED
) -> Path:
    records = {"data/0": RECORD, "byteorder": b"little"} if records is None else records
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program(body))
        for name, content in records.items():
            archive.writestr(f"archive/{name}", content)
    return path


def refused(path: Path, code: str, message: str | None = None) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_archive(path)
    assert caught.value.code == code
    assert len(str(caught.value)) < 1000


# --- what is read


def test_read_archive_returns_every_value_of_a_real_training_checkpoint():
    arrays = read_archive(CHECKPOINT)
    trained = {name: array for name, array in arrays.items() if "reparam" not in name and "target" not in name}
    assert len(trained) == 2 * (8 + 6) + 2 * 6 + 15  # convolutions and GDN of g_a and g_s, h_a and h_s, density
    for name, array in trained.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, fixture_values(name.removeprefix("module."), array.shape), err_msg=name)


def test_read_archive_honours_strides_and_offsets():
    arrays = read_archive(VIEWS)
    base = np.arange(60)
    np.testing.assert_array_equal(arrays["transposed"], base.reshape(5, 12).T)
    np.testing.assert_array_equal(arrays["offset"], [[13, 15, 17], [19, 21, 23]])
    np.testing.assert_array_equal(arrays["expanded"], np.full((2, 3), 3))
    np.testing.assert_array_equal(arrays["parameter"], [20, 21, 22, 23])
    assert arrays["scalar"].shape == ()
    assert arrays["scalar"] == 11
    assert arrays["empty"].shape == (0, 3)
    assert all(array.flags.c_contiguous and array.flags.writeable for array in arrays.values())


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("float16", np.float16),
        ("float64", np.float64),
        ("bfloat16", np.float32),
        ("int8", np.int8),
        ("int16", np.int16),
        ("int32", np.int32),
        ("int64", np.int64),
    ],
)
def test_read_archive_reads_every_storage(kind, dtype):
    array = read_archive(VIEWS)[f"torch.{kind}"]
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, [-3, 0, 5])


def test_read_archive_reads_bytes_and_booleans():
    arrays = read_archive(VIEWS)
    assert arrays["torch.uint8"].dtype == np.uint8
    np.testing.assert_array_equal(arrays["torch.uint8"], [0, 7, 255])
    assert arrays["torch.bool"].dtype == np.bool_
    np.testing.assert_array_equal(arrays["torch.bool"], [True, False, True])


def test_read_archive_reads_protocol_4():
    arrays = read_archive(FIXTURES / "protocol4.pth")
    assert list(arrays) == ["weight", "bias"]
    np.testing.assert_array_equal(arrays["weight"], fixture_values("weight", (2, 2)))
    np.testing.assert_array_equal(arrays["bias"], fixture_values("bias", (2,)))


def test_read_archive_ignores_what_is_beside_the_tensors(tmp_path):
    body = dictionary(a=tensor((2, 3), (3, 1)), epoch=integer(3), name=text("x"), rest=b"](K\x01K\x02e", none=b"N")
    arrays = read_archive(write_archive(tmp_path / "a.pt", body))
    assert list(arrays) == ["a"]
    np.testing.assert_array_equal(arrays["a"], np.arange(6).reshape(2, 3))


def test_read_archive_reads_deflated_records_and_files_without_a_byte_order(tmp_path):
    body = dictionary(a=tensor((6,), (1,)))
    path = write_archive(tmp_path / "a.pt", body, {"data/0": RECORD}, zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read_archive(path)["a"], np.arange(6))


def test_read_archive_never_takes_the_stride_of_a_single_element(tmp_path):
    path = write_archive(tmp_path / "a.pt", dictionary(a=tensor((1, 2), (2**900, 5))))
    np.testing.assert_array_equal(read_archive(path)["a"], [[0, 5]])


# --- what is refused in the pickle


class Touch:
    """Unpickling this runs a shell command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_read_archive_refuses_a_malicious_pickle_without_running_it(tmp_path, protocol):
    marker = tmp_path / "marker"
    attack = pickle.dumps({"state_dict": Touch(marker)}, protocol)
    pickle.loads(attack)
    assert marker.exists(), "the attack must work where it is let"
    marker.unlink()
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", attack)
    refused(path, "RC-CHECKPOINT-PICKLE", r"REDUCE calls '\w+\.system'")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("builtins", "eval"), ("torch._utils", "_rebuild_tensor_v3"), ("numpy", "dtype"), ("collections", "Counter")],
)
def test_interpret_refuses_calls_of_other_globals(module, name):
    with pytest.raises(ModelError, match=rf"RC-CHECKPOINT-PICKLE: REDUCE calls '{module}\.{name}'"):
        interpret(program(name_of(module, name) + b")R"))


@pytest.mark.parametrize(
    ("body", "opcode"),
    [
        (b"(ios\nsystem\n", "INST"),
        (b"(" + name_of("os", "system") + b"o", "OBJ"),
        (name_of("os", "system") + b")\x81", "NEWOBJ"),
        (name_of("os", "system") + b")}\x92", "NEWOBJ_EX"),
        (b"\x82\x01", "EXT1"),
        (b"P0\n", "PERSID"),
        (b"N2", "DUP"),
        (b"N0", "POP"),
        (b"C\x01a", "SHORT_BINBYTES"),
        (b"\x8f", "EMPTY_SET"),
        (b"I1\n", "INT"),
        (b"\x97", "NEXT_BUFFER"),
    ],
)
def test_interpret_refuses_other_opcodes_by_name(body, opcode):
    with pytest.raises(ModelError, match=rf"RC-CHECKPOINT-PICKLE: opcode {opcode} at byte \d+"):
        interpret(program(body))


ORDERED = name_of("collections", "OrderedDict")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty stack"),
        (b"\x85", "empty stack"),
        (b"t", "mark it did not set"),
        (b"h\x07", "recalls memo 7"),
        (b"q\x00", "fills something"),
        (b"NNNs", "not a dict"),
        (b"NNa", "not a list"),
        (b"}(Nu", "key without a value"),
        (b"}]Ns", "key is a list"),
        (b"}" + b")" + b"\x85" * 200_000 + b"Ns", "key is a tuple"),
        (b"NNR", "not a global"),
        (ORDERED + b"(NtR", "calls 'collections.OrderedDict'"),
        (b"}}b", "BUILD"),
        (tensor((6,), (1,)) + b"}b", "BUILD"),
        (b"NN\x93", "STACK_GLOBAL"),
        (b"NQ", "BINPERSID"),
        (tuple_of(text("module"), ORDERED, text("0"), text("cpu"), integer(1)) + b"Q", "BINPERSID"),
        (b"\xff", "malformed"),
        (b"X\xff\xff\xff\x7f", "malformed"),
        (b"K", "malformed|has no STOP"),
    ],
)
def test_interpret_refuses_malformed_programs(body, message):
    with pytest.raises(ModelError, match=message) as caught:
        interpret(program(body))
    assert caught.value.code == "RC-CHECKPOINT-PICKLE"


def test_interpret_refuses_a_program_without_stop():
    with pytest.raises(ModelError, match="malformed"):
        interpret(b"\x80\x02N")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (tensor((7,), (1,)), "reaches element 6 of a storage of 6"),
        (tensor((6,), (1,), offset=1), "reaches element 6"),
        (tensor((2, 3), (4, 1)), "reaches element 6"),
        (tensor((), (), offset=6), "reaches element 6"),
        (tensor((6,), (1,), offset=-1), "offset"),
        (tensor((2,), (-1,), offset=1), "non-negative"),
        (tensor((-1,), (1,)), "non-negative"),
        (tensor((2, 3), (1,)), "as many strides"),
        (tensor((1,) * 33, (1,) * 33), "sizes and strides"),
        (tensor((6,), (1,), source=b"N"), "needs a storage"),
        (tensor((6,), (1,), source=storage("UntypedStorage")), "torch.UntypedStorage"),
        (tensor((6,), (1,), source=storage("ComplexFloatStorage")), "torch.ComplexFloatStorage"),
        (tensor((6,), (1,), source=storage(numel=-1)), "non-negative length"),
        (tensor((6,), (1,), source=storage(key=integer(0))), "text key"),
    ],
)
def test_read_archive_refuses_tensors_outside_their_storage(tmp_path, body, message):
    refused(write_archive(tmp_path / "a.pt", dictionary(a=body)), "RC-CHECKPOINT-PICKLE", message)


# --- dictionaries within dictionaries


def test_read_archive_names_nested_tensors_by_the_keys_on_the_way(tmp_path):
    """As the quantised videos of HNeRV have them, beside numbers that are no tensors."""
    layer = dictionary(quant=tensor((6,), (1,)), min=tensor((), ()), bits=integer(8))
    body = dictionary(embed=layer, model=dictionary(**{"head.weight": layer}))
    found = read_archive(write_archive(tmp_path / "a.pt", body))
    assert list(found) == ["embed.quant", "embed.min", "model.head.weight.quant", "model.head.weight.min"]
    np.testing.assert_array_equal(found["model.head.weight.quant"], np.arange(6))
    deep = tensor((6,), (1,))
    for _ in range(torch_archive.MAX_DEPTH):
        deep = dictionary(k=deep)
    assert list(read_archive(write_archive(tmp_path / "b.pt", deep))) == [".".join("k" * torch_archive.MAX_DEPTH)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"}q\x01(" + text("a") + b"h\x01u", "a: a dictionary that stands elsewhere too"),  # within itself
        (b"}(" + text("a") + b"}q\x01" + text("b") + b"h\x01u", "b: a dictionary that stands elsewhere too"),
        (
            dictionary(**{"a.b": dictionary(c=tensor((6,), (1,))), "a": dictionary(**{"b.c": tensor((6,), (1,))})}),
            "a.b.c: f",
        ),
        (dictionary(a=dictionary(**{"k" * 511: tensor((6,), (1,))})), "of more than 512 characters"),
    ],
)
def test_read_archive_refuses_dictionaries_that_multiply(tmp_path, body, message):
    refused(write_archive(tmp_path / "a.pt", body), "RC-CHECKPOINT-PICKLE", message)


# --- what is refused in the archive


def test_read_archive_refuses_tensors_that_expand_beyond_the_limit(tmp_path):
    body = dictionary(a=tensor((2**15, 2**15), (0, 0)))  # 4 GiB from one number
    refused(write_archive(tmp_path / "a.pt", body), "RC-CHECKPOINT-FILE", "take 4294967296 bytes")


def test_read_archive_refuses_many_tensors_that_expand_beyond_the_limit_together(tmp_path):
    body = dictionary(**{f"t{i}": tensor((2**14, 2**12), (0, 0)) for i in range(9)})  # 9 * 256 MiB
    refused(write_archive(tmp_path / "a.pt", body), "RC-CHECKPOINT-FILE", "the tensors take 2415919104 bytes")


def test_read_archive_refuses_absurd_dimensions_of_empty_tensors(tmp_path):
    path = write_archive(tmp_path / "a.pt", dictionary(a=tensor((0, 2**70), (1, 1))))
    refused(path, "RC-CHECKPOINT-FILE", "the tensors take")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"data/0": RECORD[:-1]}, "23 bytes, the tensor wants 24"),
        ({"data/0": RECORD + b"\0"}, "25 bytes, the tensor wants 24"),
        ({}, "archive/data/0 is missing"),
        ({"data/0": RECORD, "byteorder": b"big"}, "byte order is b'big'"),
        ({"data/0": RECORD, "byteorder": b"little" * 9}, "at most 16 bytes"),
        ({"data/0": RECORD, "/data.pkl": b""}, None),
    ],
)
def test_read_archive_refuses_wrong_records(tmp_path, records, message):
    path = write_archive(tmp_path / "a.pt", dictionary(a=tensor((6,), (1,))), records)
    if message is None:  # only <name>/data.pkl counts, archive//data.pkl is deeper
        assert read_archive(path)["a"].shape == (6,)
    else:
        refused(path, "RC-CHECKPOINT-FILE", message)


@pytest.mark.parametrize("names", [[], ["data.pkl"], ["a/b/data.pkl"], ["a/data.pkl", "b/data.pkl"]])
def test_read_archive_wants_one_pickle(tmp_path, names):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ["x", *names]:
            archive.writestr(name, program(dictionary(a=tensor((6,), (1,)))))
    refused(path, "RC-CHECKPOINT-FILE", "one record <name>/data.pkl")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"]", "holds a list"),
        (tensor((6,), (1,)), "holds a TensorView"),
        (dictionary(model=dictionary(a=b"N")), r"no tensors; its keys begin \['model'\]"),
        (dictionary(epoch=b"N", model=dictionary(a=tensor((6,), (1,)))), r"its keys begin \['epoch', 'model'\]"),
        (dictionary(**{"k" * 5000: b"N"}), "no tensors"),
    ],
)
def test_read_archive_wants_a_dictionary_of_tensors(tmp_path, body, message):
    refused(write_archive(tmp_path / "a.pt", body), "RC-CHECKPOINT-FILE", message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "legacy PyTorch pickle"),
        (b"", "neither"),
        (b"PK\x05\x06" + bytes(18), "neither"),
        (b"storages" + bytes(600), "neither"),
        (b"PK\x03\x04", "truncated or damaged zip"),
    ],
)
def test_read_archive_refuses_other_files(tmp_path, content, message):
    path = tmp_path / "a.pth.tar"
    path.write_bytes(content)
    refused(path, "RC-CHECKPOINT-FILE", message)


def test_read_archive_reports_missing_files(tmp_path):
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(FileError, match="RC-FILE-READ"):
            read_archive(path)


def directory_entry(content: bytes) -> int:
    return content.rindex(b"PK\x01\x02")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ((8, "<H"), 1, "damaged: .*encrypted"),
        ((10, "<H"), 99, "compression 99"),
        ((10, "<H"), zipfile.ZIP_LZMA, "compression 14"),
        ((24, "<I"), 3 << 30, "the records declare"),
        ((24, "<I"), 25, "damaged|declares 25"),
        ((42, "<I"), 1 << 30, "damaged"),
        ((16, "<I"), 12345, "CRC"),
    ],
)
def test_read_archive_refuses_damaged_directories(tmp_path, field, value, message):
    path = write_archive(tmp_path / "a.pt", dictionary(a=tensor((6,), (1,))), {"data/0": RECORD})
    content = bytearray(path.read_bytes())
    struct.pack_into(field[1], content, directory_entry(content) + field[0], value)
    path.write_bytes(content)
    refused(path, "RC-CHECKPOINT-FILE", message)


def test_read_archive_refuses_a_huge_pickle(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", program(b"N" * torch_archive.MAX_PICKLE))
    refused(path, "RC-CHECKPOINT-FILE", "at most 4194304 bytes")


# --- damage


def outcome(function: Callable[[Any], Any], argument: Any) -> tuple[Any, str | None]:
    """What `function` returns, or the code with which it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of duplicate names
        try:
            return function(argument), None
        except ModelError as error:
            return None, error.code


def flipped(content: bytes, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_read_archive_refuses_truncated_files(tmp_path):
    content, path = CHECKPOINT.read_bytes(), tmp_path / "a.pt"
    for length in [*range(0, len(content), 211), *range(len(content) - 100, len(content))]:
        path.write_bytes(content[:length])
        refused(path, "RC-CHECKPOINT-FILE")


def test_read_archive_never_returns_other_values_after_a_bit_flip(tmp_path):
    content, path, rng = VIEWS.read_bytes(), tmp_path / "a.pt", random.Random(1)
    wanted, refusals = read_archive(VIEWS), 0
    for _ in range(1500):
        bit = rng.randrange(8 * len(content))
        path.write_bytes(flipped(content, bit))
        found, code = outcome(read_archive, path)
        assert code == "RC-CHECKPOINT-FILE" if code else same(found, wanted), f"bit {bit}"
        refusals += code is not None
    assert refusals > 600  # the rest fell on padding, time stamps and records that are not read


def test_interpret_survives_bit_flips_in_the_pickle():
    with zipfile.ZipFile(CHECKPOINT) as archive:
        content = archive.read("hyperprior_n2_m3.pth/data.pkl")
    rng = random.Random(2)
    codes = [outcome(interpret, flipped(content, rng.randrange(8 * len(content))))[1] for _ in range(800)]
    assert set(codes) == {None, "RC-CHECKPOINT-PICKLE"}
    assert codes.count(None) < 600


def test_interpret_survives_random_programs():
    rng, alphabet = random.Random(3), b"}])(tus.aehq\x00\x01\x85\x86NK\x88RQb\x93\x94"
    programs = (bytes(rng.choices(alphabet, k=rng.randrange(1, 24))) for _ in range(20_000))
    assert {outcome(interpret, program)[1] for program in programs} == {None, "RC-CHECKPOINT-PICKLE"}
