"""The cases of a folder, whatever else it holds (SPEC GATE-3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refcodec.codecs.codec import Codec
from refcodec.codecs.family import codec_of
from refcodec.errors import FileError
from refcodec.program.model_file import Model, load_model
from refcodec.vectorgen.case import Case, load_case
from refcodec.vectorgen.family_streams import suite_models


@dataclass(frozen=True, slots=True, eq=False)
class Suite:
    """Cases by id, in order, and the decoders that they name."""

    cases: Mapping[str, Case]
    codecs: Mapping[str, Codec]


def load_suite(path: str | Path) -> Suite:
    """Every case below a folder; models are those of its folder `models`, of the small families, and the shipped one.

    Raises FileError RC-FILE-READ where there is no case, VectorError, ModelError.
    """
    folder = Path(path)
    found = [load_case(home.parent) for home in sorted(folder.rglob("case.json"))]
    if not found:
        raise FileError("RC-FILE-READ", f"{path} holds no case.json")
    named = {str(case.parameters["model"]) for case in found if "model" in case.parameters}
    return Suite({case.id: case for case in sorted(found, key=lambda case: case.id)}, _codecs(folder, named))


def _codecs(folder: Path, named: set[str]) -> dict[str, Codec]:
    models: dict[str, Model] = {}
    for name in sorted(named):
        if (folder / "models" / f"{name}.rcm").is_file():
            models[name] = load_model(folder / "models" / f"{name}.rcm")
    models |= suite_models(sorted(named - set(models)))
    return {name: codec_of(model) for name, model in models.items()}
