"""What has no place in the repository."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path, PurePosixPath

SIZE_LIMIT = 2 << 20
HOMELESS = frozenset({"utils", "common", "helpers", "base", "misc"})
PICTURES = frozenset({".png", ".ppm", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".npy", ".npz"})
# Written so that none of them matches this file.
WORDS = {
    "an unfinished note": re.compile(r"\b(TO(?:DO)|FIX(?:ME)|X(?:XX))\b"),
    "a path of one machine": re.compile(r"(?<![\w.)~}-])/(?:root|home|work)/"),
    "a registry host": re.compile(
        r"\b(?:pypi\.org|pythonhosted\.org|deb\.debian\.org|security\.debian\.org|archive\.ubuntu\.com"
        r"|registry\.npmjs\.org|npmjs\.com|crates\.io|anaconda\.org|proxy\.golang\.org)\b"
    ),
}


def tracked_files(root: Path) -> list[str]:
    """Paths that git tracks or would add; in a copy without git, every file outside hidden and output folders."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = walked_files(root)
    return sorted({path for path in listed if path and (root / path).is_file()})


def walked_files(root: Path) -> list[str]:
    """Files below `root` as a fresh clone has them, for a copy that git does not know."""
    found = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not re.fullmatch(r"\..*|__pycache__|build|out|.*\.egg-info", name)]
        found += [Path(folder, name).relative_to(root).as_posix() for name in names]
    return found


def stray_names(paths: list[str]) -> list[str]:
    """Complain of homeless modules and of pictures from third-party data sets."""
    complaints = []
    for path in map(PurePosixPath, paths):
        parts = {path.stem, *path.parts[:-1]}
        if path.suffix == ".py" and parts & HOMELESS:
            complaints.append(f"{path}: {', '.join(sorted(parts & HOMELESS))} says nothing about what is inside")
        if path.suffix.lower() in PICTURES and re.search(r"kodim\d|bsds", str(path).lower()):
            complaints.append(f"{path}: a picture of a third-party data set")
    return complaints


def stray_sizes(sizes: dict[str, int]) -> list[str]:
    """Complain of files over 2 MB."""
    return [f"{path}: {size} bytes, more than {SIZE_LIMIT}" for path, size in sizes.items() if size > SIZE_LIMIT]


def stray_words(path: str, text: str) -> list[str]:
    """Complain of notes to oneself, registry hosts and paths of one machine, by line."""
    return [
        f"{path}:{number}: {what}: {match.group().strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in WORDS.items()
        if (match := pattern.search(line))
    ]


def strays(root: Path) -> list[str]:
    """All the complaints about the files of the repository at `root`."""
    paths = tracked_files(root)
    complaints = stray_names(paths) + stray_sizes({path: (root / path).stat().st_size for path in paths})
    for path in paths:
        content = (root / path).read_bytes()
        if b"\0" not in content:
            complaints += stray_words(path, content.decode("utf-8", "replace"))
    return complaints
