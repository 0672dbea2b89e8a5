"""The errors of the agent: each is one line that a person can act on.

An error is raised where it is found and logged once where it is handled. Its text gives the value that was got and the
value that was wanted. `engines` and `calibration` do not know the agent and have errors of their own
(`engines.errors`, `calibration.errors`).
"""


class InspectdError(Exception):
    """An error that `inspectd` reports to its user on purpose; never a bug."""


class Temporary(InspectdError):
    """May pass by itself: an unplugged camera, a broker that is down. The caller retries with back-off."""


class Permanent(InspectdError):
    """Persists until a person changes something: a wrong setting, a missing file. The caller stops and reports it."""
