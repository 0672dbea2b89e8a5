"""The promise about false alarms, as production shows it; a part of `state`."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from agent.messages.base import Instant, Payload


class CertificatePayload(Payload):
    """Evidence from production about the rate of false alarms."""

    certified: bool = Field(description="The rate is within the budget, with the confidence of the calibration.")
    since: Instant | None = Field(default=None, description="When that was reached; null while it is not.")
    spans: NonNegativeFloat = Field(
        description="Running time or parts of the evidence, in spans of the budget: shifts for `1 per shift`. Stops do "
        "not count."
    )
    false_alarms: NonNegativeInt = Field(description="Alarms in it that were not judged true.")
    unjudged: NonNegativeInt = Field(description="Those of them that nobody has judged; they count as false.")
    worst: NonNegativeFloat | None = Field(
        description="Upper limit of the rate, false alarms per span; valid at every moment. Null before the first "
        "judged frame."
    )
    text: str = Field(description="The evidence in words.")


class BrokenPromisePayload(Payload):
    """False alarms come faster than promised."""

    since: Instant = Field(description="The first alarm of the higher rate.")
    rate: NonNegativeFloat = Field(description="Alarms not judged true per span of the budget, when it was noticed.")
    text: str = Field(description="What is wrong and what to do, in words.")
