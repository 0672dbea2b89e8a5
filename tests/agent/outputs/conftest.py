"""What the tests of delivery share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from agent.core.problems import Problems
from tests.support.broker import Mosquitto
from tests.support.tap import Tap


@pytest.fixture
def taps() -> Iterator[Callable[[Mosquitto], Tap]]:
    """Puts a relay in front of a broker; all are closed at the end."""
    made: list[Tap] = []

    def make(broker: Mosquitto) -> Tap:
        made.append(Tap(broker.port))
        return made[-1]

    yield make
    for tap in made:
        tap.close()


@pytest.fixture
def problems() -> Problems:
    """No problem yet."""
    return Problems()
