"""The commands that use a student: `restore`, `evaluate`, `demo`, `models`, `doctor`."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.cli.deploy import CHECK_FAILED
from snn_tool.cli.options import command, images_or_pairs
from snn_tool.degradations.options import (
    TASK_NAMES,
    DegradedFolder,
    PairsFolder,
    Strength,
    Task,
    TrainedStrength,
    TrainedTask,
)
from snn_tool.networks.locate import locate_teacher, student_file
from snn_tool.networks.shipped import DEFAULT, shipped_for
from snn_tool.tables import printable
from snn_tool.terminal import terminal_of

_STUDENT_HELP = (
    "student.safetensors (float), student.int.safetensors (integer), a run folder, or a name from 'models'."
)
StudentFile = Annotated[Path | None, typer.Option("--student", help=_STUDENT_HELP, callback=student_file)]
Tile = Annotated[
    int, typer.Option("--tile", help="Images larger than this are cut into tiles; the cuts do not show.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the synthetic degradation.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


@command
def restore(
    context: typer.Context,
    images: Annotated[list[Path], typer.Argument(help="Degraded images, or folders of them.")],
    student: Annotated[
        Path | None,
        typer.Option("--student", help=f"{_STUDENT_HELP} [default: {DEFAULT}]", callback=student_file),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task", help=f"Instead of --student: the one that comes with snn-tool for {TASK_NAMES}."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the restored images (PNG).")] = Path(
        "restored"
    ),
    tile: Tile = 512,
    overwrite: Overwrite = False,
) -> None:
    """Restore images of any size; without --student, with one that comes with snn-tool: it denoises."""
    from snn_tool.networks.restoring import plan_outputs, restore_files

    terminal = terminal_of(context)
    if student is not None and task is not None:
        raise typer.BadParameter("--task picks a student that comes along; give it or --student", context)
    outputs = plan_outputs(images, out, overwrite)
    if student is None:
        card = shipped_for(task or "denoise")
        student = card.path
        terminal.note(f"student: {card.name}, {card.summary}; 'snn-tool models' lists others")
    from snn_tool.networks.open import open_student
    from snn_tool.networks.running import Student

    opened = open_student(student)
    origin = opened.provenance
    restore_files(Student.of(opened), outputs, tile, terminal.track)
    document = {
        "student": str(student),
        "student_kind": str(origin.kind),
        "student_sha256": origin.sha256,
        "trained_for": dict(origin.trained_for.described),
        "images": {str(source): str(target) for source, target in outputs.items()},
    }
    terminal.result("\n".join(map(printable, outputs.values())), document)


@command
def evaluate(
    context: typer.Context,
    student: StudentFile = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            help="Instead of --student: teacher.safetensors, a run folder, model.onnx, "
            "package.module:factory, or an architecture with --weights.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights of a factory's or an architecture's network.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of clean test images.")] = None,
    pairs: PairsFolder = None,
    degraded: DegradedFolder = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File for the scores, e.g. evaluation.json.")
    ] = None,
    save: Annotated[Path | None, typer.Option("--save", help="Folder for the restored images.")] = None,
    task: TrainedTask = None,
    sigma: TrainedStrength = None,
    seed: Seed = 0,
    tile: Tile = 512,
    overwrite: Overwrite = False,
) -> None:
    """PSNR and SSIM of a student or a teacher: RGB (derain: luma, too), full images, 8-bit output."""
    clean, partners = images_or_pairs(data, "--data", pairs, degraded)  # cheap checks first: torch follows
    terminal = terminal_of(context)
    source = locate_teacher(teacher, weights)
    network = student or source
    if network is None or (student and source):
        raise typer.BadParameter("one of --student and --teacher is needed", context)
    from snn_tool.networks.evaluation import EvaluationFiles, evaluation_text, run_evaluation

    files = EvaluationFiles(out, save, overwrite)
    scored = run_evaluation(network, clean, (task, sigma, seed), tile, files, terminal.track, partners)
    terminal.result(evaluation_text(scored), scored.document())


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Folder for everything.")],
    seed: Annotated[int, typer.Option("--seed", help="Seed of weights, patches, noise, split.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="A twentieth of the training: shows the path, not the quality.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interruption.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Run everything on shipped photographs: teacher, student, integers, NIR, Lava, energy."""
    from snn_tool.demo.run import run_demo

    terminal = terminal_of(context)
    summary = run_demo(out, seed, quick, resume, overwrite, terminal)
    terminal.result(summary.text(), summary.document())
    if summary.differs:
        raise typer.Exit(CHECK_FAILED)


def doctor(context: typer.Context) -> None:
    """Say what is installed, which backends work, and how to get what is missing."""
    from dataclasses import asdict

    from snn_tool.cli.doctor import examine

    findings = examine()
    marks = {True: "ok", False: "BROKEN", None: "absent"}
    lines = [
        f"{marks[f.works]:7} {f.name:14} {f.detail}" + (f"  ->  {f.remedy}" if f.remedy else "")
        for f in findings
    ]
    text = "\n".join(map(printable, lines))
    terminal_of(context).result(text, {"findings": [asdict(finding) for finding in findings]})
    if any(finding.works is False for finding in findings):
        raise typer.Exit(1)


def models(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Show the card of this student.")] = None,
) -> None:
    """List the trained students that come with snn-tool, or show the card of one."""
    from dataclasses import asdict

    from snn_tool.networks.shipped import read_card, shipped_names
    from snn_tool.texts.cards import card_text, list_text

    terminal = terminal_of(context)
    cards = [read_card(each) for each in ([name] if name else shipped_names())]
    text = card_text(cards[0]) if name else list_text(cards)
    terminal.result(text, {"students": [{**asdict(card), "path": str(card.path)} for card in cards]})


def degrade(
    context: typer.Context,
    images: Annotated[Path, typer.Option("--images", help="Folder of clean images.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the copies (PNG) and contact-sheet.png.")],
    task: Task = "denoise",
    strength: Strength = None,
    seed: Annotated[int, typer.Option("--seed", help="With an image's name, its draw.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Degrade photographs as a training would, rounded to 8 bits, with a sheet that shows both.

    OUT/degraded and OUT/clean are pairs, ready for --pairs OUT.
    """
    from snn_tool.degradations.tasks import degradation_from_options, task_text
    from snn_tool.networks.degrading import degrade_folder

    terminal = terminal_of(context)
    degradation = degradation_from_options(task or "denoise", strength)
    written = degrade_folder(images, out, degradation, seed, overwrite, terminal.track)
    document = {
        "degradation": degradation.describe(),
        "seed": seed,
        "images": {str(source): str(target) for source, target in written.copies.items()},
        "contact_sheet": str(written.sheet),
    }
    text = f"{len(written.copies)} images, {task_text(degradation.describe())}, seed {seed}"
    terminal.result(f"{text}\n{printable(written.sheet)}", document)
