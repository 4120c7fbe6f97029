"""The tables of `energy report --nir`, and which of the command's options go together."""

import typer
from snn_tool.energy.torch_counter.result import INTEGRATOR, NEURON
from snn_tool.energy.torch_exact_ops import LEFT_OUT
from snn_tool.nir_energy_report import RUN_BYTES, NirEnergyReport, spread
from snn_tool.tables import TextTable, plain_table, rendered

WORD_BYTES = 4
"""The layers' bytes are shown as of fp32; `energy.json` has every precision."""

_COLUMNS = ("synops", "MACs", "updates", "spikes", "rate", "weight B", "state B")


def layer_table(report: NirEnergyReport) -> TextTable:
    """One line for each layer that computed, means over the images, and the totals."""
    images = f"{len(report.images)} image(s)"
    title = f"{report.file}: T = {report.timesteps}, dt = {report.dt_s:g} s, mean of {images}"
    table = plain_table(title, ("layer", "reads"), _COLUMNS)
    for row in report.rows:
        numbers = [report.mean(row, name) for name in _QUANTITIES]
        rate = report.rate(row)
        cells = [*(f"{n:,.0f}" for n in numbers), "" if rate is None else f"{rate:.3f}"]
        stored = (row.parameters * WORD_BYTES, row.state_bytes // RUN_BYTES * WORD_BYTES)
        table.add_row(row.name, row.source or _SHORT.get(row.kind, ""), *cells, *(f"{n:,}" for n in stored))
    table.add_section()
    mean = report.to_json()["totals"]
    table.add_row(
        "total",
        "",
        *(f"{mean[name]['mean']:,.0f}" for name in _QUANTITIES),
        f"{spread(image.rate for image in report.images)['mean']:.3f}",
        *(f"{n:,.0f}" for n in report.stored_bytes()["fp32"].values()),
    )
    return table


_SHORT = {NEURON: "(neuron)", INTEGRATOR: "(integ.)"}
_QUANTITIES = ("synops_levels", "exact_macs", "neuron_updates", "spikes")


def energy_table(report: NirEnergyReport) -> TextTable:
    """Nanojoules per image at each precision: mean, spread, least and most."""
    table = plain_table("nJ per image", ("model", "precision"), ("mean", "stdev", "min", "max"))
    for model, by in report.energies().items():
        for precision, values in by.items():
            table.add_row(model, precision, *(f"{n / 1e3:,.3f}" for n in spread(values).values()))
    return table


def nir_report_text(report: NirEnergyReport) -> str:
    """Both tables, how many images they are of, what never fires, and which models are left out."""
    left_out = f"left out: {', '.join(LEFT_OUT)}; energy.json says why"
    remarks = filter(None, (report.used.text(), report.warning, left_out))
    return rendered(layer_table(report), energy_table(report), *remarks)


OF_NIR = {"nir", "images", "out", "timesteps", "dt", "limit", "overwrite"}
ONLY_NIR = {"nir", "timesteps", "dt"}


def check_options(context: typer.Context) -> None:
    """Refuse options that have no meaning beside the others, as a fault of usage.

    Raises:
        typer.BadParameter: `--nir` with `--student` or another option of its own, neither, or no `--out`.
    """
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source and not source.name.startswith("DEFAULT")}
    if "nir" not in given and "student" not in given:
        raise typer.BadParameter("give --student, or --nir for a file of another tool")
    foreign = given - OF_NIR if "nir" in given else given & ONLY_NIR
    if foreign:
        flag = "--" + sorted(foreign, key=lambda name: name != "student")[0]
        other = "--nir" if "nir" in given else "--student"
        raise typer.BadParameter(f"{flag} does not go with {other}")
    if "nir" not in given and "out" not in given:
        raise typer.BadParameter("--student needs --out, a folder for energy.json and energy.html")
