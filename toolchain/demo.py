"""`snn-tool demo`: the whole mission on photographs that ship with scikit-image and scikit-learn."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from snn_tool.artifacts import refuse_existing, write_text
from snn_tool.auditing import AuditOptions, run_audit
from snn_tool.degradations import degradation_from_options
from snn_tool.demo_page import Crop, centre_crop, curves_svg, data_uri, render_page
from snn_tool.deployment import Exported, GoldenOptions, export_student, verification_text
from snn_tool.energy.figures import outcome, span
from snn_tool.energy.report_types import EnergyReport
from snn_tool.errors import BackendUnavailableError
from snn_tool.evaluation import Evaluation, EvaluationFiles, load_pair, run_evaluation
from snn_tool.exporters.lava_environment import provision_lava
from snn_tool.images import find_images, read_image
from snn_tool.metrics import to_uint8
from snn_tool.photographs import write_demo_folders
from snn_tool.quantizing import quantize_student
from snn_tool.settings import RunSettings, load_settings
from snn_tool.terminal import Terminal
from snn_tool.training import RunFolder
from snn_tool.training_callbacks import LAST
from snn_tool.training_runs import TaskOptions, TrainedNetwork, distill_student, train_teacher

SIGMA = "25"
CLAIM = 50.0
TEACHER_WIDTH, STUDENT_WIDTH = 40, 24
STEPS = {"teacher": 1600, "student": 3200, "twin": 1600}
QUICK = 20
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
            f"{self.out / PAGE}"
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


@dataclass(frozen=True, slots=True)
class _Demo:
    """One demo: its folder and its options."""

    out: Path
    seed: int
    quick: bool
    resume: bool
    terminal: Terminal

    def settings(self, what: str) -> RunSettings:
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
        return TaskOptions(self.out / "photographs" / "train", "denoise", SIGMA)

    @property
    def test(self) -> Path:
        return self.out / "photographs" / "test"


def run_demo(
    out: Path, seed: int, quick: bool, resume: bool, overwrite: bool, terminal: Terminal
) -> DemoSummary:
    """Train, distil, quantise, export, verify, evaluate, audit, and write `index.html`.

    Raises:
        ConfigError: `out` is not empty, without `overwrite` or `resume`.
        Interrupted: Ctrl-C during a training; `--resume` goes on.
    """
    refuse_existing(out, overwrite or resume)
    demo = _Demo(out, seed, quick, resume, terminal)
    write_demo_folders(out / "photographs")
    teacher, twin, student = _train(demo)
    integers = out / "student" / "student.int.safetensors"
    made = quantize_student(student.path, demo.task.data, integers, None, True)
    terminal.note(f"integers: {made.integer_psnr_db:.2f} dB, float {made.float_psnr_db:.2f} dB")
    exported = _export(demo, integers)
    files = EvaluationFiles(out / "evaluation.json", out / "restored", True)
    scored = run_evaluation(integers, demo.test, (None, None, seed), 512, files, terminal.track)
    audited = AuditOptions(integers, demo.test, str(teacher.path), twin.path, CLAIM)
    report = run_audit(audited, out / "energy", True, terminal.track)
    summary = DemoSummary(out, teacher, student, scored, exported, report)
    write_text(out / PAGE, render_page(_facts(demo, summary)))
    return summary


def _train(demo: _Demo) -> tuple[TrainedNetwork, TrainedNetwork, TrainedNetwork]:
    """The teacher, the twin of the student's shape, and the student."""
    networks = []
    for what, width in (("teacher", TEACHER_WIDTH), ("twin", STUDENT_WIDTH)):
        folder = demo.folder(what)
        networks.append(train_teacher("unet", {"width": width}, demo.task, demo.settings(what), folder))
    student = distill_student(
        networks[0].path, (), demo.task, demo.settings("student"), demo.folder("student")
    )
    return networks[0], networks[1], student


def _export(demo: _Demo, integers: Path) -> Exported:
    """A NIR folder and a verified bundle; Lava is installed if it is not there."""
    options = GoldenOptions(demo.test)
    try:
        provision_lava(demo.terminal.note)
    except BackendUnavailableError as error:
        demo.terminal.note(f"without Lava: {error}")
    export_student(integers, "nir", demo.out / "nir", options, overwrite=True)
    with demo.terminal.steps() as log:
        return export_student(integers, "loihi", demo.out / "loihi", options, overwrite=True, log=log)


def _crops(demo: _Demo, scored: Evaluation) -> list[Crop]:
    degradation = degradation_from_options("denoise", SIGMA)
    crops = []
    for path, score in zip(find_images(demo.test), scored.scores, strict=True):
        pair = load_pair(path, demo.test, degradation, demo.seed)
        pictures = (to_uint8(pair.degraded), read_image(demo.out / "restored" / score.name), pair.clean)
        noisy, restored, clean = (data_uri(np.ascontiguousarray(centre_crop(p))) for p in pictures)
        crops.append(Crop(score.name, noisy, restored, clean, score.degraded_psnr_db, score.psnr_db))
    return crops


def _facts(demo: _Demo, summary: DemoSummary) -> dict[str, Any]:
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
        "commands": _commands(demo),
    }


def _backend(result: dict[str, Any]) -> dict[str, Any]:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return {**result, "name": result["backend"], "detail": versions}


def _commands(demo: _Demo) -> list[str]:
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
