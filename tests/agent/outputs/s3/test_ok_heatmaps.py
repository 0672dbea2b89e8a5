"""A whole agent uploads the heatmaps of sampled ok parts to moto's service over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("boto3", reason="S3 needs the extra s3")
pytest.importorskip("moto", reason="moto is the service of these tests")

from agent.commands import ask
from agent.core.errors import InspectdError
from engines.bundles.bundle import Bundle
from tests.support.agents import agent_processes, configure, socket_path, stop, write_good_and_bad_parts
from tests.support.broker import wait_until
from tests.support.s3_service import BUCKET, CREDENTIALS, S3Service

GOOD, BAD = 75, 3

Documents = dict[str, dict[str, Any]]


@pytest.fixture
def service() -> Iterator[S3Service]:
    made = S3Service().start()
    yield made
    made.stop()


def configured(tmp_path: Path, bundle: Bundle, service: S3Service, *, every: int = 1) -> Path:
    """An agent that inspects a folder, and uploads results and images; there is no broker."""
    (tmp_path / "credentials").write_text(CREDENTIALS)
    write_good_and_bad_parts(tmp_path / "inbox", good=GOOD, bad=BAD)
    source = f'kind = "folder"\nfollow = true\npath = "{tmp_path / "inbox"}"\nframes_per_second = 60'
    archive = f"""
[outputs.archive]
kind = "s3"
bucket = "{BUCKET}"
endpoint = "{service.url}"
credentials_file = "{tmp_path / "credentials"}"
prefix = "line/"
send = ["results", "images"]
"""
    parts = f"clear_after_seconds = 0\n[cameras.line1.parts]\nok_heatmap_every = {every}"
    return configure(tmp_path, bundle, source, alarm=parts, sections=archive)


def results(service: S3Service) -> Documents:
    """The documents of the results, by the folder of their objects."""
    found = dict(service.contents)
    return {key.rpartition("/")[0]: json.loads(found[key]) for key in found if key.endswith("/result.json")}


def heatmaps(service: S3Service) -> set[str]:
    return {key for key in service.uploaded if key.endswith("/heatmap.png")}


def promised(documents: Documents) -> set[str]:
    return {document["heatmap"] for document in documents.values() if document["heatmap"]}


def uploaded(service: S3Service) -> Documents:
    """All results, once their heatmaps are there too."""
    wait_until(lambda: len(results(service)) == GOOD + BAD, seconds=120, what="the results")
    wait_until(lambda: heatmaps(service) == promised(results(service)), seconds=60, what="their heatmaps")
    return results(service)


def test_heatmap_of_a_sampled_ok_part_lies_beside_its_result(
    tmp_path: Path, tiny_bundle: Bundle, service: S3Service
) -> None:
    with agent_processes(configured(tmp_path, tiny_bundle, service)) as start:
        process = start()
        documents = uploaded(service)
        assert stop(process)[0] == 0
    ok = {folder: each for folder, each in documents.items() if each["verdict"] == "ok"}
    assert {each["verdict"] for each in documents.values()} == {"ok", "nok", "not_judged"}
    assert all(each["heatmap"] is None for each in documents.values() if each["verdict"] != "ok")
    assert promised(documents), "none was sampled"
    for folder, document in ok.items():
        if document["heatmap"] is None:
            continue
        assert document["heatmap"] == f"{folder}/heatmap.png"
        assert document["id"] in folder
        order = [service.uploaded.index(f"{folder}/{name}") for name in ("result.json", "heatmap.png")]
        assert order == sorted(order), "the heatmap follows its result"
        image = cv2.imdecode(np.frombuffer(service.get(document["heatmap"]), np.uint8), cv2.IMREAD_UNCHANGED)
        assert image is not None
        head = service.client().head_object(Bucket=BUCKET, Key=document["heatmap"])
        assert head["ContentType"] == "image/png"
        assert head["Metadata"] == {"camera": "line1", "id": document["id"], "sequence": str(document["sequence"])}


def test_heatmaps_wait_with_their_results_while_the_service_is_away_and_the_agent_is_killed(
    tmp_path: Path, tiny_bundle: Bundle, service: S3Service
) -> None:
    service.stop()
    path = socket_path(tmp_path)
    with agent_processes(configured(tmp_path, tiny_bundle, service)) as start:
        process = start()
        wait_until(lambda: _results_stored(path) == GOOD + BAD, seconds=120, what="the results in the outbox")
        wait_until(lambda: len(list((tmp_path / "state").glob("ok-heatmaps/line1/*/heatmap.png"))) > 3, seconds=60)
        process.kill()
        process.wait()
        service.start(bucket=None)
        process = start()
        documents = uploaded_after_a_kill(service)
        assert stop(process)[0] == 0
    assert len({each["sequence"] for each in documents.values()}) == GOOD + BAD


def uploaded_after_a_kill(service: S3Service) -> Documents:
    """All results, with those heatmaps that were drawn before the kill: one that was not is lost."""
    wait_until(lambda: len(results(service)) == GOOD + BAD, seconds=120, what="the results")
    wait_until(lambda: len(heatmaps(service)) >= 3, seconds=60, what="heatmaps")
    assert heatmaps(service) <= promised(results(service))
    return results(service)


def _results_stored(path: Path) -> int:
    try:
        counts = ask(path, "status")["cameras"]["line1"]["parts"]
    except InspectdError:
        return 0
    return sum(counts[name] for name in ("ok", "nok", "not_judged"))
