"""Model files: the smallest of every family, and one for every way in which a file is refused (SPEC VEC-2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import safetensors.numpy

from refcodec.codecs.picture import PIXEL_FORMAT
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format
from refcodec.layers.scale_index import INDEX_FORMAT, THRESHOLDS
from refcodec.program.model_file import Model, canonical_json, model_to_bytes
from refcodec.program.operations import AnyOperation, Concatenate, Linear, Nearest, Pad, Requantise, ScaleIndex, Tensor
from refcodec.program.program import Program
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.draw import ramp
from refcodec.vectorgen.evaluate import Engine, evaluate
from refcodec.vectorgen.values import Values

BYTE = IntFormat(8, False)
S8 = IntFormat(8, True)
OPERATION, FRACTION, CHANNELS = "model", 8, 3
SCHEMA, TENSOR, TABLE = "RC-MODEL-SCHEMA", "RC-MODEL-TENSOR", "RC-MODEL-TABLE"
Document = dict[str, Any]
Arrays = dict[str, np.ndarray]

# --- the smallest models


def _program(name: str, inputs: Sequence[Tensor], *steps: tuple[AnyOperation, int, IntFormat]) -> Program:
    """A program of operations, each with the channels and the format of its target."""
    targets = [Tensor(op.target, channels, fmt) for op, channels, fmt in steps]
    return Program(name, (*inputs, *targets), tuple(op for op, _, _ in steps))


def _scaled(source: str, target: str, channels: int, shift: int = 1) -> Requantise:
    return Requantise(target, source, target, np.arange(1, channels + 1), np.full(channels, shift))


def _indexed(source: str, channels: int) -> ScaleIndex:
    return ScaleIndex("indexes", source, "indexes", np.arange(channels * THRESHOLDS).reshape(channels, THRESHOLDS))


def _tables(**rows: int) -> Arrays:
    """Tables of one regular symbol each."""
    found: Arrays = {}
    for name, count in rows.items():
        found[f"{name}/values"] = np.array([0, 60000, 65536] * count)
        found[f"{name}/starts"] = np.arange(count + 1) * 3
        found[f"{name}/offsets"] = np.zeros(count, np.int64)
    return found


def _g_s(source: Tensor, *before: tuple[AnyOperation, int, IntFormat]) -> Program:
    last = before[-1][0].target if before else source.name
    return _program("g_s", [source], *before, (_scaled(last, "x", 3, 9), 3, PIXEL_FORMAT))


def _symbols(name: str, channels: int = CHANNELS) -> Tensor:
    return Tensor(name, channels, SYMBOL_FORMAT)


Y_HAT = Tensor("y_hat", CHANNELS, latent_format(FRACTION))


def _large(source: Tensor) -> tuple[AnyOperation, int, IntFormat]:
    """Blocks of 64 x 64 samples: the fewer there are in the largest picture, the sooner a model is checked."""
    return Nearest("large", source.name, "large", 64, 64), CHANNELS, source.format


def smallest() -> Model:
    """Symbols that are scaled to samples."""
    return Model("factorised", {}, {"g_s": _g_s(_symbols("y"))}, _tables(y=CHANNELS))


def factorised() -> Model:
    """Symbols that are repeated and scaled to samples."""
    return replace(smallest(), programs={"g_s": _g_s(_symbols("y"), _large(_symbols("y")))})


def scale_hyperprior() -> Model:
    """Indexes and samples that are repeated."""
    wide = Nearest("wide", "z", "wide", 4, 4)
    steps = (wide, CHANNELS, SYMBOL_FORMAT), (_indexed("wide", CHANNELS), CHANNELS, INDEX_FORMAT)
    h_s = _program("h_s", [_symbols("z")], *steps)
    g_s = _g_s(_symbols("y"), (Nearest("large", "y", "large", 16, 16), CHANNELS, SYMBOL_FORMAT))
    return Model("scale-hyperprior", {}, {"h_s": h_s, "g_s": g_s}, _tables(z=CHANNELS, y=THRESHOLDS + 1))


def _parameters(
    name: str, inputs: Sequence[Tensor], source: str, *before: tuple[AnyOperation, int, IntFormat]
) -> Program:
    """Indexes and means from one tensor."""
    indexes = _indexed(source, CHANNELS), CHANNELS, INDEX_FORMAT
    means = _scaled(source, "means", CHANNELS), CHANNELS, SYMBOL_FORMAT
    return _program(name, inputs, *before, indexes, means)


def mean_scale_hyperprior() -> Model:
    """Indexes and means straight from z."""
    programs = {"h_s": _parameters("h_s", [_symbols("z")], "z"), "g_s": _g_s(Y_HAT, _large(Y_HAT))}
    settings = {"mean_fraction": FRACTION}
    return Model("mean-scale-hyperprior", settings, programs, _tables(z=CHANNELS, y=THRESHOLDS + 1))


def entropy_parameters() -> Model:
    """The same without g_s."""
    wide = Nearest("large", "z", "large", 64, 64), CHANNELS, SYMBOL_FORMAT
    programs = {"h_s": _parameters("h_s", [_symbols("z")], "large", wide)}
    return Model("entropy-parameters", {"mean_fraction": FRACTION}, programs, _tables(z=CHANNELS, y=THRESHOLDS + 1))


def _joined(order: tuple[str, str] = ("context", "side")) -> Program:
    context, side = Tensor("context", 2, S8), Tensor("side", 1, S8)
    join = Concatenate("join", order, "join"), CHANNELS, S8
    return _parameters("entropy_parameters", [context, side], "join", join)


def _with_context(family: str, settings: Mapping[str, int]) -> Model:
    weigh = Linear("sum", "small", "sum", S8, ramp((2, CHANNELS)), np.zeros(2, np.int64))
    small = _scaled("y_hat", "small", CHANNELS, 12), CHANNELS, S8
    context = _program(
        "context", [Y_HAT], small, (weigh, 2, IntFormat(20, True)), (_scaled("sum", "context", 2, 8), 2, S8)
    )
    h_s = _program("h_s", [_symbols("z", 1)], (_scaled("z", "side", 1, 4), 1, S8))
    programs = {"h_s": h_s, "context": context, "entropy_parameters": _joined(), "g_s": _g_s(Y_HAT, _large(Y_HAT))}
    return Model(family, {"mean_fraction": FRACTION, **settings}, programs, _tables(z=1, y=THRESHOLDS + 1))


def checkerboard() -> Model:
    """A context and a side tensor, joined."""
    return _with_context("checkerboard", {"anchor_parity": 0})


def side_first() -> Model:
    """The same, joined in the other order."""
    return _given(checkerboard(), entropy_parameters=_joined(("side", "context")))


def autoregressive() -> Model:
    """The same, with a window of one sample."""
    return _with_context("autoregressive", {"context_kernel": 1})


FAMILIES: Mapping[str, tuple[Callable[[], Model], tuple[str, ...]]] = {
    "factorised": (factorised, ("FACT-1", "MODEL-1", "MODEL-2", "MODEL-3", "PROG-1")),
    "scale-hyperprior": (scale_hyperprior, ("HYP-1", "HYP-5", "PIC-1")),
    "mean-scale-hyperprior": (mean_scale_hyperprior, ("MSH-1", "PIC-1")),
    "entropy-parameters": (entropy_parameters, ("EPAR-1",)),
    "checkerboard": (checkerboard, ("CKBD-1", "CKBD-2")),
    "checkerboard-side-first": (side_first, ("CKBD-1", "CKBD-2")),
    "autoregressive": (autoregressive, ("AR-1",)),
}


def model_cases() -> Iterator[Case]:
    """The identity of the smallest model of every family."""
    for family, (make, clauses) in FAMILIES.items():
        content = Values(np.frombuffer(model_to_bytes(make()), np.uint8).astype(np.int64), BYTE)
        found = evaluate(Engine(True, {}), OPERATION, {}, {"file": content.array})["identity"]
        yield Case(
            f"operations/{OPERATION}/{family}",
            OPERATION,
            ("FAM-1", *clauses),
            "catches another canonical form, other widths of tensors, and other keys under the hash",
            {},
            {"file": content},
            outputs={"identity": Values(found.astype(np.int64), BYTE)},
            defined_by={"identity": "MODEL-3"},
        )


# --- files to refuse


def _opened(model: Model) -> tuple[Document, Arrays]:
    """The description and the tensors of a model's file."""
    content = model_to_bytes(model)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["refcodec"]), safetensors.numpy.load(content)


