"""The distillation study for people: the section of its page that is made of the rows, and the curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from snn_tool.files.artifacts import atomic_path

from distillation.plan import CONFIRMATION, LONG, REFERENCE, SCREENING, Key
from distillation.rows import HALVES, Row
from distillation.statistics import first_reach, spread
from distillation.study import Comparison, Study

BEGIN, END = "<!-- results -->", "<!-- /results -->"


def placed(page: str, section: str) -> str:
    """A page with the section between its two marks.

    Raises:
        ValueError: the page has no such marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section}\n{END}{after}"


def section(study: Study, tests: Sequence[str] = ()) -> str:
    """Everything that the rows say, and what is missing, in Markdown."""
    parts = ["## Results", left_text(study)]
    for neuron in study.plan.neurons:
        parts += _of_neuron(study, neuron, tests)
    if study.rows:
        parts += ["![PSNR against steps and against processor time](hkd-curves.svg)", _machines(study)]
    return "\n\n".join(filter(None, parts)) + "\n"


def left_text(study: Study) -> str:
    """How many runs of each block are finished, and how long the others take."""
    wanted, estimates = list(study.wanted()), study.estimates()
    lines = []
    for block in dict.fromkeys(each.block for each in wanted):
        keys = [each.key for each in wanted if each.block == block]
        left = [estimates[key] for key in keys if key in estimates]
        rest = f"; {sum(left) / 3600:.1f} processor hours are left" if left else ""
        lines.append(f"- {block}: {len(keys) - len(left)} of {len(keys)} runs{rest}.")
    later = [f"{n} {CONFIRMATION}" for n in study.plan.neurons if not study.best(n)]
    later += [f"{n} {LONG}" for n in study.plan.neurons if not study.long_steps(n)]
    if later:
        lines.append(f"- {', '.join(later)}: follow from the blocks before them.")
    return "Finished runs:\n\n" + "\n".join(lines)


def _of_neuron(study: Study, neuron: str, tests: Sequence[str]) -> list[str]:
    parts = []
    if found := study.screening(neuron):
        parts += [
            f"### {neuron}, screening",
            _table(study, neuron, SCREENING, found, ()),
            f"On go {' and '.join(f'`{variant}`' for variant in study.best(neuron))}.",
        ]
    if found := study.confirmation(neuron):
        parts += [f"### {neuron}, confirmation", _table(study, neuron, CONFIRMATION, found, tests)]
        parts += [_sentence(each, neuron) for each in found]
    if found := study.equal_time(neuron):
        steps = study.long_steps(neuron)
        parts += [f"At equal processor time, `{LONG}` with {steps:,} steps:"]
        parts += [_sentence(each, neuron) for each in found]
    return parts


def _table(
    study: Study, neuron: str, phase_name: str, found: Sequence[Comparison], tests: Sequence[str]
) -> str:
    phase = study.plan.phase(phase_name)
    head = ["variant", "PSNR, dB", "difference, dB", "95 % interval", "p", "Holm", "verdict"]
    head += ["CPU-s/step", "cached", "steps to none", "time to none"]
    rows = [[*head, *(f"{test}, dB" for test in tests)]]
    compared = {each.variant: each for each in found}
    for variant in (REFERENCE, *compared):
        runs = [study.rows[key] for seed in phase.seeds if (key := Key(neuron, variant, seed)) in study.rows]
        ended = [row for row in runs if not row.failed]
        cells = [f"`{variant}`", _mean([row.score(phase.half) for row in ended])]
        cells += _difference(compared.get(variant)) + _costs(study, ended, phase.half)
        rows.append(
            cells + [_mean([row.tests[test] for row in ended if test in row.tests]) for test in tests]
        )
    rule = ["---"] * len(rows[0])
    shown = [f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:])]
    failed = [str(row.key) for row in study.rows.values() if row.neuron == neuron and row.failed]
    note = f"\n\nFailed, and left out of the pairs: {', '.join(failed)}." if failed else ""
    return "\n".join(shown) + note


def _mean(values: Sequence[float]) -> str:
    if not values:
        return "-"
    deviation = spread(values)
    return f"{fmean(values):.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")


def _difference(compared: Comparison | None) -> list[str]:
    if compared is None:
        return [""] * 5
    found, half = compared.found, compared.found.half_width(0.95)
    interval = "-" if half is None else f"{found.mean - half:+.3f} to {found.mean + half:+.3f}"
    p = "-" if found.p is None else f"{found.p:.4f}"
    return [f"{found.mean:+.3f}", interval, p, f"{compared.corrected_p:.4f}", compared.verdict]


