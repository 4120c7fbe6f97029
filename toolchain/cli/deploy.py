"""The commands that carry a student to integers and hardware: `quantize`, `export`, `verify`, `backend`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from snn_tool.cli.options import Command, CommandGroup, command, images_or_pairs
from snn_tool.deploy.options import (
    ConformanceOptions,
    ExportOptions,
    FinetuneOptions,
    GoldenOptions,
    ImportOptions,
    QuantizeOptions,
    VerifyOptions,
    usual_out,
)
from snn_tool.flags import OUTPUT, Flag, Overwrite
from snn_tool.inputs.options import InputOptions
from snn_tool.networks.locate import exported_file, float_file
from snn_tool.tables import printable
from snn_tool.terminal import Terminal, terminal_of

if TYPE_CHECKING:
    from snn_tool.deploy.onnx_networks import OnnxOptions
    from snn_tool.exporters.nir.program import Program

CHECK_FAILED = 3
LOIHI, NIR = "loihi", "nir"
ON_YOURS = "on data of yours"

Bundle = Annotated[Path, Flag("Bundle folder, from export --target loihi.", argument=True)]


def on_yours(folder: Path, program: "Program") -> tuple[object, ...]:
    """The command that verifies an export on what its network takes."""
    return ("verify", folder, *(("--inputs", "INPUTS") if program.form else ("--images", "PHOTOS")))


@command
def quantize(
    context: typer.Context,
    student: Annotated[
        Path, Flag("student.safetensors, from distill, or its run folder.", argument=True, read=float_file)
    ],
    options: QuantizeOptions,
) -> None:
    """Turn a student into 8-bit weights and integer thresholds."""
    from dataclasses import asdict

    from snn_tool.deploy.quantize import MOST_IMAGES, quantize_student
    from snn_tool.models.integer.file import INTEGER_SUFFIX

    path = options.out or student.with_name(student.name.removesuffix(".safetensors") + INTEGER_SUFFIX)
    clean, partners = images_or_pairs(options.data, "--data", options.pairs, options.degraded)
    made = quantize_student(student, clean, path, options.sigma, options.overwrite, partners)
    text = (
        f"{printable(made.path)}: {made.parameters:,} parameters in integers; "
        "no image can wrap a current (interval arithmetic)\n"
        f"float {made.float_psnr_db:.2f} dB, integers {made.integer_psnr_db:.2f} dB, "
        f"loss {made.loss_db:.3f} dB "
        f"({made.images} images; {made.calibration_images} calibrated the read-out's bias)\n"
        f"{made.calibration_images} of {made.calibration_of} images calibrated, {made.images} of "
        f"{made.images_of} measured (at most {MOST_IMAGES} of each)"
    )
    terminal = terminal_of(context)
    terminal.result(text, {**asdict(made), "loss_db": made.loss_db})
    terminal.then("export", made.path, "--target", "loihi", why="files for a chip, verified bit for bit")


@command
def export(
    context: typer.Context,
    student: Annotated[
        Path,
        Flag(
            "student.int.safetensors, from quantize, its run folder, or a name from 'models'; for loihi, "
            "netx, c, wasm also a .nir file, for onnx also student.safetensors and teacher.safetensors.",
            argument=True,
            read=exported_file,
        ),
    ],
    options: ExportOptions,
    golden: GoldenOptions,
    inputs: InputOptions,
    out: Annotated[
        Path | None,
        Flag(
            "Folder to make; for onnx a file.",
            shown="NAME-TARGET, for onnx NAME.onnx, beside its input, or here for a name from 'models'",
            group=OUTPUT,
        ),
    ] = None,
) -> None:
    """Write NIR, a Loihi-style bundle, netx, ONNX, C, WebAssembly or a package's files, verified."""
    from snn_tool.deploy.export import export_student
    from snn_tool.deploy.onnx_networks import OnnxOptions, check_target
    from snn_tool.exporters.contract.targets import Context
    from snn_tool.texts.deploy import export_document, export_text

    terminal, golden = terminal_of(context), replace(golden, inputs=inputs)
    out = out or usual_out(student, options.target)
    if check_target(options.target, options.lowering, options.taps or options.stateful):
        onnx = OnnxOptions(golden, options.taps, options.stateful, options.verify, options.overwrite)
        return _export_onnx(terminal, student, out, onnx)
    with terminal.steps() as log:
        exported = export_student(
            student,
            options.target,
            out,
            golden,
            lowering=options.lowering,
            overwrite=options.overwrite,
            verify=options.verify,
            context=Context(conv=options.conv, log=log, cc=options.cc),
            prefix=options.prefix,
        )
    terminal.result(export_text(exported), export_document(exported))
    if options.target == NIR:
        terminal.then("check", exported.folder / "network.nir", why="what simulators would make of it")
    else:
        terminal.then(*on_yours(exported.folder, exported.program), why=ON_YOURS)
    if exported.verification and exported.verification.failed:
        raise typer.Exit(CHECK_FAILED)


