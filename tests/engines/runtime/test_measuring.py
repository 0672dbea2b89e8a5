"""`inspectd bench` measures all usable engines and chooses one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.bundles.bundle import MODEL, Bundle, write_bundle
from engines.errors import EngineError
from engines.runtime.hardware import describe_processor, usable_engines
from engines.runtime.measuring import choose_engine


def test_choose_engine_measures_every_usable_engine(tiny_bundle: Bundle) -> None:
    choice = choose_engine(tiny_bundle, threads=1, seconds=0.2)
    assert list(choice.frames_per_second) == usable_engines()
    assert min(choice.frames_per_second.values()) > 0
    assert (choice.bundle, choice.machine) == (tiny_bundle.sha256, describe_processor())
    assert choice.engine in usable_engines()


def test_choose_engine_on_a_bundle_that_none_can_open_raises(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """A graph without nodes: valid ONNX for the reader, a model for no engine."""
    files = {name: (tiny_bundle.path / name).read_bytes() for name in tiny_bundle.manifest.files}
    files[MODEL] = b"\x3a\x00"
    broken = write_bundle(tmp_path / "broken.bundle", tiny_bundle.manifest, files)
    with pytest.raises(EngineError, match=r"broken\.bundle: no engine can be opened on this machine"):
        choose_engine(broken, threads=1, seconds=0.2)
