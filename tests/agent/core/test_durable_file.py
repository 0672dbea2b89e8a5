"""A file of the state directory is whole at every moment, and its owner's alone; one for a person is whole or gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.core.durable_file import replace_file, write_whole
from agent.core.errors import Permanent
from engines.bundles import generate_keys
from engines.errors import SigningError
from tests.support.small_disk import fill, mounted


def test_file_has_the_new_content_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "product.json"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["product.json"]


def test_what_a_crash_left_behind_is_replaced_and_no_link_is_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    (tmp_path / ".product.json.new").symlink_to(other)
    replace_file(tmp_path / "product.json", b"ours")
    assert (other.read_bytes(), (tmp_path / "product.json").read_bytes()) == (b"theirs", b"ours")


def test_error_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "product.json"
    replace_file(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes owners")
def test_file_that_root_writes_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    replace_file(path, b"{}")
    os.chown(path, 12345, 54321)
    replace_file(path, b"{1}")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """As root, a file would take the place of /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="it exists and is no file"):
        replace_file(pipe, b"new")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_full_disk_leaves_no_part_of_a_file_behind(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "64k") as disk:
        (disk / "notes.txt").write_text("mine")
        fill(disk / "fill")
        with pytest.raises(Permanent, match=r"image\.png: cannot be written \(No space left on device\)"):
            write_whole(disk / "image.png", bytes(5000))
        with pytest.raises(SigningError, match=r"plant\.key: cannot be written \(No space left on device\)"):
            generate_keys(disk / "plant")
        assert sorted(each.name for each in disk.iterdir()) == ["fill", "notes.txt"]


def test_what_cannot_be_opened_is_not_removed(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="cannot be written"):
        write_whole(tmp_path, b"an image")
    with pytest.raises(Permanent, match="/dev/full: cannot be written"):
        write_whole(Path("/dev/full"), b"an image")
    assert Path("/dev/full").is_char_device()
    assert tmp_path.is_dir()
