"""Scoring module → ONNX: one graph in FP32, one typed FP16, both with integer frames in and float32 answers out.

In the FP16 graph the networks' weights and activations are float16, while normalisation, distances and sums stay
float32: that is what TensorRT's strongly typed networks take, and ONNX Runtime runs it too. Names of nodes and values
come out the same every time; the exporter's notes on source lines are removed, since they hold paths of the machine it
ran on.
"""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.bundle import Frames, Geometry, Reference
from engines.engine import relative_error
from engines.onnxruntime import open_session
from engines.scoring import Scorer

# ai.onnx 18 (December 2022): the newest that TensorRT 10.3, JetPack 6's, takes in full.
OPSET = 18

_INTEGERS = {8: torch.uint8, 16: torch.uint16}


def export_onnx(scorer: Scorer, geometry: Geometry, *, half: bool = False) -> bytes:
    """Export a scoring module, in eval mode, for batches of any size; `half` gives the FP16-typed graph.

    By way of `torch.export`: the older TorchScript exporter is ten times as quick, but has no unsigned 16-bit type.
    """
    module = copy.deepcopy(scorer).cpu().eval()
    if half:
        module.networks.half()
    example = torch.zeros((2, *geometry.shape), dtype=_INTEGERS[geometry.bit_depth])
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            (example,),
            input_names=["frames"],
            output_names=["score", "heatmap"],
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return _without_notes(program.model_proto)


@torch.inference_mode()
def reference_answers(scorer: Scorer, frames: Frames) -> Reference:
    """Score frames [N, H, W, C] with the module itself, in eval mode: the answers every engine must give."""
    score, heatmap = scorer.cpu().eval()(torch.from_numpy(frames))
    return Reference(frames, score.numpy(), heatmap.numpy())


def agreement(model: bytes, reference: Reference) -> float:
    """Largest relative difference of a score or heatmap between ONNX Runtime on this model and the reference."""
    score, heatmap = open_session(model).run(("score", "heatmap"), {"frames": reference.frames})
    return max(relative_error(score, reference.score), relative_error(heatmap, reference.heatmap))


def weights_archive(scorer: Scorer) -> bytes:
    """The module's `state_dict` as a NumPy archive, for the PyTorch engine."""
    arrays: dict[str, Any] = {name: _array(value) for name, value in scorer.state_dict().items()}
    return numpy_archive(**arrays)


def numpy_archive(**arrays: Any) -> bytes:
    """Arrays as the bytes of an uncompressed `.npz`; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _array(value: Tensor) -> Any:
    return value.detach().cpu().numpy()


def _without_notes(proto: Any) -> bytes:
    import onnx

    for message in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        message.ClearField("metadata_props")
        message.ClearField("doc_string")
    for value in (*proto.graph.input, *proto.graph.output):
        value.ClearField("metadata_props")
    proto.producer_name, proto.producer_version = "inspectd", ""
    proto.graph.name = "inspectd"
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter writes for its own developers; what matters is checked afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
