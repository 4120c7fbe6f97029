"""What `snn-tool export --target onnx` is told, and the images that a file is checked on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.files.artifacts import sha256_file
from snn_tool.degradations.crops import draw_tiles, to_channels
from snn_tool.degradations.tasks import degradation_for
from snn_tool.errors import ConfigError
from snn_tool.exporters.onnx.student import Form
from snn_tool.deploy.golden import GoldenOptions
from snn_tool.models.streams import FANOUT
from snn_tool.models.topology import Topology

ONNX = "onnx"
CUT = (3, 5)
"""Rows and columns cut from a tile, so that its sides are odd."""

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """What the file holds and how it is checked.

    Attributes:
        golden: where the images of the check come from.
        taps: spikes of all populations are outputs.
        stateful: one timestep, with its membranes as inputs and outputs; `lif` alone.
        verify: run the file in onnxruntime before it is written.
        overwrite: replace a file that is there.
    """

    golden: GoldenOptions
    taps: bool = False
    stateful: bool = False
    verify: bool = True
    overwrite: bool = False


def check_target(target: str, lowering: str, asked: bool) -> bool:
    """Whether the target is ONNX.

    Raises:
        ConfigError: an option of ONNX is given with another target, or a lowering with ONNX.
    """
    if target != ONNX and asked:
        raise ConfigError(f"--taps and --stateful belong to --target {ONNX}, not to {target}")
    if target == ONNX and lowering != FANOUT:
        raise ConfigError(f"--lowering {lowering} belongs to --target loihi; an {ONNX} file is not lowered")
    return target == ONNX


def student_form(neuron: str, timesteps: int, options: OnnxOptions) -> Form:
    """The graph's form for a student.

    Raises:
        ConfigError: a step is asked for of neurons that keep nothing.
    """
    if options.stateful and neuron != "lif":
        raise ConfigError(f"--stateful: {neuron} neurons keep nothing from step to step; leave it out")
    return Form(1 if options.stateful else timesteps, options.stateful, options.taps)


def origin_of(source: Path, trained_for: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata that say where a file is from; without the folder, so that equal inputs give equal bytes."""
    return {"source": source.name, "source_sha256": sha256_file(source), "trained_for": dict(trained_for)}


def check_images(
    trained_for: Mapping[str, Any], options: GoldenOptions, topology: Topology | None = None
) -> Image:
    """Degraded tiles float32 [N, C, H, W]; of colour, or as many channels as a topology's image has.

    Args:
        trained_for: the degradation, unless the options name one.
        options: of the tiles.
        topology: whose multiples or whose one size the sides must fit.

    Raises:
        ConfigError: the size does not fit, or nothing says which noise to add.
        DataError: no image is as large as a tile.
    """
    size = (options.size, options.size)
    if topology and topology.image_size:
        size = topology.image_size
    elif topology and options.size % topology.multiple:
        raise ConfigError(f"--size {options.size}: use a multiple of {topology.multiple}")
    degradation = degradation_for(options.task, options.sigma, trained_for)
    drawn = draw_tiles(options.images, options.tiles, size, degradation, options.seed)
    return to_channels(drawn, topology.image_channels if topology else 3)


def cut_to_odd(images: Image) -> Image:
    """Images [N, C, H, W] without their last rows and columns; those too small lose none."""
    rows, columns = (max(side - cut, 1) for side, cut in zip(images.shape[2:], CUT, strict=True))
    return np.ascontiguousarray(images[:, :, :rows, :columns])
