"""The command that runs a bundle in every simulator: `conformance`."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.cli_deploy import CHECK_FAILED
from snn_tool.terminal import terminal_of


def conformance(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Bundle folder, from export --target loihi.")],
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of clean images. [default: shipped photographs]")
    ] = None,
    tiles: Annotated[int, typer.Option("--tiles", help="Tiles of the bundle's size.")] = 20,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for conformance.json and conformance.html.")
    ] = None,
    sigma: Annotated[str, typer.Option("--sigma", help="Noise.")] = "25",
    seed: Annotated[int, typer.Option("--seed", help="Seed of places and noise.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Hold a bundle against norse, snntorch, spikingjelly, sinabs and nirtorch, spike for spike.

    Exit code 3 if one that loads differs with the membrane register.
    """
    from snn_tool.artifacts import refuse_existing_file
    from snn_tool.conformance import run_conformance
    from snn_tool.conformance_text import (
        JSON,
        conformance_document,
        conformance_text,
        write_conformance,
    )
    from snn_tool.degradations import degradation_from_options
    from snn_tool.exporters.loihi_bundle import read_bundle

    if out:
        refuse_existing_file(out / JSON, overwrite)
    terminal = terminal_of(context)
    folder = read_bundle(bundle).folder
    with terminal.steps() as log:
        made = run_conformance(folder, images, tiles, degradation_from_options("denoise", sigma), seed, log)
    if out:
        write_conformance(out, made)
    terminal.result(conformance_text(made), conformance_document(made))
    if not made.passed:
        raise typer.Exit(CHECK_FAILED)
