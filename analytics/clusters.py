"""Customers in clusters: how many there are, how sure that is, and each cluster as weights that score a newcomer.

Figures of customers are skewed, so each is taken as ln(1 + x) and then scaled robustly: minus its median, divided by
its interquartile range / 1.349 (which is the standard deviation of a normal distribution). What is not known counts as
the middle. Everything is drawn from one seed: the same figures give the same clusters.

Methods: "kmeans" (Lloyd 1982, with k-means++ of Arthur and Vassilvitskii 2007) and "mixture", a Gaussian mixture with a
variance for each figure and cluster (Dempster, Laird and Rubin 1977). The number of clusters is the one with the
greatest mean silhouette for k-means (Rousseeuw 1987, J. Comput. Appl. Math. 20, 53-65), and with the smallest BIC for
the mixture (Schwarz 1978, Ann. Statist. 6, 461-464), among those that are stable: the mean adjusted Rand index (Hubert
and Arabie 1985, J. Classif. 2, 193-218) between the clusters of the sample and those found in bootstrap samples of it
(Hennig 2007, Comput. Stat. Data Anal. 52, 258-271) is at least STABLE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

Array: TypeAlias = "np.ndarray[Any, Any]"

SEED = 5
FEWEST, MOST = 2, 8
"""Clusters."""
LEAST_ROWS = 50
SEARCHED = 2_500
"""So many rows are looked at to find the number of clusters; the clusters themselves are made of all rows given."""
BOOTSTRAPS = 5
STABLE = 0.6
DRAWN = 1_000
FARTHEST = 50.0
"""No scaled figure counts as farther from the middle."""
NORMAL = 1.349
"""The interquartile range of a normal distribution with standard deviation 1."""


@dataclass(frozen=True)
class Trial:
    """One number of clusters: `fit` is the mean silhouette, or the BIC; `stability` the mean adjusted Rand index."""

    clusters: int
    fit: float
    stability: float


@dataclass(frozen=True)
class Found:
    """The clusters, largest first.

    A row's score for cluster k is `constants[k]` + Σ x `linear[k]` + Σ x² `squares[k]` over its scaled figures x; it is
    in the cluster of the greatest. `differences` are the clusters' mean scaled figures minus those of all rows, in
    standard deviations. `points` has x, y and cluster (from 0) of up to DRAWN rows, by the two first principal
    components, which hold `explained` of the variance; `middles` has x and y of each cluster.
    """

    method: str
    features: tuple[str, ...]
    centers: tuple[float, ...]
    scales: tuple[float, ...]
    constants: tuple[float, ...]
    linear: tuple[tuple[float, ...], ...]
    squares: tuple[tuple[float, ...], ...]
    shares: tuple[float, ...]
    differences: tuple[tuple[float, ...], ...]
    trials: tuple[Trial, ...]
    stable: bool
    rows: int
    points: pd.DataFrame
    middles: pd.DataFrame
    explained: float


def find(rows: pd.DataFrame, *, method: str = "kmeans", clusters: int | None = None) -> Found | None:
    """Clusters of rows of figures, a column each; `clusters` fixes their number.

    None where there are too few rows, or too few that differ.
    """
    centers, scales = scaling(rows)
    x = scaled(rows, centers, scales)
    if len(x) < LEAST_ROWS or len(np.unique(x, axis=0)) < 2 * MOST:
        return None
    # Threads that wait for each other cost more than they save on data as small as this, and the server has others.
    with threadpool_limits(1):
        return _found(rows, x, centers, scales, method, clusters)


def _found(rows: pd.DataFrame, x: Array, centers: Array, scales: Array, method: str, clusters: int | None) -> Found:
    drawn = np.random.default_rng(SEED)
    searched = x[np.sort(drawn.choice(len(x), min(len(x), SEARCHED), replace=False))]
    numbers = [clusters] if clusters else list(range(FEWEST, MOST + 1))
    trials = tuple(_trial(searched, method, k, drawn) for k in numbers)
    steady = [t for t in trials if t.stability >= STABLE]
    best = min(steady or trials, key=lambda t: (-t.fit if method == "kmeans" else t.fit, t.clusters))
    constants, linear, squares = _weights(_fitted(x, method, best.clusters))
    label = assigned(x, constants, linear, squares)
    sizes = np.bincount(label, minlength=best.clusters)
    order = [k for k in np.argsort(-sizes, kind="stable") if sizes[k]]
    place = {int(k): i for i, k in enumerate(order)}
    label = np.array([place[int(k)] for k in label])
    spread = np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    means = np.array([x[label == i].mean(axis=0) for i in range(len(order))])
    # Loading scikit-learn takes over a second, which commands and screens that find nothing need not wait for.
    from sklearn.decomposition import PCA

    flat = PCA(n_components=min(2, x.shape[1]), random_state=SEED).fit(searched)
    shown = np.sort(drawn.choice(len(x), min(len(x), DRAWN), replace=False))
    return Found(
        method,
        tuple(rows.columns),
        _plain(centers),
        _plain(scales),
        _plain(constants[order]),
        tuple(_plain(each) for each in linear[order]),
        tuple(_plain(each) for each in squares[order]),
        _plain(sizes[order] / len(x)),
        tuple(_plain(each) for each in (means - x.mean(axis=0)) / spread),
        trials,
        bool(steady),
        len(x),
        _flat(flat, x[shown]).assign(cluster=label[shown]),
        _flat(flat, means),
        float(flat.explained_variance_ratio_.sum()),
    )


def scaling(rows: pd.DataFrame) -> tuple[Array, Array]:
    """The median of ln(1 + x) of each figure and its interquartile range / NORMAL; where that is 0 the standard
    deviation, else 1."""
    logs = _logs(rows)
    known = [column[~np.isnan(column)] for column in logs.T]
    known = [column if len(column) else np.zeros(1) for column in known]
    quarters = np.array([np.percentile(column, (25, 50, 75)) for column in known]).reshape(-1, 3)
    deviations = np.array([column.std() for column in known])
    ranges = (quarters[:, 2] - quarters[:, 0]) / NORMAL
    scales = np.where(ranges > 0, ranges, np.where(deviations > 0, deviations, 1.0))
    return quarters[:, 1], scales


def scaled(rows: pd.DataFrame, centers: Array, scales: Array) -> Array:
    """The figures as the clusters see them; 0 for what is not known."""
    found: Array = np.clip(np.nan_to_num((_logs(rows) - centers) / scales, nan=0.0), -FARTHEST, FARTHEST)
    return found


def assigned(x: Array, constants: Array, linear: Array, squares: Array) -> Array:
    """The cluster of each row of scaled figures, from 0."""
    found: Array = np.argmax(constants + x @ np.asarray(linear).T + (x * x) @ np.asarray(squares).T, axis=1)
    return found


def _logs(rows: pd.DataFrame) -> Array:
    figures = rows.to_numpy(dtype=float, na_value=np.nan)
    found: Array = np.log1p(np.maximum(figures, 0.0))
    return found


def _fitted(x: Array, method: str, clusters: int, *, starts: int = 3) -> Any:
    if method == "kmeans":
        from sklearn.cluster import KMeans

        return KMeans(clusters, n_init=starts, max_iter=100, tol=1e-3, random_state=SEED).fit(x)
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(
        clusters, covariance_type="diag", reg_covar=1e-3, n_init=1, max_iter=100, tol=1e-2, random_state=SEED
    ).fit(x)


def _trial(x: Array, method: str, clusters: int, drawn: np.random.Generator) -> Trial:
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    model = _fitted(x, method, clusters)
    label = model.predict(x)
    if method == "mixture":
        fit = float(model.bic(x))
    else:
        fit = float(silhouette_score(x, label)) if len(np.unique(label)) > 1 else -1.0
    again = (_fitted(x[drawn.integers(0, len(x), len(x))], method, clusters, starts=1) for _n in range(BOOTSTRAPS))
    agreement = [adjusted_rand_score(label, model.predict(x)) for model in again]
    return Trial(clusters, fit, float(np.mean(agreement)))


def _weights(model: Any) -> tuple[Array, Array, Array]:
    """Constants, weights of x and of x² of each cluster: of the squared distance to a center what differs between the
    clusters; of a mixture the logarithm of weight and density."""
    if hasattr(model, "cluster_centers_"):
        middles = np.asarray(model.cluster_centers_)
        return -(middles**2).sum(axis=1), 2 * middles, np.zeros_like(middles)
    precise = 1 / np.asarray(model.covariances_)
    means = np.asarray(model.means_)
    constants = np.log(model.weights_) + 0.5 * np.log(precise).sum(axis=1) - 0.5 * (means**2 * precise).sum(axis=1)
    return constants, means * precise, -0.5 * precise


def _flat(flat: Any, x: Array) -> pd.DataFrame:
    at = flat.transform(x)
    return pd.DataFrame({"x": at[:, 0], "y": at[:, 1] if at.shape[1] > 1 else np.zeros(len(at))})


def _plain(values: Sequence[Any] | Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
