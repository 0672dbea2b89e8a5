"""Products of a camera, changed while it runs, with real bundles and a real broker."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.commands import ask
from agent.core.errors import InspectdError, Permanent
from agent.service import Service
from engines.bundles import generate_keys, sign_bundle
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import await_state, await_status, running_service, socket_path
from tests.support.broker import Mosquitto, Subscriber, wait_until

SOURCE = 'kind = "simulator"\nframes_per_second = 50.0\ngood_frames = 100000'
PARTS = "[cameras.line1.parts]\nframes_per_part = 1\n"


def renamed(bundle: Bundle, folder: Path) -> Path:
    """The same model under another name: another bundle, which needs an engine and a calibration of its own."""
    copy = shutil.copytree(bundle.path, folder)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["name"] = folder.stem
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def product(name: str, bundle: Path, more: str = "") -> str:
    return f'[cameras.line1.products.{name}]\nbundle = "{bundle}"\n{more}'


@pytest.fixture
def config(tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto) -> Path:
    """A camera with the products A and B on bundles of their own, and C on that of A."""
    path = tmp_path / "inspectd.toml"
    calibration = 'frames = 50\nmax_frames = 50\nfalse_alarms = "1 per 20 parts"'
    text = settings_text(tiny_bundle.path, SOURCE, url=broker.url, calibration=calibration)
    other = renamed(tiny_bundle, tmp_path / "other.bundle")
    sections = (PARTS, product("A", tiny_bundle.path), product("B", other), product("C", tiny_bundle.path))
    path.write_text(text + "".join(sections))
    return path


def results(subscriber: Subscriber) -> list[dict[str, Any]]:
    return [json.loads(message.payload) for message in subscriber.on("/result")]


def newest(subscriber: Subscriber) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(subscriber.on("/result")[-1].payload)
    return found


def await_product(socket: Path, name: str | None, phase: str) -> None:
    await_state(socket, lambda state: (state["product"], state["phase"]) == (name, phase))


def test_next_part_is_judged_as_the_new_product_within_a_second(
    config: Path, tmp_path: Path, broker: Mosquitto
) -> None:
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    with running_service(config):
        socket = socket_path(tmp_path)
        for name in ("A", "B", "C"):
            ask(socket, "product", "line1", name=name)
            await_product(socket, name, "armed")
        took = []
        for name in ("B", "A", "C", "B", "A") * 2:
            asked = time.monotonic()
            answer = ask(socket, "product", "line1", name=name)
            assert (answer["product"], answer["phase"]) == (name, "armed"), "each keeps its calibration"
            wait_until(lambda name=name: newest(subscriber)["product"] == name)  # type: ignore[misc]
            took.append(time.monotonic() - asked)
        assert sorted(took)[len(took) // 2] < 1.0, "the machine may be busy, but not all the time"
        shift = ask(socket, "status")["cameras"]["line1"]["shift_parts"]
    found = results(subscriber)
    assert [document["sequence"] for document in found] == list(range(1, len(found) + 1))
    frames = [document["frame"] for document in found]
    assert frames == sorted(set(frames)), "in the order of capture, across all changes"
    calibrations = {document["product"]: document["calibration"] for document in found if document["calibration"]}
    assert len(set(calibrations.values())) == 3, "one for each product"
    models = {document["product"]: document["model"]["name"] for document in found}
    assert models == {"A": "tiny", "B": "other", "C": "tiny"}
    assert shift["ok"] + shift["nok"] > 0
    count = json.loads(subscriber.on("/count")[-1].payload)["shift"]["products"]
    assert {each["product"] for each in count} == {"A", "B", "C"}


def test_unknown_product_is_an_error_and_parts_are_not_judged_until_another_is_named(
    config: Path, tmp_path: Path, broker: Mosquitto
) -> None:
    subscriber = Subscriber(broker, "inspectd/#", client_id="mes")
    socket = socket_path(tmp_path)
    with running_service(config):
        await_product(socket, "A", "armed")
        with pytest.raises(InspectdError, match="unknown product 'D', wanted one of A, B, C") as caught:
            ask(socket, "product", "line1", name="D")
        assert "\n" not in str(caught.value)
        await_product(socket, None, "no_product")
        wait_until(lambda: results(subscriber)[-1]["reason"] == "no_product")
        with pytest.raises(InspectdError, match="product: name"):
            ask(socket, "product", "line1", name="D/../E")
    with running_service(config):
        await_product(socket, None, "no_product")
        assert ask(socket, "product", "line1", name="A")["phase"] == "armed"
        wait_until(lambda: results(subscriber)[-1]["verdict"] in ("ok", "nok"))


def test_the_product_is_the_same_after_a_restart(config: Path, tmp_path: Path) -> None:
    socket = socket_path(tmp_path)
    with running_service(config):
        assert ask(socket, "product", "line1")["products"] == ["A", "B", "C"]
        ask(socket, "product", "line1", name="B")
    with running_service(config):
        assert ask(socket, "product", "line1")["product"] == "B"


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_a_product_that_cannot_be_inspected_stops_no_other(config: Path, tmp_path: Path, fault: str) -> None:
    broken = tmp_path / "broken.bundle"
    if fault == "damaged":
        broken.mkdir()
        (broken / "manifest.json").write_text("{")
    config.write_text(config.read_text() + product("D", broken))
    socket = socket_path(tmp_path)
    with running_service(config):
        await_product(socket, "A", "armed")
        status = await_status(socket, lambda status: bool(status["delivery"]["problems"]))
        assert any("product D cannot be inspected" in problem for problem in status["delivery"]["problems"])
        with pytest.raises(InspectdError, match=r"product D cannot be inspected: .*broken.bundle"):
            ask(socket, "product", "line1", name="D")
        await_product(socket, None, "no_product")
        ask(socket, "product", "line1", name="A")
        await_product(socket, "A", "armed")


def test_a_product_that_is_unsigned_or_of_another_view_is_one_line(
    tmp_path: Path, tiny_bundle: Bundle, broker: Mosquitto
) -> None:
    signed = shutil.copytree(tiny_bundle.path, tmp_path / "signed.bundle")
    private, public = generate_keys(tmp_path / "plant")
    sign_bundle(signed, private)
    assert cv2.imwrite(str(tmp_path / "mask.png"), np.full((32, 32), 255, np.uint8))
    sections = (
        PARTS,
        product("A", signed),
        product("U", tiny_bundle.path),
        product("M", signed, 'mask = "mask.png"\n'),
    )
    config = tmp_path / "inspectd.toml"
    text = settings_text(signed, SOURCE, url=broker.url) + "".join(sections)
    config.write_text(f'trusted_keys = ["{public}"]\n{text}')
    socket = socket_path(tmp_path)
    subscriber = Subscriber(broker, "inspectd/#")
    with running_service(config):
        for name, words in (("U", "not signed"), ("M", "mask")):
            with pytest.raises(InspectdError, match=f"product {name} cannot be inspected: .*{words}") as caught:
                ask(socket, "product", "line1", name=name)
            assert "\n" not in str(caught.value)
            await_product(socket, None, "no_product")
        wait_until(lambda: any(document["reason"] == "no_product" for document in results(subscriber)))
        ask(socket, "product", "line1", name="A")
        await_state(socket, lambda state: state["product"] == "A")


def test_a_model_that_does_not_fit_into_the_memory_is_loaded_when_it_is_wanted(config: Path, tmp_path: Path) -> None:
    config.write_text('max_model_memory = "1 B"\n' + config.read_text())
    socket = socket_path(tmp_path)
    with running_service(config) as service:
        assert ready(service) == ["A", "B"], "the limit is reached with the second"
        ask(socket, "product", "line1", name="C")
        assert ready(service) == ["A", "C"], "they share a model"
        ask(socket, "product", "line1", name="B")
        await_state(socket, lambda state: (state["product"], state["model"]["name"]) == ("B", "other"))
        assert ready(service) == ["B"]
        assert len(service.inspections) == 1, "the engine of the others is closed"


def ready(service: Service) -> list[str | None]:
    return sorted(service.lines["line1"].setups, key=str)


def test_a_camera_without_products_says_so(tmp_path: Path, tiny_bundle: Bundle) -> None:
    path = tmp_path / "inspectd.toml"
    path.write_text(settings_text(tiny_bundle.path, SOURCE))
    with running_service(path) as service, pytest.raises(Permanent, match="camera line1 has no products"):
        service.select_product(service.lines["line1"], "A")
