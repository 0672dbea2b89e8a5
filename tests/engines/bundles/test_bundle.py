"""Reading and writing a bundle: everything is checked, and every mistake is one line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engines.bundles.bundle import MANIFEST, MODEL, REFERENCE, Bundle, Geometry, Manifest, read_bundle, write_bundle
from engines.errors import BundleError
from engines.runtime.opening import open_engine
from tests.engines.bundles.test_archive import archive_of


@pytest.fixture
def copy(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that tests may damage."""
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "copy.bundle"))


def rejection(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_bundle(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit_manifest(path: Path, **changes: object) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**manifest, **changes}))


def replace_file(path: Path, name: str, content: bytes) -> None:
    """Replace a file and its hash in the manifest: an attacker can do both."""
    (path / name).write_bytes(content)
    files = json.loads((path / MANIFEST).read_text())["files"]
    edit_manifest(path, files={**files, name: hashlib.sha256(content).hexdigest()})


def test_bundle_has_the_identity_of_its_manifest(tiny_bundle: Bundle) -> None:
    again = read_bundle(tiny_bundle.path)
    assert again == tiny_bundle
    assert again.geometry == Geometry(32, 32, 1, 8, "GRAY")
    assert again.sha256 == hashlib.sha256((tiny_bundle.path / MANIFEST).read_bytes()).hexdigest()
    assert again.manifest.heatmap_shape == (8, 8)
    assert json.loads((tiny_bundle.path / MANIFEST).read_text())["schema"] == "inspectd.bundle/1"


def test_manifest_has_the_hash_of_every_file(tiny_bundle: Bundle) -> None:
    on_disk = {path.name for path in tiny_bundle.path.iterdir()} - {MANIFEST}
    assert on_disk == set(tiny_bundle.manifest.files)
    for name, wanted in tiny_bundle.manifest.files.items():
        assert hashlib.sha256((tiny_bundle.path / name).read_bytes()).hexdigest() == wanted


def test_bundle_contains_no_path_of_the_machine_that_trained_it(trained_bundle: Bundle) -> None:
    for path in trained_bundle.path.iterdir():
        for place in (Path(__file__).parents[3], trained_bundle.path.parent):
            assert str(place).encode() not in path.read_bytes(), path.name


def test_reference_has_at_least_four_frames(tiny_bundle: Bundle) -> None:
    reference = tiny_bundle.reference()
    assert len(reference.frames) >= 4
    assert reference.frames.dtype == np.uint8


def test_missing_folder_is_rejected(tmp_path: Path) -> None:
    assert "found nothing, wanted a bundle directory" in rejection(tmp_path / "nowhere")


def test_folder_without_a_manifest_is_rejected(tmp_path: Path) -> None:
    assert "no manifest.json" in rejection(tmp_path)


def test_missing_file_is_rejected(copy: Path) -> None:
    (copy / MODEL).unlink()
    assert rejection(copy).endswith("model.onnx is missing")


def test_file_altered_by_one_bit_is_rejected(copy: Path) -> None:
    content = bytearray((copy / MODEL).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / MODEL).write_bytes(content)
    assert "model.onnx: altered" in rejection(copy)


def test_additional_file_is_rejected(copy: Path) -> None:
    (copy / "run.sh").write_text("#!/bin/sh\n")
    assert "'run.sh' is not in the manifest" in rejection(copy)


def test_file_of_an_unknown_kind_is_rejected_even_if_listed(copy: Path) -> None:
    replace_file(copy, "weights.pkl", b"pickle")
    assert "'weights.pkl', which no bundle has" in rejection(copy)


def test_link_is_rejected_even_to_the_right_content(copy: Path, tmp_path: Path) -> None:
    (copy / MODEL).rename(tmp_path / "elsewhere.onnx")
    (copy / MODEL).symlink_to(tmp_path / "elsewhere.onnx")
    assert "a link or special file" in rejection(copy)


def test_manifest_that_is_a_link_is_rejected(copy: Path, tmp_path: Path) -> None:
    (copy / MANIFEST).rename(tmp_path / "manifest.json")
    (copy / MANIFEST).symlink_to(tmp_path / "manifest.json")
    assert "a link or special file" in rejection(copy)


