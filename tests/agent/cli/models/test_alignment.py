"""Training with alignment, and every command on a bundle that has one: parts lie anyhow, and some images show none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.agents import agent_processes, configure
from tests.support.broker import Mosquitto, Subscriber
from tests.support.command_line import assert_one_line, inspectd
from tests.support.loose_parts import PLATE, SPOT, SPOT_RADIUS, Lies, draw, empty, taught, write_loose_parts

pytest.importorskip("torch", reason="training needs the train extra")

from engines.bundles.bundle import Bundle
from engines.comparison.compare import _test_frames
from engines.errors import TrainingError
from engines.images import AlignmentChoice, LimitChanges, prepare, read_image
from engines.training.good_frames import load_good_frames
from engines.training.plan import Devices, TrainingPlan, ViewChoice
from engines.training.train import train_model

GOOD, BAD, EMPTY = 80, 4, 3


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that was trained on loose parts, among them two images without one."""
    import torch

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("aligned")
    write_loose_parts(root / "good", 40, seed=1)
    write_empty(root / "good", 2)
    plan = TrainingPlan(
        root / "good",
        out=root / "aligned.bundle",
        recipe="reference",
        size=32,
        steps=12,
        minutes=None,
        options={"filters": 8, "latent": 16},
        devices=Devices("cpu"),
        view=ViewChoice(align=taught(root / "taught.png")),
    )
    return train_model(plan).bundle


def write_empty(folder: Path, count: int, prefix: str = "empty") -> None:
    rng = np.random.default_rng(17)
    for index in range(count):
        assert cv2.imwrite(str(folder / f"{prefix}{index:03}.png"), empty(rng))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Lies]]:
    """Good parts and empty images for the window, then bad parts and more empty images; how the bad ones lie."""
    folder = tmp_path_factory.mktemp("parts")
    write_loose_parts(folder, GOOD, seed=5, prefix="m")
    write_empty(folder, EMPTY, "m00")
    lies = write_loose_parts(folder, BAD, seed=9, bad=True, prefix="x")
    write_empty(folder, EMPTY, "y")
    write_loose_parts(folder, 1, seed=11, prefix="z")
    return folder, lies


def test_the_bundle_has_the_alignment_and_inspects_its_region(aligned: Bundle) -> None:
    view = aligned.manifest.view
    assert view is not None
    assert view.crop == PLATE
    assert str(view.alignment) == "region 64×48 at 48,36, up to 16 px and 15°, match at least 0.6"
    record = aligned.manifest.training
    assert record is not None
    assert (record.images_used + record.images_held_out, record.images_skipped) == (40, 2)
    warning = next(line for line in record.warnings if line.startswith("2 files could not be used; the first"))
    assert "no part was found" in warning


def test_parts_lie_alike_in_the_model(aligned: Bundle, parts: tuple[Path, list[Lies]]) -> None:
    frames = [prepare(read_image(parts[0] / f"m{index:03}.png"), aligned.manifest).pixels for index in range(10, 30)]
    spread = np.stack(frames).astype(float).std(axis=0)[2:-2, 2:-2]
    assert spread.mean() < 6.0, "noise and light, no shift"


def test_score_names_images_without_a_part(aligned: Bundle, parts: tuple[Path, list[Lies]]) -> None:
    done = inspectd("score", aligned.path, parts[0])
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == GOOD + BAD + 1
    *lines, last = done.stderr.splitlines()
    assert len(lines) == 2 * EMPTY
    assert all("no part was found: the best match is 0." in line for line in lines)
    assert last == "inspectd: 6 of the images could not be scored, 6 of them because no part was found"


