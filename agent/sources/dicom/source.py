"""What X-ray machines send by DICOM: a receiver writes to an inbox, and the inbox is inspected like a folder."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from agent.core.errors import Permanent
from agent.sources.dicom.receiver import Receiver
from agent.sources.dicom.settings import DicomSettings
from agent.sources.folder import FolderSource
from agent.sources.ledger import Ledger
from agent.sources.source import Captured, FileCounts, FrameSource

# In the directory of the camera.
INBOX = "inbox"


class DicomSource(FrameSource):
    """Received images; none is lost, and none is inspected twice, also where a sender sends it again.

    settings: of the source.
    inbox: the folder for images that wait; those that were inspected are deleted when the next one arrives.
    quarantine_directory: for copies of unreadable images.
    """

    live = False
    uses_ledger = True

    def __init__(self, settings: DicomSettings, inbox: Path, quarantine_directory: Path) -> None:
        super().__init__()
        self._settings, self._inbox = settings, inbox
        # A file has its name only once it is complete.
        self._folder = FolderSource(
            inbox,
            follow=True,
            settle_seconds=0.0,
            reading=settings.reading,
            quarantine_directory=quarantine_directory,
        )
        self._delivered: set[str] = set()
        """Names of files, for a source without a ledger."""
        self._lock = threading.Lock()
        self._receiver = Receiver(settings, inbox, is_known=self._is_known, make_room=self._delete_finished)

    @property
    def files(self) -> FileCounts:
        """Images that were not delivered."""
        return self._folder.files

    @property
    def waiting(self) -> str | None:
        """That nothing was received."""
        return None if self._folder.waiting is None else f"{self.describe()} has received no new images"

    def describe(self) -> str:
        """Name the source."""
        return f"DICOM receiver {self._settings.ae_title} at {self._settings.listen} port {self._settings.port}"

    def use_ledger(self, ledger: Ledger) -> None:
        """Skip the files that the ledger contains."""
        super().use_ledger(ledger)
        self._folder.use_ledger(ledger)

    def reject(self, captured: Captured, reason: str) -> None:
        """Put an image that does not fit the model into quarantine: the next may fit."""
        self._folder.reject(captured, reason)

    def _open(self) -> None:
        problem = self._settings.problem()
        if problem is not None:
            raise Permanent(problem)
        try:
            self._inbox.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Permanent(f"{self.describe()}: {self._inbox} cannot be made: {error.strerror}") from None
        self._folder.open()
        try:
            self._receiver.start()
        except BaseException:
            self._folder.close()
            raise

    def _read(self) -> Captured:
        captured = self._folder.read()
        assert captured.file is not None
        if self._ledger is None:
            with self._lock:
                self._delivered.add(captured.file.name)
        # One of several images is called NAME#NUMBER.dcm.
        _, several, number = (captured.origin or "").removesuffix(".dcm").partition("#")
        return replace(captured, origin=self._part_of(captured.file.name) + several + number)

    def cancel(self) -> None:
        """Let a read that waits for images end."""
        self._folder.cancel()

    def _close(self) -> None:
        self._receiver.stop()
        self._folder.close()

    def _part_of(self, name: str) -> str:
        """What names the part of a file: an attribute, or the UID where that is empty."""
        uid = name.removesuffix(".dcm")
        if self._settings.part_attribute == "SOPInstanceUID":
            return uid
        import pydicom

        attribute = self._settings.part_attribute
        dataset = pydicom.dcmread(self._inbox / name, stop_before_pixels=True, specific_tags=[attribute])
        text = "".join(c for c in str(dataset.get(attribute) or "") if c.isprintable()).strip()
        return text[:128] or uid

    def _is_known(self, name: str) -> bool:
        if self._ledger is not None:
            return self._ledger.has_finished(name)
        with self._lock:
            return name in self._delivered

    def _delete_finished(self) -> None:
        """Delete the images from which everything that follows is durable; they are known by their names."""
        if self._ledger is None:
            return
        for file in self._inbox.glob("*.dcm"):
            if self._ledger.has_finished(file.name):
                with suppress(OSError):
                    file.unlink()


def from_settings(settings: DicomSettings, *, quarantine_directory: Path) -> DicomSource:
    """The receiver that the settings describe; its inbox is beside the quarantine."""
    return DicomSource(settings, quarantine_directory.with_name(INBOX), quarantine_directory)