@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/passwd", "sub/model.onnx", "..", ".hidden", "a\\b", ""])
def test_name_that_leaves_the_folder_is_rejected(copy: Path, name: str) -> None:
    files = json.loads((copy / MANIFEST).read_text())["files"]
    edit_manifest(copy, files={**files, name: "0" * 64})
    assert "wanted a plain name inside the bundle" in rejection(copy)


def test_manifest_that_is_not_json_is_rejected(copy: Path) -> None:
    (copy / MANIFEST).write_text("{")
    assert "manifest.json" in rejection(copy)


def test_manifest_of_a_later_schema_is_rejected_with_both_schemas(copy: Path) -> None:
    edit_manifest(copy, schema="inspectd.bundle/9")
    assert "schema 'inspectd.bundle/9', this version reads 'inspectd.bundle/1'" in rejection(copy)


def test_manifest_with_an_unknown_field_is_rejected(copy: Path) -> None:
    edit_manifest(copy, run="rm -rf /")
    assert "run: Extra inputs are not permitted" in rejection(copy)


def test_manifest_with_a_wrong_range_is_rejected(copy: Path) -> None:
    edit_manifest(copy, normalisation={"low": 5, "high": 5})
    assert "high 5 is not above low 5" in rejection(copy)


@pytest.mark.parametrize("tolerance", [1e9, 0.11, 0, -1])
def test_tolerance_that_proves_nothing_is_rejected(copy: Path, tolerance: float) -> None:
    edit_manifest(copy, tolerance={"fp32": tolerance, "fp16": 0.02})
    assert "tolerance.fp32: Input should be" in rejection(copy)


def test_reference_of_another_geometry_is_rejected(copy: Path) -> None:
    with np.load(copy / REFERENCE) as archive:
        arrays = dict(archive)
    arrays["frames"] = arrays["frames"].astype(np.uint16)
    np.savez(copy / "new.npz", **arrays)
    content = (copy / "new.npz").read_bytes()
    (copy / "new.npz").unlink()
    replace_file(copy, REFERENCE, content)
    assert "reference.npz: holds" in rejection(copy)


def test_reference_with_a_pickle_is_rejected_without_loading_it(copy: Path) -> None:
    np.savez(copy / "new.npz", frames=np.array([{"a": 1}], dtype=object), score=0, heatmap=0)
    content = (copy / "new.npz").read_bytes()
    (copy / "new.npz").unlink()
    replace_file(copy, REFERENCE, content)
    assert "reference.npz: not a set of reference frames" in rejection(copy)


def test_reference_bomb_is_rejected_by_its_head(copy: Path) -> None:
    replace_file(copy, REFERENCE, archive_of({"frames": ("|u1", (1536 * 2**20,)), "score": ("<f4", (1,))}))
    assert "reference.npz: not a set of reference frames (1610612740 bytes when unpacked" in rejection(copy)


def test_reference_of_too_many_frames_is_rejected(copy: Path) -> None:
    """An engine scores them in one batch."""
    heads = {"frames": ("|u1", (65, 32, 32, 1)), "score": ("<f4", (65,)), "heatmap": ("<f4", (65, 8, 8))}
    replace_file(copy, REFERENCE, archive_of(heads))
    assert "with 1 to 64 frames" in rejection(copy)


def test_reference_with_scores_that_are_not_finite_is_rejected(copy: Path) -> None:
    with np.load(copy / REFERENCE) as archive:
        arrays = dict(archive)
    arrays["score"][0] = np.nan
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    replace_file(copy, REFERENCE, buffer.getvalue())
    assert "not finite" in rejection(copy)


@pytest.mark.parametrize("name", [MODEL, REFERENCE])
def test_file_replaced_after_verification_is_not_loaded(copy: Path, name: str) -> None:
    bundle = read_bundle(copy)
    verified = bundle.read(name)
    (copy / "other").write_bytes(verified[:-1] + bytes([verified[-1] ^ 1]))
    (copy / "other").rename(copy / name)
    with pytest.raises(BundleError, match=f"{name}: altered"):
        bundle.read(name)
    with pytest.raises(BundleError, match="altered"):
        open_engine(bundle, "onnxruntime", threads=1)


def test_fifo_in_the_place_of_a_file_is_rejected_at_once(copy: Path) -> None:
    (copy / MODEL).unlink()
    os.mkfifo(copy / MODEL)
    assert "a link or special file" in rejection(copy)


