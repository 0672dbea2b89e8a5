"""The training that runs, or waits for a decision: started as a process of its own, and known by its files alone.

So the training goes on while the page is restarted, and the page shows it again.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.core.errors import Permanent
from agent.core.training_folder import TrainingFolder, lock_training, read_json, write_json

# Images, weights, two graphs and the evaluation of a large training.
LEAST_FREE_BYTES = 2 * 2**30

_PACKAGES = ("torch", "lightning_fabric", "matplotlib")

IS_SERVICE = "CREDENTIALS_DIRECTORY" in os.environ
"""Whether this is the service of the Debian package, whose environment has no PyTorch and cannot get it."""

# PyTorch's threads end within a second on a quiet machine.
_EXIT_SECONDS = 15.0

# All that the training needs of the environment: no credentials.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "CUDA_VISIBLE_DEVICES")

# Threads that wait sleep, and leave the cores to inspection.
_SLEEPING_THREADS = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}


class Training:
    """One at a time. Its methods read and write files: call them in a thread."""

    def __init__(self, folder: TrainingFolder) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def missing(self) -> str | None:
        """What this device lacks for training, in words; None: nothing."""
        absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
        if absent:
            return f"{', '.join(absent)} not installed"
        try:
            self.folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            return f"{self.folder.path}: {error.strerror}"
        return None if os.access(self.folder.path, os.W_OK | os.X_OK) else f"{self.folder.path}: not writable"

    def state(self) -> dict[str, Any]:
        """How it is: `state` is none, running, done, failed or cancelled; a request as it was started with."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        progress = read_json(self.folder.progress)
        if progress is None:
            return {"state": "none"}
        if progress["state"] == "running":
            progress = self._alive(progress)
        request = read_json(self.folder.request) or {}
        return {**progress, "request": {key: request.get(key) for key in ("by", "at", "camera", "minutes", "steps")}}

    def start(self, request: Mapping[str, Any]) -> None:
        """Start a process for a request. Raises Permanent where it cannot be, with the reason."""
        try:
            self._start(request)
        except OSError as error:
            raise Permanent(f"{error.filename or self.folder.path}: {error.strerror}") from None

    def cancel(self) -> None:
        """Ask the process to end; it does at its next step."""
        if self.state()["state"] == "running":
            self.folder.cancel.touch(mode=0o600)

    def drop(self) -> None:
        """Forget a training that has ended, with its model. Raises Permanent while it runs."""
        lock = self._lock("the training still runs; cancel it first")
        try:
            shutil.rmtree(self.folder.run, ignore_errors=True)
        finally:
            os.close(lock)

    def _start(self, request: Mapping[str, Any]) -> None:
        lock = self._lock("a training runs already")
        try:
            if self.folder.bundle.is_dir() and self.state()["state"] == "done":
                raise Permanent("a trained model waits for a decision; take it over or drop it first")
            if shutil.disk_usage(self.folder.path).free < LEAST_FREE_BYTES:
                raise Permanent(f"{self.folder.path}: less than {LEAST_FREE_BYTES >> 30} GiB free, too little to train")
            shutil.rmtree(self.folder.run, ignore_errors=True)
            self.folder.run.mkdir(mode=0o700)
            write_json(self.folder.request, request)
            write_json(self.folder.progress, {"state": "running", "step": "gather", "fraction": 0.0, "message": ""})
            self._process = _spawn(self.folder, lock)
        finally:
            # The process holds it from now on.
            os.close(lock)

    def _lock(self, taken: str) -> int:
        """Take the lock; of a training that has reported its end, the process may need a moment to end itself."""
        deadline = time.monotonic() + _EXIT_SECONDS
        while True:
            try:
                lock = lock_training(self.folder)
            except OSError as error:
                raise Permanent(f"{self.folder.path}: {error.strerror}") from None
            if lock is not None:
                return lock
            running = (read_json(self.folder.progress) or {}).get("state") == "running"
            if running or time.monotonic() > deadline:
                raise Permanent(taken)
            time.sleep(0.1)

    def _alive(self, progress: dict[str, Any]) -> dict[str, Any]:
        """The progress of a process, unless it has gone without a word, as one that was killed."""
        lock = lock_training(self.folder)
        if lock is None:
            return progress
        try:
            # It may have ended between the two looks.
            last: dict[str, Any] = read_json(self.folder.progress) or progress
            if last["state"] == "running":
                last = {"state": "failed", "reason": f"the training was ended from outside; see {self.folder.log}"}
                write_json(self.folder.progress, last)
            return last
        finally:
            os.close(lock)


def _spawn(folder: TrainingFolder, lock: int) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with Path(folder.log).open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "agent.tools.training_job", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=(lock,),
            env={**environment, **_SLEEPING_THREADS},
            start_new_session=True,
        )
