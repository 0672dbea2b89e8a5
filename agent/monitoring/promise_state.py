"""The promise of a camera in production, for its state and for events."""

from __future__ import annotations

import math

from agent.messages import BrokenPromisePayload, CertificatePayload
from agent.review import PromiseStatus


def certificate_payload(status: PromiseStatus) -> CertificatePayload:
    """The evidence from production."""
    certificate = status.certificate
    return CertificatePayload(
        certified=certificate.certified,
        since=certificate.since,
        spans=round(certificate.exposure, 4),
        false_alarms=certificate.false_alarms,
        unjudged=certificate.unjudged,
        worst=round(certificate.worst, 6) if math.isfinite(certificate.worst) else None,
        text=status.certificate_text,
    )


def broken_promise_payload(status: PromiseStatus) -> BrokenPromisePayload | None:
    """How the promise is broken; None while it is kept."""
    broken = status.broken
    if broken is None:
        return None
    return BrokenPromisePayload(since=broken.since, rate=round(broken.rate, 4), text=status.broken_text or "")
