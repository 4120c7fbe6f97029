"""Does distillation help a student? None, hints, output, both: several seeds, equal steps, one teacher.

    python benchmarks/hkd.py --data IMAGES --teacher RUN/teacher.safetensors --out FOLDER --jobs 2
        [--variant strong=loss.hints:0.12,loss.output:0] [--test CBSD68=FOLDER]

Every run is `snn-tool distill`, in FOLDER/runs/VARIANT-SEED; the same command goes on where it was stopped,
and a finished run is not trained again. It writes hkd.json, hkd.md, hkd.svg and hkd.png. Any setting of
[training], [loss] and [student] can be changed for all variants (--set) or in a further one (--variant, which
starts from `both`); names are joined by +, as in loss.hint_sites:up_in+tail_in. Seeds share the validation
split.
"""

import argparse
import importlib.metadata
import os
import platform
import shlex
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from distillation.plan import VALIDATIONS, jobs_of, require_fitting
from distillation.report import draw, page, table
from distillation.results import read_run, summary
from distillation.runs import Job, run_all
from distillation.teacher import WANTED_LEAD_DB, TeacherFigures, lead_text, measure_teacher
from distillation.variants import NONE, Variant, variants
from snn_tool.errors import Interrupted, SnnToolError
from snn_tool.files.artifacts import write_json, write_text
from snn_tool.networks.locate import TEACHERS, locate
from snn_tool.networks.open import open_teacher
from snn_tool.training.fit import TrainingData
from snn_tool.training.runs import TaskOptions, asked_of, load_training_data

KIND, SCHEMA = "hkd", 1
PACKAGES = ("torch", "lightning", "numpy", "scipy")
PATHS = ("data", "teacher", "weights", "out")


def arguments_of(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of clean training images")
    parser.add_argument("--teacher", required=True, help="frozen teacher, as of snn-tool distill")
    parser.add_argument("--weights", type=Path, help="weights of a factory's or a published teacher")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs and the report")
    parser.add_argument("--task", default="denoise")
    parser.add_argument("--sigma", help="strength; the task's usual one by default")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on (default %(default)s)")
    parser.add_argument("--split-seed", type=int, help="of the validation split; the teacher's by default")
    parser.add_argument("--steps", type=int, default=4000, help="of every run (default %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="patches per step (default %(default)s)")
    parser.add_argument("--patch", type=int, default=48, help="their side in pixels (default %(default)s)")
    parser.add_argument("--validate-every", type=int, help=f"steps; {VALIDATIONS} times per run by default")
    parser.add_argument(
        "--set", action="append", default=[], metavar="TABLE.KEY:VALUE", help="for all variants"
    )
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=TABLE.KEY:VALUE,…")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="variants beside none")
    parser.add_argument("--test", action="append", default=[], metavar="NAME=DIR", help="report full images")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each run (default %(default)s)")
    return parser.parse_args(given)


def document_of(
    arguments: argparse.Namespace,
    chosen: list[Variant],
    jobs: list[Job],
    data: TrainingData,
    teacher: TeacherFigures,
) -> dict[str, Any]:
    """Everything that was measured, as JSON values."""
    runs = {v.name: [read_run(job) for job in jobs if job.variant == v.name] for v in chosen}
    shown = dict(text.split("=", 1) for text in arguments.variant)
    loss = {job.variant: job.settings.loss.describe() for job in jobs}
    listed = [
        {
            "name": v.name,
            "shown": shown.get(v.name, ""),
            "overrides": v.overrides,
            "loss": loss[v.name],
            "summary": summary(v.name, runs[v.name], runs[NONE]),
            "runs": runs[v.name],
        }
        for v in chosen
    ]
    lead_db = teacher.psnr_db - listed[0]["summary"]["final_psnr_db"]["mean"]
    about = {"file": Path(arguments.teacher).name, **asdict(teacher), "lead_db": lead_db}
    first = asked_of(jobs[0].options, jobs[0].settings, data)
    return {
        "command": command_of(arguments),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "task": first["task"],
        "data": {**first["data"], "split_seed": data.split_seed},
        "seeds": list(range(arguments.seeds)),
        "settings": {"training": first["training"], "student": jobs[0].settings.student.describe()},
        "teacher": {**about, "wanted_lead_db": WANTED_LEAD_DB, "strong_enough": lead_db >= WANTED_LEAD_DB},
        "tests": list(jobs[0].tests),
        "variants": listed,
    }


def command_of(arguments: argparse.Namespace) -> str:
    """The command with the names of files and folders, but not where they lie on this machine."""
    words = ["python benchmarks/hkd.py"]
    for key, value in vars(arguments).items():
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            text = Path(one).name if key in PATHS else str(one)
            if key == "test":
                name, _, folder = text.partition("=")
                text = f"{name}={Path(folder).name}"
            words.append(f"--{key.replace('_', '-')} {shlex.quote(text)}")
    return " ".join(words)


def benchmark(arguments: argparse.Namespace) -> None:
    """Plan, check, train, read, write."""
    chosen = variants(arguments.variant, arguments.only)
    source = locate(arguments.teacher, arguments.weights, TEACHERS)
    opened, split = open_teacher(source), arguments.split_seed
    if split is None:
        split = int(opened.provenance.account.get("training", {}).get("seed", 0))
    options = TaskOptions(arguments.data, arguments.task, arguments.sigma, split_seed=split)
    jobs = jobs_of(arguments, chosen, source, options)
    data = load_training_data(options, jobs[0].settings)
    teacher = measure_teacher(opened, data)
    for job in jobs:
        require_fitting(job, data, teacher)
    _say(f"{len(jobs)} runs; the teacher has {teacher.psnr_db:.2f} dB on {teacher.crops} validation crops")
    run_all(jobs, arguments.jobs, _say_done)
    document = document_of(arguments, chosen, jobs, data, teacher)
    lead = lead_text(teacher, document["variants"][0]["summary"]["final_psnr_db"]["mean"])
    write_json(arguments.out / "hkd.json", KIND, SCHEMA, document)
    write_text(arguments.out / "hkd.md", page(document, lead))
    draw(document, arguments.out)
    for line in lead:
        _say(line)
    print(table(document))


def _say_done(job: Job) -> None:
    _say(f"{job.variant}, seed {job.seed}: {read_run(job)['final_psnr_db']:.3f} dB")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(given: list[str] | None = None) -> int:
    arguments = arguments_of(given)
    # Before torch of the runs' processes is loaded: one thread each, or they would fight for the cores.
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    signal.signal(signal.SIGTERM, _stop)
    try:
        benchmark(arguments)
    except (KeyboardInterrupt, Interrupted):
        _say("interrupted; the same command goes on")
        return 130
    except SnnToolError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
