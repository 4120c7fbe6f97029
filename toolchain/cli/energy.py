"""`snn-tool audit params`: real parameters and MACs of a network beside what hook-based counters report."""

from typing import Annotated

import typer
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
    from snn_tool.audited_modules import audited_module
    from snn_tool.energy.counts.profilers import audit_parameters
    from snn_tool.texts.audit import audit_text

    terminal = terminal_of(context)
    found = audit_parameters(audited_module(module), (1, channels, *size))
    terminal.result(audit_text(module, found, rows), {"module": module, **found.to_json()})
