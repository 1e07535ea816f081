"""The auditor's command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from refcodec.cli.parsing import DONE, MISMATCH, command
from refcodec.errors import ModelError, RangeError
from refcodec.files import read_bytes, write_files
from refcodec.models.shipped import DEFAULT_MODEL, resolve


def _audit(args: argparse.Namespace) -> int:
    if args.source is not None:
        return _source(args)
    from refcodec.audit.document import audit
    from refcodec.audit.subject import subject
    from refcodec.audit.text import audit_text, widths_text

    content = read_bytes(resolve(args.model, ".rcm", ".rcv"))
    try:
        found = subject(content, args.model)
    except ModelError as error:
        if error.code == "RC-MODEL-OVERFLOW":
            _explain(args, content)
        raise
    document = audit(found)
    if args.images is not None or args.video is not None:
        document["observed"] = _observed(args, found)
    _write(args, document)
    print(widths_text(document) if args.widths else audit_text(document))
    return DONE


def _explain(args: argparse.Namespace, content: bytes) -> None:
    """Print and write why a model is refused, before the error is."""
    from refcodec.audit.document import overflow_document
    from refcodec.audit.overflow import find_overflow
    from refcodec.audit.text import overflow_text

    found = find_overflow(content, args.model)
    if found:
        document = overflow_document(args.model, found)
        print(overflow_text(document))
        if args.json:
            write_files({args.json: _json(document)})


def _observed(args: argparse.Namespace, found: Any) -> dict[str, Any]:
    """What tensors take on the data that were asked for."""
    from refcodec.audit.document import observed_document
    from refcodec.audit.observe import clip_streams, folder_streams, observe_frames, observe_streams

    if found.video:
        if args.images or args.video:
            raise RangeError("an implicit video holds its own frames: give --video alone", "RC-USAGE")
        return observed_document(found, observe_frames(found.video, _progress(range(found.video.frames), "frame")))
    if args.images and args.video is not None:
        raise RangeError("--images and --video exclude each other", "RC-USAGE")
    if not (args.images or args.video):
        raise RangeError("--video needs a clip for a model of pictures, which holds none", "RC-USAGE")
    streams = folder_streams(found.model, args.images) if args.images else clip_streams(found.model, args.video)
    return observed_document(found, observe_streams(found.model, _progress(streams, "picture")))


def _progress(items: Iterable[Any], unit: str) -> Iterable[Any]:
    from tqdm import tqdm

    found: Iterable[Any] = tqdm(items, desc="observe", unit=unit, disable=None, leave=False)
    return found


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def _write(args: argparse.Namespace, document: dict[str, Any]) -> None:
    """Write what was asked for, all of it or nothing."""
    files: dict[str | Path, bytes] = {}
    if args.json:
        files[args.json] = _json(document)
    if args.html:
        from refcodec.audit.page import page

        files[args.html] = page(document).encode()
    if args.plot:
        from refcodec.audit.figure import widths_png

        files[args.plot] = widths_png(document)
    if files:
        write_files(files)


def _source(args: argparse.Namespace) -> int:
    from refcodec.audit.source import DECODE_PATH, audit_source, package_sources

    sources = package_sources(args.source or None)
    complaints = audit_source(sources)
    for line in complaints:
        print(line)
    count = sum(path.startswith(DECODE_PATH) for path in sources)
    done = f"{count} files of the decode path: no floats, all shift counts and widths in range"
    print(f"{len(complaints)} complaints" if complaints else done)
    return MISMATCH if complaints else DONE


def add_commands(group: Any) -> None:
    """Add audit."""
    audit = command(
        group, "audit", _audit, "prove what a model's integers can reach and how wide a machine must be",
        "refcodec audit model.rcm --images photos --html audit.html",
    )  # fmt: skip
    audit.add_argument(
        "model", nargs="?", default=DEFAULT_MODEL, help="model file (.rcm), implicit video (.rcv), or shipped name"
    )
    audit.add_argument("--images", metavar="DIR", help="also observe: encode its pictures, decode its .rcb streams")
    audit.add_argument(
        "--video", nargs="?", const="", metavar="CLIP",
        help="also observe: encode the frames of a folder or file; decode those of an implicit video, without CLIP",
    )  # fmt: skip
    audit.add_argument("--json", metavar="FILE", help="write everything as JSON")
    audit.add_argument("--html", metavar="FILE", help="write one page")
    audit.add_argument("--plot", metavar="FILE", help="draw bits needed and provided of each sum (PNG)")
    audit.add_argument("--widths", action="store_true", help="print only the widths, for the parameters of hardware")
    audit.add_argument(
        "--source", nargs="?", const="", metavar="DIR",
        help="audit the decode path's own code instead: no floats, shifts and widths in range",
    )  # fmt: skip
