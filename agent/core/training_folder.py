"""The folder in which a model is trained from the page: shared by the page, the process that trains, and the agent."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "training"
"""Of the folder, in the state directory."""


@dataclass(frozen=True, slots=True)
class TrainingFolder:
    """Where everything is. There is one training at a time."""

    path: Path

    @classmethod
    def of(cls, state_directory: Path) -> TrainingFolder:
        """That of an agent."""
        return cls(state_directory / NAME)

    @property
    def uploads(self) -> Path:
        """Images of good parts that people have sent; named by their content."""
        return self.path / "uploads"

    @property
    def run(self) -> Path:
        """The training that runs, or has ended and waits for a decision."""
        return self.path / "run"

    @property
    def lock(self) -> Path:
        """Locked for as long as the training process lives."""
        return self.path / "lock"

    @property
    def request(self) -> Path:
        """What is to be trained, written by the page."""
        return self.run / "request.json"

    @property
    def progress(self) -> Path:
        """How far it is, written by the training process."""
        return self.run / "progress.json"

    @property
    def cancel(self) -> Path:
        """Exists once a person has cancelled."""
        return self.run / "cancel"

    @property
    def bundle(self) -> Path:
        """The trained model."""
        return self.run / "model.bundle"

    @property
    def comparison(self) -> Path:
        """Scores of the images that nobody trained on, under both models."""
        return self.run / "comparison.json"

    @property
    def compared(self) -> Path:
        """Folder of small copies of these images."""
        return self.run / "compared"

    @property
    def log(self) -> Path:
        """What the training process has printed."""
        return self.run / "log.txt"


def previous_of(bundle: Path) -> Path:
    """Where the bundle is kept that a trained one has replaced: `line1.previous.bundle` for `line1.bundle`."""
    return bundle.with_name(f"{bundle.stem}.previous{bundle.suffix}")


def lock_training(folder: TrainingFolder) -> int | None:
    """A descriptor that holds the lock until it and its copies in other processes are closed; None: it is taken.

    Raises OSError where the folder cannot be written.
    """
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def write_json(path: Path, document: Any) -> None:
    """Replace a small file: a reader sees the old content or the new. Raises OSError."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(json.dumps(document), encoding="utf-8")
    fresh.replace(path)


def read_json(path: Path) -> Any:
    """The content of a small file; None where there is none, or it is damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
