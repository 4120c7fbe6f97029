"""What the demo trains and where, and the same by hand."""

from dataclasses import dataclass
from pathlib import Path

from snn_tool.training.run_folder import LAST, RunFolder
from snn_tool.training.settings import RunSettings, load_settings
from snn_tool.terminal import Terminal
from snn_tool.training.runs import TaskOptions

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
