"""The commands that count and price: `energy report`, `pays`, `nir`, `sanafe`, `map`, and `audit params`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from snn_tool.auditing.options import (
    AuditOptions,
    BesideOptions,
    MapOptions,
    NirEnergyOptions,
    PaysOptions,
)
from snn_tool.cli.deploy import CHECK_FAILED
from snn_tool.cli.options import Command, CommandGroup, Given, check_images, command, options_of
from snn_tool.flags import OUTPUT, Flag, Overwrite
from snn_tool.inputs.options import InputOptions
from snn_tool.networks.locate import Kind, beside, locate, locate_teacher
from snn_tool.ranks import is_first
from snn_tool.tables import printable
from snn_tool.terminal import output_console, terminal_of

energy_app = typer.Typer(
    help="Energy estimates with their provenance.", cls=CommandGroup, no_args_is_help=True
)
audit_app = typer.Typer(help="Counts that papers quote, checked.", cls=CommandGroup, no_args_is_help=True)
AUDIT = ("energy", "report", "--student", "STUDENT", "--images", "PHOTOS")
Asked = Annotated[dict[str, Any], Given(AuditOptions)]
AskedOfNir = Annotated[
    dict[str, Any], Given(NirEnergyOptions, only=("timesteps", "dt_s"), before="With --nir: ")
]


@energy_app.command("report", cls=Command)
@command
def energy_report(
    context: typer.Context,
    asked: Asked,
    of_nir: AskedOfNir,
    inputs: InputOptions,
    nir: Annotated[Path | None, Flag("Instead of --student: the same as 'energy nir FILE'.")] = None,
    out: Annotated[
        Path | None,
        Flag(
            "Folder for energy.json and energy.html (with --nir only the first).",
            shown="NAME-energy beside the student, or here for a name from 'models'; none with --nir",
            group=OUTPUT,
        ),
    ] = None,
    tables: Annotated[bool, Flag("Print every table, not ten lines.", group=OUTPUT)] = False,
    strict: Annotated[bool, Flag("Exit 3 unless the claim holds in every model.")] = False,
    latex: Annotated[
        Path | None, Flag("File for the table of a paper, too: LaTeX with booktabs.", group=OUTPUT)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Count every operation of the deployed student, price it by every model, and judge the claim."""
    if nir is not None:
        _check_nir(asked, inputs, strict, tables, latex)
        shared = {name: asked[name] for name in ("images", "limit") if name in asked}
        return _report_nir(context, NirEnergyOptions(nir=nir, **shared, **of_nir), inputs, out, overwrite)
    if "student" not in asked:
        raise typer.BadParameter("give --student, or --nir for a file of another tool")
    if inputs.inputs is not None:
        raise typer.BadParameter("--inputs does not go with --student; students restore images")
    for name in of_nir:
        raise typer.BadParameter(f"{_flag(name)} does not go with --student")
    options = AuditOptions(**asked)
    locate_teacher(options.teacher, options.weights, untrained=True)
    check_images(options.images, "--images", options.pairs, options.degraded)
    place = out or beside(options.student, "-energy")
    outcome = _report_student(context, options, place, overwrite, tables, latex)
    if strict and outcome != "holds":
        raise typer.Exit(CHECK_FAILED)


def _check_nir(
    asked: dict[str, Any], inputs: InputOptions, strict: bool, tables: bool, latex: Path | None
) -> None:
    """Refuse what has no meaning for a NIR file, as a fault of usage."""
    known = {option.name for option in options_of(NirEnergyOptions)}
    foreign = [_flag(name) for name in asked if name not in known]
    foreign += ["--strict"] * strict + ["--tables"] * tables + ["--latex"] * (latex is not None)
    if foreign:
        raise typer.BadParameter(f"{foreign[0]} does not go with --nir")
    if "images" not in asked and inputs.inputs is None:
        raise typer.BadParameter("--nir needs --images DIR or --inputs FILE", param_hint="--images")


def _flag(name: str) -> str:
    fields = (*options_of(AuditOptions), *options_of(NirEnergyOptions))
    return next(option.names[0].split("/")[0] for option in fields if option.name == name)