def _costs(study: Study, rows: Sequence[Row], half: str) -> list[str]:
    """Seconds per step both ways, and when the runs reach what `none` of the same seed ends with."""
    if not rows:
        return ["-"] * 4
    full = fmean(row.cpu_s / row.steps for row in rows)
    cached = fmean((row.last.cpu_s + row.last.asked_cpu_s) / row.steps for row in rows)
    reached: dict[str, list[float]] = {"steps": [], "s": []}
    for row in rows:
        goal = study.rows.get(Key(row.neuron, REFERENCE, row.seed))
        if goal is None or goal.failed:
            continue
        curve = [getattr(point, half) for point in row.curve]
        seconds = [point.cpu_s + point.teacher_cpu_s for point in row.curve]
        for unit, places in (("steps", [point.step for point in row.curve]), ("s", seconds)):
            place = first_reach(places, curve, goal.score(half))
            reached[unit] += [] if place is None else [place]
    return [
        f"{full:.3f}",
        f"{cached:.3f}",
        *(_reached(values, len(rows), u) for u, values in reached.items()),
    ]


def _reached(values: Sequence[float], runs: int, unit: str) -> str:
    if not values:
        return "not reached"
    shown = f"{fmean(values):,.0f}" + (" s" if unit == "s" else "")
    return shown if len(values) == runs else f"{shown} ({len(values)} of {runs})"


def _sentence(each: Comparison, neuron: str) -> str:
    found, half = each.found, each.found.half_width(0.95)
    ends = "" if half is None else f" (95 % interval {found.mean - half:+.3f} to {found.mean + half:+.3f})"
    return (
        f"**{neuron}: `{each.variant}` against `{each.against}`: {found.mean:+.3f} dB{ends}, "
        f"{found.pairs} seeds: {each.verdict}.**"
    )


def _machines(study: Study) -> str:
    """Teachers, processors and versions of the rows."""
    rows = study.rows.values()
    teachers = {
        (study.plan.teacher(row.variant), row.teacher_db, row.teacher_left_out)
        for row in rows
        if row.teacher_db is not None
    }
    lines = [
        f"- Teacher {name}: {' and '.join(f'{value:.2f}' for value in both)} dB on halves "
        f"{' and '.join(HALVES)}; its training {_LEFT_OUT[left]} these validation images."
        for name, both, left in sorted(teachers, key=str)
    ]
    lines.append(f"- Processors: {', '.join(sorted({row.processor for row in rows}))}.")
    versions = {f"{name} {version}" for row in rows for name, version in row.versions.items()}
    return "\n".join([*lines, f"- Versions: {', '.join(sorted(versions))}."])


_LEFT_OUT: Mapping[bool | None, str] = {
    True: "left out",
    False: "did not leave out exactly",
    None: "is not known to have left out",
}


def draw(study: Study, path: Path) -> None:
    """An SVG: mean PSNR over seeds and halves, against steps and against processor hours, by neuron kind."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "snn-tool"}):
        figure = Figure(figsize=(10, 4 * len(study.plan.neurons)), layout="constrained")
        grid = figure.subplots(len(study.plan.neurons), 2, squeeze=False)
        for place, neuron in enumerate(study.plan.neurons):
            for axes, label in zip(grid[place], ("optimiser steps", "processor hours"), strict=True):
                axes.set_xlabel(label)
                axes.set_ylabel(f"{neuron}: validation PSNR (dB)")
                axes.grid(alpha=0.3)
            for variant in (*study.plan.variants, LONG):
                _lines(study, neuron, variant, grid[place])
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize="small")
        with atomic_path(path) as part:
            figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None})


def _lines(study: Study, neuron: str, variant: str, axes: Any) -> None:
    rows = [r for r in study.rows.values() if (r.neuron, r.variant) == (neuron, variant) and not r.failed]
    if not rows:
        return
    points = list(zip(*(row.curve for row in rows), strict=True))
    psnr_db = [fmean((p.a + p.b) / 2 for p in column) for column in points]
    hours = [fmean(p.cpu_s + p.teacher_cpu_s for p in column) / 3600 for column in points]
    for one, places in zip(axes, ([column[0].step for column in points], hours), strict=True):
        one.plot(places, psnr_db, linewidth=1.2, label=variant)
