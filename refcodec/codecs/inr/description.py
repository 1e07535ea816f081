"""Architectures as lists of numbers, and back (SPEC RCV-4, RCV-5)."""

from __future__ import annotations

from collections.abc import Iterator

from refcodec.codecs.inr.architecture import Architecture, Block, Hierarchical, Levels, Shuffled, Stage
from refcodec.codecs.inr.limits import FORMS, HEADS, MAX_INCREMENTS, MAX_LIST, check_architecture
from refcodec.codecs.inr.numbers import NumberReader
from refcodec.errors import RangeError, StreamError

KINDS: tuple[type[Architecture], ...] = (Shuffled, Hierarchical)
FLAGS = (False, True)


def describe(architecture: Architecture) -> Iterator[int]:
    """The numbers of an architecture, in the order of a stream (SPEC RCV-4, RCV-5)."""
    yield KINDS.index(type(architecture))
    yield from (architecture.frames, architecture.width, architecture.height, *architecture.base)
    yield from _describe_levels(architecture.grids)
    yield HEADS.index(architecture.head)
    if isinstance(architecture, Shuffled):
        yield from _describe_shuffled(architecture)
    else:
        yield from _describe_hierarchical(architecture)


def _describe_levels(levels: tuple[Levels, ...]) -> Iterator[int]:
    yield len(levels)
    for level in levels:
        yield from level


def _describe_shuffled(architecture: Shuffled) -> Iterator[int]:
    yield from (architecture.centred, len(architecture.increments), *architecture.increments, architecture.interleaved)
    yield len(architecture.stem)
    for width, activated in zip(architecture.stem, architecture.stem_activations, strict=True):
        yield from (width, activated)
    yield len(architecture.blocks)
    for block in architecture.blocks:
        yield from block
    yield from (FORMS.index(architecture.activation), architecture.head_kernel)


def _describe_hierarchical(architecture: Hierarchical) -> Iterator[int]:
    yield from (architecture.channels, architecture.stem_kernel, architecture.normed, architecture.kernel)
    yield len(architecture.stages)
    for stage in architecture.stages:
        yield from (stage.factor, stage.channels, stage.depth, stage.hidden)
        yield from _describe_levels(stage.grid)


def read_architecture(reader: NumberReader) -> Architecture:
    """The architecture that the next numbers describe, checked (SPEC RCV-4, INR-10).

    Raises StreamError RC-STREAM-LIMIT, RC-STREAM-TRUNCATED.
    """
    start = reader.position
    read = _read_shuffled if reader.take_one_of(KINDS, "the kind of network") is Shuffled else _read_hierarchical
    architecture = read(reader)
    try:
        check_architecture(architecture)
    except RangeError as error:
        raise StreamError("RC-STREAM-LIMIT", error.message, start) from error
    return architecture


def _count(reader: NumberReader, name: str, most: int = MAX_LIST) -> range:
    return range(reader.take_between(0, most, name))


def _read_levels(reader: NumberReader, name: str) -> tuple[Levels, ...]:
    return tuple(Levels(reader.take(), reader.take()) for _ in _count(reader, f"levels of {name}"))


def _read_shuffled(reader: NumberReader) -> Shuffled:
    frames, width, height, rows, columns = (reader.take() for _ in range(5))
    grids, head = _read_levels(reader, "the grids"), reader.take_one_of(HEADS, "the head")
    centred = reader.take_one_of(FLAGS, "whether grids are centred")
    increments = tuple(reader.take() for _ in _count(reader, "the number of increments", MAX_INCREMENTS))
    interleaved = reader.take_one_of(FLAGS, "whether the encoding is interleaved")
    stem = [
        (reader.take(), reader.take_one_of(FLAGS, "whether an activation follows"))
        for _ in _count(reader, "layers of the stem")
    ]
    blocks = tuple(Block(reader.take(), reader.take(), reader.take()) for _ in _count(reader, "blocks"))
    activation, head_kernel = reader.take_one_of(FORMS, "the activation"), reader.take()
    return Shuffled(
        frames, height, width, (rows, columns), grids, centred, increments, interleaved,
        tuple(width for width, _ in stem), tuple(activated for _, activated in stem),
        blocks, activation, head_kernel, head,
    )  # fmt: skip


def _read_hierarchical(reader: NumberReader) -> Hierarchical:
    frames, width, height, rows, columns = (reader.take() for _ in range(5))
    grids, head = _read_levels(reader, "the grids"), reader.take_one_of(HEADS, "the head")
    channels, stem_kernel = reader.take(), reader.take()
    normed, kernel = reader.take_one_of(FLAGS, "whether enlargements are normed"), reader.take()
    stages = tuple(_read_stage(reader) for _ in _count(reader, "stages"))
    return Hierarchical(
        frames, height, width, (rows, columns), grids, channels, stem_kernel, normed, kernel, stages, head
    )


def _read_stage(reader: NumberReader) -> Stage:
    factor, channels, depth, hidden = (reader.take() for _ in range(4))
    return Stage(factor, channels, _read_levels(reader, "a local grid"), depth, hidden)
