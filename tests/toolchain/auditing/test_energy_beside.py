"""`snn-tool energy beside`: two reports from their files, marks, sentences, and refusals in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from snn_tool.cli.app import run
from snn_tool.energy.report.document import KIND, SCHEMA

Capture = pytest.CaptureFixture[str]


def split(qann: float, teacher: float | None, cnn: float | None = None) -> dict[str, Any]:
    """Over a student of 1 pJ."""
    return {
        "teacher_over_twin": None if teacher is None else teacher / (2 * qann),
        "twin_over_qann": 2.0,
        "qann_over_student": qann,
        "teacher_over_student": teacher,
        "twin_over_student": 2 * qann,
        "cnn_over_student": cnn,
        "note": "",
    }


def written(folder: Path, rows: dict[str, dict[str, Any]], binary: bool, **changed: Any) -> Path:
    """An `energy.json` with what is read, and one key that is not."""
    saving = [row for row, of_row in rows.items() if of_row["qann_over_student"] > 1]
    document = {
        "kind": KIND,
        "schema": SCHEMA,
        "tool_version": "0",
        "timesteps": 4 if binary else 1,
        "spikes": {
            "saving": saving,
            "cells": len(rows),
            "binary": binary,
            "deliveries_per_mac": 0.5,
            "fan_out": 2.0,
            "image_macs": 3.0,
            "membranes_least": 0.5,
            "membranes_most": 0.75,
        },
        "ratios": [{"model": row, "split": of_row, "ratio": None} for row, of_row in rows.items()],
        "note": "more",
        **changed,
    }
    folder.mkdir()
    path = folder / "energy.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def reports(tmp_path: Path) -> list[str]:
    graded = {"paper/fp32": split(0.5, 40.0), "exact-ops/int8": split(0.25, 8.0)}
    binary = {"paper/fp32": split(4.0, 200.0, 3.0), "exact-ops/int8": split(0.75, 20.0, 1.5)}
    return [
        str(written(tmp_path / "graded", graded, False)),
        str(written(tmp_path / "binary", binary, True)),
    ]


def test_students_stand_side_by_side(reports: list[str], tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "beside.md"
    assert run(["-q", "energy", "beside", *reports, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    shown = [line for line in text.splitlines() if line != str(out)]
    assert len(shown) == len(text.splitlines()) - 1 and max(map(len, shown)) <= 80
    lines = out.read_text().splitlines()
    assert lines[0] == (
        "| model | graded: spikes | graded: teacher | binary: spikes | binary: int8 CNN | binary: teacher |"
    )
    assert lines[2] == "| paper/fp32 | 0.500× | 40.0× | **● 4.00×** | 3.00× | 200× |"
    assert lines[3] == "| exact-ops/int8 | 0.250× | 8.00× | 0.750× | 1.50× | 20.0× |"
    said = out.read_text()
    assert "graded: At equal integers spikes save energy in 0 of 2 estimates. A graded spike costs" in said
    assert "binary: At equal integers spikes save energy in 1 of 2 estimates: paper. A binary spike" in said


def test_json_names_the_cells(reports: list[str], capsys: Capture) -> None:
    assert run(["-q", "--json", "energy", "beside", *reports]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "graded": {"saving": [], "cells": 2},
        "binary": {"saving": ["paper/fp32"], "cells": 2},
    }


def test_what_is_no_report_is_refused_in_one_line(
    reports: list[str], tmp_path: Path, capsys: Capture
) -> None:
    older = written(tmp_path / "older", {"paper/fp32": split(1.0, None)}, True, schema=2)
    odd = written(tmp_path / "odd", {"paper/fp32": split(1.0, None)}, True, timesteps="four")
    for arguments, message in (
        ([str(tmp_path / "nowhere.json")], "no such file"),
        ([str(older)], "schema 2"),
        ([str(odd)], "timesteps"),
        ([reports[0], reports[0]], "a second report of the name graded"),
    ):
        assert run(["-q", "energy", "beside", *arguments]) == 1
        err = capsys.readouterr().err
        assert message in err and len(err.strip().splitlines()) == 1
