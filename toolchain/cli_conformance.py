"""The command that runs a bundle in every simulator: `conformance`."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.cli.deploy import CHECK_FAILED
from snn_tool.terminal import terminal_of


def conformance(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Bundle folder, from export --target loihi.")],
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of clean images. [default: shipped photographs]")
    ] = None,
    tiles: Annotated[int, typer.Option("--tiles", help="Tiles of the bundle's size.")] = 20,
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", help="Another package's, besides the simulators; repeatable."),
    ] = None,
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
    from snn_tool.deploy.conformance import run_conformance
    from snn_tool.texts.compare import (
        claim_conformance,
        conformance_document,
        conformance_text,
        write_conformance,
    )
    from snn_tool.degradations.tasks import degradation_from_options
    from snn_tool.exporters.loihi.bundle import read_bundle
    from snn_tool.exporters.plugin_registry import plugin_names

    if unknown := ", ".join(name for name in backend or () if name not in plugin_names()):
        raise typer.BadParameter(
            f"{unknown} is not one of {', '.join(plugin_names()) or 'none that is installed'}",
            context,
            param_hint="--backend",
        )
    if out:
        claim_conformance(out, overwrite)
    terminal = terminal_of(context)
    folder = read_bundle(bundle).folder
    with terminal.steps() as log:
        noise = degradation_from_options("denoise", sigma)
        made = run_conformance(folder, images, tiles, noise, seed, log, backend or ())
    if out:
        write_conformance(out, made)
    terminal.result(conformance_text(made), conformance_document(made))
    if not made.passed:
        raise typer.Exit(CHECK_FAILED)
