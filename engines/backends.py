"""The table of backends, one row each. Reading it imports none of them.

To add a backend, write one file with a subclass of `engines.runtime.Engine` and add its row here. The settings, the
command line, `auto`, `inspectd bench` and the contract suite (`tests/contracts/test_engine.py`) read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Hardware(Enum):
    """What a backend runs on; the values are for people."""

    CPU = "CPU"
    NVIDIA_GPU = "NVIDIA GPU"


class Auto(Enum):
    """When `auto` takes a backend."""

    FALLBACK = "last: it runs on every machine and replaces a rejected engine"
    IF_FASTEST = "if `inspectd bench` measured it as the fastest on this machine"
    PREFERRED = "wherever it is usable, until `inspectd bench` measured another as faster"
    NEVER = "only if the settings name it"


@dataclass(frozen=True, slots=True)
class Backend:
    """One row of the table."""

    engine: str
    """`module:class` of the `Engine`; the module is imported when the engine is opened."""
    packages: tuple[str, ...]
    """Packages that the module needs, as they are imported."""
    extra: str | None = None
    """The extra of this project that installs them (`pip install 'inspectd[extra]'`); None: the base install does."""
    hardware: Hardware = Hardware.CPU
    auto: Auto = Auto.IF_FASTEST


BACKENDS = {
    "onnxruntime": Backend("engines.runtime.onnxruntime:OnnxRuntimeEngine", ("onnxruntime",), auto=Auto.FALLBACK),
    "openvino": Backend("engines.runtime.openvino:OpenVinoEngine", ("openvino",), "openvino"),
    "tensorrt": Backend(
        "engines.runtime.tensorrt.engine:TensorRtEngine",
        ("tensorrt", "pycuda"),
        "tensorrt",
        Hardware.NVIDIA_GPU,
        Auto.PREFERRED,
    ),
    "torch": Backend("engines.runtime.torch:TorchEngine", ("torch",), "train", auto=Auto.NEVER),
}
"""Backends by the name that settings, calibrations and messages give them."""

AUTO = "auto"
"""Not a backend: the best one that opens; `engines.runtime.choice` has the order."""

FALLBACK = next(name for name, backend in BACKENDS.items() if backend.auto is Auto.FALLBACK)
"""The engine that every machine has, and that replaces a rejected one."""


def engine_names() -> tuple[str, ...]:
    """Names that `open_engine` takes.

    >>> engine_names()
    ('auto', 'onnxruntime', 'openvino', 'tensorrt', 'torch')
    """
    return AUTO, *BACKENDS
