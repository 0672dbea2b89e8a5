"""The errors of the agent: each is one line that a person can act on.

An error is raised where it is found and logged once where it is handled. Its text states the value found and the value
expected. The packages below the agent cannot import it and have errors of their own: `engines.errors` and
`calibration.errors`.
"""


class InspectdError(Exception):
    """Base of all errors that `inspectd` reports to its user; never a bug."""

    expected = True
    """See `agent.core.expected`."""


class Temporary(InspectdError):
    """May pass without help: an unplugged camera, a broker that is down. The caller retries with back-off."""


class Permanent(InspectdError):
    """Stays until it is fixed: a wrong setting, a missing file. The caller stops and reports it."""
