"""Write docs/results/quality.md and its pictures from the students that come with snn-tool.

    python benchmarks/results.py --test CBSD68=FOLDER --test Set14=FOLDER --pairs DDN20=FOLDER --out FOLDER

The integer students are measured and held against their cards, those for grey images on the sets whose
images are all grey, the others on the other sets; what the float ones reach is taken from the cards.
Pictures show photographs of scikit-image whose licences allow it, never a test set. --teacher FILE (of
`snn-tool train`, or the name of one that comes along; repeatable) adds a column to the pictures of the
students of its task, and its own figures. The same inputs give the same text. With --cache FOLDER what
was measured stays there, found by hashes, so that a page with one more student measures that one alone
(`restoration/kept.py` says what is believed).
"""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from restoration.kept import TILE, Kept
from restoration.page import page
from restoration.pictures import jpeg_below
from restoration.sets import SetScore, is_grey_set, score_sets
from restoration.sheets import contact_sheet, failure_sheet
from restoration.teachers import TeacherColumn, open_teachers, score_teacher, teachers_table
from restoration.trials import PHOTOGRAPHS, Trial, conditions, run_trials
from ship_students import named_folders
from snn_tool.errors import ConfigError, SnnToolError
from snn_tool.files.artifacts import write_bytes, write_text
from snn_tool.files.ownership import claim, disown, is_ours, owned_path
from snn_tool.networks.open import open_student
from snn_tool.networks.running import RestoringStudent
from snn_tool.networks.shipped import FOLDER, Card, read_card, shipped_names, student_path
from snn_tool.networks.teachers import FOLDER as TEACHERS
from snn_tool.networks.teachers import teacher_names, teacher_path
from snn_tool.terminal import Terminal

PAGE, PICTURES = "quality.md", "pictures"
HEAD = "# Results\n\nThe students that come with snn-tool, measured."
"""By which a page is known that has no ledger beside it, as in a clone."""
ANCHORS = Path(__file__).parent / "restoration" / "anchors.toml"
MOST_BYTES, MOST_TOTAL_BYTES = 150_000, 1_700_000


def main() -> None:
    arguments = _arguments()
    try:
        write_results(arguments)
    except SnnToolError as error:
        sys.exit(f"error: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="students; all by default")
    parser.add_argument("--test", **named_folders("test set of clean images"))
    parser.add_argument("--pairs", **named_folders("test set of pairs, with clean/ and degraded/ in it"))
    parser.add_argument(
        "--teacher", type=teacher_file, action="append", default=[], help="teacher.safetensors, or a name"
    )
    parser.add_argument("--students", type=Path, default=FOLDER, help="folder of students with cards")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/results"), help=f"folder for {PAGE} and {PICTURES}/"
    )
    parser.add_argument("--cache", type=Path, help="folder for what was measured, so that it is not again")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parsed = parser.parse_args()
    if not parsed.test:
        parser.error("--test is needed")
    return parsed


def teacher_file(text: str) -> Path:
    """What `--teacher` names: a teacher that comes along, by its name, or a file."""
    return teacher_path(text) if text in teacher_names() else Path(text)


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """One student with everything that the page says of it."""

    card: Card
    scores: Sequence[SetScore]
    trials: Sequence[Trial]
    teachers: Sequence[TeacherColumn]


def write_results(arguments: argparse.Namespace) -> None:
    """Measure, draw, write.

    Raises:
        ConfigError: no student, a teacher of a task that no student has, or a file of somebody else is in
            the way.
        ArtifactError: a card says otherwise than what is measured.
        DataError: an image is damaged, or a test set is empty.
    """
    names = arguments.names or shipped_names(arguments.students)
    cards = [read_card(name, arguments.students) for name in names]
    if not cards:
        raise ConfigError(f"{arguments.students}: holds no students with cards")
    kept = Kept(arguments.cache)
    teachers = open_teachers(arguments.teacher, cards, kept)
    folder, target = arguments.out / PICTURES, arguments.out / PAGE
    before = target.read_text(encoding="utf-8") if target.is_file() else ""
    claim([target], lambda path: before.startswith(HEAD))

    def is_shown(path: Path) -> bool:
        return f"({PICTURES}/{path.name})" in before

    examined = [examine(card, arguments, teachers, kept) for card in cards]
    pictures = draw(examined)
    claim((folder / name for name in pictures), is_shown)
    stale = [path for path in folder.glob("*.jpg") if path.name not in pictures and is_ours(path, is_shown)]
    claim(stale, is_shown)
    for name, content in pictures.items():
        write_bytes(folder / name, content, owned_path)
    disown(stale)
    anchors = tomllib.loads(ANCHORS.read_text(encoding="utf-8"))["anchor"]
    text = page(command(arguments), examined, anchors, of_teachers(teachers, cards, arguments, kept))
    write_text(target, text, owned_path)


def examine(
    card: Card, arguments: argparse.Namespace, teachers: Sequence[TeacherColumn], kept: Kept
) -> Examined:
    """Everything about one student."""
    path = student_path(card.name, arguments.students)
    track = Terminal(quiet=arguments.quiet).track
    clean = {label: folder for label, folder in arguments.test if is_grey_set(folder) == (card.channels == 1)}
    scores = score_sets(card, path, clean, dict(arguments.pairs), track, kept)
    student = RestoringStudent.of(open_student(path))
    restore = kept.restoring(path, partial(student.restore_8_bits, tile=TILE))
    trials = run_trials(restore, conditions(card), PHOTOGRAPHS, card.channels)
    return Examined(card, scores, trials, [teacher for teacher in teachers if teacher.fits(card)])


def of_teachers(
    teachers: Sequence[TeacherColumn], cards: Sequence[Card], arguments: argparse.Namespace, kept: Kept
) -> str:
    """The table of what the teachers reach on the clean sets; empty without teachers."""
    track = Terminal(quiet=arguments.quiet).track
    clean = {label: folder for label, folder in arguments.test if not is_grey_set(folder)}
    scores = [(teacher, score_teacher(teacher, cards, clean, track, kept)) for teacher in teachers]
    return teachers_table(scores) if scores else ""


def draw(examined: Sequence[Examined]) -> dict[str, bytes]:
    """Both pictures of every student by name, small enough to stay below the total."""
    most = min(MOST_BYTES, MOST_TOTAL_BYTES // (2 * len(examined)))
    pictures = {}
    for each in examined:
        pictures[f"{each.card.name}.jpg"] = jpeg_below(contact_sheet(each.trials, each.teachers), most)
        failures = failure_sheet(each.trials, each.teachers)
        pictures[f"{each.card.name}-failures.jpg"] = jpeg_below(failures, most)
    return pictures


def command(arguments: argparse.Namespace) -> str:
    """The command line without the places of its files."""
    words = ["python benchmarks/results.py", *arguments.names]
    words += [f"--test {label}=DIR" for label, _ in arguments.test]
    words += [f"--pairs {label}=DIR" for label, _ in arguments.pairs]
    words += [f"--teacher {shown_teacher(file)}" for file in arguments.teacher]
    return " ".join([*words, "--out docs/results"])


def shown_teacher(file: Path) -> str:
    """A teacher that comes along by its name, another as FILE."""
    return file.stem if file.parent == TEACHERS else "FILE"


if __name__ == "__main__":
    main()
