"""The demo's last page: one HTML file that needs nothing beside it but the energy report it links to."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.crops import centre_crop
from snn_tool.deploy.export import Exported
from snn_tool.energy.pages.charts import data_uri
from snn_tool.energy.pages.numbers import count, number, outcome, span
from snn_tool.energy.report.document import EnergyReport
from snn_tool.networks.evaluation import Evaluation
from snn_tool.tables import printable, printable_in_page
from snn_tool.texts.deploy import verification_text
from snn_tool.training.curves import Curve, curves_svg
from snn_tool.training.runs import TrainedNetwork

CROP = 128


@dataclass(frozen=True, slots=True, eq=False)
class DemoSummary:
    """What the demo ended with, and where its page lies.

    Attributes:
        page: of the demo.
        teacher: trained here.
        student: distilled from it.
        evaluation: of the integer student.
        exported: the verified bundle.
        report: against the teacher that was trained here.
        claimed: against the shape that the claim is about.
    """

    page: Path
    teacher: TrainedNetwork
    student: TrainedNetwork
    evaluation: Evaluation
    exported: Exported
    report: EnergyReport
    claimed: EnergyReport

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
            f"energy, quantised ANN twin / student: {span(self.report.qann_headline)}\n"
            f"{printable(self.page)}"
        )

    def standing(self) -> tuple[str, str, str]:
        """The claim against its own shape, against the demo's teacher, and against equal integers."""
        shape, own = (_parameters(report) for report in (self.claimed, self.report))
        return (
            f"The claim is about a teacher of Restormer's published shape, {shape} parameters, counted and "
            f"not trained here: against it the estimates are {span(self.claimed.headline)}. "
            f"{outcome(self.claimed)}",
            f"The teacher that this demo trained has {own} parameters: against it they are "
            f"{span(self.report.headline)}.",
            f"Against the student's own integers on a dense array, without a spike, they are "
            f"{span(self.report.qann_headline)}.",
        )

    def document(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        assert self.exported.verification
        return {
            "page": str(self.page),
            "gain_db": round(self.gain_db, 4),
            "psnr_db": round(self.evaluation.mean("psnr_db"), 4),
            "verification": [asdict(result) for result in self.exported.verification.results],
            "energy_ratio": asdict(self.report.headline),
            "verdict": self.report.verdict.outcome,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """One test photograph, uint8 [H, W, 3] three times, with the PSNR of both others against `clean`."""

    name: str
    degraded: NDArray[np.uint8]
    restored: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    degraded_psnr_db: float
    psnr_db: float


@dataclass(frozen=True, slots=True, eq=False)
class DemoPage:
    """All that the page shows.

    Attributes:
        summary: what the demo ended with.
        training_images: how many photographs were trained on.
        sigma: of the noise.
        claim: how many times less energy is claimed.
        photographs: of the test set.
        curves: validation PSNR of each training by its name.
        commands: the demo by hand.
    """

    summary: DemoSummary
    training_images: int
    sigma: str
    claim: float
    photographs: Sequence[Photograph]
    curves: Mapping[str, Curve]
    commands: Sequence[str]

    def html(self) -> str:
        """The page; it depends on nothing but this object."""
        return render_page(self._facts())

    def _facts(self) -> dict[str, Any]:
        """The names of the template."""
        report, scored = self.summary.report, self.summary.evaluation
        assert self.summary.exported.verification
        return {
            "training_images": self.training_images,
            "test_images": len(scored.scores),
            "sigma": self.sigma,
            "gain_db": self.summary.gain_db,
            "degraded_psnr_db": scored.mean("degraded_psnr_db"),
            "psnr_db": scored.mean("psnr_db"),
            "parameters": self.summary.student.parameters,
            "teacher_parameters": self.summary.teacher.parameters,
            "backends": [_backend(asdict(result)) for result in self.summary.exported.verification.results],
            "energy_range": span(report.headline),
            "claim": self.claim,
            "verdict": report.verdict.outcome,
            "crops": [crop(photograph) for photograph in self.photographs],
            "curves": curves_svg(self.curves),
            "standing": self.summary.standing(),
            "ratios": [
                {
                    "label": row.model,
                    "total": row.split.teacher_over_student,
                    "smaller": row.split.teacher_over_twin,
                    "bits": row.split.twin_over_qann,
                    "spikes": row.split.qann_over_student,
                }
                for row in report.ratios
            ],
            "commands": self.commands,
        }


def _parameters(report: EnergyReport) -> str:
    """Of a report's teacher, with a suffix."""
    teacher = next(column for column in report.columns if column.name == "teacher")
    return count(teacher.parameters)


def _backend(result: dict[str, Any]) -> dict[str, Any]:
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return {**result, "name": result["backend"], "detail": versions}


@dataclass(frozen=True, slots=True)
class Crop:
    """The same part of one photograph three times, as data URIs, with the PSNR of the whole photograph."""

    name: str
    degraded: str
    restored: str
    clean: str
    degraded_psnr_db: float
    psnr_db: float


def crop(shown: Photograph) -> Crop:
    """The middle of a photograph, at its own resolution."""
    pictures = (shown.degraded, shown.restored, shown.clean)
    degraded, restored, clean = (data_uri(centre_crop(p, CROP, 1)) for p in pictures)
    return Crop(shown.name, degraded, restored, clean, shown.degraded_psnr_db, shown.psnr_db)


STYLES = jinja2.PackageLoader("snn_tool.energy.pages")
"""Where the style is that all pages share."""


def render_page(facts: dict[str, Any]) -> str:
    """Fill the template; a fact that is missing is an error, not a blank."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader("snn_tool.demo"), STYLES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable_in_page,
    )
    environment.filters["number"] = number
    return environment.get_template("demo.html").render(facts)
