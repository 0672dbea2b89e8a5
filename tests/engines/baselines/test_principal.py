"""Principal axes agree with NumPy's singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="baselines need the train extra")

from engines.baselines.principal import principal_axes
from tests.engines.baselines.conftest import correlated_rows


@pytest.mark.parametrize("shape", [(40, 6), (8, 30)], ids=["more rows", "more columns"])
def test_axes_are_those_of_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    values = correlated_rows(*shape)
    found = principal_axes(values)
    _, singular, axes = np.linalg.svd(values.astype(np.float64) - values.mean(axis=0), full_matrices=False)
    rank = min(shape[0] - 1, shape[1])
    assert len(found.axes) == rank
    np.testing.assert_allclose(found.singular_values, singular[:rank], rtol=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(found.axes * axes[:rank], axis=1)), 1, rtol=1e-3)


def test_share_of_the_variance_decides_how_many_axes_are_kept() -> None:
    values = correlated_rows(200, 6)
    variances = np.linalg.svd(values - values.mean(axis=0), compute_uv=False) ** 2
    for share in (0.5, 0.9, 0.99):
        kept = len(principal_axes(values, share).axes)
        assert variances[:kept].sum() >= share * variances.sum() > variances[: kept - 1].sum()


def test_equal_rows_have_one_finite_axis() -> None:
    found = principal_axes(np.full((5, 3), 7, np.float32))
    assert len(found.axes) == 1
    assert np.isfinite(found.axes).all()
