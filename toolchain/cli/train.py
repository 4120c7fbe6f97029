"""The commands that fit networks: `train` and `distill`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from snn_tool.cli.options import Given, command, images_or_pairs
from snn_tool.degradations.options import USUAL_TASK, HowOptions
from snn_tool.models.config import LossWeights, StudentConfig
from snn_tool.networks.locate import locate_teacher
from snn_tool.tables import printable
from snn_tool.terminal import Terminal, terminal_of
from snn_tool.training.options import DistillOptions, LearntOptions, RunOptions, TeacherOptions
from snn_tool.training.settings import TrainingSettings, load_settings

if TYPE_CHECKING:
    from snn_tool.training.run_folder import RunFolder
    from snn_tool.training.runs import TaskOptions, TrainedNetwork

TEACHER, STUDENT = "teacher", "student"
"""What is trained, and the usual name of its run folder."""
OF_STUDENTS = ("qat", "synop_budget")
"""Settings that mean nothing to a teacher."""


@command
def train(
    context: typer.Context,
    run: RunOptions,
    learnt: LearntOptions,
    how: HowOptions,
    teacher: TeacherOptions,
    training: Annotated[dict[str, Any], Given(TrainingSettings, without=OF_STUDENTS)],
    loss: Annotated[dict[str, Any], Given(LossWeights, only=("fft",))],
) -> None:
    """Train an ANN teacher on a folder of images."""
    from snn_tool.models.teachers.registry import parse_teacher_options
    from snn_tool.training.runs import train_teacher

    terminal = terminal_of(context)
    settings = load_settings(run.config, {"training": training, "loss": loss})
    build = parse_teacher_options(teacher.arch, list(teacher.option), teacher.size, teacher.channels)
    trained = train_teacher(
        teacher.arch, build, _task(learnt, how), settings, _folder(run, TEACHER, terminal)
    )
    _report(
        terminal,
        TEACHER,
        trained,
        ("distill", "--teacher", trained.path, *_images(learnt)),
        "a spiking student of it",
    )


@command
def distill(
    context: typer.Context,
    run: RunOptions,
    learnt: LearntOptions,
    how: HowOptions,
    distillation: DistillOptions,
    student: Annotated[dict[str, Any], Given(StudentConfig)],
    loss: Annotated[dict[str, Any], Given(LossWeights)],
    training: Annotated[dict[str, Any], Given(TrainingSettings)],
) -> None:
    """Distil a spiking student from a teacher's output and decoder features."""
    source = locate_teacher(distillation.teacher, distillation.weights)
    from snn_tool.training.runs import distill_student, read_initial

    terminal = terminal_of(context)
    settings = load_settings(run.config, {"training": training, "loss": loss, "student": student})
    initial = read_initial(distillation.init, settings.student) if distillation.init else None
    task, folder = _task(learnt, how, distillation.split_seed), _folder(run, STUDENT, terminal)
    trained = distill_student(source, distillation.features, task, settings, folder, terminal.note, initial)
    _report(terminal, STUDENT, trained, ("quantize", trained.path, *_images(learnt)), "its integers")


def _task(learnt: LearntOptions, how: HowOptions, split_seed: int | None = None) -> "TaskOptions":
    from snn_tool.training.runs import TaskOptions

    clean, partners = images_or_pairs(learnt.data, "--data", learnt.pairs, learnt.degraded)
    task = learnt.task or (None if partners else USUAL_TASK)
    return TaskOptions(clean, task, learnt.sigma, partners, split_seed, how)


def _folder(run: RunOptions, kind: str, terminal: Terminal) -> "RunFolder":
    from snn_tool.training.live_logs import check_logger
    from snn_tool.training.run_folder import RunFolder

    check_logger(run.logger)
    return RunFolder(run.out or Path(kind), run.resume, run.overwrite, terminal.quiet, run.logger)


def _images(learnt: LearntOptions) -> tuple[object, ...]:
    """The images again, as the next command takes them."""
    if learnt.pairs:
        return ("--pairs", learnt.pairs)
    partners = ("--degraded", learnt.degraded) if learnt.degraded else ()
    return ("--data", learnt.data, *partners)


def _report(
    terminal: Terminal, kind: str, trained: "TrainedNetwork", following: tuple[object, ...], why: str
) -> None:
    from snn_tool.ranks import is_first

    if not is_first():
        return
    training = trained.training
    text = (
        f"{printable(trained.path)}: {kind} with {trained.parameters:,} parameters, validation "
        f"{training['validation_psnr_db']:.2f} dB at step {training['best_step']} of {training['steps']}"
    )
    terminal.result(text, {"path": str(trained.path), "parameters": trained.parameters, **training})
    terminal.then(*following, why=why)
