"""Memory and time that a model may take until it has reproduced its reference: it may come from anywhere.

Its graph has no loops (`engines.bundles.operators`), but a few bytes can ask for a tensor of terabytes, or for the
product of two large ones.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engines.errors import EngineError
from engines.runtime.engine import Engine
from engines.runtime.memory import memory_left

log = logging.getLogger(__name__)

# Eight reference frames at a time. The largest foreign models that were measured took under 2 GB.
MAX_BYTES = 4 * 1024**3

# On a small device, more is not there in any case. With less, no model could be opened while others use the memory.
MIN_BYTES = 512 * 1024**2

# Weights are read, converted and packed; the rest is a margin.
_BYTES_PER_MODEL_BYTE = 8

# The slowest model that was measured took 0.7 s a frame on one thread; a Jetson's core is several times slower.
MAX_SECONDS = 120.0

# An engine stops between two operators only. After this time more, one of them takes too long.
GRACE_SECONDS = 30.0

# The kernel ends this process first where memory runs out all the same, not the broker or another line's agent.
_OOM_FIRST = "1000"


@contextmanager
def memory_limit(model_bytes: int, name: str) -> Iterator[None]:
    """Let this process allocate `MAX_BYTES` more, and some times the model's size; EngineError beyond that.

    On a device with less memory, as much as is left. Where the system does not allow to set a limit, the kernel ends
    this process first of all.
    """
    import resource

    allowed = _allowed_bytes()
    before = None
    with suppress(OSError, ValueError):
        before = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = _private_bytes() + allowed + _BYTES_PER_MODEL_BYTE * model_bytes
        if before[0] == resource.RLIM_INFINITY or wanted < before[0]:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, before[1]))
    try:
        with _first_victim():
            yield
    except MemoryError:
        text = f"the model wants more than {allowed / 1024**3:.1f} GB of memory"
        raise EngineError(f"{name} engine: {text}") from None
    finally:
        if before is not None:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_DATA, before)


def _allowed_bytes() -> int:
    left = memory_left()
    return MAX_BYTES if left is None else max(MIN_BYTES, min(MAX_BYTES, left))


@contextmanager
def _first_victim(file: Path = Path("/proc/self/oom_score_adj")) -> Iterator[None]:
    """Let the kernel end this process before all others if memory runs out (proc(5), oom_score_adj)."""
    before = None
    with suppress(OSError):
        before = file.read_text(encoding="ascii")
        file.write_text(_OOM_FIRST, encoding="ascii")
    try:
        yield
    finally:
        if before is not None:
            with suppress(OSError):
                file.write_text(before, encoding="ascii")


def end_process(text: str) -> None:
    """End this process with one line: a call of a library that does not return cannot be ended otherwise."""
    log.critical("%s", text)
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(1)


@contextmanager
def hard_time_limit(name: str, bundle: Path, end: Callable[[str], None] = end_process) -> Iterator[None]:
    """Call `end` with a line after `MAX_SECONDS` and `GRACE_SECONDS`: opening the model, or one of its operators, does
    not return."""
    seconds = MAX_SECONDS + GRACE_SECONDS
    text = f"{name} engine: no scores of the reference frames after {seconds:g} s, and it cannot be interrupted"
    timer = threading.Timer(seconds, end, [f"{text} ({bundle})"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def time_limit(engine: Engine) -> Iterator[None]:
    """Interrupt the engine after `MAX_SECONDS`, if its backend can be interrupted."""
    late = threading.Event()

    def interrupt() -> None:
        late.set()
        engine.interrupt()

    timer = threading.Timer(MAX_SECONDS, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except EngineError as error:
        if late.is_set():
            text = f"no scores of the reference frames after {MAX_SECONDS:g} s ({engine.bundle.path})"
            raise EngineError(f"{engine.name} engine: {text}") from error
        raise
    finally:
        timer.cancel()


def _private_bytes() -> int:
    """What counts against the limit now: VmData of Linux, private writable memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
