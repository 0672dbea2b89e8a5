"""Read a file of weights that a person has: a PyTorch state dict or safetensors. Nothing in it is executed."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engines.errors import TrainingError

# A header of safetensors names its tensors: about 100 bytes for each.
_MOST_HEADER_BYTES = 10_000_000

_TYPES: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
}

# Names in front of all tensors of a file, of training code that wraps the network.
_PREFIXES = ("module.", "backbone.", "model.", "encoder.")


class WeightsFile(NamedTuple):
    """Tensors by name, and the sha256, hex, of the file that they are from."""

    tensors: dict[str, Tensor]
    sha256: str


def read_weights(path: Path) -> WeightsFile:
    """Read `.pth`, `.pt`, `.bin` or `.safetensors`; TrainingError, one line, if it holds anything but named tensors."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        tensors = _safetensors(content) if path.suffix == ".safetensors" else _state_dict(path)
    except Exception as error:  # the unpickler raises all kinds
        reason = " ".join(str(error).split())[:160]
        raise TrainingError(f"{path}: not a file of weights, wanted a state dict or safetensors ({reason})") from None
    return WeightsFile(_without_prefix(tensors), hashlib.sha256(content).hexdigest())


def _state_dict(path: Path) -> dict[str, Tensor]:
    saved: Any = torch.load(path, map_location="cpu", weights_only=True)
    for name in ("state_dict", "model"):
        if isinstance(saved, dict) and isinstance(saved.get(name), dict):
            saved = saved[name]
    if not isinstance(saved, dict) or not saved or not all(isinstance(value, Tensor) for value in saved.values()):
        raise ValueError("it holds no tensors by name, or more than tensors")
    return {str(name): value for name, value in saved.items()}


def _safetensors(content: bytes) -> dict[str, Tensor]:
    """The format of safetensors: length of the header, header in JSON, then the tensors' bytes."""
    (length,) = struct.unpack_from("<Q", content)
    if length > min(_MOST_HEADER_BYTES, len(content) - 8):
        raise ValueError(f"the header has {length} bytes, the file {len(content)}")
    header, data = json.loads(content[8 : 8 + length]), memoryview(content)[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        kind, shape = _TYPES[entry["dtype"]], tuple(entry["shape"])
        if not 0 <= start <= end <= len(data) or end - start != kind.itemsize * int(np.prod(shape, dtype=np.int64)):
            raise ValueError(f"{name} has bytes {start} to {end} of {len(data)}, which is not its size")
        tensors[name] = torch.from_numpy(np.frombuffer(data[start:end], kind).reshape(shape).copy())
    return tensors


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors
