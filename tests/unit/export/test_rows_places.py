"""A file or a folder of rows is there whole, or not at all."""

import pytest

from agl_core.errors import ExportRefused
from agl_core.export.rows import new_file, new_folder


def names(folder):
    """What lies there, hidden things too."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_name_when_all_of_it_is_there(tmp_path):
    """Folders above it are made."""
    path = tmp_path / "some" / "rows.jsonl"

    with new_file(path) as file:
        file.write(b"1\n")
        assert not path.exists()

    assert path.read_bytes() == b"1\n"
    assert names(path.parent) == ["rows.jsonl"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("make", [new_file, new_folder])
def test_of_what_broke_off_nothing_is_left(tmp_path, make, error):
    """And what was there before is as it was."""
    with make(tmp_path / "rows") as made:
        if make is new_file:
            made.write(b"before")

    with pytest.raises(type(error)), make(tmp_path / "rows"):
        raise error

    assert names(tmp_path) == ["rows"]
    assert (tmp_path / "rows").is_dir() == (make is new_folder)
    if make is new_file:
        assert (tmp_path / "rows").read_bytes() == b"before"


def test_a_folder_replaces_one_of_ours_whole(tmp_path):
    """No file of the one before is among the new ones."""
    for name in ("one", "two"):
        with new_folder(tmp_path / "rows") as folder:
            (folder / name).touch()

    assert names(tmp_path / "rows") == [".agl-export", "two"]


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_a_folder_of_something_else_is_never_replaced(tmp_path, make):
    """Whoever names their home gets it back."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").touch()

    with pytest.raises(ExportRefused, match="a folder of something else"), make(tmp_path / "home"):
        pytest.fail("it was opened")

    assert names(tmp_path / "home") == ["thesis.txt"]


def test_a_place_that_cannot_be_has_an_error_of_ours(tmp_path):
    """With the reason of the disk."""
    (tmp_path / "file").touch()

    with pytest.raises(ExportRefused, match="cannot be written"), new_file(tmp_path / "file" / "rows.jsonl"):
        pytest.fail("it was opened")


def test_a_disk_that_is_full_has_an_error_of_ours(tmp_path):
    """Also in the middle of it."""
    with pytest.raises(ExportRefused, match="No space left"), new_file(tmp_path / "rows.jsonl"):
        raise OSError(28, "No space left on device")

    assert names(tmp_path) == []
