"""STFPM: a student that learned a teacher's features on good frames, and differs from it where it has not been.

Wang et al., "Student-teacher feature pyramid matching for anomaly detection", BMVC 2021: teacher and student have the
same architecture; the teacher is pretrained and frozen, the student starts at random. At each position of three layers
the loss is half the squared distance of the two feature vectors, both of length 1 (equation 1), mean over positions and
sum over layers (equations 2 and 3). In a test frame these distances are the anomaly maps; the heatmap is the product of
those of all layers, enlarged to the frame (equation 4), and the score its maximum. Stochastic gradient descent as in
section 4.2: learning rate 0.4, momentum 0.9, weight decay 1e-4, batches of 32.

Differences from the paper: the teacher is our backbone, with features at strides 4, 8 and 16, instead of ResNet-18; the
student has batch normalisation, which is part of the teacher's convolutions; as many steps as the limits allow, instead
of 100 epochs, and the last state is kept instead of the best of a validation set.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.pretrained import pretrained_backbone
from engines.baselines.steps import device, freeze, run_steps
from engines.bundles import Frames
from engines.networks.backbone import Backbone, BackboneFeatures
from engines.progress import Progress

_LEARNING_RATE, _MOMENTUM, _WEIGHT_DECAY = 0.4, 0.9, 1e-4
_BATCH = 32


class Stfpm(Baseline):
    """A student beside its teacher."""

    name: ClassVar[str] = "stfpm"
    title: ClassVar[str] = "STFPM"
    paper: ClassVar[str] = "Wang et al. 2021"

    def __init__(self) -> None:
        super().__init__()
        self._teacher = pretrained_backbone().to(device())
        self._student: Backbone | None = None

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        student = untrained_student().to(device())
        descent = torch.optim.SGD(student.parameters(), _LEARNING_RATE, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY)

        def step(batch: Tensor) -> None:
            descent.zero_grad()
            distances = self._distances(student, batch)
            torch.stack([maps.mean() for maps in distances]).sum().backward()  # type: ignore[no-untyped-call]
            descent.step()

        run_steps(frames, self.normalisation, step, batch=_BATCH, seed=seed, limits=limits, progress=progress)
        freeze(student)
        self._student = student

    @torch.inference_mode()
    def _score(self, frames: Frames) -> tuple[Any, Any]:
        assert self._student is not None
        size = frames.shape[1:3]
        enlarged = [
            functional.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)
            for maps in self._distances(self._student, self.normalised(frames).to(device()))
        ]
        heatmap = torch.stack(enlarged).prod(0)[:, 0].cpu()
        return heatmap.amax((1, 2)).numpy(), heatmap.numpy()

    def _distances(self, student: Backbone, frames: Tensor) -> list[Tensor]:
        """Half the squared distances of the two networks' unit feature vectors at strides 4, 8 and 16: [N, h, w]."""
        with torch.no_grad():
            taught = _layers(self._teacher(frames))
        return [
            0.5 * (functional.normalize(learned, dim=1) - functional.normalize(known, dim=1)).square().sum(1)
            for learned, known in zip(_layers(student(frames)), taught, strict=True)
        ]


def untrained_student() -> Backbone:
    """A network like the teacher, with random weights and with batch normalisation behind each convolution."""
    student = Backbone()
    for name, convolution in list(student.named_modules()):
        if isinstance(convolution, nn.Conv2d):
            nn.init.kaiming_normal_(convolution.weight.requires_grad_(True), mode="fan_out")
            convolution.bias = None
            parent, place = name.rsplit(".", 1)
            norm = nn.BatchNorm2d(convolution.out_channels)
            setattr(student.get_submodule(parent), place, nn.Sequential(convolution, norm))
    return student.train()


def _layers(features: BackboneFeatures) -> tuple[Tensor, Tensor, Tensor]:
    return features.stride4, features.stride8, features.context
