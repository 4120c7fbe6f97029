r"""The audit as a table for a paper: LaTeX that needs `\usepackage{booktabs}` and nothing else.

A row for each model and precision, since a single figure would be a choice of model; above it their sources
as comments, to be cited.
"""

from collections.abc import Iterator

from snn_tool import __version__
from snn_tool.energy.pages import numbers
from snn_tool.energy.report.document import Cell, EnergyReport, RatioRow

MARK = "% Energy table of snn-tool"
"""How a file begins that was written here."""

_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\u00b5": r"$\mu$",
    "\u00d7": r"$\times$",
    "\u2013": "--",
    "\u00a0": "~",
    "\u202f": r"\,",
}


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is, whatever signs are in it; line breaks become blanks."""
    return "".join(_ESCAPES.get(sign, sign) for sign in " ".join(text.split(" ")).replace("\n", " "))


def render_latex(report: EnergyReport, label: str = "tab:energy") -> str:
    r"""A `table` with the energies and ratios of every model and precision, for `\input`.

    Args:
        report: an audit.
        label: for `\ref`.
    """
    cells = {(cell.row, cell.column): cell for cell in report.cells}
    other = escaped(numbers.versus(report).partition(" / ")[0])
    head = ["model", "precision", other, "student", "ratio", "smaller", "bits", "spikes"]
    lines = [
        f"{MARK} {__version__}; it needs \\usepackage{{booktabs}}.",
        *_sources(report),
        r"\begin{table}",
        r"  \centering\small",
        f"  \\caption{{{_caption(report)}}}",
        f"  \\label{{{label}}}",
        r"  \begin{tabular}{llrrrrrr}",
        r"    \toprule",
        f"    {' & '.join(head)} \\\\",
        r"    \midrule",
        *(f"    {' & '.join(map(escaped, _row(report, row, cells)))} \\\\" for row in report.ratios),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(report: EnergyReport, row: RatioRow, cells: dict[tuple[str, str], Cell]) -> Iterator[str]:
    """The cells of one line, not yet escaped."""
    yield from row.model.split("/", 1)
    for column in (report.reference, "student"):
        cell = cells.get((row.model, column))
        yield numbers.energy(cell.headline.energy_pj.mean) if cell else numbers.number(None)
    known = row.ratio is not None and row.least is not None and row.most is not None
    between = f" ({numbers.number(row.least)}\u2013{numbers.number(row.most)})" if known else ""
    yield numbers.factor(row.ratio) + between
    yield numbers.factor(row.split.teacher_over_twin)
    yield numbers.factor(row.split.twin_over_qann)
    yield numbers.factor(row.split.qann_over_student)


def _caption(report: EnergyReport) -> str:
    steps = f"$T = {report.timesteps}$" if report.neuron == "lif" else f"{report.levels} levels"
    return (
        f"Estimated energy per image, mean of {len(report.images)} image(s): exact counts of the deployed "
        f"integer network ({escaped(report.neuron)}, {steps}, lowering {escaped(report.lowering)}) times "
        f"published prices. The ratio is {escaped(numbers.versus(report))}, in brackets its least and most "
        "over images. Its factors: smaller, the teacher over an ANN of the student's wiring; bits, that ANN "
        "over the same with as many activation levels as the student's neurons have outcomes; spikes, that "
        f"one over the student. All models together say {escaped(numbers.span(report.headline))}. "
        f"{escaped(numbers.outcome(report))}"
    )


def _sources(report: EnergyReport) -> Iterator[str]:
    """A comment for each model, in one line."""
    for model in report.models:
        yield f"% {model.name}: {' '.join(f'{model.title} ({model.source})'.split())}"
