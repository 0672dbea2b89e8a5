"""Where an agent keeps its review and its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ReviewFolders:
    """Paths below a state directory."""

    review: Path
    evidence: Path
    """Holds `<camera>/<alarm id>/frame.jpg` and others."""

    @classmethod
    def of(cls, state_directory: Path) -> ReviewFolders:
        """Those below a state directory."""
        return cls(state_directory / "review", state_directory / "evidence")

    @property
    def database(self) -> Path:
        """Alarms and judgements."""
        return self.review / "alarms.sqlite"

    @property
    def images(self) -> Path:
        """Images kept for training."""
        return self.review / "images"

    @property
    def exports(self) -> Path:
        """Folders that the command `alarms/export` writes."""
        return self.review / "exports"