def _closed(document: Document, tensors: Arrays) -> bytes:
    """A file whose identity is that of what it holds (SPEC MODEL-3)."""
    hashed = {key: document[key] for key in ("schema", "family", "settings", "programs") if key in document}
    described = {
        name: {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        }
        for name, array in tensors.items()
    }
    identity = hashlib.sha256(canonical_json({**hashed, "tensors": described})).hexdigest()
    text = canonical_json({**document, "identity": identity}).decode()
    return safetensors.numpy.save(tensors, {"refcodec": text})


def _changed(model: Model, change: Callable[[Document, Arrays], object]) -> bytes:
    document, tensors = _opened(model)
    change(document, tensors)
    return _closed(document, tensors)


def _rejected(label: str, content: bytes, clause: str, code: str, comment: str) -> Case:
    return Case(
        f"operations/{OPERATION}/invalid-{label}",
        OPERATION,
        (clause,),
        comment,
        {},
        {"file": Values(np.frombuffer(content, np.uint8).astype(np.int64), BYTE)},
        error=code,
        flags=("Invalid",),
    )


def broken_files() -> Iterator[Case]:
    """Files that are none, and descriptions that say too much or too little."""
    model = smallest()
    document, tensors = _opened(model)
    good = _closed(document, tensors)
    spaced = safetensors.numpy.save(tensors, {"refcodec": json.dumps(document, sort_keys=True)})
    other = {"refcodec": canonical_json({**document, "identity": 64 * "0"}).decode()}
    yield _rejected("cut", good[:-1], "MODEL-1", "RC-MODEL-FILE", "the last byte is missing")
    yield _rejected("spaces", spaced, "MODEL-2", SCHEMA, "white space within the description")
    yield _rejected("identity", safetensors.numpy.save(tensors, other), "MODEL-3", "RC-MODEL-HASH", "another identity")
    table = "tables/y/offsets"
    multiplier = "programs/g_s/x/multiplier"
    changes: tuple[tuple[str, str, str, Callable[[Document, Arrays], object], str], ...] = (
        ("schema", "MODEL-2", SCHEMA, lambda d, t: d.update(schema="refcodec-model/2"), "a later schema"),
        ("surplus-key", "MODEL-2", SCHEMA, lambda d, t: d.update(more=1), "a key that is not one of them"),
        ("missing-key", "MODEL-2", SCHEMA, lambda d, t: d.pop("provenance"), "a key is missing"),
        ("setting-type", "MODEL-2", SCHEMA, lambda d, t: d.update(settings={"a": "1"}), "a setting that is text"),
        ("type", "MODEL-2", SCHEMA, lambda d, t: _tensor(d, 0).update(channels="3"), "text where a number should be"),
        ("surplus-tensor", "MODEL-4", TENSOR, lambda d, t: t.update(more=np.zeros(1, np.int8)), "a surplus tensor"),
        ("missing-tensor", "MODEL-4", TENSOR, lambda d, t: t.pop(multiplier), "a missing tensor"),
        ("float", "MODEL-4", TENSOR, lambda d, t: t.update({multiplier: np.ones(3, np.float32)}), "no integers"),
        ("unsigned", "MODEL-4", TENSOR, lambda d, t: t.update({table: np.zeros(3, np.uint8)}), "no signed integers"),
        ("kind", "MODEL-4", SCHEMA, lambda d, t: _step(d).update(kind="softmax"), "an unknown operation"),
        ("twice", "PROG-2", SCHEMA, lambda d, t: _tensor(d, 1).update(name="y"), "two tensors of one name"),
        ("letters", "PROG-2", SCHEMA, lambda d, t: _renamed(d, "x y"), "a name with a space"),
        ("no-channels", "PROG-2", "RC-MODEL-RANGE", lambda d, t: _tensor(d, 0).update(channels=0), "no channels"),
        ("later", "PROG-2", SCHEMA, lambda d, t: _step(d).update(source="x"), "an operation reads what it defines"),
        ("target", "PROG-2", SCHEMA, lambda d, t: _step(d).update(target="y"), "an operation defines its source"),
        ("unread", "PROG-5", SCHEMA, _with_unread, "an input that nothing reads"),
        ("no-input", "PROG-2", SCHEMA, lambda d, t: d["programs"]["g_s"]["tensors"].pop(0), "no input"),
        (
            "shift",
            "PROG-3",
            "RC-MODEL-RANGE",
            lambda d, t: t.update({"programs/g_s/x/shift": np.full(3, 63, np.int8)}),
            "a constant outside its range",
        ),
        ("falling", "CDF-1", TABLE, lambda d, t: t["tables/y/values"].__setitem__(1, -1), "a table that falls"),
    )
    for label, clause, code, change, comment in changes:
        yield _rejected(label, _changed(model, change), clause, code, comment)
    twice = _changed(_two_steps(), lambda d, t: _same_labels(d, t))
    yield _rejected("labels", twice, "PROG-2", SCHEMA, "two operations of one name")


