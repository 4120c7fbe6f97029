"""The commands that use a student: `restore`, `evaluate`, `demo`, `models`, `doctor`."""

import logging
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from snn_tool.cli.deploy import CHECK_FAILED
from snn_tool.cli.options import command, images_or_pairs
from snn_tool.degradations.options import USUAL_TASK, HowOptions
from snn_tool.flags import Flag, Overwrite
from snn_tool.inputs.options import InputOptions
from snn_tool.networks.locate import locate_teacher, shortest
from snn_tool.networks.options import DegradeOptions, EvaluateOptions, RestoreOptions
from snn_tool.networks.shipped import card_of, shipped_for
from snn_tool.tables import printable
from snn_tool.terminal import LOGGER, terminal_of

if TYPE_CHECKING:
    from snn_tool.networks.restoring import Pick
    from snn_tool.networks.running import RestoringStudent


@command
def restore(context: typer.Context, options: RestoreOptions) -> None:
    """Restore images of any size; without --student, with one that comes with snn-tool: it denoises.

    Grey images, of one channel or of three equal ones, then get a student for grey, if one comes along.
    """
    from snn_tool.networks.restoring import plan_outputs, restore_files

    terminal = terminal_of(context)
    if options.student is not None and options.task is not None:
        raise typer.BadParameter("--task picks a student that comes along; give it or --student", context)
    # cheap checks first: torch follows
    outputs = plan_outputs(options.images, options.out, options.overwrite)
    if options.student is None:
        shipped_for(options.task or USUAL_TASK)
    used = restore_files(_picking(options, terminal.note), outputs, options.tile, terminal.track)
    terminal.result("\n".join(map(printable, outputs.values())), _restored(used, outputs))
    student = next(iter(used.values())).provenance.path
    assert student is not None, "students are files"
    terminal.then(
        "evaluate", "--student", shortest(student), "--data", "PHOTOS", why="its PSNR on clean photographs"
    )


def _picking(options: RestoreOptions, note: Callable[[str], None]) -> "Pick":
    """The student that was named, or the one that comes along for a picture's kind; each is opened once."""
    from snn_tool.networks.open import open_student
    from snn_tool.networks.running import RestoringStudent

    @cache
    def opened(path: Path) -> RestoringStudent:
        if (card := card_of(path)) and card.weakness:
            logging.getLogger(LOGGER).warning("%s", card.weakness)
        return RestoringStudent.of(open_student(path))

    @cache
    def path_for(grey: bool) -> Path:
        if options.student is not None:
            return options.student
        card = shipped_for(options.task or USUAL_TASK, grey=grey)
        which = " for grey images" if card.channels == 1 else ""
        note(f"student{which}: {card.name}, {card.summary}; 'snn-tool models' lists others")
        return card.path

    return lambda grey: opened(path_for(grey))


def _restored(used: Mapping[Path, "RestoringStudent"], outputs: Mapping[Path, Path]) -> dict[str, Any]:
    """What `--json` prints; the first student's keys stand beside all of them, with the images of each."""
    students: dict[str, dict[str, Any]] = {}
    for source, student in used.items():
        origin = student.provenance
        found = students.setdefault(
            str(origin.path),
            {
                "student": str(origin.path),
                "student_kind": str(origin.kind),
                "student_sha256": origin.sha256,
                "trained_for": dict(origin.trained_for.described),
                "images": {},
            },
        )
        found["images"][str(source)] = str(outputs[source])
    images = {str(source): str(target) for source, target in outputs.items()}
    return {**next(iter(students.values())), "images": images, "students": [*students.values()]}


@command
def evaluate(context: typer.Context, options: EvaluateOptions, how: HowOptions, inputs: InputOptions) -> None:
    """PSNR and SSIM of a student or a teacher; of a classifier, with --inputs, its accuracy.

    PSNR: RGB (derain: luma, too), full images, 8-bit output. Accuracy: against labels, class by class.
    """
    if inputs.inputs is not None:
        return _evaluate_classes(context, options, inputs)
    # cheap checks first: torch follows
    clean, partners = images_or_pairs(options.data, "--data", options.pairs, options.degraded)
    terminal, student = terminal_of(context), options.student
    source = locate_teacher(options.teacher, options.weights)
    network = student or source
    if network is None or (student and source):
        raise typer.BadParameter("one of --student and --teacher is needed", context)
    from snn_tool.networks.evaluation import EvaluationFiles, evaluation_text, run_evaluation

    files = EvaluationFiles(options.out, options.save, options.overwrite)
    task = (options.task, options.sigma, options.seed)
    scored = run_evaluation(
        network,
        clean,
        task,
        options.tile,
        files,
        terminal.track,
        partners,
        how,
        options.register,
        options.in_colour,
    )
    terminal.result(evaluation_text(scored, options.per_image), scored.document())
    if student is None:
        terminal.then("distill", "--teacher", options.teacher, "--data", "DIR", why="a spiking student of it")
    elif scored.kind == "integer":
        images = ("--pairs", options.pairs) if options.pairs else ("--images", clean)
        terminal.then("energy", "report", "--student", shortest(student), *images, why="what it costs")
    else:
        terminal.then("quantize", student, "--data", "DIR", why="its integers")


