"""`snn-tool demo`: the whole mission on photographs that ship with scikit-image and scikit-learn."""

from pathlib import Path

from snn_tool.artifacts import refuse_existing, write_text
from snn_tool.auditing import AuditOptions, run_audit
from snn_tool.demo_page import render_page
from snn_tool.demo_plan import CLAIM, STUDENT_WIDTH, TEACHER_WIDTH, DemoPlan
from snn_tool.demo_summary import PAGE, DemoSummary, page_facts
from snn_tool.deployment import Exported, export_student
from snn_tool.errors import BackendUnavailableError
from snn_tool.evaluation import EvaluationFiles, run_evaluation
from snn_tool.exporters.lava_installation import provision_lava
from snn_tool.golden import GoldenOptions
from snn_tool.photographs import write_demo_folders
from snn_tool.quantizing import quantize_student
from snn_tool.terminal import Terminal
from snn_tool.training_runs import TrainedNetwork, distill_student, train_teacher


def run_demo(
    out: Path, seed: int, quick: bool, resume: bool, overwrite: bool, terminal: Terminal
) -> DemoSummary:
    """Train, distil, quantise, export, verify, evaluate, audit, and write `index.html`.

    Raises:
        ConfigError: `out` is not empty, without `overwrite` or `resume`.
        Interrupted: Ctrl-C during a training; `--resume` goes on.
    """
    refuse_existing(out, overwrite or resume)
    demo = DemoPlan(out, seed, quick, resume, terminal)
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
    write_text(out / PAGE, render_page(page_facts(demo, summary)))
    return summary


def _train(demo: DemoPlan) -> tuple[TrainedNetwork, TrainedNetwork, TrainedNetwork]:
    """The teacher, the twin of the student's shape, and the student."""
    networks = []
    for what, width in (("teacher", TEACHER_WIDTH), ("twin", STUDENT_WIDTH)):
        folder = demo.folder(what)
        networks.append(train_teacher("unet", {"width": width}, demo.task, demo.settings(what), folder))
    student = distill_student(
        networks[0].path, (), demo.task, demo.settings("student"), demo.folder("student")
    )
    return networks[0], networks[1], student


def _export(demo: DemoPlan, integers: Path) -> Exported:
    """A NIR folder and a verified bundle; Lava is installed if it is not there."""
    options = GoldenOptions(demo.test)
    try:
        provision_lava(demo.terminal.note)
    except BackendUnavailableError as error:
        demo.terminal.note(f"without Lava: {error}")
    export_student(integers, "nir", demo.out / "nir", options, overwrite=True)
    with demo.terminal.steps() as log:
        return export_student(integers, "loihi", demo.out / "loihi", options, overwrite=True, log=log)
