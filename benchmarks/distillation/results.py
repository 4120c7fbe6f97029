"""From run folders to the figures of the distillation benchmark."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from snn_tool.errors import ArtifactError
from snn_tool.files.artifacts import read_json, sha256_file
from snn_tool.networks.evaluation import KIND, SCHEMA

from distillation.runs import COST_FILE, COST_KIND, COST_SCHEMA, Job, scores_path
from distillation.statistics import Difference, paired, spread, steps_to_reach
from distillation.variants import NONE

Run = dict[str, Any]


def read_run(job: Job) -> Run:
    """Curve, cost and test figures of a finished run.

    Raises:
        ArtifactError: its log does not end with its last step.
    """
    steps, psnr_db = _curve(job.folder / "metrics.csv")
    if not steps or steps[-1] != job.settings.training.max_steps:
        raise ArtifactError(f"{job.folder}: metrics.csv is not of the whole run; remove the folder")
    cost = read_json(job.folder / COST_FILE, COST_KIND, COST_SCHEMA)
    tests = {name: read_json(scores_path(job, name), KIND, SCHEMA) for name in job.tests}
    return {
        "seed": job.seed,
        "final_psnr_db": psnr_db[-1],
        "best_psnr_db": max(psnr_db),
        "steps": steps,
        "psnr_db": psnr_db,
        "cpu_s_per_step": round(cost["cpu_s"] / cost["steps"], 6),
        "student_sha256": sha256_file(job.student),
        "tests": {name: scored["mean"]["psnr_db"] for name, scored in tests.items()},
    }


def _curve(path: Path) -> tuple[list[int], list[float]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); remove the run's folder") from error
    return [int(row["step"]) for row in rows], [float(row["val_psnr_db"]) for row in rows]


def summary(name: str, runs: Sequence[Run], none: Sequence[Run]) -> dict[str, Any]:
    """What is reported of one variant against `none`; both have the same seeds in the same order."""
    final = [run["final_psnr_db"] for run in runs]
    goals = [run["final_psnr_db"] for run in none]
    reached = [
        steps_to_reach(run["steps"], run["psnr_db"], goal) for run, goal in zip(runs, goals, strict=True)
    ]
    found = [steps for steps in reached if steps is not None]
    tests = {
        test: {
            **_mean_and_spread([run["tests"][test] for run in runs]),
            "difference": _difference(name, runs, none, test),
        }
        for test in runs[0]["tests"]
    }
    return {
        "final_psnr_db": _mean_and_spread(final),
        "difference": None if name == NONE else asdict(paired(final, goals)),
        "steps_to_none": {"seeds": len(found), "mean": fmean(found) if found else None},
        "cpu_s_per_step": fmean(run["cpu_s_per_step"] for run in runs),
        "tests": tests,
    }


def _difference(name: str, runs: Sequence[Run], none: Sequence[Run], test: str) -> dict[str, Any] | None:
    if name == NONE:
        return None
    found: Difference = paired(*([run["tests"][test] for run in several] for several in (runs, none)))
    return asdict(found)


def _mean_and_spread(values: Sequence[float]) -> Mapping[str, float | None]:
    return {"mean": fmean(values), "standard_deviation": spread(values)}
