"""Does distillation help? The study that docs/results/hkd.md registered: its runs, its rows, its report.

    python benchmarks/hkd.py --list
    python benchmarks/hkd.py --data IMAGES --out FOLDER [--only 'graded/*'] [--most 4]
    python benchmarks/hkd.py --report
    python benchmarks/hkd.py --merge ROWS.jsonl
    python benchmarks/hkd.py --out FOLDER --test CBSD68=FOLDER

hkd.toml is the plan. Each run is `snn-tool distill` on one thread, in FOLDER/NEURON/VARIANT/SEED; the same
command goes on where it was stopped, and processes that share FOLDER take different runs, those first for
which they need not share a teacher's answers, and wait for each other's where nothing else is left. A
finished run is a line of docs/results/hkd-runs.jsonl, and files of several machines merge. The teachers'
answers are kept in FOLDER/answers (about 1 GB for each teacher and seed; remove it when a seed is done). A
test set is opened when a neuron kind's confirmation is whole, for its students alone.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from types import FrameType

import msgspec
import torch
from distillation.plan import Key, Plan
from distillation.report import draw, left_text, placed, section
from distillation.rows import Row, add_rows, read_rows
from distillation.runs import Place, train, wait_for
from distillation.study import Study, Wanted
from snn_tool.errors import ConfigError, Interrupted, SnnToolError
from snn_tool.files.artifacts import sha256_file, write_text
from snn_tool.networks.evaluation import EvaluationFiles, run_evaluation
from snn_tool.networks.locate import STUDENT_FILE

BENCHMARKS = Path(__file__).parent
PLAN = BENCHMARKS / "hkd.toml"
PAGE = BENCHMARKS.parent / "docs" / "results" / "hkd.md"
ROWS, CURVES = "hkd-runs.jsonl", "hkd-curves.svg"
TILE = 512


def arguments_of(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--plan", type=Path, default=PLAN)
    parser.add_argument("--page", type=Path, default=PAGE, help="--report replaces its results")
    parser.add_argument("--rows", type=Path, help=f"file of finished runs; {ROWS} beside the page by default")
    parser.add_argument("--data", type=Path, help="folder of clean training images")
    parser.add_argument("--out", type=Path, help="folder for the runs")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="e.g. 'graded/*/0'")
    parser.add_argument("--no-cache", action="store_true", help="ask teachers at every step, keep nothing")
    parser.add_argument("--list", action="store_true", help="what is missing, and how long it takes")
    parser.add_argument("--report", action="store_true", help="write the page's results and the curves")
    parser.add_argument("--merge", type=Path, metavar="ROWS", help="add the rows of another file")
    parser.add_argument("--test", metavar="NAME=FOLDER", help="score confirmed students on a test set")
    parsed = parser.parse_args(given)
    parsed.rows = parsed.rows or parsed.page.with_name(ROWS)
    return parsed


def run(arguments: argparse.Namespace) -> None:
    """Do what was asked for; without another wish, the runs that are missing.

    Raises:
        SnnToolError: a file cannot be used, an option is missing, or a run fails.
    """
    plan = Plan.read(arguments.plan)
    study = Study.of(plan, read_rows(arguments.rows))
    if arguments.merge:
        others = Study.of(plan, read_rows(arguments.merge)).rows
        _say(f"{len(add_rows(arguments.rows, others.values()))} rows in {arguments.rows}")
    elif arguments.list:
        print(listing(study, arguments.only))
    elif arguments.report:
        report(study, arguments.page)
    elif arguments.test:
        open_test_set(study, arguments)
    else:
        train_missing(plan, arguments)


def _chosen(wanted: Sequence[Wanted], patterns: Sequence[str]) -> list[Wanted]:
    """Those whose key fits a pattern; all without patterns."""
    return [each for each in wanted if not patterns or any(fnmatch(str(each.key), p) for p in patterns)]


def listing(study: Study, patterns: Sequence[str]) -> str:
    """A line for each missing run with its processor minutes, and one for each block."""
    estimates = study.estimates()
    lines = [
        f"{each.key!s:28} {each.block:22} {estimates[each.key] / 60:7.1f} min"
        for each in _chosen(study.missing(), patterns)
    ]
    return "\n".join([*lines, left_text(study)])


def report(study: Study, page: Path) -> None:
    """Write the page's results and the curves beside it."""
    tests = sorted({name for row in study.rows.values() for name in row.tests})
    write_text(page, placed(page.read_text(encoding="utf-8"), section(study, tests)))
    if study.rows:
        draw(study, page.with_name(CURVES))


