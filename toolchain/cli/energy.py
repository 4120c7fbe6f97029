"""`snn-tool audit params`: real parameters and MACs of a network beside what hook-based counters report."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.cli.deploy import CHECK_FAILED
from snn_tool.tables import printable
from snn_tool.terminal import terminal_of

audit_app = typer.Typer(help="Counts that papers quote, checked.", no_args_is_help=True)


@audit_app.callback()
def _audit() -> None:
    """A group even with one command."""


@audit_app.command("params")
def audit_params(
    context: typer.Context,
    module: Annotated[
        str,
        typer.Argument(
            help="An architecture (restormer, nafnet, unet, ..), a file of train or distill, or "
            "package.module:factory."
        ),
    ],
    size: Annotated[tuple[int, int], typer.Option("--size", help="Height and width of the image.")] = (
        256,
        256,
    ),
    channels: Annotated[int, typer.Option("--channels", help="Of the image.")] = 3,
    rows: Annotated[
        int, typer.Option("--rows", help="Modules to list, those that differ most first; 0 lists none.")
    ] = 12,
) -> None:
    """Real parameters and MACs of a network beside what thop-like counters report, and why they differ."""
    from snn_tool.energy.counts.profilers import audit_parameters
    from snn_tool.networks.teachers import audited_module
    from snn_tool.texts.audit import audit_text

    terminal = terminal_of(context)
    found = audit_parameters(audited_module(module), (1, channels, *size))
    terminal.result(audit_text(module, found, rows), {"module": module, **found.to_json()})


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
    from snn_tool.auditing.sanafe import check_on_chip
    from snn_tool.errors import BackendUnavailableError
    from snn_tool.exporters.loihi.bundle import read_bundle
    from snn_tool.exporters.sanafe.environment import REMEDY, find_sanafe
    from snn_tool.exporters.sanafe.report import KIND, write_sanafe
    from snn_tool.files.ownership import of_kind, refuse_existing_file
    from snn_tool.texts.audit import chip_check_text

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
