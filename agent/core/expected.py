"""Expected errors and bugs: one rule for all ways out (the command line, the answer to a command, a failed thread).

An expected error is part of normal operation: a wrong setting, a missing file, a full disk. The user sees one line,
never a traceback. Everything else is a bug: its traceback is shown or logged, and the user is asked to report it.

An exception class is expected if it or one of its bases sets `expected = True`. The three base classes do:
`InspectdError` for the agent, and `EngineError` and `CalibrationError` for the packages below, which cannot import
the agent. Errors of the operating system (`OSError`) are expected as well. A class that only steers control flow inside
a module is not, so that it is seen if it escapes. `tests/agent/core/test_expected.py` checks every class of ours.
"""

from __future__ import annotations

from agent.core.durable_file import is_disk_full

ISSUES_URL = "https://github.com/inspectd/inspectd/issues"


def is_expected(error: BaseException) -> bool:
    """Whether the user can act on this error; False for a bug.

    >>> is_expected(FileNotFoundError(2, "No such file or directory")), is_expected(KeyError("score"))
    (True, False)
    """
    return isinstance(error, OSError) or getattr(type(error), "expected", False) is True


def error_text(error: BaseException) -> str:
    """The text for the user: the error's own text, one line for each problem, or a request to report the bug.

    >>> error_text(FileNotFoundError(2, "No such file or directory", "/etc/inspectd/line1.toml"))
    '/etc/inspectd/line1.toml: No such file or directory'
    >>> error_text(OSError(28, "No space left on device"))
    'the disk: no space is left; free some, then try again'
    >>> error_text(KeyError("score"))
    "KeyError('score'): this is a bug; please report it with its traceback: https://github.com/inspectd/inspectd/issues"
    """
    if not is_expected(error):
        return f"{error!r}: this is a bug; please report it with its traceback: {ISSUES_URL}"
    if is_disk_full(error):
        return f"{getattr(error, 'filename', None) or 'the disk'}: no space is left; free some, then try again"
    if isinstance(error, OSError):
        return f"{error.filename or 'system'}: {error.strerror or error}"
    return str(error) or type(error).__name__