def _tensor(document: Document, number: int) -> Document:
    found: Document = document["programs"]["g_s"]["tensors"][number]
    return found


def _step(document: Document, number: int = 0) -> Document:
    found: Document = document["programs"]["g_s"]["operations"][number]
    return found


def _renamed(document: Document, name: str) -> None:
    _tensor(document, 1).update(name=name)
    _step(document).update(target=name)


def _with_unread(document: Document, tensors: Arrays) -> None:
    document["programs"]["g_s"]["tensors"].insert(0, {**_tensor(document, 0), "name": "w"})


def _two_steps() -> Model:
    wide = Nearest("large", "y", "large", 2, 2), CHANNELS, SYMBOL_FORMAT
    return replace(smallest(), programs={"g_s": _g_s(_symbols("y"), wide)})


def _same_labels(document: Document, tensors: Arrays) -> None:
    _step(document, 0).update(name="x")


def broken_families() -> Iterator[Case]:
    """Models whose parts are legal, but not those of their family."""
    plain, hyper, means, context = factorised(), scale_hyperprior(), mean_scale_hyperprior(), checkerboard()
    h_s, g_s = means.programs["h_s"], plain.programs["g_s"]
    s8 = Tensor("y", CHANNELS, S8)
    padded = Pad("large", "y", "large", 1, 0, 1, 0), CHANNELS, SYMBOL_FORMAT
    yield from (
        _family("family", replace(plain, family="diffusion"), "FAM-1", "RC-MODEL-FAMILY", "an unknown family"),
        _family("programs", _given(plain, more=g_s), "FACT-1", SCHEMA, "a program too many"),
        _family("symbols", _given(plain, g_s=_g_s(s8)), "FACT-1", SCHEMA, "symbols of eight bits"),
        _family(
            "samples", _given(plain, g_s=_ending(3, IntFormat(7, False))), "FACT-1", SCHEMA, "samples of seven bits"
        ),
        _family(
            "planes",
            replace(_given(plain, g_s=_ending(2, PIXEL_FORMAT)), tables=_tables(y=2)),
            "FACT-1",
            SCHEMA,
            "a picture of two planes",
        ),
        _family("rows", replace(plain, tables=_tables(y=2)), "FACT-1", TABLE, "two tables for three channels"),
        _family("surplus-table", replace(plain, tables=_tables(y=3, z=1)), "HYP-5", TENSOR, "tables of a z"),
        _family("missing-table", replace(hyper, tables=_tables(y=64)), "HYP-5", TENSOR, "no tables of z"),
        _family("enlargement", _given(plain, g_s=_g_s(_symbols("y"), padded)), "PIC-1", SCHEMA, "one sample more"),
        _family("scales", replace(hyper, tables=_tables(z=3, y=63)), "HYP-1", TABLE, "63 tables for 64 scales"),
        _family(
            "hyper-rows", replace(hyper, tables=_tables(z=2, y=64)), "HYP-1", TABLE, "two tables for three channels"
        ),
        _family("factor", _given(hyper, g_s=plain.programs["g_s"]), "HYP-1", SCHEMA, "g_s enlarges nothing"),
        _family("no-fraction", replace(means, settings={}), "MSH-1", SCHEMA, "no fraction of the means"),
        _family("fraction", replace(means, settings={"mean_fraction": 17}), "MSH-1", SCHEMA, "a fraction of 17 bits"),
        _family("latent", _given(means, g_s=_g_s(_symbols("y_hat"))), "MSH-1", SCHEMA, "y_hat without its fraction"),
        _family(
            "unsigned-means",
            _given(means, h_s=_hyper(INDEX_FORMAT, IntFormat(8, False))),
            "MSH-1",
            SCHEMA,
            "means without a sign",
        ),
        _family(
            "narrow-indexes",
            _given(means, h_s=_hyper(IntFormat(5, False), SYMBOL_FORMAT)),
            "MSH-1",
            SCHEMA,
            "indexes of five bits",
        ),
        _family("more-means", _given(means, h_s=_doubled()), "MSH-1", SCHEMA, "more means than indexes"),
        _family(
            "with-g_s",
            replace(entropy_parameters(), programs={"h_s": h_s, "g_s": g_s}),
            "EPAR-1",
            SCHEMA,
            "a program too many",
        ),
        _family(
            "ports",
            _given(
                context, h_s=_program("h_s", [_symbols("z", 1)], (_scaled("z", "side", 1, 4), 1, IntFormat(7, True)))
            ),
            "CKBD-1",
            SCHEMA,
            "a side tensor of another format",
        ),
        _family("joins", _given(context, entropy_parameters=_joined_twice()), "CKBD-2", SCHEMA, "joined twice"),
        _family(
            "kernel",
            replace(autoregressive(), settings={"mean_fraction": FRACTION, "context_kernel": 2}),
            "AR-1",
            SCHEMA,
            "a window without a centre",
        ),
    )


