"""Bundles that were changed or are not signed, and engines that are too slow."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent.doctor import Level
from agent.doctor.model import check_bundles, check_engines
from agent.settings.load import load_settings
from engines.bundles.bundle import Bundle
from engines.bundles.signing import generate_keys, sign_bundle
from tests.support.check_results import Configure, only


def test_altered_bundle_is_one_problem(configure: Configure, tiny_bundle: Bundle, tmp_path: Path) -> None:
    altered = tmp_path / "altered.bundle"
    shutil.copytree(tiny_bundle.path, altered)
    with (altered / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    settings = load_settings(configure(bundle=altered))
    result = only(check_bundles(settings))
    assert result.level is Level.PROBLEM
    assert "model.onnx" in result.text
    assert list(check_engines(settings)) == [], "reported once"


def test_bundle_must_be_signed_where_there_are_trusted_keys(
    configure: Configure, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    settings = load_settings(configure(bundle=shutil.copytree(tiny_bundle.path, tmp_path / "line1.bundle")))
    private, public = generate_keys(tmp_path / "plant")
    trusting = settings.model_copy(update={"trusted_keys": (public,)})
    unsigned = only(check_bundles(trusting))
    assert unsigned.level is Level.PROBLEM
    assert "not signed" in unsigned.text
    assert "inspectd bundle sign line1.bundle" in str(unsigned.fix)
    fingerprint = sign_bundle(tmp_path / "line1.bundle", private)
    assert f"signed by {fingerprint}" in only(check_bundles(trusting)).text
    public.unlink()
    assert "plant.pub: key cannot be read" in only(check_bundles(trusting)).text


def test_engine_slower_than_its_cameras_is_a_warning(configure: Configure) -> None:
    source = '{ kind = "simulator", frames_per_second = 1000000.0 }'
    result = only(check_engines(load_settings(configure(source=source))))
    assert result.level is Level.WARNING
    assert "of its time" in result.text
