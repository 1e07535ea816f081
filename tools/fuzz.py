"""Damaged streams and model files: `python tools/fuzz.py --count 100000`. Each must be refused with a code, or decode.

Damage is drawn from a seed and a number, so that one input can be made again: `python tools/fuzz.py --only 4711`. Half
of the inputs get their checksums and hashes made good again after the damage, which leads past the outer checks.
Worker processes are held to a time and to an address space, so a hang, a crash and a large allocation all show.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import resource
import signal
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import safetensors.numpy
from tqdm import tqdm

from refcodec.codecs.codec import Codec
from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.limits import load
from refcodec.codecs.inr.stream import read_layout
from refcodec.codecs.stream import header_size
from refcodec.errors import CODES, RefcodecError
from refcodec.program.model_file import canonical_json, model_from_bytes, model_to_bytes
from refcodec.vectorgen.family_streams import family_models, small_streams
from refcodec.vectorgen.video_streams import repaired as repaired_video
from refcodec.vectorgen.video_streams import samples

SECONDS = 20  # that one input may take
HEADROOM = 1 << 30  # bytes that a worker may ask for beyond what it starts with
CHUNK = 250
LARGEST_FRAME = 10_000_000  # multiplications; a legal network beyond is parsed, not run
EXTREMES = (0, 1, -1, 2, 63, 64, 65535, 65536, 2**31 - 1, -(2**31), 2**31, 2**47, 2**63 - 1, -(2**63), 2**64)
Draw = random.Random
Bytes = bytes


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of input: what it is called, good samples of it, how it is read, how it is repaired, its codes.

    changes  whether the repair changes the content by itself, so that it needs no damage first.
    """

    name: str
    samples: tuple[Bytes, ...]
    read: Callable[[Bytes], object]
    repair: Callable[[Bytes, Draw], Bytes]
    prefix: str
    changes: bool = False


# --- damage


