"""How figures are printed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def three(times: Sequence[float]) -> str:
    """Median, 95th percentile and greatest, in columns."""
    p95 = statistics.quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]
    return "".join(f"{n:8.1f}" for n in (statistics.median(times), p95, max(times)))