def test_evaluate_counts_images_without_a_part(aligned: Bundle, parts: tuple[Path, list[Lies]], tmp_path: Path) -> None:
    normal, abnormal, masks = tmp_path / "normal", tmp_path / "abnormal", tmp_path / "masks"
    write_loose_parts(normal, 20, seed=21)
    lies = write_loose_parts(abnormal, 6, seed=22, bad=True)
    write_empty(normal, 2)
    write_empty(abnormal, 1)
    masks.mkdir()
    for index, each in enumerate(lies):
        mask = np.zeros((120, 160), np.uint8)
        cv2.circle(mask, tuple(round(value - 0.5) for value in each.place(*SPOT)), SPOT_RADIUS, 255, cv2.FILLED)
        assert cv2.imwrite(str(masks / f"{index:03}.png"), mask)
    arguments = ("--normal", normal, "--abnormal", abnormal, "--masks", masks, "--out", tmp_path / "out")
    done = inspectd("evaluate", aligned.path, *arguments)
    assert done.returncode == 0, done.stderr
    assert "  without a part     3 images, which are in none of these figures" in done.stdout
    figures = json.loads(inspectd("evaluate", aligned.path, *arguments, "--json").stdout)
    assert (figures["normal"], figures["abnormal"], figures["without_part"]) == (20, 6, 3)
    assert figures["pixels"]["auroc"] > 0.9, "masks are turned as the parts are"


def test_compare_gives_all_systems_the_aligned_parts(aligned: Bundle, tmp_path: Path) -> None:
    write_loose_parts(tmp_path / "good", 12, seed=3)
    write_empty(tmp_path / "good", 1)
    good = load_good_frames(tmp_path / "good", (32, 32), ViewChoice(like=aligned.manifest.view))
    assert good.view.alignment == aligned.manifest.view.alignment
    tested = _test_frames(tmp_path / "good", good, None)
    assert (tested.frames == good.frames).all()
    assert len(tested.skipped) == len(good.skipped) == 1
    assert tested.pose(0) is not None


def test_view_shows_the_part_upright(aligned: Bundle, tmp_path: Path) -> None:
    image = tmp_path / "part.png"
    assert cv2.imwrite(str(image), draw(Lies(6.0, -4.0, 9.0), np.random.default_rng(4)))
    done = inspectd("view", aligned.path, image)
    assert done.returncode == 0, done.stderr
    assert "alignment     region 64×48 at 48,36, up to 16 px and 15°, match at least 0.6" in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("part "))
    assert "px right, " in line
    assert "px up, turned by " in line
    assert "clockwise, match " in line
    assert "inspected     64×48 at 48,36 of the aligned image" in done.stdout
    shown = cv2.imread(str(tmp_path / "part-view.png"), cv2.IMREAD_GRAYSCALE).astype(int)
    straight = cv2.resize(draw(Lies(), np.random.default_rng(5))[36:84, 48:112], (32, 32), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(shown.ravel(), straight.ravel())[0, 1] > 0.97
    assert cv2.imwrite(str(image), empty(np.random.default_rng(6)))
    assert_one_line(inspectd("view", aligned.path, image), "no part was found: the best match is")


def test_an_agent_judges_parts_wherever_they_lie(
    aligned: Bundle, parts: tuple[Path, list[Lies]], tmp_path: Path, broker: Mosquitto
) -> None:
    """Images without a part are in no window, raise no alarm and have a result that says so."""
    folder, lies = parts
    config = configure(tmp_path, aligned, f'kind = "folder"\npath = "{folder}"', broker.url)
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    with agent_processes(config) as start:
        # An agent that has read its folder ends within two seconds; what waits then is delivered by the next one.
        for _ in range(5):
            process = start()
            _, log = process.communicate(timeout=120)
            assert process.returncode == 0, log
            results = {document["part"]: document for document in documents(subscriber, "/result")}
            if len(results) == GOOD + BAD + 2 * EMPTY + 1:
                break
    assert len(results) == GOOD + BAD + 2 * EMPTY + 1
    missing = {part for part, document in results.items() if document["reason"] == "part_not_found"}
    assert missing == {f"{prefix}00{index}.png" for prefix in ("m00", "y") for index in range(EMPTY)}
    assert all(results[part]["verdict"] == "not_judged" and results[part]["score"] is None for part in missing)
    assert [results[f"x{index:03}.png"]["verdict"] for index in range(BAD)] == ["nok"] * BAD
    raised = [each for each in documents(subscriber, "/alarm") if each["event"] == "raised"]
    assert not missing & {alarm["origin"] for alarm in raised}
    for index, each in enumerate(lies):
        assert_region_on_spot(next(alarm for alarm in raised if alarm["origin"] == f"x{index:03}.png"), each)
    state = max(documents(subscriber, "/state"), key=lambda each: each["frames"])
    assert (state["frames"], state["without_part"]) == (len(results), 2 * EMPTY)
    assert state["parts"]["not_judged"] == sum(each["verdict"] == "not_judged" for each in results.values())


def documents(subscriber: Subscriber, suffix: str) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in subscriber.on(suffix)]


