"""Classes of customers by their scores of recency, frequency and monetary value: eleven, and the Chinese eight.

The eleven and their ranges are those that Putler's "RFM analysis for successful customer segmentation"
(putler.com/rfm-analysis) made usual: by recency and the mean of frequency and monetary value, here with halves down.
Recency and mean: Champions 4-5, 4-5; Loyal 2-5, 3-5; Potential loyalists 3-5, 1-3; New 4-5, 0-1; Promising 3-4, 0-1;
Need attention 2-3, 2-3; About to sleep 2-3, 0-2; At risk 0-2, 2-5; Cannot lose them 0-1, 4-5; Hibernating 1-2, 1-2;
Lost 0-2, 0-2. (docs.churned.io, "RFM-Model", prints the same table for eight of them.) The ranges overlap; of the
classes whose ranges hold a place one was chosen, so that every customer with orders is in exactly one.

The eight (重要价值 … 一般挽留) are by whether each of the three is high: a score of 4 or 5, above 3, the middle of the
scores. Their first word is of monetary value, the second of recency and frequency: 价值 both high, 发展 only recency,
保持 only frequency, 挽留 neither (as bz.zhsmjxc.com, pageId 2821466, "RFM模型", says them).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from db.metrics import N_

CLASSES: Mapping[str, str] = {
    "champions": N_("Champions"),
    "loyal": N_("Loyal"),
    "potential": N_("Potential loyalists"),
    "new": N_("New"),
    "promising": N_("Promising"),
    "attention": N_("Need attention"),
    "sleeping": N_("About to sleep"),
    "at_risk": N_("At risk"),
    "not_lose": N_("Cannot lose them"),
    "hibernating": N_("Hibernating"),
    "lost": N_("Lost"),
}
VALUE_CLASSES: Mapping[str, str] = {
    "key_value": N_("Key: value"),
    "key_develop": N_("Key: develop"),
    "key_keep": N_("Key: keep"),
    "key_win_back": N_("Key: win back"),
    "general_value": N_("General: value"),
    "general_develop": N_("General: develop"),
    "general_keep": N_("General: keep"),
    "general_win_back": N_("General: win back"),
}

HIGH = 4
"""The lowest score that is high, for the eight."""
# Recency from 1 to 5 downwards, the mean of frequency and monetary value from 1 to 5 across.
_GRID = (
    ("lost", "lost", "at_risk", "not_lose", "not_lose"),
    ("hibernating", "hibernating", "at_risk", "at_risk", "at_risk"),
    ("sleeping", "sleeping", "attention", "loyal", "loyal"),
    ("promising", "potential", "potential", "champions", "champions"),
    ("new", "potential", "potential", "champions", "champions"),
)
# Recency high, frequency high → what follows the colon.
_WAYS = {(True, True): "value", (True, False): "develop", (False, True): "keep", (False, False): "win_back"}


def class_of(r: int, f: int, m: int) -> str:
    """Which of CLASSES these scores, each 1 to 5, belong to."""
    return _GRID[r - 1][(f + m) // 2 - 1]


def value_class_of(r: int, f: int, m: int) -> str:
    """Which of VALUE_CLASSES these scores, each 1 to 5, belong to."""
    return ("key_" if m >= HIGH else "general_") + _WAYS[(r >= HIGH, f >= HIGH)]


_SCORES = tuple(product(range(1, 6), repeat=3))
BY_SCORES = tuple(class_of(*scores) for scores in _SCORES)
VALUE_BY_SCORES = tuple(value_class_of(*scores) for scores in _SCORES)
"""The class of each three scores, at 25 r + 5 f + m - 30 counted from 1."""
