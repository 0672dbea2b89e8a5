"""Shrinking on the GPU: buffers are freed, and the CPU takes over if the GPU fails."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from engines.bundles.bundle import Geometry
from engines.errors import EngineError, ImageError
from engines.images.preprocessing import fit
from engines.runtime.tensorrt.cuda import CudaDevice
from engines.runtime.tensorrt.gpu_resize import MOST_SIZES, GpuResizer, ImageFitter
from tests.support.fake_cuda import Ledger

GEOMETRY = Geometry(32, 32, 1)

# Host and device memory of the source, the target and the six tables of one size.
ALLOCATIONS = 2 * 8


@pytest.fixture
def resizer(gpu: CudaDevice) -> GpuResizer:
    with gpu.current():
        return GpuResizer(gpu, GEOMETRY)


def image_of(height: int) -> np.ndarray:
    return np.zeros((height, 64, 1), np.uint8)


def large_image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (1200, 1000, 1)).astype(np.uint8)


def test_resizer_frees_everything(resizer: GpuResizer, ledger: Ledger) -> None:
    """Its stream, too, while the context is current: PyCUDA cannot free it on another thread."""
    resizer.shrink(image_of(100))
    assert len(ledger.held) == 1 + ALLOCATIONS
    stream = resizer._stream
    resizer.close()
    assert resizer._stream is None
    assert ledger.held == [stream]
    resizer.close()
    assert ledger.depth == 0


def test_resizer_keeps_the_most_recent_sizes_only(resizer: GpuResizer, ledger: Ledger) -> None:
    for height in [*range(40, 60), 40]:
        resizer.shrink(image_of(height))
        resizer.shrink(image_of(59))
    assert len(ledger.held) == 1 + ALLOCATIONS * MOST_SIZES
    before = ledger.left
    for height in (57, 58, 40, 59):
        resizer.shrink(image_of(height))
    assert ledger.left == before, "a kept size is not allocated again"


@pytest.mark.parametrize("allocations", range(ALLOCATIONS))
def test_resizer_without_memory_keeps_nothing_of_that_size(
    resizer: GpuResizer, ledger: Ledger, allocations: int
) -> None:
    ledger.left = allocations
    with pytest.raises(EngineError, match="out of memory"):
        resizer.shrink(image_of(100))
    assert len(ledger.held) == 1
    ledger.left = 100
    resizer.shrink(image_of(100))
    assert len(ledger.held) == 1 + ALLOCATIONS


def test_resizer_wants_large_images_of_the_model_kind_only(resizer: GpuResizer) -> None:
    assert resizer.wants(large_image())
    assert not resizer.wants(large_image()[:900])
    assert not resizer.wants(np.zeros((20, 100_000, 1), np.uint8))
    assert not resizer.wants(np.zeros((1200, 1000, 3), np.uint8))
    assert not resizer.wants(np.zeros((1200, 1000, 1), np.uint16))


def test_fitter_without_memory_fits_on_the_cpu_and_warns_once(
    resizer: GpuResizer, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    fitter, image = ImageFitter(resizer, GEOMETRY), large_image()
    ledger.left = 0
    for _ in range(3):
        np.testing.assert_array_equal(fitter.fit(image), fit(image, GEOMETRY))
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "out of memory; images are shrunk on the CPU from now on" in warning
    assert ledger.left == -1, "the GPU is asked for memory once"


def test_fitter_that_is_closed_fits_on_the_cpu_without_a_warning(
    resizer: GpuResizer, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """A camera may still deliver images while the agent stops."""
    fitter, image = ImageFitter(resizer, GEOMETRY), large_image()
    fitter.fit(image)
    fitter.close()
    before = ledger.left
    np.testing.assert_array_equal(fitter.fit(image), fit(image, GEOMETRY))
    assert ledger.left == before
    assert caplog.records == []


def test_fitter_rejects_an_array_that_is_no_image(resizer: GpuResizer) -> None:
    with pytest.raises(ImageError, match="wanted"):
        ImageFitter(resizer, GEOMETRY).fit(large_image()[:, :, 0])
