"""From a bundle's FP16-typed graph to a TensorRT plan, on the device that will run it.

The network is strongly typed: every tensor has the type that the graph gives it, float16 in the networks, float32 in
normalisation, distances and sums. That is the one way that TensorRT 10.3 (JetPack 6) and 11 share, since 11 has no FP16
flag any more, and it leaves nothing of the precision to the builder's taste.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.bundles import MODEL_FP16, Bundle
from engines.errors import EngineError
from engines.progress import Progress
from engines.runtime.kept_files import keep
from engines.runtime.tensorrt.float_edges import with_float_edges
from engines.runtime.tensorrt.progress import Phases
from engines.runtime.tensorrt.runtime import INPUT, Diary, load_tensorrt, make_logger, start

if TYPE_CHECKING:
    import tensorrt

# Of the device's memory; on a Jetson with 4 GB that is 512 MB, beside the agent, the desktop and the camera's driver.
WORKSPACE_SHARE = 8
WORKSPACE_LEAST_BYTES, WORKSPACE_MOST_BYTES = 128 * 1024**2, 2 * 1024**3

# The errors of a graph that one release does not take repeat themselves; these are enough to see what it is.
MAX_ERRORS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a plan is built for, beside the bundle."""

    max_batch: int
    """Frames of one call at most."""
    device_bytes: int
    """Memory of the device."""
    timing_cache: Path | None = None
    """Where the times of tactics are kept from build to build, for this device and TensorRT; None: nowhere."""


def build_plan(bundle: Bundle, options: BuildOptions, progress: Progress | None = None) -> bytes:
    """Build the plan of a bundle; the context of the GPU has to be current. Seconds on a PC, minutes on a Jetson.

    Raises EngineError where TensorRT is missing, does not take the graph, or fails; what `progress` raises ends it, and
    so does Ctrl-C.
    """
    version = load_tensorrt()
    import tensorrt as trt

    diary = Diary()
    logger = make_logger(diary)
    builder = start(trt.Builder, logger, diary)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    _parse(bundle, network, logger, diary)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes(options.device_bytes))
    # What the graph has as float32 needs it; TF32 would compute it with ten bits of mantissa.
    config.clear_flag(trt.BuilderFlag.TF32)
    _load_timings(config, options.timing_cache)
    diary.why()  # a cache that is of no use is an error to TensorRT, and would explain all that comes after
    config.add_optimization_profile(_profile(builder, bundle, options.max_batch))
    phases = Phases(progress or (lambda fraction, message: None))
    config.progress_monitor = monitor = _make_monitor(phases)
    with _interruptible(phases):
        plan = builder.build_serialized_network(network, config)
    del monitor
    if phases.failure is not None:
        raise phases.failure
    if plan is None:
        raise EngineError(f"tensorrt engine: TensorRT {version} built no plan{diary.why()}")
    _save_timings(config, options.timing_cache)
    return bytes(memoryview(plan))


def workspace_bytes(device_bytes: int) -> int:
    """Memory that a tactic may use for itself, at most.

    >>> [workspace_bytes(size * 1024**3) // 1024**2 for size in (0, 4, 8, 80)]
    [128, 512, 1024, 2048]
    """
    return min(max(device_bytes // WORKSPACE_SHARE, WORKSPACE_LEAST_BYTES), WORKSPACE_MOST_BYTES)


def _parse(bundle: Bundle, network: tensorrt.INetworkDefinition, logger: tensorrt.ILogger, diary: Diary) -> None:
    import tensorrt as trt

    parser = trt.OnnxParser(network, logger)
    if parser.parse(with_float_edges(bundle.file(MODEL_FP16).read_bytes())):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    shown = "; ".join(_explain(error) for error in errors[:MAX_ERRORS_SHOWN]) or diary.why().strip(" ()")
    more = f" and {len(errors) - MAX_ERRORS_SHOWN} more" if len(errors) > MAX_ERRORS_SHOWN else ""
    raise EngineError(f"tensorrt engine: TensorRT {trt.__version__} does not take {MODEL_FP16}: {shown}{more}")


def _explain(error: tensorrt.ParserError) -> str:
    node = f"{error.node_operator()} {error.node_name()}".strip() or "the graph"
    return f"{node}: {' '.join(error.desc().split())[:200]}"


def _profile(builder: tensorrt.Builder, bundle: Bundle, max_batch: int) -> tensorrt.IOptimizationProfile:
    """One frame at least, and best at that: a line with one camera has no other batch."""
    profile = builder.create_optimization_profile()
    shape = bundle.geometry.shape
    profile.set_shape(INPUT, (1, *shape), (1, *shape), (max_batch, *shape))
    return profile


@contextmanager
def _interruptible(phases: Phases) -> Iterator[None]:
    """Have Ctrl-C end the building. What it raises by default lands in one of TensorRT's calls, which swallow it."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: phases.fail(KeyboardInterrupt()))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _make_monitor(phases: Phases) -> tensorrt.IProgressMonitor:
    import tensorrt as trt

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return phases.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()


def _load_timings(config: tensorrt.IBuilderConfig, path: Path | None) -> None:
    """Take up what an earlier build measured; what another device or release wrote is refused, and started anew."""
    try:
        known = b"" if path is None else path.read_bytes()
    except OSError:
        known = b""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def _save_timings(config: tensorrt.IBuilderConfig, path: Path | None) -> None:
    """A convenience: where the disk does not take it, the next build measures again."""
    if path is None:
        return
    cache = config.get_timing_cache()
    try:
        keep(path, bytes(memoryview(cache.serialize())))
    except OSError:
        return