def train_missing(plan: Plan, arguments: argparse.Namespace) -> None:
    """Train one run after another; the rows say each time what is next, for others may add to them.

    What other processes train is left to them. When nothing else is missing, one of theirs is waited for: it
    may say what is to be confirmed, and is taken over if its process was killed.
    """
    if not (arguments.data and arguments.out):
        raise ConfigError("--data and --out are needed to train; --list shows what is missing")
    cache = None if arguments.no_cache else arguments.out / "answers"
    place, busy = Place(arguments.data, arguments.out, cache), set[Key]()
    while True:
        study = Study.of(plan, read_rows(arguments.rows))
        missing = _chosen(study.missing(), arguments.only)
        if not missing:
            break
        left = [each for each in missing if each.key not in busy]
        if not left:
            _say(f"waiting for {missing[0].key}, which another process trains")
            wait_for(missing[0].key, place)
            busy.clear()
            continue
        wanted = next_run(plan, left, [each.key for each in missing if each.key in busy])
        _say(
            f"{wanted.key}: {wanted.block}, about {study.estimates()[wanted.key] / 60:.0f} processor minutes"
        )
        row = train(wanted.key, plan, place, wanted.steps)
        if row is None:
            _say(f"{wanted.key}: another process trains it")
            busy.add(wanted.key)
            continue
        add_rows(arguments.rows, [row])
        end = row.failed or f"{row.last.a:.3f} dB on half a, {row.last.b:.3f} on b"
        _say(f"{wanted.key}: {end}")


def next_run(plan: Plan, left: Sequence[Wanted], busy: Sequence[Key]) -> Wanted:
    """The first run whose teacher's answers no busy run keeps to itself; if there is none, the first."""

    def answers(key: Key) -> tuple[str, int] | None:
        teacher = plan.teacher(key.variant)
        return (teacher, key.seed) if teacher and not plan.has_hints(key.variant) else None

    held = {answers(key) for key in busy} - {None}
    return min(left, key=lambda each: answers(each.key) in held)


def open_test_set(study: Study, arguments: argparse.Namespace) -> None:
    """Score the confirmed students whose files are here, each once.

    Raises:
        ConfigError: no confirmation is whole yet, no student is here, or the option has another form.
    """
    name, equals, folder = arguments.test.partition("=")
    if not (name and equals and Path(folder).is_dir()) or arguments.out is None:
        raise ConfigError(f"--test {arguments.test}: use NAME=FOLDER, and --out with the runs")
    rows = _confirmed(study)
    if not rows:
        raise ConfigError(f"--test {name}: opened when a confirmation is whole; --list shows what is missing")
    scored = []
    for row in rows:
        student = Place(Path(), arguments.out, None).folder(row.key) / STUDENT_FILE
        if name in row.tests or not student.exists() or sha256_file(student) != row.student_sha256:
            continue
        scores = run_evaluation(student, Path(folder), (None, None, 0), TILE, EvaluationFiles(), _untracked)
        scored.append(msgspec.structs.replace(row, tests={name: round(scores.mean("psnr_db"), 4)}))
        _say(f"{row.key}: {scores.mean('psnr_db'):.3f} dB on {name}")
    add_rows(arguments.rows, scored)


def _confirmed(study: Study) -> list[Row]:
    """Rows of the second phase of the neuron kinds that have it whole, without failed ones."""
    keys = [
        key
        for neuron in study.plan.neurons
        if study.confirmed(neuron)
        for key in study.plan.confirmation(neuron, study.best(neuron))
    ]
    return [study.rows[key] for key in keys if not study.rows[key].failed]


def _untracked(images: Sequence[Path], label: str) -> Sequence[Path]:
    return images


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(given: Sequence[str] | None = None) -> int:
    torch.set_num_threads(1)  # as registered
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        run(arguments_of(given))
    except (KeyboardInterrupt, Interrupted):
        _say("interrupted; the same command goes on")
        return 130
    except SnnToolError as error:
        _say(f"error: {error}")
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
