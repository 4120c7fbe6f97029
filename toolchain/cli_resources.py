"""The command that says what a network would occupy: `resources`."""

from pathlib import Path
from typing import Annotated

import typer
from snn_tool.tables import printable
from snn_tool.terminal import terminal_of


def resources(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(help="Bundle folder, from export --target loihi, or a .nir file.")
    ],
    size: Annotated[
        int | None, typer.Option("--size", help="Side of a square image. [default: the file's size]")
    ] = None,
    lowering: Annotated[
        str | None, typer.Option("--lowering", help="fanout or relay. [default: the bundle's, or fanout]")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="SVG picture of the cores by layer.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Count neurons, synapses, axons and memory, and the Loihi cores and chips that they fill."""
    from snn_tool.files.artifacts import write_text
    from snn_tool.exporters.loihi.bundle import NETWORK, read_bundle
    from snn_tool.exporters.loihi.chips import LOIHI_2
    from snn_tool.exporters.loihi.report import report_resources
    from snn_tool.exporters.loihi_report_file import resource_document
    from snn_tool.exporters.loihi_tiles import resized
    from snn_tool.exporters.nir.file import read_program
    from snn_tool.models.streams import FANOUT
    from snn_tool.files.ownership import refuse_existing_file
    from snn_tool.resources_figure import cores_svg, is_cores_svg
    from snn_tool.resources_text import resources_text

    if out:
        refuse_existing_file(out, overwrite, is_cores_svg, "picture of cores")
    bundle = read_bundle(source) if source.is_dir() else None
    program = read_program(bundle.folder / NETWORK if bundle else source)
    chosen = lowering or (bundle.lowering if bundle else FANOUT)
    report = report_resources(program if size is None else resized(program, size, size), chosen)
    if out:
        write_text(out, cores_svg(report, LOIHI_2))
    picture = f"\n{printable(out)}" if out else ""
    document = {**resource_document(report), "picture": str(out) if out else None}
    terminal_of(context).result(resources_text(report) + picture, document)
