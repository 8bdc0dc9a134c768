"""How writers wake the worker, and how far behind it is; db/rights.py applies these functions."""

from __future__ import annotations

from collections.abc import Iterator

from db.rights_sql import definer


def functions() -> Iterator[str]:
    """The oldest change that the figures do not hold yet, and the job that takes it up."""
    yield from definer(
        "waiting_since() RETURNS timestamptz LANGUAGE sql STABLE",
        "SELECT min(touched_at) FROM touched_customers",
        "kehu_scoped, kehu_masked, kehu_admin, kehu_worker",
    )
    yield from definer(
        "defer_refresh() RETURNS void LANGUAGE sql",
        "SELECT jobs.procrastinate_defer_jobs_v1(ARRAY[ROW('default', 'refresh_metrics', 0, NULL, NULL, "
        "'{{}}'::jsonb, NULL)::jobs.procrastinate_job_to_defer_v1]);",
        "kehu_scoped, kehu_admin, kehu_worker",
        path="jobs",
    )