def _export_onnx(terminal: Terminal, source: Path, out: Path, options: "OnnxOptions") -> None:
    from dataclasses import asdict

    from snn_tool.deploy.onnx import export_onnx, export_text

    exported = export_onnx(source, out, options)
    terminal.result(export_text(exported), {**asdict(exported), "path": str(exported.path)})
    terminal.then("export", "--help", why="targets that are verified by other implementations, too")


@command
def verify(
    context: typer.Context,
    bundle: Annotated[Path, Flag("Folder, from export; not of --target nir.", argument=True)],
    options: VerifyOptions,
    inputs: InputOptions,
    out: Annotated[
        Path | None, Flag("File for the report.", shown="verification.json in the folder", group=OUTPUT)
    ] = None,
) -> None:
    """Hold a bundle against independent implementations, on its golden tiles and on your images.

    Exit code 3 if one differs or if one that was named with --backend could not be run.
    """
    from snn_tool.degradations.tasks import TrainedFor, degradation_for
    from snn_tool.deploy.photographs import PhotographOptions
    from snn_tool.deploy.verify import exported_for, open_export, verify_export
    from snn_tool.exporters.contract.backends import backend_names
    from snn_tool.exporters.contract.targets import Context
    from snn_tool.texts.deploy import verification_text

    if options.images is not None and inputs.inputs is not None:
        raise typer.BadParameter("give --images or --inputs, not both", context)
    terminal = terminal_of(context)
    export = open_export(bundle)
    known = backend_names(export)
    if unknown := ", ".join(name for name in options.backend if name not in known):
        raise typer.BadParameter(
            f"{unknown} is not one of {', '.join(known)}", context, param_hint="--backend"
        )
    degradation = degradation_for(options.task, options.sigma, TrainedFor.of(exported_for(export)))
    photographs = PhotographOptions(options.images, options.tiles, options.whole, degradation, options.seed)
    with terminal.steps() as log:
        how = Context(conv=options.conv, log=log, cc=options.cc)
        shown = photographs if options.images else None
        limit = options.tiles if inputs.inputs else 0
        report = verify_export(export, options.backend or None, shown, how, out, inputs, limit)
    terminal.result(verification_text(report), report.to_dict())
    if export.target == LOIHI:
        terminal.then("conformance", bundle, why="the same network in five simulators")
    else:
        terminal.then(*on_yours(bundle, export.program), why=ON_YOURS)
    if report.failed or (options.backend and not report.passed):
        raise typer.Exit(CHECK_FAILED)


backend_app = typer.Typer(
    help="What networks are exported for and verified by.", cls=CommandGroup, no_args_is_help=True
)


@backend_app.command("list", cls=Command)
def list_backends(context: typer.Context) -> None:
    """List all targets and backends, those of other packages included."""
    from dataclasses import asdict

    from snn_tool.deploy.backends import list_all, list_text

    items = list_all()
    terminal = terminal_of(context)
    terminal.result(list_text(items), {"schema": 1, "items": [asdict(item) for item in items]})
    terminal.then("doctor", why="which of them work here")


@backend_app.command("install", cls=Command)
@command
def install_backend(
    context: typer.Context, name: Annotated[str, Flag("lava, sanafe or zigzag.", argument=True)]
) -> None:
    """Install a simulator, or what maps layers, into an environment of its own, or find it there."""
    from dataclasses import asdict

    from snn_tool.errors import ConfigError
    from snn_tool.exporters.lava.installation import provision_lava
    from snn_tool.exporters.sanafe.environment import provision_sanafe
    from snn_tool.exporters.zigzag.environment import provision_zigzag

    terminal = terminal_of(context)
    if name == "lava":
        lava = provision_lava(terminal.note)
        where = f"{lava.origin}: {printable(lava.python)}"
        netx = f"netx of lava-dl {lava.lava_dl}" if lava.lava_dl else f"without netx ({lava.netx_fault})"
        what = f"lava-nc {lava.version} on Python {lava.python_version}, {where}; {netx}"
        terminal.result(what, {**asdict(lava), "python": str(lava.python)})
        terminal.then("verify", "BUNDLE", "--backend", "lava", why="what a Loihi computes, in Lava")
    elif name == "sanafe":
        chip = provision_sanafe(terminal.note)
        what = (
            f"sanafe {chip.version} on Python {chip.python_version}, {chip.origin}: {printable(chip.python)}"
        )
        terminal.result(what, {**asdict(chip), "python": str(chip.python)})
        terminal.then("energy", "sanafe", "BUNDLE", why="energy on a simulated Loihi")
    elif name == "zigzag":
        mapper = provision_zigzag(terminal.note)
        what = f"zigzag-dse {mapper.version} on Python {mapper.python_version}, {mapper.origin}"
        terminal.result(
            f"{what}: {printable(mapper.python)}", {**asdict(mapper), "python": str(mapper.python)}
        )
        terminal.then("energy", "map", "--student", "STUDENT", why="its dense rivals on an accelerator")
    else:
        raise ConfigError(
            f"backend {name} is unknown; lava, sanafe and zigzag have environments of their own"
        )


