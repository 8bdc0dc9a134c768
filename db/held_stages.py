"""The stages of many customers at once, from columns in memory: the same as `lifecycle.stage` says by SQL."""

from __future__ import annotations

import numpy as np

from db.arrays import Bools, Numbers
from db.held_pairs import NEVER
from db.lifecycle import StageRules
from db.metrics import Stage

STAGES = tuple(Stage)
_PLACE = {stage: np.uint8(i) for i, stage in enumerate(STAGES)}


def stages(day: int, *, last: Numbers, orders: Numbers, usual: Numbers, rules: StageRules) -> Numbers:
    """Places in STAGES on a day, of whoever had `orders` orders by then, the latest on the day `last` or NEVER.

    `usual` is the usual interval in days, 0 where it is not known.
    """

    def quiet(days: int, of_usual: int | None) -> Bools:
        if of_usual is None:
            return np.asarray(last < day - days)
        limit = np.where(usual != 0, usual.astype(np.int64) * of_usual, days * 10)
        return np.asarray((day - last.astype(np.int64)) * 10 > limit)

    found = np.where(orders >= rules.repeat_orders, _PLACE[Stage.REPEAT], _PLACE[Stage.FIRST])
    found = np.where(orders >= rules.loyal_orders, _PLACE[Stage.LOYAL], found)
    found = np.where(quiet(rules.risk_days, rules.risk_tenths), _PLACE[Stage.AT_RISK], found)
    found = np.where(quiet(rules.lost_days, rules.lost_tenths), _PLACE[Stage.LOST], found)
    return np.where(last == NEVER, _PLACE[Stage.PROSPECT], found)