def _report_student(
    context: typer.Context,
    options: AuditOptions,
    out: Path,
    overwrite: bool,
    tables: bool,
    latex: Path | None,
) -> str:
    """Audit a student and print what was found; returns the verdict on the claim."""
    from snn_tool.auditing.student import run_audit
    from snn_tool.energy.pages.latex import MARK, render_latex
    from snn_tool.energy.pages.terminal import headlines_text, print_report
    from snn_tool.files.artifacts import write_text
    from snn_tool.files.ownership import holding, refuse_existing_file

    terminal = terminal_of(context)
    if latex:
        refuse_existing_file(latex, overwrite, holding(MARK.encode()), "LaTeX table")
    report = run_audit(options, out, overwrite, terminal.track)
    if tables and not terminal.as_json and is_first():
        print_report(report, output_console())
    if latex and is_first():
        write_text(latex, render_latex(report))
    written = [out / "energy.html", out / "energy.json", *([latex] if latex else ())]
    files = "\n".join(map(printable, written))
    terminal.result(files if tables else f"{headlines_text(report)}\n{files}", report.to_dict())
    if not tables:
        terminal.then(*AUDIT, "--tables", why="every table here; energy.html has them with their sources")
    elif options.sanafe is None:
        terminal.then("energy", "sanafe", "BUNDLE", why="the same network on a simulated Loihi")
    return report.verdict.outcome


def _report_nir(
    context: typer.Context,
    options: NirEnergyOptions,
    inputs: InputOptions,
    out: Path | None,
    overwrite: bool,
) -> None:
    from snn_tool.auditing.nir import run_nir_energy
    from snn_tool.texts.audit import nir_report_text

    terminal = terminal_of(context)
    report = run_nir_energy(options, inputs, out, overwrite, terminal.track)
    written = f"\n{printable(out / 'energy.json')}" if out else ""
    terminal.result(nir_report_text(report) + written, report.to_dict())
    given = ("--inputs", inputs.inputs) if inputs.inputs else ("--images", options.images)
    terminal.then("import", options.nir, *given, why="its integers, for a chip")