def test_file_larger_than_any_model_is_not_read(copy: Path) -> None:
    with (copy / MODEL).open("r+b") as file:
        file.truncate(2**30 + 1)  # sparse
    assert f"{2**30 + 1} bytes, wanted at most {2**30}" in rejection(copy)


def test_onnx_with_external_data_is_rejected(copy: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx.external_data_helper import set_external_data

    model = onnx.load(copy / MODEL)
    tensor = model.graph.initializer[0]
    tensor.raw_data = onnx.numpy_helper.to_array(tensor).tobytes()
    set_external_data(tensor, location="/etc/shadow")
    tensor.ClearField("raw_data")
    replace_file(copy, MODEL, model.SerializeToString())
    assert "keeps weights in another file ('/etc/shadow')" in rejection(copy)


def test_file_that_is_not_onnx_is_rejected(copy: Path) -> None:
    replace_file(copy, MODEL, b"\x00" * 1000)
    assert "model.onnx: not an ONNX model" in rejection(copy)


def test_write_replaces_a_bundle_and_leaves_nothing_else(tiny_bundle: Bundle, copy: Path) -> None:
    renamed = tiny_bundle.manifest.model_copy(update={"name": "second"})
    files = {name: (tiny_bundle.path / name).read_bytes() for name in tiny_bundle.manifest.files}
    written = write_bundle(copy, renamed, files)
    assert written.manifest.name == "second"
    assert sorted(path.name for path in copy.parent.iterdir()) == ["copy.bundle"]


def test_write_does_not_replace_another_folder(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "wedding.jpg").write_bytes(b"precious")
    with pytest.raises(BundleError, match="exists and is not a bundle, so it is not replaced"):
        write_bundle(tmp_path / "photos", tiny_bundle.manifest, {})
    assert (tmp_path / "photos" / "wedding.jpg").read_bytes() == b"precious"


def test_write_does_not_replace_a_file_or_a_link(tiny_bundle: Bundle, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(copy)
    for name in ("file", "link"):
        with pytest.raises(BundleError, match="not a bundle"):
            write_bundle(tmp_path / name, tiny_bundle.manifest, {})
    assert read_bundle(copy).manifest == tiny_bundle.manifest


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let the operating system fail writes beyond this size, as on a full disk: "File too large" (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_that_fails_halfway_keeps_the_previous_bundle(tiny_bundle: Bundle, copy: Path) -> None:
    """The first files fit, the model does not."""
    files = {name: (tiny_bundle.path / name).read_bytes() for name in tiny_bundle.manifest.files}
    renamed = tiny_bundle.manifest.model_copy(update={"name": "second"})
    message = r"copy\.bundle: cannot write the bundle \(File too large\)"
    with file_size_limit(len(files[REFERENCE]) + 1), pytest.raises(BundleError, match=message):
        write_bundle(copy, renamed, {REFERENCE: files[REFERENCE], **files})
    assert read_bundle(copy).sha256 == tiny_bundle.sha256
    assert sorted(path.name for path in copy.parent.iterdir()) == ["copy.bundle"]


def test_manifest_is_equal_after_json(tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest
    assert Manifest.model_validate_json(manifest.model_dump_json(by_alias=True)) == manifest


def test_bundle_of_a_foreign_model_needs_no_recipe_and_no_training_record(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """A model that somebody else trained: every engine but PyTorch's runs it."""
    files = {name: (tiny_bundle.path / name).read_bytes() for name in (MODEL, "model-fp16.onnx", REFERENCE)}
    foreign = tiny_bundle.manifest.model_copy(update={"recipe": None, "training": None})
    bundle = read_bundle(write_bundle(tmp_path / "foreign.bundle", foreign, files).path)
    assert (bundle.manifest.recipe, bundle.manifest.training, bundle.manifest.warnings) == (None, None, [])
    with open_engine(bundle, threads=1) as engine:
        assert engine.name == "onnxruntime"


@pytest.mark.parametrize("field", ["recipe", "training"])
def test_manifest_without_a_record_is_read(copy: Path, field: str) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    del manifest[field]
    (copy / MANIFEST).write_text(json.dumps(manifest))
    assert getattr(read_bundle(copy).manifest, field) is None
