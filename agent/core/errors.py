"""The errors of the agent: each is one line that a person can act on.

An error is raised where it is found and logged once where it is handled. Its text says what was got and what was
wanted. The packages below the agent have their own (`engines.errors`, `calibration.errors`), since they do not know it.
"""


class InspectdError(Exception):
    """Anything that `inspectd` reports to its user on purpose; never a bug."""


class Temporary(InspectdError):
    """May go away by itself: an unplugged camera, a broker that is down. The caller tries again, with back-off."""


class Permanent(InspectdError):
    """Stays until somebody changes something: a wrong setting, a missing file. The caller stops and says so."""
