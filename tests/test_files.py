"""Files and folders appear whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from refcodec.errors import FileError
from refcodec.files import MAX_FILE, SUMS, new_folder, read_bytes, write_bytes, write_files


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: path -> bytes, or None for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def fill(folder: Path, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


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


def test_read_bytes_reads_whole_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert read_bytes(tmp_path / "file") == read_bytes(str(tmp_path / "file")) == b"content"


def test_read_bytes_refuses_huge_files_before_reading_them(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(FileError, match=r"^RC-FILE-READ: .*huge is larger than \d+ bytes$"):
        read_bytes(path)


@pytest.mark.parametrize("name", ["none", "."])
def test_read_bytes_refuses_what_is_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"^RC-FILE-READ: cannot read "):
        read_bytes(tmp_path / name)


# --- folders


def write(target: Path, **files: str) -> None:
    """A folder as a command writes it."""
    with new_folder(target) as folder:
        fill(folder, **files)


def test_new_folder_appears_only_when_it_is_filled_and_lists_its_files(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with new_folder(target) as folder:
        fill(folder, a="1")
        fill(folder / "below", b="2")
        assert not target.exists()
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in (("a", b"1"), ("below/b", b"2"))}
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    assert tree(target) == {"a": b"1", "below": None, "below/b": b"2", SUMS: sums}
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("existing", [False, True])
def test_new_folder_leaves_nothing_after_an_error(tmp_path: Path, existing: bool, error: BaseException) -> None:
    target = tmp_path / "folder"
    if existing:
        write(target, old="1")
    before = tree(tmp_path)

    def fail() -> None:
        with new_folder(target) as folder:
            fill(folder, half="2")
            raise error

    refused = FileError if isinstance(error, OSError) else type(error)
    with pytest.raises(refused):
        fail()
    assert tree(tmp_path) == before


def test_new_folder_reports_a_full_disk_as_a_file_error(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "folder"):
            raise OSError(28, "No space left on device")

    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: cannot write .*folder: No space left on device$"):
        fail()


def test_new_folder_replaces_what_an_earlier_run_wrote(tmp_path: Path) -> None:
    """Nothing of the old folder is left, not even files that the new one lacks."""
    target = tmp_path / "folder"
    write(target, old="1")
    (target / "below").mkdir()
    write(target, new="2")
    assert sorted(tree(tmp_path)) == ["folder", f"folder/{SUMS}", "folder/new"]
    write(target, newer="3")
    assert (target / "newer").read_text() == "3"


def test_new_folder_leaves_no_parents_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "a" / "b" / "c"):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert tree(tmp_path) == {}


def test_new_folder_replaces_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder", new="2")
    assert (tmp_path / "folder" / "new").read_text() == "2"


def refuse_and_leave(target: Path, message: str) -> None:
    before = tree(target.parent)
    with pytest.raises(FileError, match=message) as caught, new_folder(target):
        pytest.fail("the body must not run")
    assert caught.value.code == "RC-FILE-WRITE"
    assert tree(target.parent) == before


def test_new_folder_refuses_a_foreign_folder(tmp_path: Path) -> None:
    fill(tmp_path / "folder", precious="1")
    refuse_and_leave(tmp_path / "folder", r"^RC-FILE-WRITE: .*folder was not written by .*: it holds precious$")


def test_new_folder_refuses_its_own_folder_once_someone_added_a_file(tmp_path: Path) -> None:
    write(tmp_path / "folder", ours="1")
    fill(tmp_path / "folder" / "deep", precious="1")
    refuse_and_leave(tmp_path / "folder", r"it holds deep/precious$")


def test_new_folder_refuses_a_folder_whose_sums_are_no_list(tmp_path: Path) -> None:
    (tmp_path / "folder" / SUMS).mkdir(parents=True)
    fill(tmp_path / "folder", precious="1")
    refuse_and_leave(tmp_path / "folder", r"it holds precious$")


def test_new_folder_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"precious")
    refuse_and_leave(tmp_path / "folder", r"it is no folder$")


def test_new_folder_refuses_a_place_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    refuse_and_leave(tmp_path / "file" / "folder", r"^RC-FILE-WRITE: cannot write ")
    assert tree(tmp_path) == {"file": b"precious"}


def test_new_folder_refuses_a_link_and_keeps_what_it_points_to(tmp_path: Path) -> None:
    write(tmp_path / "real", precious="1")
    before = tree(tmp_path / "real")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    with pytest.raises(FileError, match=r"it is no folder$"):
        write(tmp_path / "folder", new="2")
    assert tree(tmp_path / "real") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "real"]


# --- several files


def test_write_files_writes_all_or_none(tmp_path: Path) -> None:
    write_files({tmp_path / "a": b"1", str(tmp_path / "b"): b"2"})
    assert tree(tmp_path) == {"a": b"1", "b": b"2"}
    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: cannot write "):
        write_files({tmp_path / "a": b"3", tmp_path / "none" / "b": b"4"})
    assert tree(tmp_path) == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_write_bytes_refuses_what_names_no_file(name: str) -> None:
    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: .* names no file$"):
        write_bytes(name, b"new")
