"""One engine, and folders of normal and abnormal parts with masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.bundles.bundle import Bundle
from engines.runtime.engine import Engine
from engines.runtime.opening import open_engine
from tests.support.parts import write_parts


@pytest.fixture(scope="module")
def engine(tiny_bundle: Bundle) -> Iterator[Engine]:
    with open_engine(tiny_bundle, "onnxruntime", threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("test") / "good", 20, seed=11)


@pytest.fixture(scope="module")
def abnormal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("test") / "defect", 18, seed=12, scratch=True)


@pytest.fixture
def masks(abnormal: Path, tmp_path: Path) -> Path:
    """Masks for all images but the first: the pixels that are as bright as only a scratch is."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for index, path in enumerate(sorted(abnormal.iterdir())[1:]):
        mask = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 215).astype(np.uint8) * 255
        cv2.imwrite(str(folder / (path.name if index % 2 else f"{path.stem}_mask.png")), mask)
    return folder
