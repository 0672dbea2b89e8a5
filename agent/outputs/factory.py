"""From settings to outputs."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.errors import Permanent
from agent.core.problems import Problems
from agent.outputs.outbox import Outbox
from agent.outputs.output import Output
from agent.outputs.settings import KINDS, OutputSection, load_class, missing_packages


def build_outputs(
    sections: Mapping[str, OutputSection], *, site: str, outbox: Outbox, problems: Problems
) -> list[Output]:
    """The outputs in the settings, in their order, not started yet.

    Waiting messages of outputs that are no longer in the settings are dropped and reported.

    Args:
        sections: by the name that the output's rows have in the outbox.
        site: name of the site.
        outbox: the queue that outputs deliver from.
        problems: where outputs report what is wrong.

    Raises:
        Permanent: a package is missing that an output needs, or its settings are invalid.
    """
    for name, section in sections.items():
        missing = missing_packages(section.kind)
        if missing is not None:
            raise Permanent(f"output {name}: {missing}")
    outbox.keep_outputs(sections.keys())
    return [
        load_class(KINDS[section.kind].output)(name, section, site=site, outbox=outbox, problems=problems)
        for name, section in sections.items()
    ]
