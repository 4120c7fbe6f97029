"""The command that says what simulators would make of a NIR file: `check`."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.tables import printable
from snn_tool.terminal import terminal_of

CHECK_FAILED = 3
UNREADABLE = "nir.read raises, whichever tool calls it ({}); read such a file with type_check=False"


def check(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A .nir file of any tool.")],
    target: Annotated[
        str | None,
        typer.Option("--target", help="norse, snntorch, spikingjelly, sinabs or nirtorch. [default: all]"),
    ] = None,
    dt: Annotated[
        float | None,
        typer.Option(
            "--dt", help="Timestep in seconds that the importers are called with. [default: each one's own]"
        ),
    ] = None,
) -> None:
    """Report what a simulator would drop, refuse or change of a graph; exit 3 if something would be lost."""
    from dataclasses import asdict

    from snn_tool.exporters.nir_foreign.check import HELD, check_graph
    from snn_tool.exporters.nir_foreign.graph_effects import type_fault
    from snn_tool.exporters.nir.reading import read_foreign_nir

    graph = read_foreign_nir(source, grouped=True)
    findings, fault = check_graph(graph, target, dt), type_fault(graph)
    lost = bool(fault) or any(finding.lost for finding in findings)
    lines = [
        f"{f.target}: {f.node or 'the graph'} ({f.kind}): {f.verdict}{f', {f.why}' if f.why else ''}"
        for f in findings
    ]
    kept = sum(finding.verdict == HELD for finding in findings)
    lines.append(f"{kept} of {len(findings)} node and target pairs are held unchanged")
    notes = [UNREADABLE.format(fault)] if fault else []
    document = {"schema": 2, "file": str(source), "dt_s": dt, "lost": lost, "notes": notes}
    document["findings"] = [asdict(f) for f in findings]
    terminal_of(context).result("\n".join(map(printable, [*lines, *notes])), document)
    if lost:
        raise typer.Exit(CHECK_FAILED)
