"""The score log: bounded, readable after a kill, and exact about the alarms of another threshold."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration import CalibrationError, Rule, ScoreLog
from tests.calibration.lines import scores
from tests.calibration.statistics.test_episodes import walked
from tests.support.small_disk import fill, mounted


def written(directory: Path, values: np.ndarray, *, start: float = 1e9, rate: float = 20.0) -> ScoreLog:
    log = ScoreLog(directory)
    for index, value in enumerate(values):
        log.append(start + index / rate, index, float(value), float(value))
    return log


def test_score_log_reads_back_what_was_appended(tmp_path: Path) -> None:
    values = scores(1_000)
    with written(tmp_path, values) as log:
        frames = log.read()
    assert frames["frame"].tolist() == list(range(1_000))
    assert np.allclose(frames["score"], values)
    assert frames["time"][-1] == 1e9 + 999 / 20


def test_score_log_opened_again_appends(tmp_path: Path) -> None:
    written(tmp_path, scores(300)).close()
    with written(tmp_path, scores(200), start=2e9) as log:
        assert log.read().size == 500
        assert log.read(since=2e9).size == 200


def test_score_log_stays_within_its_bytes_and_keeps_the_newest(tmp_path: Path) -> None:
    with ScoreLog(tmp_path, max_bytes=2**17) as log:
        for index in range(20_000):
            log.append(float(index), index, 1.0, 1.0)
            if index % 500 == 0:
                assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2**17
        frames = log.read()["frame"]
    assert frames[-1] == 19_999
    assert np.all(np.diff(frames) == 1)
    assert frames.size > 2**17 / 24 * 0.7


def append(log: ScoreLog, frames: range) -> None:
    for index in frames:
        log.append(1e9 + index, index, 1.0, 2.0)


def test_score_log_on_a_full_disk_keeps_whole_records_and_goes_on(tmp_path: Path) -> None:
    """Where a disk becomes full, the system takes a part of a write: the records after it would be misread."""
    with mounted(tmp_path / "disk", "64k") as disk, ScoreLog(disk / "scores") as log:
        fill(disk / "filler")
        with (disk / "filler").open("r+b") as filler:
            filler.truncate((disk / "filler").stat().st_size - 4096)
        with pytest.raises(OSError, match="No space left"):
            append(log, range(1_000))
        kept = log.read()
        (disk / "filler").unlink()
        append(log, range(1_000, 1_200))
        frames = log.read()
        assert 0 < kept.size <= 4096 // 24
        assert frames.size >= kept.size + 200
        assert np.array_equal(frames["time"], 1e9 + frames["frame"])
        assert set(frames["score"]) == {1.0}


def test_score_log_is_closed_and_read_on_a_full_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "64k") as disk:
        log = ScoreLog(disk / "scores")
        fill(disk / "filler")
        log.append(1e9, 0, 1.0, 1.0)
        assert log.read().size == 0
        log.append(1e9, 1, 1.0, 1.0)
        log.close()


def test_score_log_incomplete_last_record_is_ignored(tmp_path: Path) -> None:
    written(tmp_path, scores(100)).close()
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-5])
    with written(tmp_path, scores(10), start=2e9) as log:
        assert log.read().size == 109


def test_score_log_killed_writer_leaves_whole_records(tmp_path: Path) -> None:
    code = (
        "import sys; from calibration import ScoreLog; log = ScoreLog(sys.argv[1]); index = 0\n"
        "while True:\n"
        "    log.append(float(index), index, index * 0.5, 0.0); index += 1\n"
        "    if index == 100_000: print('ready', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    with ScoreLog(tmp_path) as log:
        frames = log.read()
    assert frames.size > 90_000
    assert np.array_equal(frames["score"], frames["frame"].astype(np.float32) * np.float32(0.5))


@pytest.mark.parametrize("quiet_frames", [1, 10])
def test_score_log_alarms_equal_a_walk_through_the_frames(tmp_path: Path, quiet_frames: int) -> None:
    values, rule = scores(3_000, correlation=0.9), Rule(k=2, n=3)
    with written(tmp_path, values) as log:
        times = log.alarms_at(7.0, rule, quiet_frames=quiet_frames)
    expected = walked(rule.statistic(values.astype(np.float32)).tolist(), 7.0, quiet_frames)
    assert np.allclose(times, 1e9 + (np.array(expected) + 2) / 20)
    assert len(expected) > 5


def test_score_log_alarms_do_not_span_a_gap(tmp_path: Path) -> None:
    """Two high frames an hour apart are not 2 of 3."""
    with ScoreLog(tmp_path) as log:
        for time, score in ((0.0, 1.0), (0.05, 1.0), (0.1, 9.0), (3600.0, 9.0), (3600.05, 1.0), (3600.1, 1.0)):
            log.append(time, 0, score, 0.0)
        assert log.alarms_at(5.0, Rule(k=2, n=3)).size == 0
        assert log.alarms_at(5.0, Rule(k=1, n=1)).tolist() == [0.1, 3600.0]


def test_score_log_empty_has_no_alarms(tmp_path: Path) -> None:
    with ScoreLog(tmp_path / "new") as log:
        assert log.read().size == 0
        assert log.alarms_at(1.0, Rule(k=3, n=5)).size == 0


def test_score_log_too_few_bytes_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="max_bytes"):
        ScoreLog(tmp_path, max_bytes=100)
