"""How trainings went, from their `metrics.csv`: curves, and the picture that stands in every run folder.

The same numbers give the same bytes of SVG. matplotlib is imported when the first picture is drawn.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snn_tool.files.artifacts import write_text
from snn_tool.files.ownership import owned_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = "curves.svg"
"""The picture of a run, beside its log."""
TITLE = "snn-tool training curves"
"""In the picture's metadata, by which it is known where no ledger lists it."""
STEP, PSNR_DB = "step", "val_psnr_db"


@dataclass(frozen=True, slots=True)
class Curve:
    """Validation PSNR in dB of a run, at its optimiser steps."""

    steps: tuple[int, ...]
    psnr_db: tuple[float, ...]


def read_curve(path: Path) -> Curve:
    """Read the curve from a run's metrics.csv."""
    rows = _rows(path)
    return Curve(tuple(int(row[STEP]) for row in rows), tuple(float(row[PSNR_DB]) for row in rows))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def curves_svg(curves: Mapping[str, Curve]) -> str:
    """Validation PSNR against steps, one line per run, as an element to stand in a page."""
    with drawing(8, 3) as (figure, text):
        axes = figure.subplots()
        for label, curve in curves.items():
            _line(axes, curve.steps, curve.psnr_db, label)
        axes.set(xlabel="optimiser steps", ylabel="validation PSNR (dB)")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]


def write_curves(log: Path) -> Path:
    """Draw a run's log into the picture beside it, and return the picture's path.

    Args:
        log: `metrics.csv` of the run.

    Raises:
        ArtifactError: the picture cannot be written.
    """
    path = log.with_name(CURVES)
    write_text(path, run_svg(_rows(log)), owned_path)
    return path


def run_svg(rows: list[dict[str, str]]) -> str:
    """Validation PSNR, and every loss that the log holds, against steps: two panels of one picture.

    Args:
        rows: lines of metrics.csv by column. A loss that is nowhere above zero is left out, the axis is
            logarithmic.
    """
    steps = [int(row[STEP]) for row in rows]
    with drawing(9, 3.4, TITLE) as (figure, text):
        quality, losses = figure.subplots(1, 2)
        _line(quality, steps, [float(row[PSNR_DB]) for row in rows], None)
        quality.set(xlabel="optimiser steps", ylabel="validation PSNR (dB)")
        for name in (name for name in (rows[0] if rows else ()) if name.startswith("loss")):
            known = [(step, float(row[name])) for step, row in zip(steps, rows, strict=True) if row[name]]
            if any(value > 0 for _, value in known):
                _line(losses, [step for step, _ in known], [value for _, value in known], name)
        losses.set(xlabel="optimiser steps", ylabel="mean since the line before")
        if losses.lines:
            losses.set_yscale("log")
            losses.legend(frameon=False, fontsize="small")
        for axes in (quality, losses):
            axes.grid(alpha=0.3)
    return text.getvalue()


def _line(axes: "Axes", steps: object, values: object, label: str | None) -> None:
    axes.plot(steps, values, marker="o", markersize=3, label=label)  # type: ignore[arg-type]


@contextmanager
def drawing(width: float, height: float, title: str | None = None) -> Iterator[tuple["Figure", io.StringIO]]:
    """A figure in inches to draw on, and the text that it becomes at the end."""
    import matplotlib
    from matplotlib.figure import Figure

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "snn-tool"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, text
        named = {"Title": title} if title else {}
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, **named})
