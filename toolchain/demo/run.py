"""`snn-tool demo`: the whole mission on photographs that ship with scikit-image and scikit-learn."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from snn_tool.auditing.options import AuditOptions
from snn_tool.auditing.student import claim_report, priced_counts, run_audit
from snn_tool.degradations.crops import TEST, claim_demo_folders, write_demo_folders
from snn_tool.degradations.tasks import degradation_from_options
from snn_tool.demo.page import DemoPage, DemoSummary, Photograph
from snn_tool.deploy.export import Exported, claim_export, export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.deploy.quantize import quantize_student
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.files.artifacts import write_text
from snn_tool.files.ownership import claim, holding, of_kind, owned_path, refuse_existing
from snn_tool.images.files import find_images, read_image
from snn_tool.images.metrics import to_uint8
from snn_tool.models.checkpoints import refuse_existing_pair
from snn_tool.models.integer.file import INTEGER_KIND
from snn_tool.networks.evaluation import KIND, Evaluation, EvaluationFiles, load_pair, run_evaluation
from snn_tool.networks.locate import STUDENT_FILE, TEACHER_FILE
from snn_tool.terminal import Terminal
from snn_tool.training.curves import read_curve
from snn_tool.training.run_folder import LAST, METRICS, RunFolder, claim_run
from snn_tool.training.runs import (
    TaskOptions,
    TrainedNetwork,
    distill_student,
    train_teacher,
)
from snn_tool.training.settings import RunSettings, load_settings

PAGE, SCORES, RESTORED = "index.html", "evaluation.json", "restored"
TITLE = b"<title>snn-tool demo"
"""By which a page of ours is known."""

PARTS = {
    "photographs": "photographs, to train on and to test on",
    "teacher": "train the teacher",
    "twin": "train an ANN of the student's shape",
    "student": "distil the student",
    "integers": "turn the student into integers",
    "lava": "find Lava, or install it",
    "export": "export to NIR and to a Loihi-style bundle, and verify",
    "evaluate": "restore photographs that no training saw",
    "energy": "audit the energy",
}
"""What the demo does, in this order."""
SIGMA = "25"
CLAIM, CLAIMED_TEACHER = 50.0, "restormer"
"""The claim is about a network of that shape, which is counted and not trained here."""

TEACHER_WIDTH, STUDENT_WIDTH = 40, 24


@dataclass(frozen=True, slots=True)
class DemoSize:
    """How much a demo trains and measures; the parts and their checks are the same.

    Attributes:
        steps: of each training.
        validations: of each training.
        training: other settings than the usual ones.
        crop: side in pixels of the crops that are audited.
    """

    steps: Mapping[str, int]
    validations: int = 8
    training: Mapping[str, int] = field(default_factory=dict)
    crop: int = 256


FULL = DemoSize({"teacher": 1600, "student": 3200, "twin": 1600})
QUICK = DemoSize({"teacher": 120, "student": 160, "twin": 80}, 2, {"batch": 4, "patch": 32, "warmup": 10}, 96)


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
        return load_settings(None, {"training": {**self.training(what), "device": "cpu"}})

    def training(self, what: str) -> dict[str, int]:
        """What is not as usual in its training."""
        steps = self.size.steps[what]
        every = max(steps // self.size.validations, 1)
        return {"max_steps": steps, "validate_every": every, "seed": self.seed, **self.size.training}

    @property
    def size(self) -> DemoSize:
        """How much is trained and measured."""
        return QUICK if self.quick else FULL

    def folder(self, what: str) -> RunFolder:
        """A training that had begun goes on; all others start."""
        path = self.out / what
        begun = self.resume and (path / "checkpoints" / LAST).exists()
        return RunFolder(path, begun, True, self.terminal.quiet)

    def begin(self, part: str) -> None:
        """Say which part begins, and of how many it is."""
        self.terminal.note(f"{list(PARTS).index(part) + 1} of {len(PARTS)}: {PARTS[part]}")

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
    how = {what: _options(demo.training(what)) for what in demo.size.steps}
    student = f"{out}/student/student.int.safetensors"
    return [
        f"snn-tool train --data {data} --sigma {SIGMA} --option width={TEACHER_WIDTH} "
        f"{how['teacher']} --out {out}/teacher",
        f"snn-tool train --data {data} --sigma {SIGMA} --option width={STUDENT_WIDTH} "
        f"{how['twin']} --out {out}/twin",
        f"snn-tool distill --data {data} --sigma {SIGMA} --teacher {out}/teacher/teacher.safetensors "
        f"{how['student']} --out {out}/student",
        f"snn-tool quantize {out}/student/student.safetensors --data {data}",
        f"snn-tool export {student} --target loihi --images {test} --out {out}/loihi",
        f"snn-tool evaluate --student {student} --data {test} --out {out}/evaluation.json",
        f"snn-tool energy report --student {student} --teacher {out}/teacher/teacher.safetensors "
        f"--twin {out}/twin/teacher.safetensors --images {test} "
        f"--claim {CLAIM:g} --crop {demo.size.crop} --out {out}/energy",
    ]


def _options(values: Mapping[str, object]) -> str:
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in values.items())


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
    demo.begin("photographs")
    write_demo_folders(out / "photographs")
    teacher, twin, student = _train(demo)
    integers = out / "student" / "student.int.safetensors"
    demo.begin("integers")
    made = quantize_student(student.path, demo.task.data, integers, None, True)
    terminal.note(f"integers: {made.integer_psnr_db:.2f} dB, float {made.float_psnr_db:.2f} dB")
    exported = _export(demo, integers)
    files = EvaluationFiles(out / SCORES, out / RESTORED, True, owned_path)
    demo.begin("evaluate")
    scored = run_evaluation(integers, demo.test, (None, None, seed), 512, files, terminal.track)
    audited = AuditOptions(integers, demo.test, str(teacher.path), twin.path, CLAIM, demo.size.crop)
    demo.begin("energy")
    report = run_audit(audited, out / "energy", True, terminal.track)
    shape = priced_counts(replace(audited, teacher=CLAIMED_TEACHER, twin=None), terminal.track)
    summary = DemoSummary(out / PAGE, teacher, student, scored, exported, report, shape)
    write_text(summary.page, _page(demo, summary).html(), owned_path)
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
    refuse_existing_pair(out / "student" / "student.int.safetensors", True, INTEGER_KIND, "integer network")
    for target in ("nir", "loihi"):
        claim_export(out / target, target, True)
    claim([out / SCORES], of_kind(KIND))
    claim(out / RESTORED / Path(name).with_suffix(".png").name for _, name in TEST)
    claim_report(out / "energy")
    claim([out / PAGE], holding(TITLE))


def _train(demo: DemoPlan) -> tuple[TrainedNetwork, TrainedNetwork, TrainedNetwork]:
    """The teacher, the twin of the student's shape, and the student."""
    networks = []
    for what, width in (("teacher", TEACHER_WIDTH), ("twin", STUDENT_WIDTH)):
        demo.begin(what)
        folder = demo.folder(what)
        networks.append(train_teacher("unet", {"width": width}, demo.task, demo.settings(what), folder))
    demo.begin("student")
    student = distill_student(
        networks[0].path, (), demo.task, demo.settings("student"), demo.folder("student")
    )
    return networks[0], networks[1], student


