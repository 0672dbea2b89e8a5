"""ResNets from files of a person: recognised, checked, and computed as torchvision and timm do."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from engines.bundles import Geometry  # noqa: E402
from engines.errors import EngineError, TrainingError  # noqa: E402
from engines.networks.resnet import KINDS, ResNet, recognise  # noqa: E402
from engines.networks.weights_file import read_weights  # noqa: E402
from engines.recipes.pretrained import OwnBackbone, PretrainedRecipe  # noqa: E402
from engines.recipes.recipe import find_recipe  # noqa: E402
from engines.training.plan import TrainingPlan  # noqa: E402
from engines.training.train import train_model  # noqa: E402

EXPANSION = {False: 1, True: 4}


def published(kind: str, seed: int = 0) -> dict[str, Tensor]:
    """Random weights with the names and shapes of torchvision's file, the fourth layer left out."""
    generator = torch.Generator().manual_seed(seed)
    known, tensors = KINDS[kind], {}

    def add(name: str, norm: str, outputs: int, inputs: int, side: int) -> None:
        scale = (2.0 / (inputs * side * side)) ** 0.5
        tensors[f"{name}.weight"] = scale * torch.randn((outputs, inputs, side, side), generator=generator)
        for part, base in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            tensors[f"{norm}.{part}"] = base + 0.2 * torch.rand(outputs, generator=generator)
        tensors[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    add("conv1", "bn1", 64, 3, 7)
    inputs = 64
    for level, (blocks, outputs) in enumerate(zip(known.blocks, known.outputs, strict=True)):
        width = known.width << level
        shapes = [(width, inputs, 1), (width, width, 3), (outputs, width, 1)]
        for index in range(blocks):
            own = shapes if known.bottleneck else [(width, inputs, 3), (outputs, width, 3)]
            own = [(own[0][0], inputs, own[0][2]), *own[1:]]
            block = f"layer{level + 1}.{index}"
            for number, (to, of, side) in enumerate(own, 1):
                add(f"{block}.conv{number}", f"{block}.bn{number}", to, of, side)
            if index == 0 and (level > 0 or inputs != outputs):
                add(f"{block}.downsample.0", f"{block}.downsample.1", outputs, inputs, 1)
            inputs = outputs
    tensors["fc.weight"], tensors["fc.bias"] = torch.zeros(1000, 512), torch.zeros(1000)
    return tensors


def reference(tensors: dict[str, Tensor], kind: str, images: Tensor) -> list[Tensor]:
    """The network of the paper by its layers' names, batch normalisation apart: outputs of the blocks of each layer."""

    def layer(maps: Tensor, name: str, norm: str, stride: int) -> Tensor:
        weight = tensors[f"{name}.weight"]
        maps = functional.conv2d(maps, weight, None, stride, weight.shape[2] // 2)
        parts = [tensors[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(maps, *parts, False, 0.0, 1e-5)

    maps = functional.max_pool2d(layer(images, "conv1", "bn1", 2).relu(), 3, 2, 1)
    outputs = []
    for level in (1, 2, 3):
        for index in range(KINDS[kind].blocks[level - 1]):
            block, stride = f"layer{level}.{index}", 2 if level > 1 and index == 0 else 1
            shortcut = maps
            if f"{block}.downsample.0.weight" in tensors:
                shortcut = layer(maps, f"{block}.downsample.0", f"{block}.downsample.1", stride)
            if KINDS[kind].bottleneck:
                maps = layer(maps, f"{block}.conv1", f"{block}.bn1", 1).relu()
                maps = layer(maps, f"{block}.conv2", f"{block}.bn2", stride).relu()
                maps = layer(maps, f"{block}.conv3", f"{block}.bn3", 1)
            else:
                maps = layer(maps, f"{block}.conv1", f"{block}.bn1", stride).relu()
                maps = layer(maps, f"{block}.conv2", f"{block}.bn2", 1)
            maps = (maps + shortcut).relu()
            outputs.append(maps)
    return outputs


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_recognised_and_computed_as_published(kind: str) -> None:
    tensors = published(kind)
    assert recognise(tensors) == kind
    network = ResNet(kind)
    network.load_published(tensors)
    bgr = 2.0 * torch.rand((1, 3, 32, 48), generator=torch.Generator().manual_seed(1)) - 1.0
    mean, std = (torch.tensor(values)[None, :, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        features = network(bgr)
        blocks = reference(tensors, kind, ((bgr.flip(1) + 1) / 2 - mean) / std)
    first, second, _ = KINDS[kind].blocks
    wanted = [blocks[first - 1], blocks[first + second - 1], blocks[first + second], blocks[-1]]
    assert tuple(maps.shape[1] for maps in features) == network.channels
    for mine, theirs in zip(features, wanted, strict=True):
        # Rounding is of the size of the largest sums, not of what is left of them where they cancel.
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=max(1e-3, 1e-4 * float(theirs.abs().max())))
    assert not any(weight.requires_grad for weight in network.parameters())


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "wrapped.pt"])
def test_files_of_both_formats_hold_the_same_weights(tmp_path: Path, name: str) -> None:
    tensors, path = published("resnet18"), tmp_path / name
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        wrapped = {"state_dict": {f"module.{key}": value for key, value in tensors.items()}, "epoch": 9}
        torch.save(wrapped if name.startswith("wrapped") else tensors, path)
    read = read_weights(path).tensors
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[key], value) for key, value in tensors.items())


def broken(tensors: dict[str, Tensor], fault: str) -> dict[str, Tensor]:
    if fault == "missing":
        del tensors["layer3.1.bn2.running_var"]
    elif fault == "shape":
        tensors["layer2.0.conv1.weight"] = torch.zeros(128, 64, 5, 5)
    elif fault == "infinite":
        tensors["bn1.weight"] = torch.full((64,), float("inf"))
    elif fault == "another":
        tensors = {"blocks.0.attn.qkv.weight": torch.zeros(3, 3)}
    elif fault == "blocks":
        tensors = {name: value for name, value in tensors.items() if not name.startswith("layer2.1")}
    return tensors


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("missing", r"weights.pth: layer3.1.bn2.running_var is missing$"),
        ("shape", r"layer2.0.conv1.weight is 128×64×5×5, wanted 128×64×3×3$"),
        ("infinite", r"bn1.weight is torch.float32 or not finite"),
        ("another", r"the tensors are blocks.0.attn.qkv.weight …, wanted those of resnet18, .* wide_resnet50_2"),
        ("blocks", r"it has 2, 1 and 2 blocks of width 64, wanted one of resnet18"),
    ],
)
def test_other_weights_are_one_line(tmp_path: Path, fault: str, line: str) -> None:
    torch.save(broken(published("resnet18"), fault), tmp_path / "weights.pth")
    with pytest.raises(TrainingError, match=line) as caught:
        OwnBackbone.read(tmp_path / "weights.pth")
    assert "\n" not in str(caught.value)


