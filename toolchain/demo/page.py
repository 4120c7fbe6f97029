"""The demo's last page: one HTML file that needs nothing beside it but the energy report it links to."""

import base64
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from snn_tool.energy.pages.numbers import number
from snn_tool.tables import printable_in_page

CROP = 128


@dataclass(frozen=True, slots=True)
class Crop:
    """The same part of one photograph three times, as data URIs, with the PSNR of the whole photograph."""

    name: str
    degraded: str
    restored: str
    clean: str
    degraded_psnr_db: float
    psnr_db: float


def data_uri(image: NDArray[np.uint8]) -> str:
    """A PNG as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def read_curve(path: Path) -> tuple[list[int], list[float]]:
    """Steps and validation PSNR in dB of a run's `metrics.csv`."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [int(row["step"]) for row in rows], [float(row["val_psnr_db"]) for row in rows]


def curves_svg(runs: dict[str, Path]) -> str:
    """Validation PSNR against steps, one line per run, as an SVG element with reproducible bytes."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "snn-tool"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3))
    for label, path in runs.items():
        steps, psnr_db = read_curve(path)
        axes.plot(steps, psnr_db, marker="o", markersize=3, label=label)
    axes.set(xlabel="optimiser steps", ylabel="validation PSNR (dB)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def render_page(facts: dict[str, Any]) -> str:
    """Fill the template; a fact that is missing is an error, not a blank."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("snn_tool"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable_in_page,
    )
    environment.filters["number"] = number
    return environment.get_template("demo.html").render(facts)
