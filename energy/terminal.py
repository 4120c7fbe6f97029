"""The energy report on a rich console of 80 columns; energy.json and the page hold the rest."""

from rich.console import Console
from rich.markup import escape
from snn_tool.energy import figures, findings, terminal_counts, terminal_spikes, terminal_tables
from snn_tool.energy.report_types import EnergyReport


def print_report(report: EnergyReport, console: Console) -> None:
    """Print the verdict first, then what it rests on; the caller owns the console."""
    console.print(f"[bold]Estimated {figures.versus(report)}: {figures.span(report.headline)}[/bold]")
    console.print(figures.outcome(report))
    _print_sides(report, console)
    for finding in (findings.driver(report), findings.reversal(report), *findings.memories(report)):
        console.print(escape(finding))
    if report.reference != "twin":
        console.print(
            f"ANN twin / student alone: {figures.span(report.twin_headline)}. {figures.twin_outcome(report)}"
        )
    console.print(terminal_tables.networks(report))
    console.print(f"[dim]lowering of membrane shortcuts: {report.lowering}[/dim]")
    for column in report.columns:
        console.print(f"[dim]{column.name}: {escape(column.title)}[/dim]")
    for table in terminal_tables.judgement(report):
        console.print(table)
    for table in terminal_counts.counts(report):
        console.print(table)
    for table in terminal_spikes.spikes(report):
        console.print(table)
    _print_small_print(report, console)


def _print_sides(report: EnergyReport, console: Console) -> None:
    """The models on each side of a claim that depends on the model."""
    if report.verdict.outcome == "depends":
        console.print(f"For: {escape(', '.join(report.verdict.supporting))}.")
        console.print(f"Against: {escape(', '.join(report.verdict.refuting))}.")


def _print_small_print(report: EnergyReport, console: Console) -> None:
    console.print(f"[dim]{escape(report.note)}[/dim]")
    if report.profile:
        console.print(f"[dim]constants and precisions changed by {escape(report.profile)}[/dim]")
    for left_out in report.excluded:
        whom = f"favours: {escape(left_out.favours)}"
        every = len(left_out.models) == len(report.models)
        by = "every model" if every else ", ".join(left_out.models)
        console.print(f"[dim]Not included by {by}: {escape(left_out.term)} ({whom})[/dim]")
