"""The relative error that decides whether an engine reproduces the reference."""

from __future__ import annotations

import numpy as np
import pytest

from engines.bundles.bundle import Bundle
from engines.runtime.opening import open_engine
from engines.runtime.reference_check import reference_errors, relative_error


def test_relative_error_of_equal_values_is_zero() -> None:
    assert relative_error(np.float32([0, 0]), np.float32([0, 0])) == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_relative_error_of_a_value_that_is_not_finite_is_infinite(value: float) -> None:
    assert relative_error(np.float32([value, 1]), np.float32([1, 1])) == float("inf")


def test_relative_error_of_another_shape_is_infinite() -> None:
    assert relative_error(np.float32([1]), np.float32([1, 1])) == float("inf")


def test_relative_error_counts_each_frame_against_its_own_peak() -> None:
    wanted = np.float32([[1000, 0], [1, 0]])
    assert relative_error(np.float32([[1000, 1], [1, 0]]), wanted) == pytest.approx(0.001)
    assert relative_error(np.float32([[1000, 0], [1, 1]]), wanted) == pytest.approx(1.0)


def test_reference_errors_of_onnx_runtime_are_far_below_the_tolerance(tiny_bundle: Bundle) -> None:
    with open_engine(tiny_bundle, "onnxruntime", threads=1) as engine:
        assert max(reference_errors(engine)) < tiny_bundle.manifest.tolerance.fp32 / 10
