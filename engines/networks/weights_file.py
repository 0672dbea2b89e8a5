"""Read a file of weights that a person has: a PyTorch state dict or safetensors. Nothing in it is executed."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from engines.errors import TrainingError

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
        tensors = load_safetensors(content) if path.suffix == ".safetensors" else _state_dict(content)
    except Exception as error:  # The unpickler raises all kinds; few of them have a text that helps.
        known = isinstance(error, (SafetensorError, pickle.UnpicklingError, ValueError))
        reason = f" ({' '.join(str(error).split())[:160]})" if known else ""
        raise TrainingError(f"{path}: not a file of weights, wanted a state dict or safetensors{reason}") from None
    return WeightsFile(_without_prefix(tensors), hashlib.sha256(content).hexdigest())


def _state_dict(content: bytes) -> dict[str, Tensor]:
    saved: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    for name in ("state_dict", "model"):
        if isinstance(saved, dict) and isinstance(saved.get(name), dict):
            saved = saved[name]
    if not isinstance(saved, dict) or not saved or not all(isinstance(value, Tensor) for value in saved.values()):
        raise ValueError("it holds no tensors by name, or more than tensors")
    return {str(name): value for name, value in saved.items()}


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors
