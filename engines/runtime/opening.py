"""Open an engine by name and check it against the bundle's reference."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from engines.backends import AUTO, BACKENDS, FALLBACK, Hardware, engine_names
from engines.bundles import MODEL, Bundle
from engines.errors import EngineError
from engines.progress import Progress
from engines.runtime.choice import candidates
from engines.runtime.engine import Engine, EngineOptions
from engines.runtime.hardware import has_hardware
from engines.runtime.limits import hard_time_limit, memory_limit, time_limit
from engines.runtime.reference_check import check_reference

log = logging.getLogger(__name__)


def open_engine(
    bundle: Bundle,
    name: str = AUTO,
    *,
    threads: int | None = None,
    directory: Path | None = None,
    progress: Progress | None = None,
    thresholds: Sequence[float] = (),
) -> Engine:
    """Open an engine on a bundle and check it against the reference frames.

    Args:
        bundle: a verified bundle.
        name: a backend, or `auto`: the first of `engines.runtime.choice.candidates` that opens.
        threads: limit of the CPU threads of one call to `score`; None: the backend decides.
        directory: the agent's state directory, for measured choices and built plans; None: nothing is kept.
        progress: called while a plan is built, if one has to be built first.
        thresholds: the thresholds that are in force on this device for this bundle.

    Raises EngineError if the name is unknown, the backend is not installed, the reference is not reproduced, or a
    reference frame would get another verdict at one of the thresholds. The fallback is exempt from the last check,
    because no other engine could replace it.
    """
    options = EngineOptions(threads, directory, progress)
    if name == AUTO:
        return _open_best(bundle, options, thresholds)
    with _limits(bundle, name):
        engine = _construct(bundle, name, options)
        try:
            with time_limit(engine):
                check_reference(engine, () if name == FALLBACK else thresholds)
        except BaseException:
            engine.close()
            raise
    return engine


@contextmanager
def _limits(bundle: Bundle, name: str) -> Iterator[None]:
    """Limits for models on the CPU. The driver of a GPU maps memory in amounts of its own; a plan takes minutes."""
    if name not in BACKENDS or has_hardware(Hardware.NVIDIA_GPU):
        yield
        return
    with hard_time_limit(name, bundle.path), memory_limit((bundle.path / MODEL).stat().st_size, name):
        yield


def _open_best(bundle: Bundle, options: EngineOptions, thresholds: Sequence[float]) -> Engine:
    rejected: list[str] = []
    for name, reason in candidates(bundle, options.directory).items():
        try:
            engine = open_engine(
                bundle,
                name,
                threads=options.threads,
                directory=options.directory,
                progress=options.progress,
                thresholds=thresholds,
            )
        except EngineError as error:
            if name == FALLBACK:
                raise
            log.warning("%s", error)
            rejected.append(str(error))
            continue
        engine.reason, engine.rejected = reason, tuple(rejected)
        return engine
    raise AssertionError("the last candidate is the fallback, which opens or raises")


def _construct(bundle: Bundle, name: str, options: EngineOptions) -> Engine:
    if name not in BACKENDS:
        raise EngineError(f"engine {name!r} is unknown, wanted one of {', '.join(engine_names())}")
    try:
        return _load(name)(bundle, options)
    except EngineError as error:
        hardware = BACKENDS[name].hardware
        if has_hardware(hardware):
            raise
        raise EngineError(f"{error}; no {hardware.value} was found on this machine") from error


def _load(name: str) -> type[Engine]:
    """Import the packages and the module of a backend; EngineError with the install command if one cannot be loaded."""
    backend = BACKENDS[name]
    module, _, attribute = backend.engine.partition(":")
    try:
        for package in backend.packages:
            import_module(package)
        engine: type[Engine] = getattr(import_module(module), attribute)
    except (ImportError, OSError) as error:  # OSError: a shared library of the package is missing
        command = f"pip install 'inspectd[{backend.extra}]'" if backend.extra else "pip install inspectd"
        reason = " ".join(str(error).split())[:200]
        raise EngineError(f"{name} engine: cannot be loaded ({reason}); {command}") from error
    return engine
