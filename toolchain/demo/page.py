"""The demo's last page: one HTML file that needs nothing beside it but the energy report it links to."""

import base64
import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from snn_tool.degradations.crops import centre_crop
from snn_tool.degradations.tasks import degradation_from_options
from snn_tool.deploy.export import Exported
from snn_tool.energy.pages.numbers import number, outcome, span
from snn_tool.energy.report.types import EnergyReport
from snn_tool.images.files import find_images, read_image
from snn_tool.images.metrics import to_uint8
from snn_tool.networks.evaluation import Evaluation, load_pair
from snn_tool.tables import printable, printable_in_page
from snn_tool.terminal import Terminal
from snn_tool.texts.deploy import verification_text
from snn_tool.training.run_folder import LAST, RunFolder
from snn_tool.training.runs import TaskOptions, TrainedNetwork
from snn_tool.training.settings import RunSettings, load_settings

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
        loader=jinja2.PackageLoader("snn_tool.demo"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable_in_page,
    )
    environment.filters["number"] = number
    return environment.get_template("demo.html").render(facts)


SIGMA = "25"
CLAIM = 50.0
TEACHER_WIDTH, STUDENT_WIDTH = 40, 24
STEPS = {"teacher": 1600, "student": 3200, "twin": 1600}
QUICK = 20


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """One demo: its folder and its options."""

    out: Path
    seed: int
    quick: bool
    resume: bool
    terminal: Terminal

    def settings(self, what: str) -> RunSettings:
        """The settings of `teacher`, `twin` or `student`."""
        steps = STEPS[what] // (QUICK if self.quick else 1)
        training = {
            "max_steps": steps,
            "validate_every": max(steps // 8, 1),
            "seed": self.seed,
            "device": "cpu",
        }
        return load_settings(None, {"training": training})

    def folder(self, what: str) -> RunFolder:
        """A training that had begun goes on; all others start."""
        path = self.out / what
        begun = self.resume and (path / "checkpoints" / LAST).exists()
        return RunFolder(path, begun, True, self.terminal.quiet)

    @property
    def task(self) -> TaskOptions:
        """The training photographs and the noise."""
        return TaskOptions(self.out / "photographs" / "train", "denoise", SIGMA)

    @property
    def test(self) -> Path:
        """The photographs that no training sees."""
        return self.out / "photographs" / "test"


def commands(demo: DemoPlan) -> list[str]:
    """The demo by hand; the steps are those that it used."""
    data, test, out = f"{demo.out}/photographs/train", f"{demo.out}/photographs/test", "RUN"
    steps = {what: demo.settings(what).training.max_steps for what in STEPS}
    student = f"{out}/student/student.int.safetensors"
    return [
        f"snn-tool train --data {data} --sigma {SIGMA} --option width={TEACHER_WIDTH} "
        f"--max-steps {steps['teacher']} --out {out}/teacher",
        f"snn-tool train --data {data} --sigma {SIGMA} --option width={STUDENT_WIDTH} "
        f"--max-steps {steps['twin']} --out {out}/twin",
        f"snn-tool distill --data {data} --sigma {SIGMA} --teacher {out}/teacher/teacher.safetensors "
        f"--max-steps {steps['student']} --out {out}/student",
        f"snn-tool quantize {out}/student/student.safetensors --data {data}",
        f"snn-tool export {student} --target loihi --images {test} --out {out}/loihi",
        f"snn-tool evaluate --student {student} --data {test} --out {out}/evaluation.json",
        f"snn-tool energy report --student {student} --teacher {out}/teacher/teacher.safetensors "
        f"--twin {out}/twin/teacher.safetensors --images {test} --out {out}/energy",
    ]


PAGE = "index.html"


@dataclass(frozen=True, slots=True, eq=False)
class DemoSummary:
    """What the demo ended with."""

    out: Path
    teacher: TrainedNetwork
    student: TrainedNetwork
    evaluation: Evaluation
    exported: Exported
    report: EnergyReport

    @property
    def gain_db(self) -> float:
        """Mean PSNR of the integer student less that of the noisy photographs."""
        return self.evaluation.mean("psnr_db") - self.evaluation.mean("degraded_psnr_db")

    @property
    def differs(self) -> bool:
        """A backend that ran gave another integer."""
        return self.exported.verification is None or self.exported.verification.failed

    def text(self) -> str:
        """The outcome in a few lines."""
        assert self.exported.verification
        return (
            f"integer student: {self.evaluation.mean('degraded_psnr_db'):.2f} -> "
            f"{self.evaluation.mean('psnr_db'):.2f} dB, gain {self.gain_db:.2f} dB\n"
            f"{verification_text(self.exported.verification)}\n"
            f"energy, teacher / student: {span(self.report.headline)}. {outcome(self.report)}\n"
            f"energy, ANN twin / student: {span(self.report.twin_headline)}\n"
            f"{printable(self.out / PAGE)}"
        )

    def document(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        assert self.exported.verification
        return {
            "page": str(self.out / PAGE),
            "gain_db": round(self.gain_db, 4),
            "psnr_db": round(self.evaluation.mean("psnr_db"), 4),
            "verification": [asdict(result) for result in self.exported.verification.results],
            "energy_ratio": asdict(self.report.headline),
            "verdict": self.report.verdict.outcome,
        }


def _crops(demo: DemoPlan, scored: Evaluation) -> list[Crop]:
    degradation = degradation_from_options("denoise", SIGMA)
    crops = []
    for path, score in zip(find_images(demo.test), scored.scores, strict=True):
        pair = load_pair(path, demo.test, degradation, demo.seed)
        pictures = (to_uint8(pair.degraded), read_image(demo.out / "restored" / score.name), pair.clean)
        noisy, restored, clean = (data_uri(np.ascontiguousarray(centre_crop(p, CROP, 1))) for p in pictures)
        crops.append(Crop(score.name, noisy, restored, clean, score.degraded_psnr_db, score.psnr_db))
    return crops


def page_facts(demo: DemoPlan, summary: DemoSummary) -> dict[str, Any]:
    """What the page shows."""
    report, scored = summary.report, summary.evaluation
    assert summary.exported.verification
    curves = {name: demo.out / name / "metrics.csv" for name in ("teacher", "twin", "student")}
    return {
        "training_images": len(find_images(demo.task.data)),
        "test_images": len(scored.scores),
        "sigma": SIGMA,
        "gain_db": summary.gain_db,
        "degraded_psnr_db": scored.mean("degraded_psnr_db"),
        "psnr_db": scored.mean("psnr_db"),
        "parameters": summary.student.parameters,
        "teacher_parameters": summary.teacher.parameters,
        "backends": [_backend(asdict(result)) for result in summary.exported.verification.results],
        "energy_range": span(report.headline),
        "claim": CLAIM,
        "verdict": report.verdict.outcome,
        "crops": _crops(demo, scored),
        "curves": curves_svg(curves),
        "ratios": [
            {
                "label": row.model,
                "total": row.split.teacher_over_student,
                "smaller": row.split.teacher_over_twin,
                "spikes": row.split.twin_over_student,
            }
            for row in report.ratios
        ],
        "commands": commands(demo),
    }


def _backend(result: dict[str, Any]) -> dict[str, Any]:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return {**result, "name": result["backend"], "detail": versions}
