"""The simulated line: a schedule that can be recomputed, and images with the noise of real cameras."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from agent.sources.simulator.casting import LEVELS_PER_PHOTON, OFFSET_LEVELS, Casting
from agent.sources.simulator.plate import BLACK_LEVEL, ELECTRONS_PER_LEVEL, READ_NOISE_LEVELS, Plate
from agent.sources.simulator.scene import Scene
from agent.sources.simulator.schedule import SimulatedLine

MODES = {"camera": np.uint8, "xray": np.uint16}


@cache
def built(scene: type[Scene]) -> Scene:
    """A scene of 256 pixels; building one takes longer than using it."""
    return scene(256)


KINDS = [(Plate, kind) for kind in Plate.kinds] + [(Casting, kind) for kind in Casting.kinds]


@pytest.mark.parametrize("mode", MODES)
def test_render_depends_on_seed_mode_and_index_alone(mode: str) -> None:
    first = SimulatedLine(mode, seed=3, size=128, defect_rate=0.2)
    frames = [first.render(index) for index in range(40)]
    second = SimulatedLine(mode, seed=3, size=128, defect_rate=0.2)
    for index in (33, 2, 34, 17, 0):
        image, truth = second.render(index)
        assert np.array_equal(image, frames[index][0])
        assert truth == frames[index][1]


@pytest.mark.parametrize("mode", MODES)
def test_image_with_another_seed_differs(mode: str) -> None:
    assert not np.array_equal(
        SimulatedLine(mode, seed=0, size=128).image(5), SimulatedLine(mode, seed=1, size=128).image(5)
    )


def test_truth_in_another_process_is_the_same() -> None:
    """The score sheet is computed by a process that has not seen a frame."""
    program = (
        "import json, dataclasses; from agent.sources.simulator.schedule import SimulatedLine; "
        "line = SimulatedLine('xray', seed=8, size=128, defect_rate=0.2); "
        "print(json.dumps([dataclasses.asdict(line.truth(index)) for index in range(200)]))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    line = SimulatedLine("xray", seed=8, size=128, defect_rate=0.2)
    rendered = [asdict(line.render(index)[1]) for index in range(200)]
    assert json.loads(run.stdout) == rendered
    assert any(truth["kind"] for truth in rendered)


@pytest.mark.parametrize(("mode", "dtype"), MODES.items())
@pytest.mark.parametrize("size", [64, 200, 512])
def test_image_has_the_promised_shape(mode: str, dtype: type, size: int) -> None:
    image = SimulatedLine(mode, size=size).image(0)
    assert image.shape == (size, size, 1)
    assert image.dtype == dtype
    assert image.flags.c_contiguous


@pytest.mark.parametrize(("rate", "gap"), [(0.05, 2), (0.15, 2), (0.3, 0), (0.1, 4)])
def test_defects_have_their_rate_and_their_distance(rate: float, gap: int) -> None:
    line = SimulatedLine("camera", seed=1, size=64, defect_rate=rate, min_gap_parts=gap)
    parts = 2500
    kinds = [line.part(index).kind for index in range(parts)]
    bad = np.flatnonzero([kind is not None for kind in kinds])
    # Four standard deviations of independent draws; keeping a distance only narrows it.
    assert len(bad) == pytest.approx(parts * rate, abs=4.0 * (parts * rate * (1.0 - rate)) ** 0.5)
    assert min(np.diff(bad)) == gap + 1
    assert min(kinds.count(kind) for kind in line.kinds) > 0.4 * len(bad) / len(line.kinds)


@pytest.mark.parametrize("mode", ["camera", "xray"])
def test_loose_parts_lie_elsewhere_with_the_same_defects(mode: str) -> None:
    straight, loose = (
        SimulatedLine(mode, seed=3, defect_rate=0.2, frames_per_part=1, loose=each) for each in (False, True)
    )
    apart = [
        (a.pose.x - b.pose.x, a.pose.y - b.pose.y, a.pose.degrees - b.pose.degrees)
        for a, b in ((straight.part(index), loose.part(index)) for index in range(200))
    ]
    across, along, turn = np.abs(np.array(apart)).T
    assert 20 < max(across.max(), along.max()) <= 25.6 + 1e-9
    assert 9 < turn.max() <= 10 + 1e-9
    assert [straight.part(index).kind for index in range(200)] == [loose.part(index).kind for index in range(200)]
    bad = next(index for index in range(200) if straight.part(index).kind is not None)
    assert loose.mask(bad).any()
    assert (loose.mask(bad) != straight.mask(bad)).any()


def test_first_frames_are_good_as_requested() -> None:
    line = SimulatedLine("camera", seed=4, size=64, defect_rate=0.2, good_frames=401, frames_per_part=4)
    kinds = [line.part(index).kind for index in range(200)]
    assert not any(kinds[:101])
    assert any(kinds[101:])
    later = SimulatedLine("camera", seed=4, size=64, defect_rate=0.2)
    assert [later.part(index).kind for index in range(101, 200)] == kinds[101:]


def test_rate_that_leaves_no_room_for_good_parts_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"defect rate is 0\.3, wanted 0 to 0\.200 with 2 good parts between bad"):
        SimulatedLine("camera", size=64, defect_rate=0.3)


@pytest.mark.parametrize("wrong", [{"mode": "sonar"}, {"size": 10}, {"frames_per_part": 0}, {"seed": -1}])
def test_impossible_line_is_rejected_in_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="simulator") as error:
        SimulatedLine(**wrong)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mode", MODES)
def test_truth_boxes_the_mask_and_stays_in_the_frame(mode: str) -> None:
    line = SimulatedLine(mode, seed=2, size=256, defect_rate=0.9, min_gap_parts=0, frames_per_part=2)
    shown = 0
    for index in range(0, 120, 3):
        truth, mask = line.truth(index), line.mask(index)[:, :, 0]
        if truth.kind is None:
            assert not mask.any()
            assert truth.contrast == 0.0
            continue
        shown += 1
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert (truth.x, truth.y) == (columns[0], rows[0])
        assert (truth.x + truth.width - 1, truth.y + truth.height - 1) == (columns[-1], rows[-1])
        assert set(np.unique(mask)) == {0, 255}
    assert shown > 20


@pytest.mark.parametrize(("scene", "kind"), KINDS, ids=lambda value: getattr(value, "__name__", value))
def test_defect_is_visible_to_a_careful_inspector(scene: type[Scene], kind: str) -> None:
    """At 256 pixels every defect is visible above the noise, and none covers the whole part."""
    view = built(scene)
    for draw in range(16):
        rng = np.random.default_rng(draw)
        pose, defect = view.draw_pose(rng), view.draw_defect(kind, rng)
        good = view.expose(view.compose(pose, None), np.random.default_rng(draw)).astype(np.float64)
        other = view.expose(view.compose(pose, None), np.random.default_rng(draw + 1000)).astype(np.float64)
        bad = view.expose(view.compose(pose, defect), np.random.default_rng(draw)).astype(np.float64)
        inside = view.place(defect.mask, pose) > 0.5
        noise = (other - good)[inside].std() / np.sqrt(2.0)
        change = np.abs(bad - good)[:, :, 0][inside]
        # Detectability for an ideal observer; five is the classic limit for a human one (Rose criterion).
        detectability = np.sqrt((change**2).sum()) / noise
        assert detectability > 15.0, f"draw {draw}"
        assert np.percentile(change, 75) > 3.0 * noise, f"draw {draw}"
        assert 8 <= inside.sum() < 0.03 * 256 * 256, f"draw {draw}"
        assert view.contrast(defect) > 0.05, f"draw {draw}"


@pytest.mark.parametrize("scene", [Plate, Casting])
def test_frames_outside_the_defect_do_not_change(scene: type[Scene]) -> None:
    view = built(scene)
    rng = np.random.default_rng(5)
    pose, defect = view.draw_pose(rng), view.draw_defect("missing_hole", rng)
    change = np.abs(view.compose(pose, defect) - view.compose(pose, None))
    far = view.blur(view.place(defect.mask, pose), 12.0) < 1e-4
    assert change[far].max() < 0.02 * change.max()


def test_camera_noise_is_shot_and_read_noise() -> None:
    """Variance of a pixel = signal / electrons per level + read noise squared, plus 1/12 for rounding."""
    view = Plate(128)
    for signal in (0.1, 0.5, 0.9):
        flat = np.full((128, 128), signal, np.float32)
        frames = np.stack([view.expose(flat, np.random.default_rng(i)).astype(np.float64) for i in range(60)])[..., 0]
        mean = frames.mean(axis=0) - BLACK_LEVEL
        wanted = (mean / ELECTRONS_PER_LEVEL + READ_NOISE_LEVELS**2 + 1.0 / 12.0).mean()
        assert frames.var(axis=0, ddof=1).mean() == pytest.approx(wanted, rel=0.05)


def test_xray_noise_is_poisson() -> None:
    """The slope of variance over mean is the detector's gain, as in the photon transfer curve of a real detector."""
    view = Casting(128)
    points = []
    for signal in (0.1, 0.3, 0.6, 0.9):
        flat = np.full((128, 128), signal, np.float32)
        frames = np.stack([view.expose(flat, np.random.default_rng(i)).astype(np.float64) for i in range(60)])[..., 0]
        points.append((frames.mean() - OFFSET_LEVELS, frames.var(axis=0, ddof=1).mean()))
    means, variances = np.transpose(points)
    slope = np.polyfit(means, variances, 1)[0]
    assert slope == pytest.approx(LEVELS_PER_PHOTON, rel=0.05)


