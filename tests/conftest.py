"""Fixtures that several folders of tests share: images of a small part, a real model for them, a broker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.outputs.outbox import Outbox
from engines.bundles.bundle import Bundle, read_bundle
from tests.support.broker import MOSQUITTO, Mosquitto
from tests.support.far_host import FarHost
from tests.support.parts import write_parts

DATA = Path(__file__).with_name("data")

# Programs that tests start, one of them on the system's Python with its GStreamer, and data; neither are tests.
collect_ignore_glob = ["support/*", "data/*"]


@pytest.fixture(scope="session")
def good_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 good images, 40×40 gray, 8 bit."""
    return write_parts(tmp_path_factory.mktemp("parts") / "good", 24)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A real bundle, 32×32 gray, 8 bit, from `tests/data`; read-only, although it is a copy."""
    return read_bundle(shutil.copytree(DATA / "tiny.bundle", tmp_path_factory.mktemp("bundle") / "tiny.bundle"))


@pytest.fixture(scope="session")
def trained_bundle(good_parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle like `tiny_bundle`, trained now on `good_parts`, with its training report."""
    pytest.importorskip("torch", reason="training needs the train extra")
    import torch

    from engines.training.plan import Devices, TrainingPlan
    from engines.training.train import train_model

    # Rounding depends on the number of threads, and other tests change it.
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("trained") / "trained.bundle"
    small = {"filters": 8, "latent": 16}
    plan = TrainingPlan(
        good_parts, out=out, recipe="reference", size=32, steps=12, minutes=None, options=small, devices=Devices("cpu")
    )
    return train_model(plan).bundle


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """An empty outbox; a test that needs a broker or old content makes its own."""
    opened = Outbox(tmp_path / "outbox.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Start a real Mosquitto: `mosquitto(persistence=True, lines=["max_packet_size 5000"])`; stopped after the test."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    brokers: list[Mosquitto] = []

    def start(**options: Any) -> Mosquitto:
        brokers.append(Mosquitto(tmp_path / f"broker-{len(brokers)}", **options))
        return brokers[-1].start()

    yield start
    for broker in brokers:
        broker.end()


@pytest.fixture
def far_host() -> Iterator[FarHost]:
    """A host whose network can fail."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root and iproute2")
    host = FarHost()
    try:
        if not host.create():
            pytest.skip("a network namespace needs a kernel, and a container, that permits it")
        yield host
    finally:
        host.remove()
