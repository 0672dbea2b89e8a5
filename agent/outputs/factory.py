"""From settings to outputs."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.problems import Problems
from agent.outputs.outbox import Outbox
from agent.outputs.output import Output
from agent.outputs.settings import KINDS, OutputSection, load_class


def build_outputs(
    sections: Mapping[str, OutputSection], *, site: str, outbox: Outbox, problems: Problems
) -> list[Output]:
    """The outputs that the settings describe, not started yet, in their order.

    `sections`: by the name that the output's rows have in the outbox. Rows of outputs that are no longer among them
    are dropped, counted and reported.
    """
    outbox.keep_outputs(sections.keys())
    return [
        load_class(KINDS[section.kind].output)(name, section, site=site, outbox=outbox, problems=problems)
        for name, section in sections.items()
    ]
