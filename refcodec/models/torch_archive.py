"""PyTorch zip checkpoints, read without executing their pickle.

Since PyTorch 1.6 a checkpoint is a zip archive. `<prefix>/data.pkl` is a pickle that describes the tensors, and
`<prefix>/data/<key>` are the storages they view. A pickle is a program; this module never runs it. It reads the list of
opcodes and follows them on symbols: a global is only a name, and the only calls understood are those that say "a view
of this storage" and "an empty ordered dictionary".
"""

from __future__ import annotations

import math
import pickletools
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refcodec.errors import FileError, ModelError

MAX_TOTAL = 2 << 30  # bytes: declared by all records together, and taken by all tensors together
MAX_PICKLE = 4 << 20  # bytes: a state dictionary takes about 150 a tensor; an opcode costs at most about 100 bytes
MAX_RANK = 32
MAX_DEPTH = 4  # of dictionaries within dictionaries
MAX_NAME = 512  # characters of the keys that lead to a tensor

ZIP_START = b"PK\x03\x04"
ZIP_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises on malformed archives; RuntimeError covers encryption and NotImplementedError.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)

# storage class -> the dtype of its record; bfloat16 has no NumPy dtype and is read as its 16 bits
STORAGES: dict[str, np.dtype] = {
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.BFloat16Storage": np.dtype("<u2"),
    "torch.CharStorage": np.dtype("i1"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("u1"),
}


@dataclass(frozen=True, slots=True)
class Global:
    """A dotted name the pickle refers to; it is never looked up."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A record of `numel` numbers of storage class `kind`, called `key` in the archive."""

    kind: str
    key: str
    numel: int

    def __post_init__(self) -> None:
        if self.kind not in STORAGES:
            raise _refusal(f"storage class {self.kind!r:.120} is not one of {', '.join(sorted(STORAGES))}")
        if type(self.key) is not str or not _is_count(self.numel):
            raise _refusal("a storage reference needs a text key and a non-negative length")

    @property
    def nbytes(self) -> int:
        """The length of the record in bytes."""
        return self.numel * STORAGES[self.kind].itemsize


@dataclass(frozen=True, slots=True)
class TensorView:
    """A tensor: element (i0, i1, ...) is storage number offset + i0*strides[0] + i1*strides[1] + ..."""

    storage: Storage
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        for numbers in (self.sizes, self.strides):
            if type(numbers) is not tuple or len(numbers) > MAX_RANK or not all(map(_is_count, numbers)):
                raise _refusal("a tensor's sizes and strides must be tuples of non-negative integers")
        if not isinstance(self.storage, Storage) or not _is_count(self.offset) or len(self.sizes) != len(self.strides):
            raise _refusal("a tensor needs a storage, an offset, and as many strides as sizes")
        if self.last >= self.storage.numel:
            raise _refusal(f"a tensor reaches element {self.last} of a storage of {self.storage.numel}")

    @property
    def last(self) -> int:
        """The largest storage index used, -1 for an empty tensor."""
        if 0 in self.sizes:
            return -1
        return self.offset + sum((size - 1) * stride for size, stride in zip(self.sizes, self.strides, strict=True))

    @property
    def nbytes(self) -> int:
        """Bytes the array will take at most; zero sizes count as one, so that no dimension can be absurd."""
        itemsize = 4 if self.storage.kind == "torch.BFloat16Storage" else STORAGES[self.storage.kind].itemsize
        return itemsize * math.prod(max(size, 1) for size in self.sizes)


def _is_count(number: object) -> bool:
    return type(number) is int and number >= 0


def _refusal(message: str) -> ModelError:
    return ModelError("RC-CHECKPOINT-PICKLE", message)


def _unreadable(message: str) -> ModelError:
    return ModelError("RC-CHECKPOINT-FILE", message)


# --- the pickle, symbolically


class _Machine:
    """The stack, the stacks below each mark, and the memo of a pickle program."""

    __slots__ = ("below", "memo", "stack")

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def push(self, symbol: Any) -> None:
        self.stack.append(symbol)

    def pop(self) -> Any:
        if not self.stack:
            raise _refusal("the pickle takes from an empty stack")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise _refusal(f"the pickle fills something that is not a {kind.__name__}")
        return self.stack[-1]

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list[Any]:
        if not self.below:
            raise _refusal("the pickle returns to a mark it did not set")
        items, self.stack = self.stack, self.below.pop()
        return items


def _set_items(machine: _Machine, items: list[Any]) -> None:
    target = machine.top(dict)
    if len(items) % 2:
        raise _refusal("the pickle sets a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # hashing a deeply nested tuple would exhaust the C stack, so only plain keys are hashed
        if type(key) not in (str, int, float, bool, type(None)):
            raise _refusal(f"a dictionary key is a {type(key).__name__}")
        target[key] = value


def _append(machine: _Machine, items: list[Any]) -> None:
    machine.top(list).extend(items)


def _pop_many(machine: _Machine, count: int) -> list[Any]:
    return [machine.pop() for _ in range(count)][::-1]


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(tuple(_pop_many(machine, count)))


def _constant(symbol: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(symbol)


def _empty(kind: Callable[[], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(kind())


def _argument(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


def _nothing(machine: _Machine, argument: Any) -> None:
    del machine, argument


def _memoise(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo) if argument is None else argument] = machine.top(object)


def _recall(machine: _Machine, argument: Any) -> None:
    if argument not in machine.memo:
        raise _refusal(f"the pickle recalls memo {argument}, which it never stored")
    machine.push(machine.memo[argument])


def _global(machine: _Machine, argument: Any) -> None:
    machine.push(Global(argument.replace(" ", ".", 1)))


def _stack_global(machine: _Machine, argument: Any) -> None:
    del argument
    module, name = _pop_many(machine, 2)
    if type(module) is not str or type(name) is not str:
        raise _refusal("STACK_GLOBAL without two texts")
    machine.push(Global(f"{module}.{name}"))


def _storage(machine: _Machine, argument: Any) -> None:
    del argument
    match machine.pop():
        case ("storage", Global(kind), key, str(), numel):
            machine.push(Storage(kind, key, numel))
        case _:
            raise _refusal("BINPERSID refers to something that is not a storage")


def _reduce(machine: _Machine, argument: Any) -> None:
    del argument
    function, arguments = _pop_many(machine, 2)
    match function, arguments:
        case Global("collections.OrderedDict"), ():
            machine.push(OrderedDict())
        case Global("torch._utils._rebuild_tensor_v2"), (storage, offset, sizes, strides, *_):
            machine.push(TensorView(storage, offset, sizes, strides))
        case Global("torch._utils._rebuild_parameter"), (TensorView() as tensor, *_):
            machine.push(tensor)
        case Global(name), _:
            raise _refusal(f"REDUCE calls {name!r:.120}; nothing but tensors and ordered dictionaries is built")
        case _:
            raise _refusal("REDUCE calls something that is not a global")


def _build(machine: _Machine, argument: Any) -> None:
    del argument
    machine.pop()  # the attributes: a module's `_metadata`, which holds layer versions only
    if not machine.stack or not isinstance(machine.stack[-1], OrderedDict):
        raise _refusal("BUILD sets attributes of something that is not an OrderedDict")


_OPCODES: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), _nothing),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"), _argument),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_DICT": _empty(dict),
    "EMPTY_LIST": _empty(list),
    "EMPTY_TUPLE": _constant(()),
    "MARK": lambda machine, _: machine.mark(),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "SETITEM": lambda machine, _: _set_items(machine, _pop_many(machine, 2)),
    "SETITEMS": lambda machine, _: _set_items(machine, machine.pop_to_mark()),
    "APPEND": lambda machine, _: _append(machine, [machine.pop()]),
    "APPENDS": lambda machine, _: _append(machine, machine.pop_to_mark()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _memoise),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _recall),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "BINPERSID": _storage,
    "REDUCE": _reduce,
    "BUILD": _build,
}


def _opcodes(pickle: bytes) -> Iterator[tuple[str, Any, int]]:
    try:
        for opcode, argument, position in pickletools.genops(pickle):
            yield opcode.name, argument, position or 0
    except ValueError as error:  # genops reports every malformation so, a missing STOP included
        raise _refusal(f"data.pkl is malformed: {error}") from error


def interpret(pickle: bytes) -> object:
    """The object a pickle describes, with tensors as TensorView and every other global as a bare name.

    pickle  the bytes of `data.pkl`.  No code of the pickle is run and nothing is imported.
    Returns dictionaries, lists, tuples, numbers, texts, TensorView, Storage and Global.
    Raises ModelError RC-CHECKPOINT-PICKLE naming the opcode or global that is not understood.
    """
    machine = _Machine()
    for name, argument, position in _opcodes(pickle):
        if name == "STOP":
            return machine.pop()
        if name not in _OPCODES:
            raise _refusal(f"opcode {name} at byte {position} of data.pkl is not needed to describe tensors")
        _OPCODES[name](machine, argument)
    raise _refusal("data.pkl has no STOP")


def _nested(root: dict[Any, Any]) -> dict[str, TensorView]:
    """The tensors in dictionaries within dictionaries, each named by the keys on the way to it, joined with dots."""
    tensors: dict[str, TensorView] = {}
    owners, seen = [("", root)], {id(root)}
    for _ in range(MAX_DEPTH):
        entries = [
            (prefix + key, value) for prefix, owner in owners for key, value in owner.items() if type(key) is str
        ]
        owners = []
        for name, value in entries:
            if len(name) > MAX_NAME or name in tensors:
                raise _refusal(f"{name:.120}: found twice, or of more than {MAX_NAME} characters")
            if isinstance(value, TensorView):
                tensors[name] = value
            elif isinstance(value, dict):
                if id(value) in seen:  # within itself it would have no end, and elsewhere it could multiply
                    raise _refusal(f"{name:.120}: a dictionary that stands elsewhere too")
                seen.add(id(value))
                owners.append((f"{name}.", value))
    return tensors


def _state_dict(root: object) -> dict[str, TensorView]:
    """The tensors of a state dictionary, of the one under `state_dict` in a training checkpoint, or of nested ones."""
    if isinstance(root, dict) and isinstance(root.get("state_dict"), dict):
        root = root["state_dict"]
    if not isinstance(root, dict):
        raise _unreadable(f"the checkpoint holds a {type(root).__name__}, not a dictionary of tensors")
    tensors = {name: value for name, value in root.items() if isinstance(value, TensorView) and type(name) is str}
    if not tensors and all(isinstance(value, dict) for value in root.values()):
        tensors = _nested(root)
    if not tensors:
        raise _unreadable(f"the checkpoint's dictionary holds no tensors; its keys begin {list(root)[:8]!s:.200}")
    return tensors


# --- the archive


def read_start(path: Path, count: int) -> bytes:
    """The first `count` bytes of a file, fewer where it is shorter.  Raises FileError RC-FILE-READ."""
    try:
        with path.open("rb") as stream:
            return stream.read(count)
    except OSError as error:
        raise FileError("RC-FILE-READ", f"{path}: {error.strerror}") from error


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a readable file as a zip archive whose records declare at most MAX_TOTAL bytes together.

    Raises ModelError RC-CHECKPOINT-FILE.
    """
    try:
        archive = zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        raise _unreadable(f"{path}: a truncated or damaged zip archive ({error})") from error
    total = sum(record.file_size for record in archive.infolist())
    if total > MAX_TOTAL:
        archive.close()
        raise _unreadable(f"{path}: the records declare {total} bytes, more than {MAX_TOTAL}")
    return archive


def read_record(archive: zipfile.ZipFile, name: str, limit: int = MAX_TOTAL) -> bytes:
    """The bytes of one record, its CRC-32 verified.

    limit  the most bytes the record may declare.
    Raises ModelError RC-CHECKPOINT-FILE: absent, too long, damaged, encrypted, or of an unknown compression.
    """
    record = archive.NameToInfo.get(name)
    if record is None:
        raise _unreadable(f"record {name} is missing")
    if record.file_size > limit or record.compress_type not in ZIP_COMPRESSIONS:
        raise _unreadable(
            f"record {name}: {record.file_size} bytes of compression {record.compress_type}, "
            f"at most {limit} bytes, stored or deflated, are read"
        )
    try:
        content = archive.read(record)
    except ZIP_ERRORS as error:
        raise _unreadable(f"record {name} is damaged: {error}") from error
    if len(content) != record.file_size:
        raise _unreadable(f"record {name} holds {len(content)} bytes and declares {record.file_size}")
    return content


def _prefix(archive: zipfile.ZipFile) -> str:
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise _unreadable(f"a PyTorch checkpoint has one record <name>/data.pkl, this archive has {len(pickles)}")
    return pickles[0].removesuffix("data.pkl")


def _check_byte_order(archive: zipfile.ZipFile, prefix: str) -> None:
    if prefix + "byteorder" not in archive.NameToInfo:  # written since PyTorch 2.1; before, files were little-endian
        return
    order = read_record(archive, prefix + "byteorder", limit=16)
    if order != b"little":
        raise _unreadable(f"the checkpoint's byte order is {order!r}, only b'little' is read")


def _array(tensor: TensorView, record: bytes) -> np.ndarray:
    """The tensor as a new C-ordered array in native byte order; bfloat16 becomes float32, which holds it exactly."""
    dtype = STORAGES[tensor.storage.kind]
    if tensor.last < 0:
        strided = np.empty(tensor.sizes, dtype)
    else:
        numbers = np.frombuffer(record, dtype)[tensor.offset :]
        # the stride of a single element is never taken and may be any number
        steps = zip(tensor.sizes, tensor.strides, strict=True)
        strides = [stride * dtype.itemsize if size > 1 else 0 for size, stride in steps]
        strided = np.lib.stride_tricks.as_strided(numbers, tensor.sizes, strides, writeable=False)
    match tensor.storage.kind:
        case "torch.BFloat16Storage":
            return np.asarray(np.left_shift(strided, 16, dtype=np.uint32)).view(np.float32)
        case "torch.BoolStorage":
            return np.asarray(strided != 0)
        case _:
            return np.array(strided, dtype.newbyteorder("="), order="C")


def _arrays(archive: zipfile.ZipFile, prefix: str, tensors: dict[str, TensorView]) -> dict[str, np.ndarray]:
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total > MAX_TOTAL:
        raise _unreadable(f"the tensors take {total} bytes, more than {MAX_TOTAL}")
    users: dict[str, list[str]] = {}
    for name, tensor in tensors.items():
        users.setdefault(tensor.storage.key, []).append(name)
    arrays: dict[str, np.ndarray] = {}
    for key, names in users.items():  # one storage in memory at a time
        record = read_record(archive, f"{prefix}data/{key}")
        for name in names:
            storage = tensors[name].storage
            if len(record) != storage.nbytes:
                raise _unreadable(f"{name}: storage {key} has {len(record)} bytes, the tensor wants {storage.nbytes}")
            arrays[name] = _array(tensors[name], record)
    return {name: arrays[name] for name in tensors}


def _check_kind(path: Path) -> None:
    start = read_start(path, len(ZIP_START))
    if start.startswith(b"\x80"):
        raise _unreadable(f"{path}: a legacy PyTorch pickle; save it again with PyTorch 1.6 or newer (zip format)")
    if start != ZIP_START:
        raise _unreadable(f"{path}: neither a PyTorch zip checkpoint nor any other known checkpoint")


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch zip checkpoint, by name, in the order of its state dictionary.

    path  a state dictionary, a training checkpoint with one under `state_dict`, or dictionaries of dictionaries, whose
          tensors get the joined keys as their names; written by `torch.save`.
    Returns new C-ordered arrays of the stored shape and dtype (bfloat16 as float32, exactly).
    Raises FileError RC-FILE-READ; ModelError RC-CHECKPOINT-FILE for a damaged, legacy, big-endian or oversized file,
    RC-CHECKPOINT-PICKLE for a pickle that asks for more than tensors. No code of the file is executed.
    """
    _check_kind(path)
    with open_zip(path) as archive:
        prefix = _prefix(archive)
        _check_byte_order(archive, prefix)
        tensors = _state_dict(interpret(read_record(archive, prefix + "data.pkl", MAX_PICKLE)))
        return _arrays(archive, prefix, tensors)
