"""Memory and time that a model may take until it has reproduced its reference: it may come from anywhere.

Its graph has no loops (`engines.bundles.operators`), but a few bytes can ask for a tensor of terabytes, or for the
product of two large ones.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engines.errors import EngineError
from engines.runtime.engine import Engine

# Eight reference frames at a time. The largest foreign models that were measured took under 2 GB.
MAX_BYTES = 4 * 1024**3

# Weights are read, converted and packed; the rest is a margin.
_BYTES_PER_MODEL_BYTE = 8

# The slowest model that was measured took 0.7 s a frame on one thread; a Jetson's core is several times slower.
MAX_SECONDS = 120.0


@contextmanager
def memory_limit(model_bytes: int, name: str) -> Iterator[None]:
    """Let this process allocate `MAX_BYTES` more, and some times the model's size; EngineError beyond that.

    Does nothing where the system does not allow to set limits, as in the sandbox of the service.
    """
    import resource

    before = None
    with suppress(OSError, ValueError):
        before = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = _private_bytes() + MAX_BYTES + _BYTES_PER_MODEL_BYTE * model_bytes
        if before[0] == resource.RLIM_INFINITY or wanted < before[0]:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, before[1]))
    try:
        yield
    except MemoryError:
        raise EngineError(f"{name} engine: the model wants more than {MAX_BYTES >> 30} GB of memory") from None
    finally:
        if before is not None:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_DATA, before)


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
