"""The one table of the kinds of source, and what follows from it: checked settings, and the source that they describe.

A new kind is one file with a `FrameSource` and a function `from_settings`, one settings section, and one row in
`SOURCES`. The contract suite (`tests/contracts/test_source.py`) and `inspectd doctor` then include it.
"""

from __future__ import annotations

from functools import cache, reduce
from importlib import import_module
from operator import or_
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Discriminator, SerializeAsAny, TypeAdapter

from agent.sources.averaging import AveragingSource
from agent.sources.dicom.settings import DicomSettings
from agent.sources.genicam.settings import GenicamSettings
from agent.sources.ledger import Ledger
from agent.sources.settings import (
    CameraSourceSettings,
    FolderSettings,
    LiveSettings,
    SimulatorSettings,
    SourceSection,
    VideoSettings,
)
from agent.sources.source import FrameSource


class SourceKind(NamedTuple):
    """A row of the table."""

    section: type[SourceSection]
    """Its settings; `kind` is a `Literal` of the row's name."""
    module: str
    """Imported when a source is built; has `from_settings(section, *, quarantine_directory) -> FrameSource`."""


SOURCES: dict[str, SourceKind] = {
    "simulator": SourceKind(SimulatorSettings, "agent.sources.simulator.source"),
    "folder": SourceKind(FolderSettings, "agent.sources.folder.source"),
    "video": SourceKind(VideoSettings, "agent.sources.opencv.video"),
    "camera": SourceKind(CameraSourceSettings, "agent.sources.opencv.camera"),
    "dicom": SourceKind(DicomSettings, "agent.sources.dicom.source"),
    "genicam": SourceKind(GenicamSettings, "agent.sources.genicam.source"),
}


def parse_source(values: Any) -> SourceSection:
    """Check the settings of one source against the section of its kind.

    Raises `pydantic.ValidationError`; the kind is the first part of each location, as in a tagged union.
    """
    return _union(tuple(row.section for row in SOURCES.values())).validate_python(values)


@cache
def _union(sections: tuple[type[SourceSection], ...]) -> TypeAdapter[SourceSection]:
    union: Any = reduce(or_, sections)
    return TypeAdapter(Annotated[union, Discriminator("kind")])


# The table is read when settings are checked, so that a row may be added after this module was imported.
SourceSettings = Annotated[SerializeAsAny[SourceSection], BeforeValidator(parse_source)]
"""The type of a settings field that holds a source of any kind."""


def build_source(settings: SourceSection, *, quarantine_directory: Path, ledger: Ledger | None = None) -> FrameSource:
    """The source that the settings describe, not opened yet.

    Only the module of this kind is imported. `quarantine_directory` takes copies of files that cannot be inspected;
    files in the `ledger` are skipped.
    """
    module = import_module(SOURCES[settings.kind].module)
    source: FrameSource = module.from_settings(settings, quarantine_directory=quarantine_directory)
    if isinstance(settings, LiveSettings) and settings.average > 1:
        source = AveragingSource(source, settings.average)
    if ledger is not None:
        source.use_ledger(ledger)
    return source
