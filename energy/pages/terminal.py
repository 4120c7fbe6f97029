"""The energy report on a rich console of 80 columns; energy.json and the page hold the rest."""

from rich.console import Console
from rich.text import Text
from snn_tool.energy import terminal_counts, terminal_spikes, terminal_tables
from snn_tool.energy.pages import numbers as figures
from snn_tool.energy.pages import findings
from snn_tool.energy.report.types import EnergyReport
from snn_tool.tables import TextTable, printable

DIM = "dim"


def print_report(report: EnergyReport, console: Console) -> None:
    """Print the verdict first, then what it rests on; the caller owns the console."""
    _line(console, f"Estimated {figures.versus(report)}: {figures.span(report.headline)}", "bold")
    _line(console, figures.outcome(report))
    _print_sides(report, console)
    for finding in (findings.driver(report), findings.reversal(report), *findings.memories(report)):
        _line(console, finding)
    if report.reference != "twin":
        _line(
            console,
            f"ANN twin / student alone: {figures.span(report.twin_headline)}. {figures.twin_outcome(report)}",
        )
    _table(console, terminal_tables.networks(report))
    _line(console, f"lowering of membrane shortcuts: {report.lowering}", DIM)
    for column in report.columns:
        _line(console, f"{column.name}: {column.title}", DIM)
    for tables in (terminal_tables.judgement, terminal_counts.counts, terminal_spikes.spikes):
        for table in tables(report):
            _table(console, table)
    _print_small_print(report, console)


def _line(console: Console, text: str, style: str = "") -> None:
    """A line of text as it is: names in it are no markup."""
    console.print(Text(printable(text), style=style))


def _table(console: Console, table: TextTable) -> None:
    console.print(table, crop=False)


def _print_sides(report: EnergyReport, console: Console) -> None:
    """The models on each side of a claim that depends on the model."""
    if report.verdict.outcome == "depends":
        _line(console, f"For: {', '.join(report.verdict.supporting)}.")
        _line(console, f"Against: {', '.join(report.verdict.refuting)}.")


def _print_small_print(report: EnergyReport, console: Console) -> None:
    _line(console, report.note, DIM)
    if report.profile:
        _line(console, f"constants and precisions changed by {report.profile}", DIM)
    for left_out in report.excluded:
        every = len(left_out.models) == len(report.models)
        by = "every model" if every else ", ".join(left_out.models)
        _line(console, f"Not included by {by}: {left_out.term} (favours: {left_out.favours})", DIM)
