"""What this machine has: packages, a GPU, a processor. Nothing is imported to find out."""

from __future__ import annotations

import os
import platform
from importlib.util import find_spec
from pathlib import Path

from engines.backends import BACKENDS, Auto, Backend, Hardware

# The device nodes of NVIDIA's drivers on a PC and on Jetsons: without one there is no GPU that TensorRT could use.
_GPU_NODES = ("/dev/nvidia0", "/dev/nvgpu/igpu0", "/dev/nvhost-gpu")


def usable_engines() -> list[str]:
    """Backends that `auto` may take on this machine, in the order of the table."""
    return [name for name, backend in BACKENDS.items() if backend.auto is not Auto.NEVER and is_usable(backend)]


def is_usable(backend: Backend) -> bool:
    """Whether the packages of a backend are installed and its hardware is present."""
    return has_hardware(backend.hardware) and all(find_spec(package) is not None for package in backend.packages)


def has_hardware(hardware: Hardware) -> bool:
    """Whether the machine has a CPU (always) or a GPU: a device node of NVIDIA's drivers."""
    return hardware is Hardware.CPU or any(Path(node).exists() for node in _GPU_NODES)


def describe_processor() -> str:
    """Cores, processor and architecture, such as `8 × Intel(R) Core(TM) i7 (x86_64)`. Measured rates are tied to it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return f"{os.cpu_count()} × {names[0] if names else 'processor'} ({platform.machine()})"
