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
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from engines.bundles import Frames, Geometry, Reference
from engines.export.rewrite import RULES, RULES_OF_HALF, rewrite
from engines.recipes.scorer import Scorer
from engines.runtime import open_session, relative_error

# ai.onnx 18 (December 2022): the newest that TensorRT 10.3, JetPack 6's, takes in full.
OPSET = 18

# Smaller ones are not worth a node.
_LEAST_WEIGHTS_STORED_AS_HALF = 256

# Nodes whose weights TensorRT wants to know when it builds.
_KERNEL_OWNERS = ("Conv", "ConvTranspose")

_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)

_INTEGERS = {8: torch.uint8, 16: torch.uint16}


@torch.no_grad()
def absorb_normalisation(networks: nn.Module) -> None:
    """Let every layer do the scaling of the batch normalisation behind it, which keeps an offset only.

    Exporters do so anyway, in the precision that the graph has by then; done here, and in float32, all graphs agree.
    """
    for sequence in networks.modules():
        if isinstance(sequence, nn.Sequential):
            for layer, norm in pairwise(sequence):
                if isinstance(layer, _LAYERS) and isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
                    _absorb(layer, norm)


def _absorb(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    layer.weight.mul_(scale.reshape([-1 if axis == outputs else 1 for axis in range(layer.weight.dim())]))
    offset = -norm.running_mean
    if layer.bias is not None:
        offset = offset + layer.bias
        layer.bias.zero_()
    norm.bias.add_(offset * scale)
    norm.weight.fill_(1.0)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)


@torch.no_grad()
def round_to_half(networks: nn.Module) -> None:
    """Round all weights to numbers that half precision holds too."""
    for weights in networks.parameters():
        weights.copy_(weights.half())


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
    proto = program.model_proto
    rewrite(proto, RULES_OF_HALF if half else RULES)
    # Of the FP16-typed graph's convolutions the few that stay float32 keep their weights as they are: TensorRT takes
    # what a Cast gives for weights that are known at run time only.
    return _finished(proto, whole=_KERNEL_OWNERS if half else ())


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
    """The module's `state_dict` as the bytes of an uncompressed `.npz`, for the PyTorch engine."""
    arrays: dict[str, Any] = {name: value.detach().cpu().numpy() for name, value in scorer.state_dict().items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _finished(proto: Any, whole: Collection[str]) -> bytes:
    import onnx

    _store_as_half(proto.graph, whole)
    _remove_notes(proto)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def _store_as_half(graph: Any, whole: Collection[str]) -> None:
    """Keep float32 weights that are float16 numbers as such, cast where they are used: half the size, same values.

    Engines cast them once, when they load the graph. Weights of the kinds of nodes in `whole` are left alone.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    spared = {name for node in graph.node if node.op_type in whole for name in node.input}
    for stored in graph.initializer:
        if stored.data_type != TensorProto.FLOAT or stored.name in spared:
            continue
        values = numpy_helper.to_array(stored)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if values.size >= _LEAST_WEIGHTS_STORED_AS_HALF and np.array_equal(halves, values):
            name = stored.name
            stored.CopyFrom(numpy_helper.from_array(halves, f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _remove_notes(proto: Any) -> None:
    """What the exporter writes down for its own developers: it holds paths of the machine it ran on."""
    for message in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        message.ClearField("metadata_props")
        message.ClearField("doc_string")
    for value in (*proto.graph.input, *proto.graph.output):
        value.ClearField("metadata_props")
    proto.producer_name, proto.producer_version = "inspectd", ""
    proto.graph.name = "inspectd"


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
