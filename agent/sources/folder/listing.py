"""Lists the image files of a folder with their versions, and reports what it skips."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from agent.core.records import FileVersion
from engines.images import HEAD_BYTES, has_image_content

log = logging.getLogger(__name__)

# Names under which programs write a file before they rename it.
UNFINISHED_SUFFIXES = frozenset({".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp"})


class Found(NamedTuple):
    """A file of the folder as it was listed."""

    version: FileVersion
    inode: int
    """Differs where another file was renamed to this name. A share that was mounted again may number its files anew."""

    def is_still(self, status: os.stat_result) -> bool:
        """Whether the file is unchanged."""
        return (
            status.st_mtime_ns == self.version.modified_ns
            and status.st_size == self.version.size
            and status.st_ino == self.inode
        )


class FolderListing:
    """Lists a folder again and again.

    Links that lead nowhere or out of the folder are rejected by name. Files without the suffix of an image are counted
    and, the first of each kind, logged; those without any suffix are judged by their content. Hidden files and those
    under the name of an unfinished one are left out.
    """

    def __init__(
        self,
        path: Path,
        *,
        recursive: bool,
        repeated: bool,
        suffixes: Collection[str],
        on_rejected: Callable[[Path, str], None],
    ) -> None:
        """Args:
        path: the folder.
        repeated: the folder is listed again and again.
        recursive: also list the folders below. Links to folders are not followed.
        suffixes: of images, lower case.
        on_rejected: called once with each link that is rejected, and the reason.
        """
        self._path = path
        self._recursive, self._repeated, self._suffixes = recursive, repeated, suffixes
        self._contents: dict[str, tuple[FileVersion, bool]] = {}
        """Of files without a suffix: whether that version is an image."""
        self._contents_before = self._contents
        self._found_before: dict[str, Found] = {}
        self._on_rejected = on_rejected
        self._skipped: set[str] = set()
        self._skipped_before: set[str] = set()
        self._reported: set[str] = set()
        self.skipped_count = 0
        """Files and folders that were skipped, since the start."""

    def files(self) -> dict[str, Found]:
        """The image files by name below the folder, unordered. Raises OSError if the folder cannot be listed."""
        self._skipped_before, self._skipped = self._skipped, set()
        self._contents_before, self._contents = self._contents, {}
        home = self._path.resolve()
        found: dict[str, Found] = {}
        for entry, name in self._walk(self._path, ""):
            try:
                if self._may_be_image(entry, name, home):
                    each = self._found(name, entry.stat())
                    if "." in entry.name or self._has_image_content(entry, each.version):
                        found[name] = each
            except OSError:  # it was removed meanwhile
                continue
        self._found_before = found
        return found

    def _found(self, name: str, status: os.stat_result) -> Found:
        """Mostly that of the last listing: making 100,000 new ones takes as long as listing them."""
        before = self._found_before.get(name)
        if before is not None and before.is_still(status):
            return before
        return Found(FileVersion(name, status.st_size, status.st_mtime_ns), status.st_ino)

    def skip(self, name: str, kind: str, wanted: str) -> None:
        """Count a file that is not read. Of each `kind`, in words, the first is logged with what is `wanted`."""
        self._skipped.add(name)
        if name in self._skipped_before:
            return
        self.skipped_count += 1
        if kind not in self._reported:
            self._reported.add(kind)
            log.warning("folder %s: %s are skipped, such as %s; wanted %s", self._path, kind, ascii(name)[1:-1], wanted)

    def _walk(self, folder: Path, prefix: str) -> Iterator[tuple[os.DirEntry[str], str]]:
        """Each entry that is neither hidden nor a folder, with its name below the listed folder."""
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    yield entry, name
                elif self._recursive:
                    yield from self._below(entry, name)
                else:
                    self.skip(name, "folders below it", "recursive = true to read them")

    def _below(self, folder: os.DirEntry[str], name: str) -> Iterator[tuple[os.DirEntry[str], str]]:
        """A folder below that cannot be listed hides its files for now; the others are listed all the same."""
        try:
            yield from self._walk(Path(folder.path), f"{name}/")
        except OSError as error:
            self.skip(name, f"folders that cannot be listed ({error.strerror})", "read and search permission")

    def _has_image_content(self, entry: os.DirEntry[str], version: FileVersion) -> bool:
        """Whether a file without a suffix is an image. One that has just begun to be written is left out for now."""
        known = self._contents_before.get(version.name)
        first_look = known is None or known[0] != version
        if known is None or first_look:
            known = (version, has_image_content(entry.path))
        self._contents[version.name] = known
        is_image = known[1]
        unfinished = version.size == 0 or (first_look and version.size < HEAD_BYTES)
        if not is_image and not (self._repeated and unfinished):
            self.skip(version.name, "files without a suffix that are no images", "images")
        return is_image

    def _may_be_image(self, entry: os.DirEntry[str], name: str, home: Path) -> bool:
        """Whether to read this entry, judged by its name and kind. Reading from a pipe would never return."""
        _, dot, ending = entry.name.rpartition(".")
        suffix = (dot + ending).lower() if dot else ""
        if suffix in UNFINISHED_SUFFIXES:
            return False
        if suffix and suffix not in self._suffixes:
            wanted = (
                "their format, raw = { width = …, height = … }"
                if suffix == ".raw"
                else ", ".join(sorted(self._suffixes))
            )
            self.skip(name, f"{suffix} files", wanted)
            return False
        if entry.is_symlink() and not self._accepts_link(Path(entry.path), name, home):
            return False
        if not stat.S_ISREG(entry.stat().st_mode):
            self.skip(name, "pipes, sockets and devices", "files")
            return False
        return True

    def _accepts_link(self, link: Path, name: str, home: Path) -> bool:
        """Whether a link leads to a file inside the folder. Others are reported once, and nothing is copied of them."""
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):  # a loop is a RuntimeError before Python 3.13
            reason = "the link leads nowhere"
        else:
            if target.is_relative_to(home) and target.is_file():
                return True
            reason = "the link leads to a folder" if target.is_dir() else "the link leads out of the folder"
        self._skipped.add(name)
        if name not in self._skipped_before:
            self._on_rejected(link, f"{link}: {reason}; wanted a file inside {self._path}")
        return False
