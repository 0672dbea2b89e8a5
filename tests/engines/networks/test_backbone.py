"""The backbone computes what the published network computes, and is never trained."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from engines.networks.backbone import CHANNELS, Backbone  # noqa: E402
from engines.recipes.imagenet_weights import imagenet_weights  # noqa: E402


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    return imagenet_weights().load()


@pytest.fixture(scope="module")
def backbone(published: dict[str, Tensor]) -> Backbone:
    loaded = Backbone()
    loaded.load_imagenet_weights(published)
    return loaded


def published_layer(maps: Tensor, weights: dict[str, Tensor], layer: str, norm: str, stride: int = 1) -> Tensor:
    """A convolution of the published network with TensorFlow's padding, and the normalisation behind it."""
    kernel = weights[f"{layer}.weight"]
    side, groups = kernel.shape[-1], maps.shape[1] // kernel.shape[1]
    for axis in (-1, -2):
        excess = max((-(-maps.shape[axis] // stride) - 1) * stride + side - maps.shape[axis], 0)
        sides = (excess // 2, excess - excess // 2)
        maps = functional.pad(maps, sides if axis == -1 else (0, 0, *sides))
    maps = functional.conv2d(maps, kernel, stride=stride, groups=groups)
    statistics = (weights[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(maps, *statistics, eps=1e-3)


def test_first_two_blocks_compute_what_the_published_ones_do(backbone: Backbone, published: dict[str, Tensor]) -> None:
    frames = torch.rand(2, 1, 48, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    gray = (frames * 127.5 + 127.5 - 127.0) / 128.0
    maps = functional.relu6(published_layer(gray.expand(-1, 3, -1, -1), published, "_conv_stem", "_bn0", stride=2))
    maps = functional.relu6(published_layer(maps, published, "_blocks.0._depthwise_conv", "_blocks.0._bn1"))
    maps = published_layer(maps, published, "_blocks.0._project_conv", "_blocks.0._bn2")
    maps = functional.relu6(published_layer(maps, published, "_blocks.1._expand_conv", "_blocks.1._bn0"))
    maps = functional.relu6(published_layer(maps, published, "_blocks.1._depthwise_conv", "_blocks.1._bn1", stride=2))
    maps = published_layer(maps, published, "_blocks.1._project_conv", "_blocks.1._bn2")
    own = backbone.blocks[1](backbone.blocks[0](backbone.stem(gray.expand(-1, 3, -1, -1))))
    torch.testing.assert_close(own, maps, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_have_their_strides_and_channels(backbone: Backbone, channels: int) -> None:
    features = backbone(torch.zeros(2, channels, 48, 80))
    assert [tuple(maps.shape) for maps in features] == [
        (2, CHANNELS[0], 12, 20),
        (2, CHANNELS[1], 6, 10),
        (2, CHANNELS[2], 3, 5),
        (2, CHANNELS[3], 3, 5),
    ]


def test_colour_frames_are_blue_green_red(backbone: Backbone) -> None:
    """OpenCV's order; the published network takes red, green, blue. Gray frames have no order."""
    gray = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(backbone(gray).context, backbone(gray.expand(-1, 3, -1, -1)).context)
    red = torch.zeros(1, 3, 32, 32) - 1.0
    red[:, 2] = 1.0
    seen: list[Tensor] = []
    handle = backbone.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    backbone(red)
    handle.remove()
    assert seen[0].mean((0, 2, 3)).round().tolist() == [1.0, -1.0, -1.0]


def test_no_weight_of_the_backbone_takes_a_gradient(backbone: Backbone) -> None:
    assert not any(weight.requires_grad for weight in backbone.parameters())


def test_weights_that_do_not_fit_are_rejected(published: dict[str, Tensor]) -> None:
    with pytest.raises(KeyError, match="_conv_stem"):
        Backbone().load_imagenet_weights({name: value for name, value in published.items() if "stem" not in name})