@command
def import_nir(
    context: typer.Context,
    options: ImportOptions,
    inputs: InputOptions,
    out: Annotated[
        Path | None, Flag("Integer network.", shown="NAME.int.safetensors beside NAME.nir", group=OUTPUT)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a spiking network trained elsewhere into integers that 'export' and 'verify' take.

    Spikes and outputs are compared with the file in float64. What the chip does not have is refused by name.
    """
    from snn_tool.deploy.import_nir import import_network
    from snn_tool.deploy.sources import is_factory
    from snn_tool.models.integer.file import INTEGER_SUFFIX
    from snn_tool.texts.compare import import_document, import_text

    terminal = terminal_of(context)
    name = options.nir.name.rpartition(":")[2] if is_factory(options.nir) else ""
    path = out or (Path(name + INTEGER_SUFFIX) if name else options.nir.with_suffix(INTEGER_SUFFIX))
    imported = import_network(options, inputs, path, overwrite, terminal.track)
    terminal.result(import_text(imported), import_document(imported))
    terminal.then("export", imported.path, "--target", "loihi", why="files for a chip, verified bit for bit")


@command
def finetune(
    context: typer.Context,
    options: FinetuneOptions,
    inputs: InputOptions,
    out: Annotated[
        Path | None, Flag("Integer network.", shown="NAME.int.safetensors beside NAME.nir", group=OUTPUT)
    ] = None,
) -> None:
    """Train a classifier of another tool on, seen through its 8 bits, on labelled inputs of yours."""
    from dataclasses import asdict

    from snn_tool.deploy.finetune import finetune as tune
    from snn_tool.deploy.finetune import finetune_text
    from snn_tool.models.integer.file import INTEGER_SUFFIX

    terminal = terminal_of(context)
    made = tune(options, inputs, out or options.nir.with_suffix(INTEGER_SUFFIX), terminal.track)
    text = f"{printable(made.path)}\n{finetune_text(made)}"
    terminal.result(text, {**asdict(made), "path": str(made.path)})
    terminal.then("evaluate", "--student", made.path, "--inputs", "TEST.npz", why="accuracy on others")


@command
def conformance(
    context: typer.Context,
    bundle: Bundle,
    options: ConformanceOptions,
    inputs: InputOptions,
    out: Annotated[
        Path | None,
        Flag("Folder for conformance.json and conformance.html.", shown="none are written", group=OUTPUT),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Hold a bundle against norse, snntorch, spikingjelly, sinabs and nirtorch, spike for spike.

    Exit code 3 if one that loads differs with the membrane register.
    """
    from snn_tool.deploy.conformance import claim_conformance, run_conformance, write_conformance
    from snn_tool.exporters.contract.targets import plugin_names
    from snn_tool.exporters.loihi.bundle import read_bundle
    from snn_tool.texts.compare import conformance_page, conformance_text

    if unknown := ", ".join(name for name in options.backend if name not in plugin_names()):
        raise typer.BadParameter(
            f"{unknown} is not one of {', '.join(plugin_names()) or 'none that is installed'}",
            context,
            param_hint="--backend",
        )
    if out:
        claim_conformance(out, overwrite)
    terminal = terminal_of(context)
    export = read_bundle(bundle)
    with terminal.steps() as log:
        made = run_conformance(export, options, inputs, log)
    if out:
        write_conformance(out, made, conformance_page(made))
    terminal.result(conformance_text(made), made.document())
    if out:
        terminal.then("resources", bundle, why="cores and chips that it fills")
    else:
        terminal.then("conformance", bundle, "--out", "conformance", why="the table as a page")
    if not made.passed:
        raise typer.Exit(CHECK_FAILED)


UNREADABLE = "nir.read raises, whichever tool calls it ({}); read such a file with type_check=False"


@command
def check(
    context: typer.Context,
    source: Annotated[Path, Flag("A .nir file of any tool.", argument=True)],
    inputs: InputOptions,
    target: Annotated[
        str | None, Flag("norse, snntorch, spikingjelly, sinabs or nirtorch.", shown="all")
    ] = None,
    dt: Annotated[
        float | None,
        Flag("Timestep in seconds that the importers are called with.", shown="each one's own"),
    ] = None,
) -> None:
    """Report what a simulator would drop, refuse or change of a graph; exit 3 if something would be lost."""
    from dataclasses import asdict

    from snn_tool.exporters.nir.reading import read_foreign_nir
    from snn_tool.exporters.nir_foreign import TIMESTEPS
    from snn_tool.exporters.nir_foreign.check import HELD, check_graph
    from snn_tool.exporters.nir_foreign.graph_effects import type_fault
    from snn_tool.exporters.nir_foreign.module import graph_input_shape
    from snn_tool.inputs.samples import read_samples

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
    samples = None
    if inputs.inputs is not None:
        samples = read_samples(inputs, graph_input_shape(graph, source), None, TIMESTEPS)
        notes.append(samples.text())
    document = {"schema": 2, "file": str(source), "dt_s": dt, "lost": lost, "notes": notes}
    document["inputs"] = samples.document() if samples else None
    document["findings"] = [asdict(f) for f in findings]
    terminal = terminal_of(context)
    terminal.result("\n".join(map(printable, [*lines, *notes])), document)
    terminal.then("import", source, "--images", "PHOTOS", why="its integers, and what they change")
    if lost:
        raise typer.Exit(CHECK_FAILED)


@command
def resources(
    context: typer.Context,
    source: Annotated[Path, Flag("Folder, from export --target loihi or c, or a .nir file.", argument=True)],
    size: Annotated[int | None, Flag("Side of a square image.", shown="the file's size")] = None,
    ram: Annotated[
        int | None, Flag("c: KiB of memory, whose largest width is told; of a .nir file it asks for C.")
    ] = None,
    lowering: Annotated[str | None, Flag("fanout or relay.", shown="the bundle's, or fanout")] = None,
    out: Annotated[
        Path | None, Flag("SVG picture of the cores by layer.", shown="none is drawn", group=OUTPUT)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Count what a network fills: Loihi cores and chips, or flash and memory of its C."""
    from snn_tool.exporters.contract.export import NetworkFile
    from snn_tool.exporters.contract.target_folder import is_target_folder
    from snn_tool.exporters.loihi.bundle import read_bundle
    from snn_tool.exporters.loihi.chips import LABEL, LOIHI_2
    from snn_tool.exporters.loihi.deployment import Deployment, resized
    from snn_tool.exporters.loihi.report import report_resources, resource_document
    from snn_tool.files.artifacts import write_text
    from snn_tool.files.ownership import holding, refuse_existing_file
    from snn_tool.models.streams import FANOUT
    from snn_tool.texts.charts import cores_svg
    from snn_tool.texts.deploy import resources_text

    if ram is not None or is_target_folder(source):
        return _c_resources(terminal_of(context), source, size, ram)
    if out:
        # matplotlib leaves the title, drawn as outlines, in a comment
        refuse_existing_file(out, overwrite, holding(b"<svg", LABEL.encode()), "picture of cores")
    bundle = read_bundle(source) if source.is_dir() else None
    program = (bundle.network if bundle else NetworkFile(source)).program
    chosen = lowering or (bundle.lowering if bundle else FANOUT)
    report = report_resources(Deployment(program if size is None else resized(program, size, size), chosen))
    if out:
        write_text(out, cores_svg(report, LOIHI_2))
    picture = f"\n{printable(out)}" if out else ""
    document = {**resource_document(report), "picture": str(out) if out else None}
    terminal = terminal_of(context)
    terminal.result(resources_text(report) + picture, document)
    if bundle:
        terminal.then("verify", source, "--images", "PHOTOS", why=ON_YOURS)
    else:
        terminal.then("export", source, "--target", LOIHI, why="the bundle that is counted here")


def _c_resources(terminal: Terminal, source: Path, width: int | None, ram: int | None) -> None:
    from snn_tool.deploy.verify import open_export
    from snn_tool.exporters.c.target import taken_by
    from snn_tool.exporters.contract.export import NetworkFile
    from snn_tool.texts.deploy import footprint_document, footprint_text

    program = (open_export(source).network if source.is_dir() else NetworkFile(source)).program
    taken, wide = taken_by(program, width), width or program.width
    terminal.result(footprint_text(taken, wide, ram), footprint_document(taken, wide, ram))
    terminal.then("export", source, "--target", "c", why="the C that is counted here")
