"""The engines talk to nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

SESSION = """
import sys
import engines.runtime.onnxruntime
import onnxruntime
from pathlib import Path
onnxruntime.InferenceSession(Path(sys.argv[1]).read_bytes(), providers=["CPUExecutionProvider"])
"""


def test_onnx_runtime_keeps_no_identifier_and_sends_nothing(tmp_path: Path) -> None:
    """In a home of its own, and where nothing tells it that this is a test: it would leave `.cache/Microsoft` there."""
    model = Path(str(files("engines.bundles.shipped"))) / "simulator-camera.bundle" / "model.onnx"
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SESSION, str(model)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "telemetry" not in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