@pytest.mark.parametrize("mode", MODES)
def test_successive_frames_of_a_part_have_different_noise(mode: str) -> None:
    line = SimulatedLine(mode, seed=6, size=256)
    frames = [line.image(index).astype(np.float64) for index in range(4)]
    corner = [frame[:24, :24].ravel() - frame[:24, :24].mean() for frame in frames]
    for first, second in pairwise(corner):
        assert not np.array_equal(first, second)


def test_xray_keeps_sixteen_bits() -> None:
    """Thick walls and air have very different levels, nothing clips, and the low bits are used."""
    image = SimulatedLine("xray", seed=0).image(0)
    assert image.min() > OFFSET_LEVELS
    assert image.max() < 65_535
    assert image.max() > 4.0 * image.min()
    assert len(np.unique(image & 0xFF)) == 256


def test_between_two_parts_the_view_is_empty() -> None:
    line = SimulatedLine(seed=1, size=128, frames_per_part=3, gap_frames=4, defect_rate=0.2)
    assert [line.part_in_view(index) for index in range(9)] == [0, 0, 0, None, None, None, None, 1, 1]
    assert line.truth(4).part is None
    assert not line.mask(4).any()
    means = [float(line.image(index).mean()) for index in range(7)]
    empty = float(line.empty_image().mean())
    assert means[4] == pytest.approx(empty, rel=0.05)
    assert means[5] == pytest.approx(empty, rel=0.05)
    assert all(empty < means[place] < 0.9 * means[0] for place in (3, 6)), "half of a part that leaves, and that enters"