def damaged(content: Bytes, draw: Draw) -> Bytes:
    """One to four kinds of damage after one another."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        content = draw.choice(DAMAGE)(content, draw)
    return content


def _flip_bits(content: Bytes, draw: Draw) -> Bytes:
    out = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 16)) if out else 0):
        out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    return bytes(out)


def _set_number(content: Bytes, draw: Draw) -> Bytes:
    size = draw.choice((1, 2, 4, 8))
    at = draw.randrange(max(1, min(len(content), draw.choice((64, len(content) + 1)))))
    value = draw.choice((*EXTREMES, len(content), draw.getrandbits(64))) % (1 << 8 * size)
    return content[:at] + value.to_bytes(size, "little") + content[at + size :]


def _cut(content: Bytes, draw: Draw) -> Bytes:
    return content[: draw.randrange(len(content) + 1)]


def _remove(content: Bytes, draw: Draw) -> Bytes:
    at, size = draw.randrange(len(content) + 1), draw.choice((1, 2, 4, 12, 100))
    return content[:at] + content[at + size :]


def _insert(content: Bytes, draw: Draw) -> Bytes:
    at, size = draw.randrange(len(content) + 1), draw.choice((1, 2, 4, 12, 100))
    return content[:at] + draw.choice((bytes(size), b"\xff" * size, draw.randbytes(size))) + content[at:]


def _repeat(content: Bytes, draw: Draw) -> Bytes:
    at, size = draw.randrange(len(content) + 1), draw.choice((4, 12, 64, 500))
    return content[: at + size] + content[at:]


DAMAGE = (_flip_bits, _flip_bits, _set_number, _set_number, _cut, _remove, _insert, _repeat)


# --- repair


def repaired_stream(content: Bytes, _: Draw) -> Bytes:
    """A `.rcb` stream with lengths and checksums of all sections made good, as far as it still has a header."""
    count = int.from_bytes(content[48:52], "little")
    size = header_size(count) if count <= 4 else 0
    if not size or len(content) < size:
        return content
    head, body = bytearray(content[:size]), content[size:]
    lengths = [int.from_bytes(head[56 + 12 * n : 60 + 12 * n], "little") for n in range(count)]
    lengths[-1:] = [max(0, len(body) - sum(lengths[:-1]))]
    at = 0
    for number, length in enumerate(lengths):
        payload = body[at : at + length]
        head[56 + 12 * number : 64 + 12 * number] = struct.pack("<II", length % 2**32, zlib.crc32(payload))
        at += length
    head[-4:] = struct.pack("<I", zlib.crc32(head[:-4]))
    return bytes(head) + body


def repaired_model(content: Bytes, draw: Draw) -> Bytes:
    """A model file whose identity is that of its content, after one more change that leaves it a safetensors file."""
    try:
        tensors = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        document = json.loads(header["__metadata__"]["refcodec"])
        _change_document(document, draw)
        _change_tensor(tensors, draw)
        document["identity"] = _identity(document, tensors)
        return safetensors.numpy.save(tensors, {"refcodec": canonical_json(document).decode()})
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        return content


def _identity(document: dict[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    described = {key: document[key] for key in ("schema", "family", "settings", "programs")}
    described["tensors"] = {
        name: {"dtype": str(t.dtype), "shape": list(t.shape), "sha256": hashlib.sha256(t.tobytes()).hexdigest()}
        for name, t in tensors.items()
        if not name.startswith("encoder/")
    }
    return hashlib.sha256(canonical_json(described)).hexdigest()


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a document with every key in it."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])


def _change_document(document: dict[str, Any], draw: Draw) -> None:
    if draw.random() < 0.3:
        return
    node, key = draw.choice(list(_places(document)))
    if draw.random() < 0.15:
        del node[key]
    elif type(node[key]) is int and draw.random() < 0.8:
        node[key] = draw.choice((*EXTREMES, node[key] + 1, node[key] - 1, 2 * node[key]))
    else:
        node[key] = draw.choice((None, True, "", "x", [], {}, -1, node[key]))


def _change_tensor(tensors: dict[str, np.ndarray], draw: Draw) -> None:
    name = draw.choice(sorted(tensors))
    array = tensors[name].copy()
    kind = draw.randrange(6)
    if kind == 0 and array.size and array.dtype.kind == "i":
        info = np.iinfo(array.dtype)
        array.flat[draw.randrange(array.size)] = draw.choice((info.min, info.max, 0, 1))
    elif kind == 1:
        array = array[: draw.randrange(len(array) + 1)] if array.ndim else array
    elif kind == 2:
        array = array.astype(draw.choice(("int8", "int64", "uint8", "float32")))
    elif kind == 3:
        array = array.reshape(-1)
    elif kind == 4:
        del tensors[name]
        return
    tensors[name] = np.ascontiguousarray(array)


# --- targets


@cache
def targets() -> tuple[Target, ...]:
    """Streams of every family, implicit videos, and model files."""
    found, models = [], []
    for name, model in family_models().items():
        codec = codec_of(model)
        streams = tuple(content for _, content in small_streams(codec).values())
        found.append(Target(name, streams, _decoder(codec), repaired_stream, "RC-STREAM-"))
        models.append(model_to_bytes(model))
    videos = tuple(sample.content for sample in samples().values())
    found.append(Target("implicit-video", videos, read_video, lambda content, _: repaired_video(content), "RC-STREAM-"))
    found += [Target("model", tuple(models), read_model, repaired_model, "RC-MODEL-", True)] * 3
    return tuple(found)


def _decoder(codec: Codec) -> Callable[[Bytes], object]:
    return codec.decode


def read_video(content: Bytes) -> object:
    """Parse a video, and decode its first frame if that is soon done."""
    if load(read_layout(content).architecture.nodes()).multiplications > LARGEST_FRAME:
        return InrVideo.from_bytes(content)
    return InrVideo.from_bytes(content).decode(0)


def read_model(content: Bytes) -> object:
    """Load a model and make its codec."""
    return codec_of(model_from_bytes(content))


def make(seed: int, number: int) -> tuple[Target, Bytes]:
    """The input of a number."""
    draw = random.Random(f"{seed}/{number}")
    target = targets()[number % len(targets())]
    content, repair = draw.choice(target.samples), draw.random() < 0.6
    if not (repair and target.changes):
        content = damaged(content, draw)
    return target, _repair(target, content, draw) if repair else content


def _repair(target: Target, content: Bytes, draw: Draw) -> Bytes:
    with contextlib.suppress(struct.error, IndexError):
        return target.repair(content, draw)
    return content


# --- judgement


def judge(target: Target, content: Bytes) -> str:
    """`decoded`, or the code of the refusal; anything else is a fault and begins with `FAULT`."""
    try:
        target.read(content)
    except RefcodecError as error:
        known = error.code in CODES and error.code.startswith(target.prefix)
        return error.code if known else f"FAULT {target.name}: {error}"
    except TimeoutError:
        return f"FAULT {target.name}: more than {SECONDS} seconds"
    except BaseException as error:  # noqa: BLE001  whatever escapes is what is looked for
        return f"FAULT {target.name}: {type(error).__name__}: {error}"
    return "decoded"


def _alarm(*_: object) -> None:
    raise TimeoutError


def _hold_to_limits() -> None:
    """Limit the address space to what this process has and some headroom."""
    for target in targets():
        judge(target, target.samples[0])  # compiles, so that compiling counts for nobody
    with open("/proc/self/statm") as pages:
        used = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + HEADROOM, used + HEADROOM))
    signal.signal(signal.SIGALRM, _alarm)


def run_chunk(seed: int, first: int, count: int) -> tuple[Counter[str], list[str]]:
    """Outcomes of a range of numbers, and a line for each fault."""
    outcomes: Counter[str] = Counter()
    faults = []
    for number in range(first, first + count):
        target, content = make(seed, number)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        outcome = judge(target, content)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if outcome.startswith("FAULT"):
            faults.append(f"{number}: {outcome}")
        outcomes["fault" if outcome.startswith("FAULT") else outcome] += 1
    return outcomes, faults


def fuzz(seed: int, count: int, jobs: int) -> tuple[Counter[str], list[str]]:
    """Outcomes of the first `count` numbers of a seed, and a line for each fault."""
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_hold_to_limits) as pool:
        chunks = [(first, min(CHUNK, count - first)) for first in range(0, count, CHUNK)]
        running = [(first, pool.submit(run_chunk, seed, first, size)) for first, size in chunks]
        for first, future in tqdm(running, unit="chunk", disable=None, leave=False):
            try:
                counted, found = future.result()
            except BrokenProcessPool:
                return outcomes, [*faults, f"a process died in the chunk that begins with {first}"]
            outcomes += counted
            faults += found
    return outcomes, faults


def main() -> int:
    """Print the outcomes; 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="inputs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", type=int, help="one number, in this process")
    args = parser.parse_args()
    if args.only is not None:
        target, content = make(args.seed, args.only)
        print(f"{target.name}: {len(content)} bytes: {judge(target, content)}")
        target.read(content)
        return 0
    outcomes, faults = fuzz(args.seed, args.count, args.jobs)
    for name, number in sorted(outcomes.items()):
        print(f"{number:8}  {name}")
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
