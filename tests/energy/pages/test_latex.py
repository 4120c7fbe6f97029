"""The table for a paper: every sign escaped, every row there with the report's figures, and it compiles."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from snn_tool.energy.pages.latex import MARK, escaped, render_latex
from snn_tool.energy.report.audit import audit
from snn_tool.energy.report.columns import Teacher
from snn_tool.energy.report.document import EnergyReport
from snn_tool.models.integer.network import IntegerNetwork
from torch import nn

PDFLATEX = shutil.which("pdflatex")
PAPER = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n%s\\end{document}\n"
UNITS = {"pJ": 1.0, "nJ": 1e3, "$\\mu$J": 1e6, "mJ": 1e9, "J": 1e12}


@pytest.fixture(scope="module")
def report(make_network: Callable[..., IntegerNetwork]) -> EnergyReport:
    images = [np.random.default_rng(seed).integers(-64, 64, (3, 8, 8)).astype(np.int16) for seed in (0, 1)]
    teacher = Teacher("a_teacher & 50% \\more", nn.Conv2d(3, 3, 9, padding=4))
    return audit(make_network("graded"), images, teacher=teacher, image_names=["a.png", "b.png"])


def rows(text: str) -> list[list[str]]:
    """The cells of the table's body."""
    body = text.partition("\\midrule\n")[2].partition("    \\bottomrule")[0]
    return [line.strip().removesuffix(" \\\\").split(" & ") for line in body.splitlines()]


def test_signs_that_mean_something_to_latex_are_escaped() -> None:
    assert escaped("50% of a_b & {c} #1 $2 \\d ~e ^f <g>\n3×4 µJ –") == (
        "50\\% of a\\_b \\& \\{c\\} \\#1 \\$2 \\textbackslash{}d \\textasciitilde{}e \\textasciicircum{}f "
        "\\textless{}g\\textgreater{} 3$\\times$4 $\\mu$J --"
    )


@pytest.mark.slow
def test_every_row_of_the_report_is_there_with_its_figures(report: EnergyReport) -> None:
    text = render_latex(report, "tab:mine")
    assert text.startswith(MARK) and "\\label{tab:mine}" in text
    found = rows(text)
    assert ["/".join(row[:2]) for row in found] == [row.model for row in report.ratios]
    energies = {(cell.row, cell.column): cell.headline.energy_pj.mean for cell in report.cells}
    for row, cells in zip(report.ratios, found, strict=True):
        assert len(cells) == 8
        for shown, column in ((cells[2], report.reference), (cells[3], "student")):
            if (row.model, column) in energies:
                value, unit = shown.rsplit(" ", 1)
                np.testing.assert_allclose(
                    float(value.replace(" ", "").replace("\\,", "")) * UNITS[unit],
                    energies[row.model, column],
                    rtol=6e-3,  # three digits
                )
            else:
                assert shown == "--"
        split = row.split
        factors = (split.teacher_over_twin, split.twin_over_qann, split.qann_over_student)
        for shown, factor in zip(cells[5:], factors, strict=True):
            assert factor is not None
            bare = shown.removesuffix("$\\times$").replace(" ", "").replace("\\,", "")
            np.testing.assert_allclose(float(bare), factor, rtol=6e-3)


def test_what_is_left_unescaped_is_what_the_table_is_made_of(report: EnergyReport) -> None:
    text = re.sub(r"^%.*\n", "", render_latex(report), flags=re.MULTILINE)
    assert text.isascii()
    assert text.count("{") == text.count("}")
    assert not re.search(r"(?<!\\)[#%^~]|(?<![\\_a-zA-Z])_", text)
    for name in ("table", "tabular"):
        assert text.count(f"\\begin{{{name}}}") == text.count(f"\\end{{{name}}}") == 1
    for model in report.models:
        assert f"% {model.name}: " in render_latex(report), "its source, to be cited"


@pytest.mark.slow
@pytest.mark.skipif(PDFLATEX is None, reason="no pdflatex: install texlive-latex-recommended")
def test_it_compiles(report: EnergyReport, tmp_path: Path) -> None:
    (tmp_path / "paper.tex").write_text(PAPER % render_latex(report))
    command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF-")
