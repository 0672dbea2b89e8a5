"""Scoring module → ONNX: an FP32 graph and an FP16-typed one, both with integer frames in and float32 results out.

In the FP16 graph the networks' weights and activations are float16, while normalisation, distances and sums stay
float32. TensorRT builds it as a strongly typed network, and ONNX Runtime runs it too. Names of nodes and values are the
same in every export; the exporter's metadata is removed, since it contains paths of the exporting machine.
"""

from __future__ import annotations

import copy
import gc
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
from engines.export.rewrite import FP16_RULES, FP32_RULES, rewrite
from engines.recipes.scorer import Scorer
from engines.runtime import open_session, relative_error

# ai.onnx 18 (December 2022): the newest that TensorRT 10.3, the version in JetPack 6, supports in full.
OPSET = 18

# Fewest weights that are worth a Cast node.
_MIN_WEIGHTS_STORED_AS_HALF = 256

# Nodes whose weights must be constants when TensorRT builds.
_WITH_CONSTANT_KERNELS = ("Conv", "ConvTranspose")

_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)

_INTEGERS = {8: torch.uint8, 16: torch.uint16}


@torch.no_grad()
def fold_batch_norm(networks: nn.Module) -> None:
    """Fold the scale of every batch normalisation into the layer in front of it, in place; an offset remains.

    Exporters fold too, but in the precision of the graph. Folded here, in float32, all graphs agree.
    """
    for sequence in networks.modules():
        if isinstance(sequence, nn.Sequential):
            for layer, norm in pairwise(sequence):
                if isinstance(layer, _LAYERS) and isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
                    _fold(layer, norm)


def _fold(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
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
    """Round all weights to float16 values, in place; their type stays."""
    for weights in networks.parameters():
        weights.copy_(weights.half())


def export_onnx(scorer: Scorer, geometry: Geometry, *, half: bool = False) -> bytes:
    """Export a scoring module in eval mode, for batches of any size; `half` gives the FP16-typed graph.

    Uses `torch.export`: the older TorchScript exporter is ten times as fast, but has no unsigned 16-bit type. Returns a
    serialised ONNX model.
    """
    module = copy.deepcopy(scorer).cpu().eval()
    _compute_out_of_place(module)
    if half:
        module.networks.half()
    example = torch.zeros((2, *geometry.shape), dtype=_INTEGERS[geometry.bit_depth])
    with _quiet(), _without_garbage_collection(), torch.no_grad():
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
    rewrite(proto, FP16_RULES if half else FP32_RULES)
    # The few float32 convolutions of the FP16-typed graph keep float32 weights: TensorRT treats the output of a Cast as
    # weights that are known at run time only.
    return _finished(proto, keep=_WITH_CONSTANT_KERNELS if half else ())


@torch.inference_mode()
def reference_answers(scorer: Scorer, frames: Frames) -> Reference:
    """Score frames [N, H, W, C] with the PyTorch module in eval mode: the results every engine must reproduce."""
    score, heatmap = scorer.cpu().eval()(torch.from_numpy(frames))
    return Reference(frames, score.numpy(), heatmap.numpy())


def agreement(model: bytes, reference: Reference) -> float:
    """Largest relative difference of scores and heatmaps between an ONNX model, in ONNX Runtime, and the reference."""
    score, heatmap = open_session(model).run(("score", "heatmap"), {"frames": reference.frames})
    return max(relative_error(score, reference.score), relative_error(heatmap, reference.heatmap))


def weights_archive(scorer: Scorer) -> bytes:
    """Return the module's `state_dict` as the bytes of an uncompressed `.npz`, for the PyTorch engine."""
    arrays: dict[str, Any] = {name: value.detach().cpu().numpy() for name, value in scorer.state_dict().items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _compute_out_of_place(module: nn.Module) -> None:
    """Let activations return new tensors: the exporter turns those in place into the same nodes, at great length."""
    layers: list[Any] = [layer for layer in module.modules() if getattr(layer, "inplace", False)]
    for layer in layers:
        layer.inplace = False


def _finished(proto: Any, keep: Collection[str]) -> bytes:
    import onnx

    _store_as_half(proto.graph, keep)
    _remove_metadata(proto)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def _store_as_half(graph: Any, keep: Collection[str]) -> None:
    """Store float32 weights that have float16 values as float16, with a Cast: half the size, same values.

    Engines cast them once, when they load the graph. Weights of nodes of the types in `keep` do not change.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    excluded = {name for node in graph.node if node.op_type in keep for name in node.input}
    for stored in graph.initializer:
        if stored.data_type != TensorProto.FLOAT or stored.name in excluded:
            continue
        values = numpy_helper.to_array(stored)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if values.size >= _MIN_WEIGHTS_STORED_AS_HALF and np.array_equal(halves, values):
            name = stored.name
            stored.CopyFrom(numpy_helper.from_array(halves, f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _remove_metadata(proto: Any) -> None:
    """Remove the exporter's debugging metadata, which contains paths of this machine."""
    for message in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        message.ClearField("metadata_props")
        message.ClearField("doc_string")
    for value in (*proto.graph.input, *proto.graph.output):
        value.ClearField("metadata_props")
    proto.producer_name, proto.producer_version = "inspectd", ""
    proto.graph.name = "inspectd"


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Search for no garbage meanwhile: the exporter makes very many objects that stay, and a search visits all."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages, which are for its own developers; the exported model is checked afterwards."""
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