def _family(label: str, model: Model, clause: str, code: str, comment: str) -> Case:
    return _rejected(label, model_to_bytes(model), clause, code, comment)


def _given(model: Model, **programs: Program) -> Model:
    return replace(model, programs={**model.programs, **programs})


def _ending(channels: int, fmt: IntFormat) -> Program:
    return _program("g_s", [_symbols("y", channels)], (_scaled("y", "x", channels, 9), channels, fmt))


def _hyper(indexes: IntFormat, means: IntFormat) -> Program:
    """h_s whose indexes are scaled, not counted."""
    steps = (_scaled("z", "indexes", CHANNELS), CHANNELS, indexes), (_scaled("z", "means", CHANNELS), CHANNELS, means)
    if indexes == INDEX_FORMAT:
        steps = ((_indexed("z", CHANNELS), CHANNELS, indexes), steps[1])  # type: ignore[assignment]
    return _program("h_s", [_symbols("z")], *steps)


def _doubled() -> Program:
    join = Concatenate("means", ("half", "half"), "means"), 2 * CHANNELS, SYMBOL_FORMAT
    half = _scaled("z", "half", CHANNELS), CHANNELS, SYMBOL_FORMAT
    return _program("h_s", [_symbols("z")], (_indexed("z", CHANNELS), CHANNELS, INDEX_FORMAT), half, join)


def _joined_twice() -> Program:
    context, side = Tensor("context", 2, S8), Tensor("side", 1, S8)
    first = Concatenate("join", ("context", "side"), "join"), CHANNELS, S8
    second = Concatenate("again", ("side", "context"), "again"), CHANNELS, S8
    means = _scaled("again", "means", CHANNELS), CHANNELS, SYMBOL_FORMAT
    indexes = _indexed("join", CHANNELS), CHANNELS, INDEX_FORMAT
    return _program("entropy_parameters", [context, side], first, second, indexes, means)


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from model_cases()
    yield from broken_files()
    yield from broken_families()
