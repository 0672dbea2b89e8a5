"""The sections about what an agent reports beside its results: metrics, images kept for people, the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ByteSize, Field, model_validator

from agent.core.section import Section


class MetricsSettings(Section):
    """Where Prometheus reads the agent's metrics: a port on the loopback interface or a Unix socket; neither: off."""

    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    socket: Path | None = None

    @property
    def wanted(self) -> bool:
        """True if the settings have a port or a socket."""
        return self.port is not None or self.socket is not None

    @model_validator(mode="after")
    def _one_place(self) -> MetricsSettings:
        if self.port is not None and self.socket is not None:
            raise ValueError("wanted either port (such as 9464) or socket (such as /run/inspectd/metrics.sock)")
        return self


class ReviewSettings(Section):
    """Images kept for training: those of alarms, and a sample of the others."""

    samples_per_shift: Annotated[int, Field(ge=0, le=1000)] = 8
    """Frames without an alarm kept per camera and shift, chosen at random; 0: none."""
    max_size: ByteSize = ByteSize(512 * 1024**2)


class LogSettings(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
