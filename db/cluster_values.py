"""Clusters of customers as they are kept: the weights that score a customer, and what each cluster is called."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.errors import Invalid
from db.words import N_, _

PREFIX = "cluster."
"""Before the number of a set of clusters, where it stands among the fields of rules."""
FEWEST, MOST = 2, 8
"""Clusters of one set."""
METHODS = {"kmeans": N_("k-means"), "mixture": N_("Gaussian mixture")}
FEATURES = {
    "recency": N_("Days since the last order"),
    "orders": N_("Orders"),
    "revenue": N_("Revenue"),
    "basket": N_("Average basket"),
    "interval": N_("Days between orders"),
    "tenure": N_("Days since the first order"),
}
"""What customers may be told apart by. What is not known, as the interval of a single order, counts as the middle."""
WORDS = {
    "recency": (N_("bought lately"), N_("quiet for long")),
    "orders": (N_("few orders"), N_("many orders")),
    "revenue": (N_("little revenue"), N_("much revenue")),
    "basket": (N_("small baskets"), N_("large baskets")),
    "interval": (N_("short intervals"), N_("long intervals")),
    "tenure": (N_("new"), N_("long with us")),
}
"""What a cluster with a lower and with a higher value than everybody is called."""
NOTABLE = 0.3
"""Standard deviations from which a difference gives a cluster its name."""
MOST_WORDS = 2
SAVED = "s"
"""Before the number of a saved segment."""
_CODE = re.compile(r"[a-z0-9_]{0,60}")
LARGEST = 1e9
"""No weight is greater."""


@dataclass(frozen=True)
class Model:
    """Clusters, the largest first. Scores as analytics/clusters.py has them: constants + Σ x linear + Σ x² squares.

    `of` is the segment whose members they were made of, "" for everyone: SAVED and its number, or the code of a
    ready-made one.
    """

    method: str
    features: tuple[str, ...]
    centers: tuple[float, ...]
    scales: tuple[float, ...]
    constants: tuple[float, ...]
    linear: tuple[tuple[float, ...], ...]
    squares: tuple[tuple[float, ...], ...]
    differences: tuple[tuple[float, ...], ...]
    of: str = ""
    id: int = 0
    name: str = ""
    owner: str = ""
    made_at: datetime | None = None
    archived: bool = False
    mine: bool = False
    version: int = 0

    @property
    def numbers(self) -> tuple[str, ...]:
        """The clusters, from "1"."""
        return tuple(str(i) for i in range(1, len(self.constants) + 1))

    def called(self, number: str) -> str:
        """A cluster's number and what sets it apart most, in the reader's language."""
        if number not in self.numbers:
            return f"#{number}"
        apart = self.differences[int(number) - 1]
        by_size = sorted(zip(self.features, apart, strict=True), key=lambda each: -abs(each[1]))
        words = [_(WORDS[key][value > 0]) for key, value in by_size if abs(value) >= NOTABLE][:MOST_WORDS]
        return f"{number} · {_(', ').join(words) or _('like everybody')}"


def read(data: Any, **known: Any) -> Model:
    """The model of plain values as JSON has them. Raises Invalid."""
    try:
        features = tuple(data["features"])
        clusters, width = len(data["constants"]), len(features)
        right: bool = (
            data["method"] in METHODS
            and FEWEST <= clusters <= MOST
            and 1 <= width == len(set(features))
            and set(features) <= FEATURES.keys()
        )
        linear, squares, differences = (
            tuple(_row(row, width) for row in data[name]) for name in ("linear", "squares", "differences")
        )
        if not right or any(len(table) != clusters for table in (linear, squares, differences)):
            raise ValueError
        centers, scales = _row(data["centers"], width), _row(data["scales"], width)
        if min(scales) < 1 / LARGEST:
            raise ValueError
        constants = _row(data["constants"], clusters)
        of = data.get("of", "")
        if not isinstance(of, str) or not _CODE.fullmatch(of):
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(_("These clusters cannot be read. Find them anew.")) from error
    return Model(data["method"], features, centers, scales, constants, linear, squares, differences, of, **known)


def _row(values: Sequence[Any], width: int) -> tuple[float, ...]:
    row = tuple(float(value) for value in values if not isinstance(value, bool | str))
    if len(row) != width or len(values) != width or not all(math.isfinite(v) and abs(v) <= LARGEST for v in row):
        raise ValueError
    return row


def data_of(model: Model) -> Mapping[str, Any]:
    """The model as plain values, as `read` takes them."""
    return ({"of": model.of} if model.of else {}) | {
        "method": model.method,
        "features": list(model.features),
        "centers": list(model.centers),
        "scales": list(model.scales),
        "constants": list(model.constants),
        "linear": [list(row) for row in model.linear],
        "squares": [list(row) for row in model.squares],
        "differences": [list(row) for row in model.differences],
    }