def _evaluate_classes(context: typer.Context, options: EvaluateOptions, inputs: InputOptions) -> None:
    from snn_tool.deploy.classify import ClassifyOptions, classify

    for name, given in (
        ("--teacher", options.teacher),
        ("--data", options.data),
        ("--pairs", options.pairs),
        ("--save", options.save),
        ("--sigma", options.sigma),
    ):
        if given is not None:
            raise typer.BadParameter(f"{name} does not go with --inputs", context)
    if options.student is None:
        raise typer.BadParameter("--inputs needs --student NAME.int.safetensors, from import", context)
    chosen = ClassifyOptions(options.student, options.original, options.labels, options.limit)
    terminal = terminal_of(context)
    found, samples = classify(chosen, inputs, options.out, options.overwrite, terminal.track)
    text = [found.tables(), samples.text(), *found.lines(), found.rule]
    terminal.result("\n".join(text), {**found.to_dict(), "inputs": samples.document()})
    terminal.then("export", options.student, "--target", "loihi", "--inputs", inputs.inputs, why="for a chip")


@command
def demo(
    context: typer.Context,
    out: Annotated[Path, Flag("Folder for everything.")] = Path("demo-out"),
    seed: Annotated[int, Flag("Seed of weights, patches, noise, split.")] = 0,
    quick: Annotated[
        bool,
        Flag("Little training, small crops: two minutes. Shows the path, not the quality."),
    ] = False,
    resume: Annotated[bool, Flag("Go on after an interruption.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Run everything on shipped photographs: teacher, student, integers, NIR, Lava, energy."""
    from snn_tool.demo.run import run_demo

    terminal = terminal_of(context)
    summary = run_demo(out, seed, quick, resume, overwrite, terminal)
    terminal.result(summary.text(), summary.document())
    terminal.then("restore", "PHOTO.png", "--student", out / "student", why="with the student that was made")
    if summary.differs:
        raise typer.Exit(CHECK_FAILED)


@command
def playground(
    context: typer.Context,
    out: Annotated[Path, Flag("Folder for the page.")] = Path("playground"),
    student: Annotated[
        str | None, Flag("Only this one of the students that come along.", shown="all for colour")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a page that restores photographs in the browser: no server, works from disk and on a phone."""
    from snn_tool.playground.build import build_playground

    terminal = terminal_of(context)
    made = build_playground(out, [student] if student else [], overwrite, terminal.track)
    text = (
        f"{printable(made.page)}: {', '.join(made.students)}; {made.size / 1e6:.1f} MB, open it in a browser"
    )
    terminal.result(text, {"page": str(made.page), "students": list(made.students), "bytes": made.size})
    terminal.then("export", made.students[0], "--target", "wasm", why="one student for a page of yours")


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
    terminal = terminal_of(context)
    terminal.result(text, {"findings": [asdict(finding) for finding in findings]})
    terminal.then("demo", "--quick", why="everything once, on photographs that come along")
    if any(finding.works is False for finding in findings):
        raise typer.Exit(1)


@command
def models(
    context: typer.Context,
    name: Annotated[str | None, Flag("Show the card of this student or teacher.", argument=True)] = None,
) -> None:
    """List the trained students and teachers that come with snn-tool, or show the card of one."""
    from dataclasses import asdict

    from snn_tool.networks.shipped import read_card, shipped_names
    from snn_tool.networks.teachers import read_teacher_card, teacher_names
    from snn_tool.texts.cards import card_text, list_text, teacher_card_text

    terminal, teaches = terminal_of(context), name in teacher_names()
    cards = [] if teaches else [read_card(each) for each in ([name] if name else shipped_names())]
    teachers = [read_teacher_card(each) for each in ([] if name and not teaches else teacher_names())]
    document = {
        kind: [{**asdict(card), "path": str(card.path)} for card in found]
        for kind, found in (("students", cards), ("teachers", teachers))
    }
    if name and teaches:
        terminal.result(teacher_card_text(read_teacher_card(name)), document)
        terminal.then("distill", "--teacher", name, "--data", "DIR", why="a spiking student of it")
        return
    terminal.result(card_text(cards[0]) if name else list_text(cards, teachers), document)
    terminal.then("restore", "PHOTO.png", "--student", cards[0].name, why="a photograph of yours")


@command
def degrade(context: typer.Context, options: DegradeOptions, how: HowOptions) -> None:
    """Degrade photographs as a training would, rounded to 8 bits, with a sheet that shows both.

    OUT/degraded and OUT/clean are pairs, ready for --pairs OUT, which knows the task.
    """
    from snn_tool.degradations.tasks import degradation_from_options, task_text
    from snn_tool.networks.degrading import degrade_folder, usual_folder

    terminal = terminal_of(context)
    degradation = degradation_from_options(options.task, options.strength, how)
    out = options.out or usual_folder(options.images)
    written = degrade_folder(
        options.images, out, degradation, options.seed, options.overwrite, terminal.track
    )
    document = {
        "degradation": degradation.describe(),
        "seed": options.seed,
        "images": {str(source): str(target) for source, target in written.copies.items()},
        "contact_sheet": str(written.sheet),
    }
    text = f"{len(written.copies)} images, {task_text(degradation.describe())}, seed {options.seed}"
    terminal.result(f"{text}\n{printable(written.sheet)}", document)
    terminal.then("distill", "--pairs", out, why="a student that undoes this")
