"""What each command does with the running agent."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agent.commands.agent import RunningAgent
from agent.commands.control import Call, Handler
from agent.commands.reload import reload_lines
from agent.commands.snapshot import draw_seen, inlined, published, take_snapshot
from agent.core.errors import Permanent, Temporary
from agent.inspection import CameraLine
from agent.messages import utc_text
from agent.monitoring import phase_of
from calibration import Budget, Calibration

log = logging.getLogger(__name__)


class CommandHandlers:
    """Carries commands out: on the inspection thread of the camera that they are about, so that nothing is locked."""

    def __init__(self, agent: RunningAgent) -> None:
        self._agent = agent

    def handlers(self) -> Mapping[str, Handler]:
        """By the name of the command."""
        return {
            "status": self.status,
            "recalibrate": self.recalibrate,
            "calibration/list": self.list_calibrations,
            "calibration/show": self.show_calibration,
            "calibration/rollback": self.roll_back,
            "pause": self.pause,
            "resume": self.resume,
            "snapshot": self.snapshot,
            "reload": self.reload,
        }

    def status(self, call: Call) -> dict[str, Any]:
        """The agent and its cameras (or the one that was asked for), delivery and its latency."""
        states = self._agent.states()
        if call.camera is not None:
            states = {call.camera: states[self._line(call).name]}
        outputs = [(output, output.report()) for output in self._agent.outputs]
        first, delivery = outputs[0]
        return {
            "site": self._agent.settings.site,
            "broker": first.destination,
            "cameras": {name: state.model_dump(mode="json", by_alias=True) for name, state in states.items()},
            "recalibrations": {line.name: line.preview for line in self._agent.lines.values() if line.preview},
            "delivery": delivery.model_dump(mode="json"),
            "outputs": {
                output.name: {"destination": output.destination, "connected": report.connected}
                for output, report in outputs
            },
        }

    def recalibrate(self, call: Call) -> dict[str, Any]:
        """Begin, or give up, a new window."""
        line = self._line(call)
        if call.request.cancel:
            line.call(line.station.cancel)
            return {"cancelled": True}
        plan = self._plan(line, call)
        line.recalibrate(plan)
        return {"frames": plan.frames, "budget": str(plan.budget), "dry_run": plan.dry_run}

    def list_calibrations(self, call: Call) -> dict[str, Any]:
        """Every calibration of a camera, oldest first."""
        line = self._line(call)
        active, store = line.station.calibration, line.station.store
        return {
            "active": None if active is None else active.id,
            "calibrations": [summary(store.load(id)) for id in store.list()],
        }

    def show_calibration(self, call: Call) -> dict[str, Any]:
        """One calibration: its summary, and the file that holds all of it."""
        line = self._line(call)
        calibration = self._calibration(line, call.request.of)
        return {**summary(calibration), "file": str(line.station.store.directory / f"{calibration.id}.json")}

    def roll_back(self, call: Call) -> dict[str, Any]:
        """Go back to the calibration before, or to the one that is named."""
        line = self._line(call)
        return summary(line.call(lambda: line.station.roll_back(call.request.to, call.by)))

    def pause(self, call: Call) -> dict[str, Any]:
        """Look away."""
        line = self._line(call)
        line.call(lambda: self._agent.pause(line))
        return {"phase": line.station.phase.value}

    def resume(self, call: Call) -> dict[str, Any]:
        """Look again."""
        line = self._line(call)
        line.call(line.station.resume)
        return {"phase": line.station.phase.value}

    def snapshot(self, call: Call) -> dict[str, Any]:
        """The latest frame with its score and heatmap."""
        line, agent = self._line(call), self._agent
        seen, camera = line.station.last_frame, line.capture.status
        phase, reason = phase_of(line.station, camera), camera.reason or line.station.reason
        if seen is None:
            raise Temporary(f"camera {line.name}: no frame yet ({reason or phase.value}); try again once frames come")
        if not math.isfinite(seen.score):
            raise Permanent(f"camera {line.name}: the model gave the latest frame the score {seen.score}, no number")
        result = take_snapshot(line.name, seen, phase=phase, reason=reason, now_monotonic=time.monotonic())
        pictures = draw_seen(seen, agent.evidence, lambda: float(line.bundle.reference().heatmap.max()))
        if call.request.inline:
            return result.model_copy(update={"pictures": inlined(pictures)}).model_dump(mode="json")
        sent, left_out = published(pictures, line.name, agent.outputs)
        return result.model_copy(update={"pictures": sent, "left_out": left_out}).model_dump(mode="json")

    def reload(self, call: Call) -> dict[str, Any]:
        """Take over what the settings file has new."""
        try:
            result = self._agent.reload().result()
        except Permanent as error:
            raise Permanent("; ".join(str(error).splitlines())) from None
        document = result.model_dump(mode="json")
        log.info("settings read again: %s", "; ".join(reload_lines(document)))
        return document

    def _line(self, call: Call) -> CameraLine:
        lines = self._agent.lines
        if call.camera is not None and call.camera in lines:
            return lines[call.camera]
        if call.camera is None and len(lines) == 1:
            return next(iter(lines.values()))
        raise Permanent(f"camera {call.camera!r} is not known here; wanted one of {', '.join(lines)}")

    @staticmethod
    def _plan(line: CameraLine, call: Call) -> Any:
        plan, request = line.station.plan, call.request
        frames = request.frames or plan.frames
        return replace(
            plan,
            frames=frames,
            max_frames=max(plan.max_frames, frames),
            budget=Budget.parse(request.false_alarms) if request.false_alarms else plan.budget,
            by=call.by,
            dry_run=request.dry_run,
        )

    @staticmethod
    def _calibration(line: CameraLine, identity: str | None) -> Calibration:
        if identity is not None:
            return line.station.store.load(identity)
        if line.station.calibration is None:
            raise Permanent(f"camera {line.name} is not calibrated yet; wanted the id of a calibration")
        return line.station.calibration


def summary(calibration: Calibration) -> dict[str, Any]:
    """A calibration in a few fields that a person reads."""
    threshold = calibration.threshold
    return {
        "id": calibration.id,
        "created_at": utc_text(calibration.created_at),
        "by": calibration.who,
        "threshold": threshold.value,
        "rule": str(calibration.rule),
        "budget": str(calibration.budget),
        "method": threshold.method,
        "certified": threshold.certified,
        "effective_sample_size": threshold.effective_sample_size,
        "promise": calibration.promise,
        "frames": int(calibration.scores.size),
        "first_frame": calibration.first_frame,
        "last_frame": calibration.last_frame,
        "left_out": len(calibration.left_out),
        "engine": calibration.engine,
        "bundle": calibration.bundle_sha256,
    }
