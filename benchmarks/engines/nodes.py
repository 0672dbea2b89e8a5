"""Time of ONNX Runtime by operator, from its own profiler."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnxruntime

from engines.bundles import MODEL, Bundle

CALLS, WARM_UP = 60, 10

# Operators with a smaller share are summed in one row.
_MIN_SHARE = 0.02


def node_table(bundle: Bundle) -> list[str]:
    """A table of milliseconds per operator, for one frame on one thread; sums of the nodes' medians."""
    with tempfile.TemporaryDirectory() as directory:
        nodes = _profile(bundle, Path(directory))
    kinds: dict[str, list[float]] = defaultdict(list)
    for kind, milliseconds in nodes:
        kinds[kind].append(milliseconds)
    total = sum(milliseconds for _, milliseconds in nodes)
    large = {kind: took for kind, took in kinds.items() if sum(took) >= _MIN_SHARE * total}
    rest = [milliseconds for kind, milliseconds in nodes if kind not in large]
    rows = [*sorted(large.items(), key=lambda item: -sum(item[1])), ("all others", rest)]
    return [
        f"Time by kind of node, from ONNX Runtime's profiler: one frame, one thread, {total:.2f} ms in "
        f"{len(nodes)} nodes.",
        "",
        "| operator | nodes | ms | share |",
        "|---|---|---|---|",
        *(f"| {kind} | {len(took)} | {sum(took):.3f} | {sum(took) / total:.0%} |" for kind, took in rows),
    ]


def _profile(bundle: Bundle, directory: Path) -> list[tuple[str, float]]:
    """Operator and median milliseconds of each node."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(directory / "profile")
    session = onnxruntime.InferenceSession(bundle.read(MODEL), options, providers=["CPUExecutionProvider"])
    frames = bundle.reference().frames[:1]
    for _ in range(WARM_UP + CALLS):
        session.run(("score", "heatmap"), {"frames": frames})
    events = json.loads(Path(session.end_profiling()).read_text())
    begun = sorted(event["ts"] for event in events if event["name"] == "model_run")[WARM_UP]
    took: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event["name"].endswith("_kernel_time") and event["ts"] >= begun:
            took[event["args"]["op_name"], event["name"]].append(event["dur"] / 1e3)
    return [(kind, float(np.median(each))) for (kind, _), each in took.items()]
