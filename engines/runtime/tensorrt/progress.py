"""Progress of building a plan: TensorRT reports nested phases, people want one number."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from engines.progress import Progress


@dataclass(slots=True)
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """Turns the calls to an `IProgressMonitor`, from any thread, into one fraction that never decreases.

    >>> phases = Phases(lambda fraction, message: print(f"{fraction:.3f} {message}"))
    >>> phases.start("build", None, 4); phases.start("tactics", "build", 2)
    0.000 build
    0.000 tactics
    >>> goes_on = phases.step("tactics", 0)
    0.125 tactics
    >>> phases.finish("tactics"); goes_on = phases.step("build", 0); phases.finish("build")
    0.250 tactics
    0.250 build
    1.000 build
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._phases: dict[str, _Phase] = {}
        self._fraction = 0.0
        self.failure: BaseException | None = None
        """The reason to stop the build; None: continue."""

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins, inside its parent or on its own."""
        with self._lock:
            self._phases[name] = _Phase(parent if parent in self._phases else None, max(steps, 1))
        self._report(name)

    def step(self, name: str, step: int) -> bool:
        """Step number `step`, counted from 0, is done; returns False to stop the build."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
        self._report(name)
        return self.failure is None

    def finish(self, name: str) -> None:
        """A phase is over, perhaps before its last step."""
        with self._lock:
            if name not in self._phases:
                return
            self._phases[name].done = self._phases[name].steps
        self._report(name)
        with self._lock:
            self._phases.pop(name, None)

    def fail(self, failure: BaseException) -> None:
        """Stop the build; the builder raises the first failure afterwards."""
        if self.failure is None:
            self.failure = failure

    def _report(self, name: str) -> None:
        if self.failure is not None:
            return  # TensorRT still finishes its phases
        with self._lock:
            self._fraction = max([self._fraction, *(self._value(root) for root in self._inside(None))])
            fraction = self._fraction
        try:
            self._progress(fraction, name)
        except BaseException as error:  # Python's exceptions do not pass through TensorRT; the builder raises it again
            self.fail(error)

    def _value(self, name: str) -> float:
        """The done fraction of one phase, 0 to 1: its finished steps, plus the inner phases' share of the current."""
        phase, inside = self._phases[name], self._inside(name)
        under_way = sum(map(self._value, inside)) / len(inside) if inside else 0.0
        return min(1.0, (phase.done + under_way) / phase.steps)

    def _inside(self, parent: str | None) -> list[str]:
        return [name for name, phase in self._phases.items() if phase.parent == parent]