def _export(demo: DemoPlan, integers: Path) -> Exported:
    """A NIR folder and a verified bundle; Lava is installed if it is not there."""
    options = GoldenOptions(demo.test)
    demo.begin("lava")
    try:
        provision_lava(demo.terminal.note)
    except BackendUnavailableError as error:
        demo.terminal.note(f"without Lava: {error}")
    demo.begin("export")
    export_student(integers, "nir", demo.out / "nir", options, overwrite=True)
    with demo.terminal.steps() as log:
        return export_student(
            integers, "loihi", demo.out / "loihi", options, overwrite=True, context=Context(log=log)
        )


def _page(demo: DemoPlan, summary: DemoSummary) -> DemoPage:
    """All that the page shows, read from the demo's folder."""
    return DemoPage(
        summary,
        training_images=len(find_images(demo.task.data)),
        sigma=SIGMA,
        claim=CLAIM,
        photographs=_photographs(demo, summary.evaluation),
        curves={name: read_curve(demo.out / name / METRICS) for name in ("teacher", "twin", "student")},
        commands=commands(demo),
    )


def _photographs(demo: DemoPlan, scored: Evaluation) -> list[Photograph]:
    """The test photographs in the order of their scores, degraded again and as they were restored."""
    degradation = degradation_from_options("denoise", SIGMA)
    shown = []
    for path, score in zip(find_images(demo.test), scored.scores, strict=True):
        pair = load_pair(path, demo.test, degradation, demo.seed)
        restored = read_image(demo.out / RESTORED / score.name)
        degraded = to_uint8(pair.degraded)
        shown.append(
            Photograph(score.name, degraded, restored, pair.clean, score.degraded_psnr_db, score.psnr_db)
        )
    return shown
