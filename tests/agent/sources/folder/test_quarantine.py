"""Files that cannot be read or do not fit: each is set aside alone, counted and named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.sources import Ledger
from agent.sources.folder import FolderSource
from engines.images import read_image
from tests.support.image_folder import Scanner, follow_to_the_end, names, nothing, png, read_all


def test_unreadable_files_are_quarantined_and_the_stream_goes_on(tmp_path: Path) -> None:
    folder, quarantine = tmp_path / "in", tmp_path / "quarantine"
    folder.mkdir()
    whole = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))[1].tobytes()
    contents = {
        "a.png": whole,
        "b.png": whole[: len(whole) // 2],
        "c.png": b"not an image",
        "d.png": b"",
        "e.png": whole,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    source = FolderSource(folder, quarantine_directory=quarantine)
    assert names(read_all(source)) == ["a.png", "e.png"]
    assert source.files.quarantined == 3
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == contents
    lines = [json.loads(line) for line in (quarantine / "quarantine.jsonl").read_text().splitlines()]
    assert [Path(line["file"]).name for line in lines] == ["b.png", "c.png", "d.png"]
    for line in lines:
        assert (quarantine / line["copy"]).read_bytes() == contents[Path(line["file"]).name]
        assert line["reason"]
        assert "\n" not in line["reason"]


def test_quarantine_keeps_its_byte_limit(tmp_path: Path) -> None:
    folder, quarantine = tmp_path / "in", tmp_path / "quarantine"
    folder.mkdir()
    for index in range(10):
        (folder / f"{index}.png").write_bytes(b"x" * 400)
    source = FolderSource(folder, quarantine_directory=quarantine, quarantine_max_bytes=2500)
    with pytest.raises(Permanent, match=r"none of its images .* 10 are in quarantine, such as .*9\.png: "):
        read_all(source)
    assert source.files.quarantined == 10
    lines = [json.loads(line) for line in (quarantine / "quarantine.jsonl").read_text().splitlines()]
    assert len(lines) == 10
    assert sum(file.stat().st_size for file in quarantine.glob("*.png")) <= 2500
    assert [line["copy"] is None for line in lines].count(True) >= 4


def test_quarantine_that_cannot_be_written_does_not_stop_the_stream(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"x")
    (tmp_path / "good.png").write_bytes(png(1))
    (tmp_path / "blocked").write_text("a file where the folder should be")
    source = FolderSource(tmp_path, quarantine_directory=tmp_path / "blocked")
    assert names(read_all(source)) == ["good.png"]
    assert source.files.quarantined == 1


def test_an_image_that_does_not_fit_the_model_is_quarantined_once(tmp_path: Path) -> None:
    folder, kept = tmp_path / "in", tmp_path / "quarantine"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(png(1))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    source = FolderSource(folder, quarantine_directory=kept)
    source.use_ledger(ledger)
    with source:
        source.reject(source.read(), "the image has 8 bits per sample, the model wants 16")
        assert source.read().origin == "b.png"
    assert source.files.quarantined == 1
    (line,) = (kept / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == f"{folder}/a.png: the image has 8 bits per sample, the model wants 16"
    again = FolderSource(folder, quarantine_directory=kept)
    again.use_ledger(Ledger(tmp_path / "ledger.sqlite"))
    assert names(read_all(again)) == ["b.png"], "b.png was not finished; a.png was, with its quarantine"


def test_quarantine_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "broken.png").write_bytes(b"no image")
    (tmp_path / "parts" / "good.png").write_bytes(png(1))
    read_all(FolderSource(tmp_path / "parts", quarantine_directory=tmp_path / "kept"))
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    files = list((tmp_path / "kept").iterdir())
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_an_unforeseen_error_concerns_its_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(1))

    def read(path: Path, reading: object) -> object:
        if path.name == "a.png":
            raise MemoryError("no room")
        return read_image(path)

    monkeypatch.setattr("agent.sources.folder.source.read_image", read)
    source = FolderSource(tmp_path)
    assert names(read_all(source)) == ["b.png"]
    assert source.files.quarantined == 1


def test_a_name_with_a_line_break_forges_no_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a\nWARNING all is well.png").write_bytes(b"x")
    (tmp_path / "b.png").write_bytes(png(1))
    assert names(read_all(FolderSource(tmp_path))) == ["b.png"]
    assert all("\n" not in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("follow", [True, False])
def test_links_that_lead_nowhere_or_out_of_the_folder_are_rejected_alone(tmp_path: Path, follow: bool) -> None:
    folder, kept = tmp_path / "parts", tmp_path / "quarantine"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(png(9))
    (folder / "1.png").write_bytes(png(1))
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "inside.png").symlink_to("1.png")
    if follow:
        source = Scanner(*[nothing] * 6).follow(folder, quarantine_directory=kept)
        frames = follow_to_the_end(source)
    else:
        source = FolderSource(folder, quarantine_directory=kept)
        frames = read_all(source)
    assert names(frames) == ["1.png", "inside.png"]
    assert source.files.quarantined == 3, "each once, however often the folder is listed"
    reasons = [json.loads(line)["reason"] for line in (kept / "quarantine.jsonl").read_text().splitlines()]
    assert sum("leads nowhere" in reason for reason in reasons) == 2
    assert sum("leads out of the folder" in reason for reason in reasons) == 1
    assert [file.name for file in kept.iterdir()] == ["quarantine.jsonl"], "nothing is copied of them"


def test_a_file_that_could_not_be_opened_is_tried_again_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its permissions or a share were the cause, and neither changes the time of the file."""
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(png(1))

    def run() -> FolderSource:
        source = FolderSource(tmp_path / "in")
        source.use_ledger(Ledger(tmp_path / "ledger.sqlite"))
        read.append(names(read_all(source)))
        return source

    def denied(path: Path, *arguments: int, **more: int) -> int:
        if Path(path).name == "a.png":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **more)

    read: list[list[str | None]] = []
    opened = os.open
    monkeypatch.setattr(os, "open", denied)
    assert "cannot be read (Permission denied)" in (run().files.latest_quarantined or "")
    monkeypatch.undo()
    run()
    assert read == [["b.png"], ["a.png", "b.png"]]
