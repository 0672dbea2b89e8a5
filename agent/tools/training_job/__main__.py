"""Started by the page with the training folder, whose lock it holds until its end."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.core.training_folder import TrainingFolder
from agent.tools.training_job.rights import give_up_rights


def main() -> int:
    """Train; returns the exit code. The state is in the folder."""
    give_up_rights()
    # After the priority is the lowest: this takes seconds.
    from agent.tools.training_job.job import run

    return run(TrainingFolder(Path(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
