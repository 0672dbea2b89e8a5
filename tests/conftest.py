"""What several suites share: pictures of a small part, and a real model that was trained on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.broker import MOSQUITTO, Mosquitto
from tests.support.parts import write_parts

if TYPE_CHECKING:
    from engines.bundles.bundle import Bundle


# Programs that tests start, one of them on the system's Python with its GStreamer, and data; neither are tests.
collect_ignore_glob = ["support/*", "data/*"]


@pytest.fixture(scope="session")
def good_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 good pictures, 40×40 gray, 8 bit."""
    return write_parts(tmp_path_factory.mktemp("parts") / "good", 24)


@pytest.fixture(scope="session")
def tiny_bundle(good_parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A real bundle, 32×32 gray, 8 bit: the published networks, narrow, after 12 steps. Nobody may write to it."""
    pytest.importorskip("torch", reason="training needs the train extra")
    import torch

    from engines.training.train import train

    # Rounding depends on the number of threads, and other tests change it.
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("bundle") / "tiny.bundle"
    small = {"filters": 8, "latent": 16}
    return train(
        good_parts, out=out, recipe="reference", size=32, steps=12, minutes=None, options=small, accelerator="cpu"
    ).bundle


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts a real Mosquitto: `mosquitto(persistence=True, lines=["max_packet_size 5000"])`; all are ended."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    brokers: list[Mosquitto] = []

    def start(**options: Any) -> Mosquitto:
        brokers.append(Mosquitto(tmp_path / f"broker-{len(brokers)}", **options))
        return brokers[-1].start()

    yield start
    for broker in brokers:
        broker.end()
