"""Files and folders appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from refcodec.atomic import new_folder, write_bytes
from refcodec.errors import FileError

MARKER = "MARKER.json"


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: path -> bytes, or None for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def fill(folder: Path, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


# --- files


def test_write_bytes_writes_and_replaces(tmp_path: Path) -> None:
    for content in (b"first, and longer", b"second", b""):
        write_bytes(tmp_path / "file", content)
        assert tree(tmp_path) == {"file": content}
    write_bytes(str(tmp_path / "file"), b"by a text path")
    assert tree(tmp_path) == {"file": b"by a text path"}


def test_write_bytes_keeps_the_old_file_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:2])
        raise OSError(28, "No space left on device")

    write_bytes(tmp_path / "file", b"old")
    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: cannot write .*file: No space left on device$") as caught:
        write_bytes(tmp_path / "file", b"new content")
    assert caught.value.code == "RC-FILE-WRITE"
    assert tree(tmp_path) == {"file": b"old"}


def test_write_bytes_keeps_the_old_file_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    replace = Path.replace

    def watch(path: Path, target: Path) -> Path:
        seen.append((target.read_bytes(), path.read_bytes(), path.parent == target.parent))
        return replace(path, target)

    write_bytes(tmp_path / "file", b"old")
    monkeypatch.setattr(Path, "replace", watch)
    write_bytes(tmp_path / "file", b"new")
    assert seen == [(b"old", b"new", True)]
    assert tree(tmp_path) == {"file": b"new"}


def test_write_bytes_refuses_a_folder_and_leaves_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "folder", kept="x")
    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: cannot write .*folder"):
        write_bytes(tmp_path / "folder", b"new")
    assert tree(tmp_path) == {"folder": None, "folder/kept": b"x"}


@pytest.mark.parametrize("name", ["missing/file", "file/below", "n" * 300])
def test_write_bytes_refuses_places_that_cannot_be(tmp_path: Path, name: str) -> None:
    """A missing folder, a file taken for a folder, a name that is too long."""
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: cannot write "):
        write_bytes(tmp_path / name, b"new")
    assert tree(tmp_path) == {"file": b"old"}


# --- folders


def test_new_folder_appears_only_when_it_is_filled(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with new_folder(target, MARKER) as folder:
        fill(folder, a="1", MARKER__json="{}")
        (folder / "below").mkdir()
        assert not target.exists()
    assert tree(target) == {"a": b"1", "below": None, MARKER: b"{}"}
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("existing", [False, True])
def test_new_folder_leaves_nothing_after_an_error(tmp_path: Path, existing: bool, error: BaseException) -> None:
    target = tmp_path / "folder"
    if existing:
        fill(target, old="1", MARKER__json="{}")
    before = tree(tmp_path)

    def write() -> None:
        with new_folder(target, MARKER) as folder:
            fill(folder, half="2")
            raise error

    refused = FileError if isinstance(error, OSError) else type(error)
    with pytest.raises(refused):
        write()
    assert tree(tmp_path) == before


def test_new_folder_reports_a_full_disk_as_a_file_error(tmp_path: Path) -> None:
    def write() -> None:
        with new_folder(tmp_path / "folder", MARKER):
            raise OSError(28, "No space left on device")

    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: cannot write .*folder: No space left on device$"):
        write()


def test_new_folder_replaces_a_folder_with_the_marker(tmp_path: Path) -> None:
    """Nothing of the old folder is left, not even files that the new one lacks."""
    target = tmp_path / "folder"
    fill(target, old="1", MARKER__json="{}")
    (target / "below").mkdir()
    with new_folder(target, MARKER) as folder:
        fill(folder, new="2", MARKER__json="{}")
        assert (target / "old").read_text() == "1"
    assert tree(tmp_path) == {"folder": None, "folder/new": b"2", f"folder/{MARKER}": b"{}"}


def test_new_folder_replaces_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with new_folder(tmp_path / "folder", MARKER) as folder:
        fill(folder, new="2")
    assert tree(tmp_path) == {"folder": None, "folder/new": b"2"}


def refuse_and_leave(target: Path, message: str) -> None:
    before = tree(target.parent)
    with pytest.raises(FileError, match=message) as caught, new_folder(target, MARKER):
        pytest.fail("the body must not run")
    assert caught.value.code == "RC-FILE-WRITE"
    assert tree(target.parent) == before


def test_new_folder_refuses_a_foreign_folder(tmp_path: Path) -> None:
    fill(tmp_path / "folder", precious="1")
    refuse_and_leave(tmp_path / "folder", r"^RC-FILE-WRITE: .*folder exists and was not written by this command$")


def test_new_folder_refuses_a_folder_whose_marker_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder" / MARKER).mkdir(parents=True)
    refuse_and_leave(tmp_path / "folder", "was not written by this command")


def test_new_folder_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"precious")
    refuse_and_leave(tmp_path / "folder", "was not written by this command")


def test_new_folder_refuses_a_place_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    refuse_and_leave(tmp_path / "file" / "folder", r"^RC-FILE-WRITE: cannot write ")
    assert tree(tmp_path) == {"file": b"precious"}


def test_new_folder_keeps_what_a_link_points_to(tmp_path: Path) -> None:
    fill(tmp_path / "real", precious="1", MARKER__json="{}")
    (tmp_path / "folder").symlink_to(tmp_path / "real")

    def write() -> None:
        with new_folder(tmp_path / "folder", MARKER) as folder:
            fill(folder, new="2")

    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: cannot write "):
        write()
    assert tree(tmp_path / "real") == {"precious": b"1", MARKER: b"{}"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "real"]
