"""The report of an evaluation: charts and one page, and neither of them without matplotlib."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import cv2
import pytest

from engines.errors import EngineError
from engines.evaluation.at_threshold import at_given
from engines.evaluation.charts import charts_available
from engines.evaluation.evaluate import evaluate_engine
from engines.runtime.engine import Engine
from tests.support.parts import write_parts


def test_report_is_a_self_contained_page(
    engine: Engine, normal: Path, abnormal: Path, masks: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="the report needs the train extra")
    result = evaluate_engine(engine, normal, abnormal, masks, judge=at_given(0.1), out=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]{,20})', page))
    assert page.count("<figure>") == 16
    assert "http" not in page
    assert f"{result.auroc.value:.3f}" in page
    saved = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert saved == json.loads(result.to_json())
    for name in ("roc.png", "histogram.png"):
        assert cv2.imread(str(tmp_path / "report" / name)).shape[0] > 300


def test_report_escapes_file_names(engine: Engine, normal: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the report needs the train extra")
    folder = write_parts(tmp_path / "defect", 2, seed=5)
    (folder / "000.png").rename(folder / "<script>alert(1)<script>.png")
    evaluate_engine(engine, normal, folder, out=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_evaluation_without_matplotlib_writes_its_figures_alone(
    engine: Engine, normal: Path, abnormal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a base install: for Python a module that is None in `sys.modules` is not installed."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not charts_available()
    result = evaluate_engine(engine, normal, abnormal, out=tmp_path / "report")
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["evaluation.json"]
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text()) == json.loads(result.to_json())


def test_report_that_cannot_be_written_is_one_line(
    engine: Engine, normal: Path, abnormal: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(EngineError, match="cannot write the report"):
        evaluate_engine(engine, normal, abnormal, out=tmp_path / "taken")
