"""Open an engine by name, and check it against the bundle's reference."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from engines.bundles import Bundle
from engines.errors import EngineError
from engines.progress import Progress
from engines.runtime.engine import DEFAULT, Engine
from engines.runtime.reference_check import check_reference

log = logging.getLogger(__name__)

NAMES = ("auto", "onnxruntime", "openvino", "tensorrt", "torch")
"""What `open_engine` takes; `engines.runtime.choice` says what `auto` is."""


def open_engine(
    bundle: Bundle,
    name: str = "auto",
    *,
    threads: int | None = None,
    directory: Path | None = None,
    progress: Progress | None = None,
    thresholds: Sequence[float] = (),
) -> Engine:
    """Open an engine on a bundle and check it against the reference frames.

    Args:
        bundle: a verified one.
        name: one of NAMES. `auto` goes from the best to the one that every machine has, until one opens.
        threads: limit of the CPU threads of one call to `score`; None leaves it to the backend.
        directory: the agent's state directory, where choices and built engines are kept; None: nothing is kept.
        progress: told how far the building of an engine is, where one has to be built first.
        thresholds: scores above which frames are judged anomalous on this device at present.

    Raises EngineError where the name is unknown, the backend is not installed, the reference is not reproduced, or one
    of its frames would be judged differently; the last does not count for DEFAULT, behind which there is no other.
    """
    if name == "auto":
        return _open_best(bundle, threads, directory, progress, thresholds)
    engine = _construct(bundle, name, threads, directory, progress)
    try:
        check_reference(engine, () if name == DEFAULT else thresholds)
    except BaseException:
        engine.close()
        raise
    return engine


def _open_best(
    bundle: Bundle,
    threads: int | None,
    directory: Path | None,
    progress: Progress | None,
    thresholds: Sequence[float],
) -> Engine:
    from engines.runtime.choice import candidates

    refused: list[str] = []
    for name, reason in candidates(bundle, directory).items():
        try:
            engine = open_engine(
                bundle, name, threads=threads, directory=directory, progress=progress, thresholds=thresholds
            )
        except EngineError as error:
            if name == DEFAULT:
                raise
            log.warning("%s", error)
            refused.append(str(error))
            continue
        engine.reason, engine.refused = reason, tuple(refused)
        return engine
    raise AssertionError("the last candidate is opened, or raises")


def _construct(
    bundle: Bundle, name: str, threads: int | None, directory: Path | None, progress: Progress | None
) -> Engine:
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}, wanted at least 1")
    if name == "onnxruntime":
        from engines.runtime.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(bundle, threads=threads)
    if name == "openvino":
        from engines.runtime.openvino import OpenVinoEngine

        return OpenVinoEngine(bundle, threads=threads)
    if name == "tensorrt":
        from engines.runtime.tensorrt.engine import TensorRtEngine

        return TensorRtEngine(bundle, directory=directory, progress=progress)
    if name == "torch":
        from engines.runtime.torch import TorchEngine

        return TorchEngine(bundle, threads=threads)
    raise EngineError(f"engine {name!r} is unknown, wanted one of {', '.join(NAMES)}")
