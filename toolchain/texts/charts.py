"""Charts for people as SVG text: the cores that a network fills. The same numbers give the same bytes."""

from snn_tool.exporters.loihi.chips import LABEL, Chip
from snn_tool.exporters.loihi.report import ResourceReport
from snn_tool.tables import printable
from snn_tool.training.curves import drawing

INCHES_PER_LAYER = 0.28


def cores_svg(report: ResourceReport, chip: Chip) -> str:
    """For each layer two bars on a logarithmic axis, with shared kernels and with every connection stored."""
    use = report.use(chip)
    places = range(len(report.layers))
    with drawing(8, 1.5 + INCHES_PER_LAYER * len(report.layers)) as (figure, text):
        axes = figure.subplots()
        for shift, label, cores in (
            (-0.2, "low: shared kernels", [span.low for span in use.by_layer]),
            (0.2, "high: every connection stored", [span.high for span in use.by_layer]),
        ):
            axes.barh([place + shift for place in places], cores, height=0.4, label=label)
        axes.set_yticks(places, [printable(layer.name, 60) for layer in report.layers], parse_math=False)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlim(left=0.5)
        axes.axvline(chip.cores, color="0.4", linestyle="--", linewidth=1, label="one chip")
        axes.set_xlabel(f"{chip.name} cores")
        axes.set_title(f"{report.width}x{report.height} pixels: {LABEL}", fontsize="medium")
        axes.margins(y=0.01)
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
        axes.grid(axis="x", alpha=0.3)
    return text.getvalue()