@energy_app.command("nir", cls=Command)
@command
def energy_nir(
    context: typer.Context,
    options: NirEnergyOptions,
    inputs: InputOptions,
    out: Annotated[
        Path | None, Flag("Folder for energy.json.", shown="none is written", group=OUTPUT)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Count what a NIR file of any tool computes on images or inputs, layer by layer, and price it."""
    _report_nir(context, options, inputs, out, overwrite)


@energy_app.command("pays", cls=Command)
@command
def energy_pays(
    context: typer.Context,
    options: PaysOptions,
    out: Annotated[
        Path, Flag("The page, a .html file; the JSON document stands beside it.", group=OUTPUT)
    ] = Path("pays.html"),
    overwrite: Overwrite = False,
) -> None:
    """Draw when spikes pay: break-even spike rates over fan-out and timesteps, by every model."""
    from snn_tool.auditing.pays import run_pays
    from snn_tool.energy.pages.break_even import answers

    terminal = terminal_of(context)
    report = run_pays(options, out, overwrite, terminal.track)
    files = (printable(out), printable(out.with_suffix(".json")))
    terminal.result("\n".join([*map(printable, answers(report)), *files]), report.to_dict())
    terminal.then(*AUDIT, why="what one student costs, by every model")


@energy_app.command("beside", cls=Command)
@command
def energy_beside(
    context: typer.Context,
    options: BesideOptions,
    out: Annotated[
        Path | None, Flag("Markdown file for the table.", shown="none is written", group=OUTPUT)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Set reports of several students side by side, with the cells marked in which spikes save energy."""
    from snn_tool.auditing.beside import read_reports
    from snn_tool.energy.pages.beside import beside_markdown, beside_table, sentences
    from snn_tool.files.artifacts import write_text
    from snn_tool.files.ownership import refuse_existing_file
    from snn_tool.tables import rendered

    if out is not None:
        refuse_existing_file(out, overwrite)
    found = read_reports(options.reports)
    said = sentences(found)
    text = rendered(beside_table(found), *said)
    if out is not None:
        write_text(out, "\n\n".join([beside_markdown(found), *said]) + "\n")
        text += f"\n{printable(out)}"
    terminal = terminal_of(context)
    terminal.result(
        text,
        {
            name: {"saving": list(report.spikes.saving), "cells": report.spikes.cells}
            for name, report in found.items()
        },
    )
    terminal.then("energy", "pays", "--student", "STUDENT", "--images", "PHOTOS", why="when spikes pay")


@energy_app.command("sanafe", cls=Command)
@command
def energy_sanafe(
    context: typer.Context,
    bundle: Annotated[
        Path, Flag("Bundle folder of a lif student, from export --target loihi --size 10.", argument=True)
    ],
    out: Annotated[
        Path | None,
        Flag("File for energies and comparison.", shown="sanafe.json beside the bundle", group=OUTPUT),
    ] = None,
    tiles: Annotated[int, Flag("Use the first N golden tiles; 0 takes all.")] = 0,
    overwrite: Overwrite = False,
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

    out = out or bundle.resolve().parent / "sanafe.json"
    refuse_existing_file(out, overwrite, of_kind(KIND), "check on SANA-FE")
    terminal, found = terminal_of(context), find_sanafe()
    if found is None:
        raise BackendUnavailableError(f"SANA-FE is not installed; run `{REMEDY}`")
    with terminal.steps() as log:
        report = check_on_chip(read_bundle(bundle), found, tiles, log)
    write_sanafe(out, report)
    terminal.result(f"{chip_check_text(report)}\n{printable(out)}", report.to_dict())
    terminal.then(*AUDIT, "--sanafe", out, why="these energies beside the models'")
    if not report.passed:
        raise typer.Exit(CHECK_FAILED)


@energy_app.command("map", cls=Command)
@command
def energy_map(
    context: typer.Context,
    options: MapOptions,
    out: Annotated[
        Path | None,
        Flag("File for the mappings.", shown="NAME-mapping.json beside the student, or here", group=OUTPUT),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Map teacher, twin, CNN and quantised twin onto an edge accelerator: energy, cycles, utilisation."""
    from snn_tool.auditing.mapping import map_rivals
    from snn_tool.errors import BackendUnavailableError
    from snn_tool.exporters.zigzag.environment import REMEDY, find_zigzag
    from snn_tool.exporters.zigzag.report import KIND, write_mapping
    from snn_tool.files.ownership import of_kind, refuse_existing_file
    from snn_tool.texts.mapping import mapping_text

    out = out or beside(options.student, "-mapping.json")
    refuse_existing_file(out, overwrite, of_kind(KIND), "mapping")
    locate_teacher(options.teacher, options.weights, untrained=True)
    terminal, found = terminal_of(context), find_zigzag()
    if found is None:
        raise BackendUnavailableError(f"ZigZag is not installed; run `{REMEDY}`")
    with terminal.steps() as log:
        report = map_rivals(options, found, log)
    write_mapping(out, report)
    terminal.result(f"{mapping_text(report)}\n{printable(out)}", report.to_dict())
    terminal.then(*AUDIT, "--mapping", out, why="the mapped rivals beside the student")


@audit_app.callback()
def _audit() -> None:
    """A group even with one command."""


@audit_app.command("params", cls=Command)
@command
def audit_params(
    context: typer.Context,
    module: Annotated[
        str,
        Flag(
            "An architecture (restormer, nafnet, unet, ..), a file or folder of train or distill, or "
            "package.module:factory.",
            argument=True,
        ),
    ],
    size: Annotated[tuple[int, int], Flag("Height and width of the image.")] = (256, 256),
    channels: Annotated[int, Flag("Of the image.")] = 3,
    rows: Annotated[int, Flag("Modules to list, those that differ most first; 0 lists none.")] = 12,
) -> None:
    """Real parameters and MACs of a network beside what thop-like counters report, and why they differ."""
    found = locate(module, accept=(Kind.FLOAT, Kind.TEACHER), untrained=True)
    from snn_tool.auditing.networks import audited_module
    from snn_tool.energy.counts.profilers import audit_parameters
    from snn_tool.texts.audit import audit_text

    terminal = terminal_of(context)
    counted = audit_parameters(audited_module(found), (1, channels, *size))
    terminal.result(audit_text(module, counted, rows), {"module": module, **counted.to_dict()})
    terminal.then(*AUDIT, "--teacher", module, why="what a student saves against it")
