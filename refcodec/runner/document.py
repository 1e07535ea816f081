"""Reading the closed JSON documents that users write: the first thing that is wrong is told (SPEC RUN-7)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from refcodec.errors import RefcodecError
from refcodec.files import read_bytes


def read_document(
    path: str | Path, schema: str, required: Collection[str], optional: Collection[str]
) -> dict[str, Any]:
    """An object of a schema with these keys and no others.  Raises FileError, RefcodecError RC-USAGE."""
    try:
        document = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise RefcodecError("RC-USAGE", f"{path} is not JSON: {error}") from error
    if type(document) is not dict or document.get("schema") != schema:
        raise RefcodecError("RC-USAGE", f'{path} is not a {schema} document: it needs "schema": "{schema}"')
    check_keys(document, {"schema", *required}, optional, str(path))
    return document


def check_keys(entry: Mapping[str, Any], required: Collection[str], optional: Collection[str], where: str) -> None:
    """Refuse missing and unknown keys.  Raises RefcodecError RC-USAGE."""
    for key in sorted(set(required) - set(entry)):
        raise RefcodecError("RC-USAGE", f"{where} lacks the key {key}")
    for key in sorted(set(entry) - {*required, *optional}):
        raise RefcodecError("RC-USAGE", f"{where} has the unknown key {key}")


def check_text(value: Any, where: str) -> str:
    """A printable text that is not empty.  Raises RefcodecError RC-USAGE."""
    if type(value) is not str or not value or not value.isprintable():
        raise RefcodecError("RC-USAGE", f"{where} is no text: {value!r}")
    return value


def check_texts(value: Any, where: str) -> tuple[str, ...]:
    """A list of texts.  Raises RefcodecError RC-USAGE."""
    if type(value) is not list:
        raise RefcodecError("RC-USAGE", f"{where} is no list: {value!r}")
    return tuple(check_text(item, where) for item in value)
