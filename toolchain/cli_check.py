"""The command that says what simulators would make of a NIR file: `check`."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.terminal import terminal_of

CHECK_FAILED = 3


def check(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A .nir file of any tool.")],
    target: Annotated[
        str | None,
        typer.Option("--target", help="norse, snntorch, spikingjelly, sinabs or nirtorch. [default: all]"),
    ] = None,
) -> None:
    """Report the nodes that a simulator would drop, refuse or change; exit 3 if one would be lost."""
    from dataclasses import asdict

    from snn_tool.exporters.nir_check import HELD, check_graph
    from snn_tool.exporters.nir_reading import read_foreign_nir

    findings = check_graph(read_foreign_nir(source), target)
    lost = any(finding.lost for finding in findings)
    lines = [f"{f.target}: {f.node} ({f.kind}): {f.verdict}{f', {f.why}' if f.why else ''}" for f in findings]
    kept = sum(finding.verdict == HELD for finding in findings)
    lines.append(f"{kept} of {len(findings)} node and target pairs are held unchanged")
    document = {"schema": 1, "file": str(source), "lost": lost, "findings": [asdict(f) for f in findings]}
    terminal_of(context).result("\n".join(lines), document)
    if lost:
        raise typer.Exit(CHECK_FAILED)
