"""`snn-tool demo`: the whole mission on photographs that ship with scikit-image and scikit-learn."""

from pathlib import Path

from snn_tool.auditing.student import AuditOptions, claim_report, run_audit
from snn_tool.degradations.crops import TEST, claim_demo_folders, write_demo_folders
from snn_tool.demo.page import (
    CLAIM,
    PAGE,
    STUDENT_WIDTH,
    TEACHER_WIDTH,
    DemoPlan,
    DemoSummary,
    page_facts,
    render_page,
)
from snn_tool.deploy.export import Exported, claim_export, export_student
from snn_tool.deploy.golden import GoldenOptions
from snn_tool.deploy.quantize import quantize_student
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.files.artifacts import write_text
from snn_tool.files.ownership import claim, of_kind, owned_path, refuse_existing
from snn_tool.models.checkpoints import refuse_existing_pair
from snn_tool.models.integer.file import KIND as INTEGERS
from snn_tool.networks.evaluation import KIND, EvaluationFiles, run_evaluation
from snn_tool.terminal import Terminal
from snn_tool.training.run_folder import claim_run
from snn_tool.training.runs import (
    STUDENT_FILE,
    TEACHER_FILE,
    TrainedNetwork,
    distill_student,
    train_teacher,
)

SCORES, RESTORED = "evaluation.json", "restored"
TITLE = b"<title>snn-tool demo"
"""By which a page of ours is known."""


def run_demo(
    out: Path, seed: int, quick: bool, resume: bool, overwrite: bool, terminal: Terminal
) -> DemoSummary:
    """Train, distil, quantise, export, verify, evaluate, audit, and write `index.html`.

    Raises:
        ConfigError: `out` is not empty, without `overwrite` or `resume`, or a file in it is in the way.
        Interrupted: Ctrl-C during a training; `--resume` goes on.
    """
    refuse_existing(out, overwrite or resume)
    demo = DemoPlan(out, seed, quick, resume, terminal)
    _claim(demo)
    write_demo_folders(out / "photographs")
    teacher, twin, student = _train(demo)
    integers = out / "student" / "student.int.safetensors"
    made = quantize_student(student.path, demo.task.data, integers, None, True)
    terminal.note(f"integers: {made.integer_psnr_db:.2f} dB, float {made.float_psnr_db:.2f} dB")
    exported = _export(demo, integers)
    files = EvaluationFiles(out / SCORES, out / RESTORED, True, owned_path)
    scored = run_evaluation(integers, demo.test, (None, None, seed), 512, files, terminal.track)
    audited = AuditOptions(integers, demo.test, str(teacher.path), twin.path, CLAIM)
    report = run_audit(audited, out / "energy", True, terminal.track)
    summary = DemoSummary(out, teacher, student, scored, exported, report)
    write_text(out / PAGE, render_page(page_facts(demo, summary)), owned_path)
    return summary


def _claim(demo: DemoPlan) -> None:
    """Refuse, before anything is written, what is in the way of any part.

    Raises:
        ConfigError: files that are not of a demo; they are named.
    """
    out = demo.out
    claim_demo_folders(out / "photographs")
    for what, network in (("teacher", TEACHER_FILE), ("twin", TEACHER_FILE), ("student", STUDENT_FILE)):
        claim_run(demo.folder(what), network)
    refuse_existing_pair(out / "student" / "student.int.safetensors", True, INTEGERS, "integer network")
    for target in ("nir", "loihi"):
        claim_export(out / target, target, True)
    claim([out / SCORES], of_kind(KIND))
    claim(out / RESTORED / Path(name).with_suffix(".png").name for _, name in TEST)
    claim_report(out / "energy")
    claim([out / PAGE], lambda path: TITLE in path.read_bytes()[:2048])


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
