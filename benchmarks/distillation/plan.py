"""What the distillation benchmark will run: the options checked, one job for each variant and seed."""

import argparse
from pathlib import Path
from typing import Any

from snn_tool.errors import ConfigError
from snn_tool.networks.locate import NO_TEACHER, Spec
from snn_tool.training.fit import TrainingData
from snn_tool.training.run_folder import require_same
from snn_tool.training.runs import TaskOptions, asked_of

from distillation.runs import Job
from distillation.teacher import TeacherFigures
from distillation.variants import Variant, merged, parsed

VALIDATIONS = 20


def shared_settings(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What all variants have in common; the last step is validated."""
    steps = arguments.steps
    for name in ("seeds", "steps", "jobs", "threads"):
        if getattr(arguments, name) < 1:
            raise ConfigError(f"--{name} {getattr(arguments, name)} is not allowed; use 1 or more")
    divisors = [d for d in range(1, max(1, steps // VALIDATIONS) + 1) if steps % d == 0]
    every = arguments.validate_every or divisors[-1]
    if every < 1 or steps % every:
        raise ConfigError(
            f"--validate-every {every} must divide --steps {steps}, so that the end is measured"
        )
    sizes = {"max_steps": steps, "batch": arguments.batch, "patch": arguments.patch, "validate_every": every}
    given = merged(*(parsed(text, "--set") for text in arguments.set))
    if clash := sorted({*sizes, "seed"} & set(given["training"])):
        raise ConfigError(
            f"--set training.{clash[0]}: use --{clash[0].replace('_', '-')} or --steps, --seeds"
        )
    return merged({"training": sizes}, given)


def jobs_of(
    arguments: argparse.Namespace, chosen: list[Variant], source: Spec, options: TaskOptions
) -> list[Job]:
    """Seed by seed, so that an early look compares variants; every setting is checked here."""
    shared, tests = shared_settings(arguments), _tests(arguments.test)
    jobs = []
    for seed in range(arguments.seeds):
        for variant in chosen:
            settings = variant.settings(shared, seed)
            taught = settings.loss.output > 0 or settings.loss.hints > 0
            folder = arguments.out / "runs" / f"{variant.name}-{seed}"
            teacher = source if taught else None
            jobs.append(Job(variant.name, seed, folder, teacher, options, settings, tests, arguments.threads))
    return jobs


def _tests(given: list[str]) -> dict[str, Path]:
    tests = dict(text.split("=", 1) for text in given if "=" in text)
    for name, folder in tests.items():
        if not Path(folder).is_dir() or not name or "/" in name:
            raise ConfigError(f"--test {name}={folder}: no such folder, or no plain name; use NAME=FOLDER")
    if len(tests) < len(given):
        raise ConfigError("--test takes NAME=FOLDER, each name once")
    return {name: Path(folder) for name, folder in tests.items()}


def require_fitting(job: Job, data: TrainingData, teacher: TeacherFigures) -> None:
    """A run that is there must have been asked for in the same words.

    Raises:
        ConfigError: names what differs.
    """
    if (path := job.folder / "settings.json").exists():
        sha256 = teacher.sha256 if job.source else NO_TEACHER
        asked = asked_of(job.options, job.settings, data)
        require_same(path, {"student": job.settings.student.describe(), "teacher": sha256, **asked})
