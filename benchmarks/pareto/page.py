"""The frontier for people: the table, the page around it, the figure."""

from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from snn_tool.degradations.tasks import task_text
from snn_tool.files.artifacts import atomic_path

NOTES = """\
- PSNR: of the float network on the validation crops that seed 0 splits off, after equal steps; mean over
  seeds, and their standard deviation where there are several. One seed settles nothing below 0.1 dB.
- Synops: synaptic operations per image pixel on the same crops, of spikes alone. A graded spike of any level
  is one event; every event costs its interior fan-out, and borders and the lowering of shortcuts are left to
  `snn-tool energy report`. An ANN twin has MACs instead, of which the column `MACs` tells.
- Head: multiply-accumulates per pixel of the first convolution, which reads the image and no spikes; all
  timesteps of `lif` see the same image, so a chip that keeps the current needs those of one step.
- A bold name is on the frontier: no other spiking shape has both a higher PSNR and fewer synops.
- `plain-head`: the kernels of the first convolution need not sum to zero. `dense-readout`: the read-out reads
  every population at full resolution by a 3x3 each, not the last one alone.
"""

COLOURS = {"graded": "tab:blue", "lif": "tab:red", "ANN twin": "0.4"}


def psnr_db(shape: dict[str, Any]) -> float:
    """Mean over seeds."""
    return fmean(point["psnr_db"] for point in shape["points"])


def synops(shape: dict[str, Any]) -> float | None:
    """Per pixel, mean over seeds; None for an ANN twin."""
    counted = [point["synops_per_pixel"] for point in shape["points"]]
    return None if None in counted else fmean(counted)


def frontier(shapes: list[dict[str, Any]]) -> list[str]:
    """Names of the spiking shapes that no other one beats in PSNR and in synops, fewest synops first."""
    best, names = float("-inf"), []
    spiking = [
        (synops(shape), -psnr_db(shape), shape["name"]) for shape in shapes if synops(shape) is not None
    ]
    for _, negative, name in sorted(spiking):
        if -negative > best:
            best, names = -negative, [*names, name]
    return names


def table(document: dict[str, Any]) -> str:
    """One line for each shape, in Markdown that is aligned for a terminal too."""
    best = frontier(document["shapes"])
    rows = [["shape", "parameters", "validation dB", "synops/px", "MACs/px of all", "of the head"]]
    for shape in document["shapes"]:
        counted, name = synops(shape), shape["name"]
        rows.append(
            [
                f"**{name}**" if name in best else name,
                f"{shape['parameters']:,}",
                _spread([point["psnr_db"] for point in shape["points"]]),
                "" if counted is None else f"{counted:,.0f}",
                f"{shape['macs_per_pixel']:,.0f}",
                f"{shape['head_macs_per_pixel']:,}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def page(document: dict[str, Any]) -> str:
    """The Markdown page: what was run, the table, how to read it, the command."""
    training, seeds = document["training"], document["seeds"]
    facts = (
        f"{task_text(document['task'])}, {training['max_steps']} steps of {training['batch']} patches "
        f"{training['patch']}x{training['patch']}, {seeds} seed{'s' if seeds > 1 else ''}, no teacher, "
        "at most 87,000 parameters."
    )
    parts = [
        "# PSNR against synaptic operations: which student shape pays",
        facts[0].upper() + facts[1:],
        table(document),
        "![validation PSNR against synaptic operations per pixel](frontier.svg)",
        NOTES.rstrip(),
        f"```sh\n{document['command']}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def draw(document: dict[str, Any], folder: Path) -> None:
    """`frontier.svg`: a point for each spiking shape, the frontier through them, a line for each twin."""
    import matplotlib
    from matplotlib.figure import Figure

    shapes = {shape["name"]: shape for shape in document["shapes"]}
    with matplotlib.rc_context({"svg.hashsalt": "snn-tool"}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for shape in shapes.values():
            _place(axes, shape)
        best = [(synops(shapes[name]), psnr_db(shapes[name])) for name in frontier(document["shapes"])]
        axes.plot(*zip(*best, strict=True), color="tab:green", linewidth=1, zorder=0, label="frontier")
        axes.set_xscale("log")
        axes.margins(x=0.15)  # labels stand to the right of their points
        axes.set_xlabel("synaptic operations per pixel")
        axes.set_ylabel("validation PSNR (dB)")
        axes.grid(alpha=0.3, which="both")
        axes.legend(frameon=False, fontsize="small")
        with atomic_path(folder / "frontier.svg") as part:
            figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None})


def _place(axes: Any, shape: dict[str, Any]) -> None:
    counted, height, colour = synops(shape), psnr_db(shape), COLOURS[shape["kind"]]
    if counted is None:
        axes.axhline(height, color=colour, linestyle="--", linewidth=1)
        axes.annotate(
            shape["name"], (0.01, height), xycoords=("axes fraction", "data"), fontsize=7, va="bottom"
        )
        return
    axes.scatter(counted, height, color=colour, s=20)
    axes.annotate(
        shape["name"], (counted, height), xytext=(4, 3), textcoords="offset points", fontsize=7, color=colour
    )
