"""Clusters: planted ones are found, the number of them too, and the weights score as the library does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from analytics import clusters

MIDDLES = ((2.0, 1.0), (5.0, 4.0), (2.0, 6.0))


def planted(each: int = 200, spread: float = 0.25) -> tuple[pd.DataFrame, np.ndarray]:
    """Three clusters in the logarithms, as different in size."""
    drawn = np.random.default_rng(1)
    sizes = (3 * each, 2 * each, each)
    logs = np.concatenate([drawn.normal(m, spread, (n, 2)) for m, n in zip(MIDDLES, sizes, strict=True)])
    truth = np.repeat([0, 1, 2], sizes)
    return pd.DataFrame(np.expm1(np.abs(logs)), columns=["orders", "revenue"]), truth


def labels(found: clusters.Found, rows: pd.DataFrame) -> np.ndarray:
    x = clusters.scaled(rows, np.array(found.centers), np.array(found.scales))
    return clusters.assigned(x, np.array(found.constants), np.array(found.linear), np.array(found.squares))


@pytest.mark.parametrize("method", ["kmeans", "mixture"])
def test_planted_clusters_are_found_largest_first(method: str) -> None:
    rows, truth = planted()
    found = clusters.find(rows, method=method)
    assert found is not None
    assert len(found.constants) == 3
    assert found.stable
    assert adjusted_rand_score(labels(found, rows), truth) > 0.97
    assert found.shares == pytest.approx((1 / 2, 1 / 3, 1 / 6), abs=0.01)
    assert found.differences[1][0] > 0.8, "the second has many orders"
    assert found.differences[2][1] > 0.8, "the third much revenue"
    assert found.differences[0][1] < -0.5, "the first little"
    again = clusters.find(rows, method=method)
    assert again is not None
    assert again.linear == found.linear, "the same figures give the same clusters"
    fixed = clusters.find(rows, method=method, clusters=5)
    assert fixed is not None
    assert [t.clusters for t in fixed.trials] == [5]


def test_one_cloud_has_no_stable_clusters_by_the_mixture() -> None:
    drawn = np.random.default_rng(3)
    rows = pd.DataFrame(np.expm1(drawn.normal(6, 0.5, (900, 3))), columns=["a", "b", "c"])
    found = clusters.find(rows, method="mixture")
    assert found is not None
    best = min(found.trials, key=lambda t: t.fit)
    assert best.clusters == 2, "by BIC as few as there can be"


def test_unknown_figures_are_the_middle_and_constant_ones_do_no_harm() -> None:
    rows, _truth = planted(60)
    rows["basket"] = 7.0
    rows.loc[::3, "orders"] = np.nan
    centers, scales = clusters.scaling(rows)
    x = clusters.scaled(rows, centers, scales)
    assert np.isfinite(x).all()
    assert (x[::3, 0] == 0).all()
    assert (x[:, 2] == 0).all()
    assert np.median(x[:, 1]) == pytest.approx(0)
    known = rows["revenue"].to_numpy()
    quarters = np.percentile(np.log1p(known), (25, 75))
    assert scales[1] == pytest.approx((quarters[1] - quarters[0]) / 1.349)
    assert clusters.find(rows) is not None


@pytest.mark.parametrize("rows", [0, 10, clusters.LEAST_ROWS - 1])
def test_too_few_rows_have_no_clusters(rows: int) -> None:
    assert clusters.find(planted()[0].head(rows)) is None


def test_rows_all_alike_have_no_clusters() -> None:
    assert clusters.find(pd.DataFrame({"a": [1.0] * 500, "b": [2.0] * 500})) is None
    assert clusters.find(pd.DataFrame({"a": [None] * 500, "b": [2.0] * 500}, dtype="Float64")) is None


def test_more_than_two_figures_are_drawn_in_two() -> None:
    rows, _truth = planted()
    rows["basket"] = rows["revenue"] / (1 + rows["orders"])
    found = clusters.find(rows)
    assert found is not None
    assert list(found.points.columns) == ["x", "y", "cluster"]
    assert len(found.points) == min(len(rows), clusters.DRAWN)
    assert len(found.middles) == len(found.constants)
    assert 0 < found.explained <= 1
