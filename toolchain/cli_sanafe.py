"""The command that runs a bundle on a chip simulator: `energy sanafe`."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.cli.deploy import CHECK_FAILED
from snn_tool.tables import printable
from snn_tool.terminal import terminal_of


def energy_sanafe(
    context: typer.Context,
    bundle: Annotated[
        Path, typer.Argument(help="Bundle folder of a lif student, from export --target loihi --size 10.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File for energies and comparison, e.g. sanafe.json.")],
    tiles: Annotated[int, typer.Option("--tiles", help="Use the first N golden tiles; 0 takes all.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Run golden tiles on SANA-FE's Loihi: every spike, membrane and synop compared, and the energy.

    Exit code 3 if one differs; the first is named by population, timestep and neuron.
    """
    from snn_tool.audit.sanafe import check_on_chip
    from snn_tool.chip_check_text import chip_check_text
    from snn_tool.errors import BackendUnavailableError
    from snn_tool.exporters.loihi.bundle import read_bundle
    from snn_tool.exporters.sanafe.environment import REMEDY, find_sanafe
    from snn_tool.exporters.sanafe_report_file import KIND, write_sanafe
    from snn_tool.files.ownership import of_kind, refuse_existing_file

    refuse_existing_file(out, overwrite, of_kind(KIND), "check on SANA-FE")
    terminal, found = terminal_of(context), find_sanafe()
    if found is None:
        raise BackendUnavailableError(f"SANA-FE is not installed; run `{REMEDY}`")
    with terminal.steps() as log:
        report = check_on_chip(read_bundle(bundle), found, tiles, log)
    write_sanafe(out, report)
    terminal.result(f"{chip_check_text(report)}\n{printable(out)}", report.to_json())
    if not report.passed:
        raise typer.Exit(CHECK_FAILED)
