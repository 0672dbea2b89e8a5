"""What is installed on this machine, and which hardware it has."""

from __future__ import annotations

import os
import platform
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = {"onnxruntime": ("onnxruntime",), "openvino": ("openvino",), "tensorrt": ("tensorrt", "pycuda")}


# The device nodes of NVIDIA's drivers on a PC and on Jetsons: without one there is no GPU that TensorRT could use.
_GPU_NODES = ("/dev/nvidia0", "/dev/nvgpu/igpu0", "/dev/nvhost-gpu")


def installed() -> list[str]:
    """The engines that `auto` may take on this machine; nothing is imported to find out."""
    names = [name for name, packages in _PACKAGES.items() if all(find_spec(package) for package in packages)]
    return [name for name in names if name != "tensorrt" or shows_gpu()]


def shows_gpu() -> bool:
    """Whether there is a device node of NVIDIA's drivers."""
    return any(Path(node).exists() for node in _GPU_NODES)


def describe_processor() -> str:
    """Cores, processor and architecture: what a measured rate holds for."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return f"{os.cpu_count()} × {names[0] if names else 'processor'} ({platform.machine()})"
