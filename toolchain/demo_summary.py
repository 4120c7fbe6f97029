"""What the demo ended with: a summary for the terminal, and the facts of its page."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from snn_tool.degradations.crops import centre_crop
from snn_tool.degradations.tasks import degradation_from_options
from snn_tool.demo.page import CROP, Crop, curves_svg, data_uri
from snn_tool.demo_plan import CLAIM, SIGMA, DemoPlan, commands
from snn_tool.deploy.export import Exported
from snn_tool.texts.deploy import verification_text
from snn_tool.energy.pages.numbers import outcome, span
from snn_tool.energy.report.types import EnergyReport
from snn_tool.networks.evaluation import load_pair
from snn_tool.evaluation_scores import Evaluation
from snn_tool.images.files import find_images, read_image
from snn_tool.images.metrics import to_uint8
from snn_tool.tables import printable
from snn_tool.training.runs import TrainedNetwork

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
