"""ONNX Runtime's session: no usage data, no files in the home directory, clear errors."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from engines.errors import EngineError
from engines.runtime.onnxruntime import open_session

SESSION = """
import sys
import engines.runtime.onnxruntime
import onnxruntime
from pathlib import Path
onnxruntime.InferenceSession(Path(sys.argv[1]).read_bytes(), providers=["CPUExecutionProvider"])
"""


def test_session_writes_no_identifier_and_sends_nothing(tmp_path: Path) -> None:
    """In a fresh home directory and without pytest's environment: it would write to `.cache/Microsoft` there."""
    model = Path(str(files("engines.bundles.shipped"))) / "simulator-camera.bundle" / "model.onnx"
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SESSION, str(model)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "telemetry" not in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("model", [b"", b"not a model"], ids=["empty", "text"])
def test_model_that_is_not_onnx_is_rejected_in_one_line(model: bytes) -> None:
    with pytest.raises(EngineError, match="onnxruntime engine: the model cannot be opened") as caught:
        open_session(model)
    assert "\n" not in str(caught.value)
