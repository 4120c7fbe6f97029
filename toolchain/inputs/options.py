"""How a command line names inputs that are no photographs, and their labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from snn_tool.flags import Flag, grouped

InputsPath = Annotated[
    Path | None,
    Flag(
        "Instead of images: FILE.npy, FILE.npz, an event recording, or a folder of these or of images; with "
        "a folder for each class, labelled."
    ),
]
LabelsPath = Annotated[
    Path | None,
    Flag("FILE.npy, FILE.npz or FILE.csv with the class of every input, 0, 1, ..", group="Inputs"),
]
Layout = Annotated[
    str | None,
    Flag(
        "Axes of the array, of T (time), N (samples) and the network's own, e.g. TNCHW or NF.",
        shown="told by the lengths",
    ),
]
Values = Annotated[
    str | None,
    Flag(
        "spikes (whole numbers, accumulated) or reals (multiplied).",
        shown="whole numbers up to 15 are spikes",
    ),
]
Window = Annotated[
    int | None,
    Flag("Microseconds of an event recording per timestep.", ("--window-us",), shown="its duration / T"),
]


@grouped("Inputs")
@dataclass(frozen=True, slots=True)
class InputOptions:
    """Where inputs come from that are no photographs, and how they are read.

    Attributes:
        inputs: file or folder; None where photographs are taken.
        layout: letters of the axes; None tells them by their lengths.
        values: `spikes` or `reals`; None tells them by the values.
        window_us: microseconds of a recording per timestep; None divides its duration by the timesteps.
    """

    inputs: InputsPath = None
    layout: Layout = None
    values: Values = None
    window_us: Window = None
