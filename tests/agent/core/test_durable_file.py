"""A small file is whole at every moment, and its owner's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.core.durable_file import replace_file


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
