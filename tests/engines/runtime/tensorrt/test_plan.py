"""Plans on disk: which are loaded, built again, or set aside."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from pathlib import Path

import pytest

from engines.errors import EngineError
from engines.runtime.tensorrt.plan import PlanKey, PlanStore, device_identity

KEY = PlanKey("ab" * 32, "10.3.0", "Orin", "8.7", "fp16", 8, "this device")


class Builder:
    """Builds numbered plans; rejects those in `rejected`."""

    def __init__(self) -> None:
        self.built = 0
        self.rejected: set[bytes] = set()

    def build(self) -> bytes:
        self.built += 1
        return b"plan %d" % self.built

    def load(self, plan: bytes) -> str:
        if plan in self.rejected:
            raise EngineError("the plan is rejected")
        return plan.decode()


@pytest.fixture
def builder() -> Builder:
    return Builder()


def load(store: PlanStore, builder: Builder, key: PlanKey = KEY) -> str:
    return store.load_or_build(key, builder.build, builder.load)


def plans(directory: Path) -> list[Path]:
    return sorted((directory / "engines").glob("*.plan"))


def test_plan_is_built_once_and_loaded_afterwards(tmp_path: Path, builder: Builder) -> None:
    assert load(PlanStore(tmp_path), builder) == "plan 1"
    assert load(PlanStore(tmp_path), builder) == "plan 1"
    assert builder.built == 1


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(PlanKey)])
def test_plan_for_another_key_is_built(tmp_path: Path, builder: Builder, field: str) -> None:
    """Another bundle, TensorRT, GPU, compute capability, precision, batch, device, or plan format."""
    load(PlanStore(tmp_path), builder)
    value = getattr(KEY, field)
    other = dataclasses.replace(KEY, **{field: value + 1 if isinstance(value, int) else f"{value}x"})
    assert load(PlanStore(tmp_path), builder, other) == "plan 2"
    assert load(PlanStore(tmp_path), builder) == "plan 1"


def test_foreign_plan_under_our_name_is_set_aside(
    tmp_path: Path, builder: Builder, caplog: pytest.LogCaptureFixture
) -> None:
    """Complete, with its own record: for example from another device, and renamed."""
    load(PlanStore(tmp_path), builder)
    (plan,) = plans(tmp_path)
    record = json.loads(plan.with_suffix(".json").read_text())
    record["key"]["device"] = "another device"
    plan.with_suffix(".json").write_text(json.dumps(record))
    with caplog.at_level(logging.WARNING):
        assert load(PlanStore(tmp_path), builder) == "plan 2"
    assert plan.with_suffix(".broken").read_bytes() == b"plan 1"
    assert "its record belongs to another plan" in caplog.text


@pytest.mark.parametrize("content", [b"", b"pl", b"garbage that is longer than the plan"], ids=["empty", "cut", "long"])
def test_altered_plan_never_reaches_the_runtime(tmp_path: Path, builder: Builder, content: bytes) -> None:
    load(PlanStore(tmp_path), builder)
    (plan,) = plans(tmp_path)
    plan.write_bytes(content)
    loaded: list[bytes] = []

    def record(data: bytes) -> str:
        loaded.append(data)
        return builder.load(data)

    assert PlanStore(tmp_path).load_or_build(KEY, builder.build, record) == "plan 2"
    assert loaded == [b"plan 2"]
    assert plan.with_suffix(".broken").read_bytes() == content
    assert load(PlanStore(tmp_path), builder) == "plan 2"


@pytest.mark.parametrize("record", [None, "", "[]", "{}"], ids=["missing", "empty", "list", "no entries"])
def test_plan_without_its_record_is_built_again(tmp_path: Path, builder: Builder, record: str | None) -> None:
    load(PlanStore(tmp_path), builder)
    (plan,) = plans(tmp_path)
    if record is None:
        plan.with_suffix(".json").unlink()
    else:
        plan.with_suffix(".json").write_text(record)
    assert load(PlanStore(tmp_path), builder) == "plan 2"


def test_plan_that_the_runtime_rejects_is_built_again_once(tmp_path: Path, builder: Builder) -> None:
    load(PlanStore(tmp_path), builder)
    builder.rejected = {b"plan 1"}
    assert load(PlanStore(tmp_path), builder) == "plan 2"
    builder.rejected = {b"plan 2", b"plan 3"}
    with pytest.raises(EngineError, match="the plan is rejected"):
        load(PlanStore(tmp_path), builder)
    assert builder.built == 3


def test_plan_that_others_could_have_written_is_not_loaded(tmp_path: Path, builder: Builder) -> None:
    load(PlanStore(tmp_path), builder)
    (plan,) = plans(tmp_path)
    plan.chmod(0o666)
    assert load(PlanStore(tmp_path), builder) == "plan 2"
    (plan,) = plans(tmp_path)
    assert plan.stat().st_mode & 0o777 == 0o600


def test_plan_that_is_a_link_is_not_loaded(tmp_path: Path, builder: Builder) -> None:
    load(PlanStore(tmp_path), builder)
    (plan,) = plans(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(plan.read_bytes())
    plan.unlink()
    plan.symlink_to(elsewhere)
    assert load(PlanStore(tmp_path), builder) == "plan 2"


def test_store_without_a_directory_keeps_nothing(builder: Builder) -> None:
    assert load(PlanStore(None), builder) == "plan 1"
    assert load(PlanStore(None), builder) == "plan 2"
    assert PlanStore(None).timing_cache(KEY) is None


def test_plan_that_cannot_be_written_is_used_with_a_warning(
    tmp_path: Path, builder: Builder, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "engines").write_text("a file in the way")
    with caplog.at_level(logging.WARNING):
        assert load(PlanStore(tmp_path), builder) == "plan 1"
    assert "the plan is not kept" in caplog.text


def test_timing_cache_is_shared_by_bundles_and_by_nothing_else(tmp_path: Path) -> None:
    store = PlanStore(tmp_path)
    assert store.timing_cache(KEY) == store.timing_cache(dataclasses.replace(KEY, bundle="cd" * 32, max_batch=1))
    for change in ({"tensorrt": "11.4.0"}, {"gpu": "H200"}, {"compute_capability": "9.0"}, {"device": "other"}):
        assert store.timing_cache(KEY) != store.timing_cache(dataclasses.replace(KEY, **change))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_plan_that_root_builds_belongs_to_the_agent(tmp_path: Path, builder: Builder) -> None:
    os.chown(tmp_path, 4711, 4711)
    load(PlanStore(tmp_path), builder)
    (plan,) = plans(tmp_path)
    assert {plan.stat().st_uid, plan.with_suffix(".json").stat().st_uid, plan.parent.stat().st_uid} == {4711}


def test_device_identity_is_constant_and_hides_the_machine_id() -> None:
    assert device_identity() == device_identity()
    assert len(device_identity()) == 32
    machine_id = Path("/etc/machine-id")
    if machine_id.exists() and machine_id.read_text().strip():
        assert machine_id.read_text().strip() not in device_identity()
