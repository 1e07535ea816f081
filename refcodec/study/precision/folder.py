"""The folder of a precision study, which keeps the recipes that it chose as well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from refcodec.errors import RefcodecError
from refcodec.quantize.recipe import Recipe, load_recipe, recipe_text
from refcodec.study.folder import KEY_DIGITS, ResultFolder, open_folder

SCHEMA = "refcodec-precision-study/1"


@dataclass(frozen=True, slots=True)
class StudyFolder(ResultFolder):
    """A folder of results and of recipes, each under a key of everything that it depends on."""

    def recipe(self, step: float, precision: str, key: str) -> Recipe | None:
        """The recipe that was chosen for this key, None where there is none that can be read."""
        path = self._recipe(step, precision, key)
        try:
            return load_recipe(path) if path.is_file() else None
        except RefcodecError:
            return None

    def keep_recipe(self, step: float, precision: str, key: str, recipe: Recipe) -> None:
        """Store a recipe.  Raises FileError RC-FILE-WRITE."""
        self.keep(self._recipe(step, precision, key), recipe_text(recipe).encode())

    def _recipe(self, step: float, precision: str, key: str) -> Path:
        return self.path / "recipes" / f"step{step:g}-{precision.lower()}-{key[:KEY_DIGITS]}.json"


def open_study(path: str | Path) -> StudyFolder:
    """The folder of a precision study, as `open_folder` says.  Raises FileError RC-FILE-WRITE."""
    opened = open_folder(path, SCHEMA, "precision study")
    return StudyFolder(opened.path, opened.schema)