def assert_region_on_spot(alarm: dict[str, Any], lies: Lies) -> None:
    """The hottest region is on the spot, in pixels of the image as the camera saw it, and inside of the crop."""
    x, y = lies.place(*SPOT)
    region, crop = alarm["regions"][0], alarm["crop"]
    reach = SPOT_RADIUS + 2 * 64 / 8
    assert abs(region["x"] + region["width"] / 2 - x) < reach
    assert abs(region["y"] + region["height"] / 2 - y) < reach
    assert crop["x"] <= region["x"]
    assert region["x"] + region["width"] <= crop["x"] + crop["width"]


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("max_shift_pixels = -1", "cameras.line1.alignment.max_shift_pixels"),
        ("least_match = 2", "cameras.line1.alignment.least_match"),
        ("angle = 3", "cameras.line1.alignment.angle"),
    ],
)
def test_limits_out_of_range_are_one_line(aligned: Bundle, setting: str, wanted: str, tmp_path: Path) -> None:
    config = configure(tmp_path, aligned, 'kind = "simulator"')
    config.write_text(config.read_text() + f"[cameras.line1.alignment]\n{setting}\n")
    assert_one_line(inspectd("run", "--config", config), wanted)


def test_an_alignment_in_the_settings_needs_one_in_the_bundle(tiny_bundle: Bundle, tmp_path: Path) -> None:
    config = configure(tmp_path, tiny_bundle, 'kind = "simulator"')
    config.write_text(config.read_text() + "[cameras.line1.alignment]\nmax_angle_degrees = 5\n")
    done = inspectd("run", "--config", config)
    assert_one_line(done, "alignment is set, but tiny.bundle was trained without one; wanted a bundle that was trained")


def test_training_with_an_alignment_that_does_not_fit_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "good"
    write_loose_parts(folder, 3, seed=1)
    choice = taught(tmp_path / "taught.png")
    tiny = tmp_path / "tiny.png"
    assert cv2.imwrite(str(tiny), np.zeros((20, 20), np.uint8))
    for align, wanted in (
        (AlignmentChoice(tiny), "the image to align with is 20×20, the images are 160×120"),
        (AlignmentChoice(tmp_path / "none.png"), "cannot be read"),
    ):
        with pytest.raises(TrainingError, match=wanted):
            train_model(
                TrainingPlan(folder, out=tmp_path / "x.bundle", recipe="scratch", steps=1, view=ViewChoice(align=align))
            )
    strict = AlignmentChoice(choice.file, choice.region, LimitChanges(least_match=0.9999))
    with pytest.raises(TrainingError, match=r"0 usable of 3 images, wanted at least 2; .*no part was found"):
        load_good_frames(folder, (32, 32), ViewChoice(align=strict))
    base = ("train", "--normal", folder, "--out", tmp_path / "x.bundle")
    for more, wanted in (
        (("--align", choice.file, "--align-region", "0,0,9"), "got 0,0,9, wanted X,Y,WIDTH,HEIGHT in pixels"),
        (("--align", choice.file, "--align-region", "150,0,64,48"), "the region is 64×48 at 150,0, wanted within"),
        (("--align", choice.file, "--align-within", "8"), "got 8, wanted PIXELS,DEGREES, up to 180 degrees"),
        (("--align", choice.file, "--align-within", "8,200"), "wanted PIXELS,DEGREES, up to 180 degrees"),
        (("--align-within", "8,20"), "--align-region and --align-within need the image of --align"),
        (("--align", choice.file, "--crop", "150,0,64,48"), "crop is 64×48 at 150,0, wanted within the taught image"),
    ):
        done = inspectd(*base, *more)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        assert " ".join(wanted.split()) in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "x.bundle").exists()
