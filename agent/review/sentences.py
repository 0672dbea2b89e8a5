"""The certificate from production and the broken promise, in words and in the unit of the budget."""

from __future__ import annotations

from datetime import datetime, timezone

from agent.review.promise import Broken, Certificate
from calibration import Budget


def certificate_sentence(certificate: Certificate, budget: Budget, now: datetime) -> str:
    """The evidence so far; `now` is UTC.

    >>> tuesday = datetime(2026, 3, 3, 14, 20, tzinfo=timezone.utc)
    >>> budget, friday = Budget.parse("1 per shift"), datetime(2026, 3, 6, 9, 0, tzinfo=timezone.utc)
    >>> certificate_sentence(Certificate(True, 9.02, 2, 1, 0.87, tuesday), budget, friday)
    'certified in production for 1 per shift since Tuesday 14:20 UTC, from 9 shifts with 2 alarms not judged true'
    >>> certificate_sentence(Certificate(False, 1.5, 0, 0, 2.6, None), budget, friday)
    'not certified in production yet: at most 2.6 false alarms per shift, from 1.5 shifts with no alarm'
    """
    evidence = f"from {spans(budget, certificate.exposure)} with {_alarms(certificate.false_alarms)}"
    if certificate.since is not None:
        return f"certified in production for {asked(budget)} since {moment(certificate.since, now)}, {evidence}"
    if certificate.exposure <= 0.0:
        return "not certified in production yet: no frame was judged"
    worst = f"at most {two_digits(certificate.worst)} false alarms per {budget.span}"
    return f"not certified in production yet: {worst}, {evidence}"


def broken_sentence(broken: Broken, budget: Budget, now: datetime) -> str:
    """The broken promise, and what to do; `now` is UTC.

    >>> since = datetime(2026, 3, 3, 14, 20, tzinfo=timezone.utc)
    >>> broken_sentence(Broken(since, 148.2, 7, 7), Budget.parse("1 per shift"), since).split("; ")[0]
    'the promise is broken: about 150 false alarms per shift instead of 1, since 14:20 UTC (7 alarms, none judged)'
    """
    judged = broken.alarms - broken.unjudged
    how_many = f"{judged} judged false" if judged else "none judged"
    return (
        f"the promise is broken: about {two_digits(broken.rate)} false alarms per {budget.span} instead of "
        f"{two_digits(budget.alarms)}, since {moment(broken.since, now)} ({broken.alarms} alarms, {how_many}); check "
        "lens and light, then run `inspectd recalibrate --fresh`; if the parts are bad, judge the alarms: "
        "`inspectd alarms judge ID --true`"
    )


def asked(budget: Budget) -> str:
    """The budget, without the word alarms.

    >>> asked(Budget.parse("1 per 10000 parts"))
    '1 per 10,000 parts'
    """
    return f"{two_digits(budget.alarms)} per {budget.span}"


def spans(budget: Budget, count: float) -> str:
    """So many spans of a budget.

    >>> spans(Budget.parse("1 per shift"), 9.02), spans(Budget.parse("1 per 4 hours"), 3.0)
    ('9 shifts', '12 hours')
    >>> spans(Budget.parse("1 per 10000 parts"), 3.8)
    '38,000 parts'
    >>> spans(Budget.parse("1 per shift", shift_seconds=43_200.0), 1.0)
    '1 shift of 12 h'
    """
    if budget.per_frames is not None:
        return f"{two_digits(count * budget.per_frames / budget.frames_per_part)} {budget.counted}"
    number, _, unit = budget.span.rpartition(" ")
    if unit == "shift":
        total = two_digits(count)
        return f"{total} shift{'' if total == '1' else 's'}{f' of {number}' if number else ''}"
    total = two_digits(count * (float(number) if number else 1.0))
    unit = unit.removesuffix("s") if number else unit
    return f"{total} {unit}{'' if total == '1' else 's'}"


def moment(at: datetime, now: datetime) -> str:
    """A time of the past as people name it.

    >>> at = datetime(2026, 3, 3, 14, 20, tzinfo=timezone.utc)
    >>> [moment(at, at.replace(day=day)) for day in (3, 6, 20)]
    ['14:20 UTC', 'Tuesday 14:20 UTC', '2026-03-03 14:20 UTC']
    """
    at = at.astimezone(timezone.utc)
    days = (now.astimezone(timezone.utc).date() - at.date()).days
    shape = "%H:%M" if days <= 0 else "%A %H:%M" if days < 7 else "%Y-%m-%d %H:%M"
    return f"{at:{shape}} UTC"


def two_digits(value: float) -> str:
    """A number ≥ 0 with two significant digits, larger ones with thousands separators.

    >>> [two_digits(value) for value in (148.2, 99.6, 2.61, 9.02, 0.087, 38_000.0, 0.0)]
    ['150', '100', '2.6', '9', '0.087', '38,000', '0']
    """
    if value < 99.5:
        return f"{value:.2g}"
    return f"{round(value, 2 - len(str(int(value)))):,.0f}"


def _alarms(count: int) -> str:
    if count == 0:
        return "no alarm"
    return f"{count:,} alarm{'' if count == 1 else 's'} not judged true"