class Harmful:
    """Pickled, it would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize("content", ["missing", "text", "code", "list", "header", "offsets"])
def test_files_that_hold_no_weights_are_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / ("x.safetensors" if content in ("header", "offsets") else "x.pth")
    if content == "text":
        path.write_text("is not a file of weights")
    elif content == "code":
        torch.save({"weight": Harmful()}, path)
    elif content == "list":
        torch.save([torch.zeros(3)], path)
    elif content == "header":
        path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    elif content == "offsets":
        text = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 99]}}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    with pytest.raises(TrainingError, match=r"x\.(pth|safetensors): (cannot be read|not a file of weights)") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith("(105)"), "the unpickler's KeyError for `i` says nothing"


def test_the_manifest_names_file_network_and_hash(tmp_path: Path) -> None:
    torch.save(published("resnet18"), tmp_path / "mine.pth")
    recipe = PretrainedRecipe().with_backbone(tmp_path / "mine.pth")
    (record,) = recipe.foreign_weights()
    assert (record.source, record.licence) == ("mine.pth (resnet18)", "NOASSERTION")
    assert record.sha256 == read_weights(tmp_path / "mine.pth").sha256
    assert recipe.options_for(Geometry(128, 128, 1)) == {"backbone": "resnet18", "enlarged": 1}


def test_recipes_without_weights_and_unknown_backbones_are_rejected(tmp_path: Path) -> None:
    plan = TrainingPlan(tmp_path, out=tmp_path / "x.bundle", recipe="scratch", backbone=tmp_path / "mine.pth")
    with pytest.raises(TrainingError, match="the recipe scratch takes no weights of others"):
        train_model(plan)
    with pytest.raises(EngineError, match="backbone 'vit' is unknown, wanted one of efficientnet_lite0, resnet18"):
        find_recipe("pretrained").networks(None, backbone="vit")
