"""What people read of an agent's answers."""

from __future__ import annotations

import pytest

from agent.cli.text import status_lines
from agent.core.records import Phase
from agent.messages.state import ModelPayload, RulePayload, StatePayload
from agent.messages.status import DeliveryPayload, OutboxPayload
from tests.support.delivery import AT


def lines(**more: object) -> list[str]:
    """Of an armed camera."""
    counts = dict.fromkeys(("waiting", "waiting_bytes", "sequence", "dropped_pictures", "dropped_alarms"), 0)
    outbox = OutboxPayload(**counts, dead_letters=0, omitted_pictures=0)
    state = StatePayload(
        site="plant",
        camera="line1",
        at=AT,
        phase=Phase.ARMED,
        threshold=2.5,
        rule=RulePayload(k=1, n=1),
        calibration="c1",
        promise="At most one false alarm a day.",
        model=ModelPayload(name="parts", sha256="0" * 64),
        engine="onnxruntime",
        **more,  # type: ignore[arg-type]
    )
    result = {
        "site": "plant",
        "broker": "mqtt://broker",
        "cameras": {"line1": state.model_dump(mode="json", by_alias=True)},
        "delivery": DeliveryPayload(connected=True, outbox=outbox).model_dump(mode="json"),
    }
    return list(status_lines(result))


@pytest.mark.parametrize(
    ("shift", "said"), [(1.5, "1.5 standard deviations higher"), (-0.7, "0.7 standard deviations lower")]
)
def test_status_tells_of_drift_in_words(shift: float, said: str) -> None:
    (line,) = [line for line in lines(drift=True, shift=shift) if "DRIFT" in line]
    assert said in line
    assert "recalibrate" in line


def test_status_of_a_steady_camera_has_no_word_of_drift() -> None:
    assert not [line for line in lines() if "drift" in line.lower()]


def test_status_says_which_engine_and_why() -> None:
    (line,) = [line for line in lines(engine_reason="runs on every CPU") if "model parts" in line]
    assert line.endswith("model parts on onnxruntime (runs on every CPU)")
