"""One verdict about a part that several cameras see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.records import NotJudged, PartVerdict


@dataclass(frozen=True, slots=True)
class ViewVerdict:
    """What one camera says."""

    verdict: PartVerdict
    reason: NotJudged | None
    """Why it was not judged; None where it was."""


def join_views(views: Sequence[ViewVerdict], *, missing: bool) -> ViewVerdict:
    """The verdict about the part: a defect that one camera sees is one; nothing is ok that a camera has not judged.

    Args:
        views: those that there are, in the order of the settings.
        missing: others are missing.

    >>> ok, nok = ViewVerdict(PartVerdict.OK, None), ViewVerdict(PartVerdict.NOK, None)
    >>> join_views([ok, nok], missing=True).verdict.value
    'nok'
    >>> join_views([ok], missing=True).reason.value
    'view_missing'
    """
    if any(view.verdict is PartVerdict.NOK for view in views):
        return ViewVerdict(PartVerdict.NOK, None)
    if missing:
        return ViewVerdict(PartVerdict.NOT_JUDGED, NotJudged.VIEW_MISSING)
    unjudged = (view for view in views if view.verdict is PartVerdict.NOT_JUDGED)
    return next(unjudged, ViewVerdict(PartVerdict.OK, None))
