"""The distillation benchmark for people: the table, the page around it, the curves."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from snn_tool.degradations.tasks import task_text
from snn_tool.files.artifacts import atomic_path

from distillation.variants import NONE

NOTES = """\
- Final: the validation PSNR at the last step, mean and standard deviation over seeds. All seeds share the
  validation crops; weights and patches are the seed's.
- Difference: paired by seed, mean and standard error. A verdict needs the two-sided 95 % interval of
  Student's t to leave out zero, each variant by itself: of many, one in twenty is resolved by chance.
- Steps to `none`: until the curve first reaches the same seed's final PSNR without a teacher, on straight
  lines between validations. The rate falls to zero at the last step of every run, so a shorter run could be
  faster.
- CPU-seconds per step: of the process, teacher included, validation left out.
- Variants were looked at on the validation crops; test sets, if any, are reported and chose nothing.
"""


def table(document: dict[str, Any]) -> str:
    """One line for each variant, in Markdown that is aligned for a terminal too."""
    tests = list(document["tests"])
    head = ["variant", "final dB", "difference to none, dB", "verdict", "steps to none", "CPU-s/step"]
    rows = [head + [column for test in tests for column in (f"{test} dB", "difference, dB")]]
    for variant in document["variants"]:
        figures = variant["summary"]
        row = [variant["name"], _pm(figures["final_psnr_db"]), *_difference(figures["difference"])]
        row += [_steps(figures["steps_to_none"], len(variant["runs"])), f"{figures['cpu_s_per_step']:.4f}"]
        for test in tests:
            scored = figures["tests"][test]
            row += [_pm(scored), _difference(scored["difference"])[0]]
        rows.append(row)
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _pm(figures: dict[str, float | None]) -> str:
    deviation = figures["standard_deviation"]
    return f"{figures['mean']:.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")


def _difference(found: dict[str, Any] | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    error = found["standard_error"]
    return f"{found['mean']:+.3f}" + ("" if error is None else f" ± {error:.3f}"), found["verdict"]


def _steps(found: dict[str, Any], seeds: int) -> str:
    if found["mean"] is None:
        return "not reached"
    return f"{found['mean']:.0f}" + (
        "" if found["seeds"] == seeds else f" ({found['seeds']} of {seeds} seeds)"
    )


def page(document: dict[str, Any], lead: Sequence[str]) -> str:
    """The Markdown page: what was run, the teacher, the table, how to read it."""
    shared, student = document["settings"]["training"], document["settings"]["student"]
    seeds = len(document["seeds"])
    facts = (
        f"{student['neuron']} {student['body']} of width {student['width']}, {task_text(document['task'])}, "
        f"{shared['max_steps']} steps of {shared['batch']} patches {shared['patch']}x{shared['patch']}, "
        f"{seeds} seed{'s' if seeds > 1 else ''}."
    )
    marked = [f"**{line}**" if line.startswith("WARNING") else line for line in lead]
    settings = [f"- `{v['name']}`: `{v['shown']}`" for v in document["variants"] if v["shown"]]
    parts = [
        "# Distillation of a spiking student, with and without hints",
        facts,
        *[line[0].upper() + line[1:] + "." for line in marked],
        table(document),
        "![validation PSNR against steps](hkd.svg)",
        NOTES.rstrip(),
    ]
    if settings:
        parts.append("What the further variants set:\n\n" + "\n".join(settings))
    return "\n\n".join([*parts, f"```sh\n{document['command']}\n```"]) + "\n"


def draw(document: dict[str, Any], folder: Path) -> None:
    """`hkd.svg` and `hkd.png`: PSNR against steps, and difference to `none`; bands span all seeds."""
    import matplotlib
    from matplotlib.figure import Figure

    curves = {v["name"]: [run["psnr_db"] for run in v["runs"]] for v in document["variants"]}
    steps = document["variants"][0]["runs"][0]["steps"]
    gains = {
        name: [[y - x for y, x in zip(*pair, strict=True)] for pair in zip(runs, curves[NONE], strict=True)]
        for name, runs in curves.items()
    }
    with matplotlib.rc_context({"svg.hashsalt": "snn-tool"}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes, series in ((left, curves), (right, gains)):
            for name, runs in series.items():
                _band(axes, steps, runs, name if axes is left else None)
            axes.set_xlabel("optimiser steps")
            axes.grid(alpha=0.3)
        left.axhline(
            document["teacher"]["psnr_db"], color="0.4", linestyle="--", linewidth=1, label="teacher"
        )
        left.set_ylabel("validation PSNR (dB)")
        right.set_ylabel("difference to none, same seed (dB)")
        figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize="small")
        for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):
            with atomic_path(folder / f"hkd{suffix}") as part:
                figure.savefig(part, format=suffix[1:], metadata=metadata, dpi=150)


def _band(axes: Any, steps: Sequence[int], runs: Sequence[Sequence[float]], label: str | None) -> None:
    columns = list(zip(*runs, strict=True))
    (line,) = axes.plot(steps, [fmean(column) for column in columns], linewidth=1.5, label=label)
    lowest, highest = [min(column) for column in columns], [max(column) for column in columns]
    axes.fill_between(steps, lowest, highest, color=line.get_color(), alpha=0.2, linewidth=0)
