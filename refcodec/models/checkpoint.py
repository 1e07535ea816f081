"""Trained float weights from PyTorch, NumPy and safetensors files, under CompressAI's present names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from refcodec.errors import ModelError
from refcodec.files import write_bytes
from refcodec.models.torch_archive import ZIP_ERRORS, ZIP_START, open_zip, read_archive, read_start

# Older CompressAI held the factorised density as separate attributes; now they are parameter lists.
_OLD_NAME = re.compile(r"(?P<owner>(?:.*\.)?entropy_bottleneck)\._(?P<kind>matrix|bias|factor)(?P<index>\d+)")
_PRESENT_KIND = {"matrix": "matrices", "bias": "biases", "factor": "factors"}
# Some of its versions hold networks and density of a checkerboard's hyperprior apart, others as one latent codec.
_OLD_HYPER = re.compile(r"latent_codec\.(?:(?P<net>h_[as])|z\.(?P<density>entropy_bottleneck))\.(?P<rest>.+)")

NPY_START = b"\x93NUMPY"
_SAFETENSORS_LENGTH = 8  # bytes of the little-endian length before a safetensors header, which starts with a brace


def _unreadable(message: str) -> ModelError:
    return ModelError("RC-CHECKPOINT-FILE", message)


# --- the formats


def _read_npy(open_file: Callable[[], IO[bytes]], length: int) -> np.ndarray:
    """One array; its header must agree with the length of its file before anything is allocated."""
    with open_file() as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        wanted = stream.tell() + math.prod(shape) * dtype.itemsize
    if wanted != length:
        raise ValueError(f"{dtype} {shape} in a record of {length} bytes")
    with open_file() as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    arrays = {}
    with open_zip(path) as archive:
        for record in archive.infolist():
            try:
                array = _read_npy(partial(archive.open, record), record.file_size)
                arrays[record.filename.removesuffix(".npy")] = array
            except ZIP_ERRORS as error:
                raise _unreadable(f"{path}: record {record.filename}: {error}") from error
    return arrays


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as archive:
            arrays = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError) as error:
        raise _unreadable(f"{path}: {error}") from error
    for name, array in arrays.items():
        if array.dtype.isbuiltin != 1:  # other packages teach NumPy more dtypes; what is read must not depend on them
            raise _unreadable(f"{path}: {name} holds {array.dtype}, which NumPy lacks")
    return arrays


def _is_safetensors(path: Path) -> bool:
    return read_start(path, _SAFETENSORS_LENGTH + 1)[_SAFETENSORS_LENGTH:] == b"{"


def _reader(path: Path) -> Callable[[Path], dict[str, np.ndarray]]:
    """The reader for what the file contains, whatever it is called."""
    if _is_safetensors(path):
        return _read_safetensors
    if read_start(path, len(ZIP_START)) == ZIP_START:
        with open_zip(path) as archive:
            if all(name.endswith(".npy") for name in archive.namelist()):
                return _read_npz
    return read_archive


# --- the names


def _strip_wrapper(parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the `module.` that torch.nn.DataParallel puts before every name."""
    if not all(name.startswith("module.") for name in parameters):
        return parameters
    return {name.removeprefix("module."): array for name, array in parameters.items()}


def _present_name(name: str) -> str:
    hyper = _OLD_HYPER.fullmatch(name)
    if hyper is not None:
        name = f"latent_codec.hyper.{hyper['net'] or hyper['density']}.{hyper['rest']}"
    old = _OLD_NAME.fullmatch(name)
    return name if old is None else f"{old['owner']}.{_PRESENT_KIND[old['kind']]}.{old['index']}"


def _rename(parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    renamed: dict[str, np.ndarray] = {}
    for name, array in parameters.items():
        present = _present_name(name)
        if present in renamed:
            raise ModelError("RC-CHECKPOINT-PARAMETER", f"{present}: wanted once, found again as {name}")
        renamed[present] = array
    return renamed


# --- the contract


def load_parameters(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint under CompressAI's present parameter names.

    path  PyTorch zip checkpoint (a state dictionary, or one under `state_dict`), `.npz` or `.safetensors`, told apart
          by content. No pickle is executed.
    Returns arrays of the stored shapes and dtypes (bfloat16 of PyTorch as float32); a `module.` common to all names
    is removed and CompressAI's old names of entropy bottlenecks and checkerboard hyperpriors are replaced.
    Raises FileError RC-FILE-READ; ModelError RC-CHECKPOINT-FILE, RC-CHECKPOINT-PICKLE, RC-CHECKPOINT-PARAMETER (a name
    found twice).
    """
    path = Path(path)
    parameters = _reader(path)(path)
    if not parameters:
        raise _unreadable(f"{path}: holds no arrays")
    return _rename(_strip_wrapper(parameters))


def load_array(path: Path | str, name: str) -> np.ndarray:
    """One array, of the stored shape and dtype.

    path  an `.npy` file, or a checkpoint with that array or no other, told apart by content;  name  of the array.
    Raises FileError RC-FILE-READ; ModelError RC-CHECKPOINT-FILE, -PICKLE, RC-CHECKPOINT-PARAMETER.
    """
    path = Path(path)
    if read_start(path, len(NPY_START)) == NPY_START:
        try:
            return _read_npy(lambda: path.open("rb"), path.stat().st_size)
        except (OSError, ValueError, EOFError) as error:
            raise _unreadable(f"{path}: {error}") from error
    arrays = load_parameters(path)
    if name not in arrays and len(arrays) > 1:
        raise ModelError("RC-CHECKPOINT-PARAMETER", f"{path}: wanted {name}, found {len(arrays)} others")
    return arrays[name] if name in arrays else next(iter(arrays.values()))


def read_metadata(path: Path | str) -> dict[str, str]:
    """The texts beside the arrays of a safetensors file; empty for the other formats, which have none.

    Raises FileError RC-FILE-READ, ModelError RC-CHECKPOINT-FILE.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not _is_safetensors(path):
        return {}
    try:
        with safe_open(path, framework="np") as archive:
            return dict(sorted((archive.metadata() or {}).items()))
    except (SafetensorError, OSError) as error:
        raise _unreadable(f"{path}: {error}") from error


def _safetensors_bytes(parameters: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file; equal input gives equal bytes (the library writes metadata in random order)."""
    from safetensors.numpy import save

    # the library takes memory as it lies: without the copy a transposed view would be stored scrambled
    content = save({name: np.asarray(array, order="C") for name, array in parameters.items()})
    end = _SAFETENSORS_LENGTH + int.from_bytes(content[:_SAFETENSORS_LENGTH], "little")
    fields = {"__metadata__": dict(sorted(metadata.items()))} | json.loads(content[_SAFETENSORS_LENGTH:end])
    header = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % _SAFETENSORS_LENGTH)  # the arrays stay aligned to 8 bytes
    return len(header).to_bytes(_SAFETENSORS_LENGTH, "little") + header + content[end:]


def save_parameters(path: Path | str, parameters: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file whole or not at all; equal input gives equal bytes.

    parameters  arrays by name, of any dtype safetensors has;  metadata  texts by name.
    Raises FileError RC-FILE-WRITE, ModelError RC-MODEL-SCHEMA for metadata that are not text.
    """
    if not all(isinstance(text, str) for item in metadata.items() for text in item):
        raise ModelError("RC-MODEL-SCHEMA", "metadata names and values must be text")
    write_bytes(path, _safetensors_bytes(parameters, metadata))
