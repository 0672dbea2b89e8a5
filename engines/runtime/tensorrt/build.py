"""Build a TensorRT plan from a bundle's FP16-typed graph, on the device that will run it.

The network is strongly typed: every tensor has the type that the graph gives it, float16 in the networks, float32 in
normalisation, distances and sums. Only this way works with both TensorRT 10.3 (JetPack 6) and 11, which has no FP16
flag any more, and it leaves no choice of precision to the builder.
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
from engines.runtime.tensorrt.runtime import INPUT, TensorRtMessages, load_tensorrt, make_logger, start

if TYPE_CHECKING:
    import tensorrt

# One eighth of the device's memory: 512 MB on a Jetson with 4 GB, which the agent, the desktop and the camera's driver
# need as well.
WORKSPACE_DIVISOR = 8
WORKSPACE_LEAST_BYTES, WORKSPACE_MOST_BYTES = 128 * 1024**2, 2 * 1024**3

# The errors of a graph that one release does not accept are repetitive; so many are enough to see the cause.
MAX_ERRORS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The options of a build."""

    max_batch: int
    """Largest number of frames in one call."""
    device_bytes: int
    """Memory of the device."""
    timing_cache: Path | None = None
    """File with the times of tactics from earlier builds with this device and TensorRT; None: they are not kept."""


def build_plan(bundle: Bundle, options: BuildOptions, progress: Progress | None = None) -> bytes:
    """Build the plan of a bundle. Takes seconds on a PC, minutes on a Jetson.

    The context of the GPU must be current. Raises EngineError if TensorRT is missing, does not accept the graph, or
    fails. An exception from `progress`, or Ctrl-C, stops the build and is raised.
    """
    version = load_tensorrt()
    import tensorrt as trt

    messages = TensorRtMessages()
    logger = make_logger(messages)
    builder = start(trt.Builder, logger, messages)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    _parse(bundle, network, logger, messages)
    config = _configure(builder, bundle, options, messages)
    phases = Phases(progress or (lambda fraction, message: None))
    config.progress_monitor = monitor = _make_monitor(phases)
    with _interruptible(phases):
        plan = builder.build_serialized_network(network, config)
    del monitor
    if phases.failure is not None:
        raise phases.failure
    if plan is None:
        raise EngineError(f"tensorrt engine: TensorRT {version} built no plan{messages.first_error()}")
    _save_timings(config, options.timing_cache)
    return bytes(memoryview(plan))


def _configure(
    builder: tensorrt.Builder, bundle: Bundle, options: BuildOptions, messages: TensorRtMessages
) -> tensorrt.IBuilderConfig:
    import tensorrt as trt

    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes(options.device_bytes))
    # The graph's float32 parts need full precision; TF32 would compute them with ten bits of mantissa.
    config.clear_flag(trt.BuilderFlag.TF32)
    _load_timings(config, options.timing_cache)
    messages.first_error()  # drop TensorRT's error for an unusable timing cache: it would hide the later ones
    config.add_optimization_profile(_profile(builder, bundle, options.max_batch))
    return config


def workspace_bytes(device_bytes: int) -> int:
    """Limit of the memory that a tactic may use, for a device with `device_bytes`.

    >>> [workspace_bytes(size * 1024**3) // 1024**2 for size in (0, 4, 8, 80)]
    [128, 512, 1024, 2048]
    """
    return min(max(device_bytes // WORKSPACE_DIVISOR, WORKSPACE_LEAST_BYTES), WORKSPACE_MOST_BYTES)


def _parse(
    bundle: Bundle, network: tensorrt.INetworkDefinition, logger: tensorrt.ILogger, messages: TensorRtMessages
) -> None:
    import tensorrt as trt

    parser = trt.OnnxParser(network, logger)
    if parser.parse(with_float_edges(bundle.read(MODEL_FP16))):
        return
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    shown = "; ".join(_explain(error) for error in errors[:MAX_ERRORS_SHOWN]) or messages.first_error().strip(" ()")
    more = f" and {len(errors) - MAX_ERRORS_SHOWN} more" if len(errors) > MAX_ERRORS_SHOWN else ""
    raise EngineError(f"tensorrt engine: TensorRT {trt.__version__} does not accept {MODEL_FP16}: {shown}{more}")


def _explain(error: tensorrt.ParserError) -> str:
    node = f"{error.node_operator()} {error.node_name()}".strip() or "the graph"
    return f"{node}: {' '.join(error.desc().split())[:200]}"


def _profile(builder: tensorrt.Builder, bundle: Bundle, max_batch: int) -> tensorrt.IOptimizationProfile:
    """Batches of 1 to `max_batch` frames, optimised for one frame: an engine with one camera gets no other batch."""
    profile = builder.create_optimization_profile()
    shape = bundle.geometry.shape
    profile.set_shape(INPUT, (1, *shape), (1, *shape), (max_batch, *shape))
    return profile


@contextmanager
def _interruptible(phases: Phases) -> Iterator[None]:
    """Let Ctrl-C stop the build. The default handler raises inside one of TensorRT's calls, which swallow it."""
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
    """Load the times of earlier builds; start empty if TensorRT rejects them as those of another device or release."""
    try:
        known = b"" if path is None else path.read_bytes()
    except OSError:
        known = b""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def _save_timings(config: tensorrt.IBuilderConfig, path: Path | None) -> None:
    """Keep the times for the next build, which measures again if the disk does not take them."""
    if path is None:
        return
    cache = config.get_timing_cache()
    try:
        keep(path, bytes(memoryview(cache.serialize())))
    except OSError:
        return
