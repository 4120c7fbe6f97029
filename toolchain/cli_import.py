"""The command that takes a network of another tool: `import`."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.cli.options import STRENGTHS, TASK_NAMES
from snn_tool.terminal import terminal_of


def import_nir(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A .nir file of any tool.")],
    out: Annotated[Path, typer.Option("--out", help="Integer network, NAME.int.safetensors.")],
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder of images on which the loss is measured, or one image."),
    ] = None,
    expect: Annotated[
        Path | None,
        typer.Option(
            "--expect",
            help="FILE.npz with what the original gave: outputs, counts or spikes, and perhaps inputs.",
        ),
    ] = None,
    timesteps: Annotated[
        int, typer.Option("--timesteps", help="T, 1-64: how often each image is presented.")
    ] = 10,
    dt: Annotated[
        float, typer.Option("--dt", help="Timestep in seconds that the file's time constants are for.")
    ] = 1e-4,
    input_step: Annotated[
        int,
        typer.Option(
            "--input-step",
            help="Grey levels per integer input unit, 1-16; more leave more bits to the first weights.",
        ),
    ] = 4,
    limit: Annotated[int, typer.Option("--limit", help="Largest number of images; 0 takes all.")] = 16,
    task: Annotated[
        str | None, typer.Option("--task", help=f"Degrade the images: {TASK_NAMES}. [default: leave them]")
    ] = None,
    sigma: Annotated[str | None, typer.Option("--strength", "--sigma", help=STRENGTHS)] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the degradation.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Turn a spiking network trained elsewhere into integers that 'export' and 'verify' take.

    Spikes and outputs are compared with the file in float64. What the chip does not have is refused by name.
    """
    from snn_tool.import_text import import_document, import_text
    from snn_tool.deploy.import_nir import ImportOptions, import_network

    terminal = terminal_of(context)
    options = ImportOptions(source, images, timesteps, dt, input_step, limit, task, sigma, seed, expect)
    imported = import_network(options, out, overwrite, terminal.track)
    terminal.result(import_text(imported), import_document(imported))
