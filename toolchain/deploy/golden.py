"""Golden vectors: integer tiles of photographs, and the integers that a network must give for them.

They come from the integer engine. Where a NIR file is the source there is no integer network, and the file's
interpreter gives them, so that only Lava remains to disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.crops import draw_tiles
from snn_tool.degradations.tasks import TrainedFor, degradation_for
from snn_tool.deploy.options import GoldenOptions
from snn_tool.errors import ConfigError
from snn_tool.exporters.contract.export import NETWORK, NetworkFile
from snn_tool.exporters.contract.traces import Trace, joined
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.nir.passes import first_tiles, next_tiles
from snn_tool.inputs.encoding import integers_of
from snn_tool.inputs.samples import read_samples
from snn_tool.models.integer.engine import IntegerEngine, quantize_image, run_passes
from snn_tool.models.integer.file import INTEGER_SUFFIX
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.topology import own_shape
from snn_tool.networks.open import open_integers

NIR_SUFFIX = ".nir"
DEFAULT_SIGMA = "25"
"""Noise of the tiles of a NIR file, which does not say for what it was trained."""


@dataclass(frozen=True, slots=True, eq=False)
class ExportSource:
    """A NIR file with tiles and the integers that they must give.

    Attributes:
        nir: the file, which is read once for all that is made of it.
        tiles: int16 [N, C, H, W]; of a network of P passes N / P of the first, then of the second, and so on.
        trace: of the integer engine, or of the interpreter where a NIR file was the source.
        source_sha256: hash of what was exported.
        origin: JSON values that say how tiles and integers were made.
        by_engine: the engine made `trace`; otherwise the NIR file's interpreter did.
    """

    nir: NetworkFile
    tiles: NDArray[np.int16]
    trace: Trace
    source_sha256: str
    origin: Mapping[str, Any]
    by_engine: bool


def make_golden(source: Path, folder: Path, options: GoldenOptions) -> ExportSource:
    """Tiles and integers for a `.nir` file, or for a `student.int.safetensors`, whose NIR goes into `folder`.

    Raises:
        ConfigError: another kind of file, or nothing says which noise to add.
        ArtifactError: the source is damaged.
        DataError: no image is as large as a tile.
        ExportError: the size does not fit the network.
    """
    if source.name.endswith(INTEGER_SUFFIX):
        return _golden_of_student(source, folder / NETWORK, options)
    if source.suffix == NIR_SUFFIX:
        return _golden_of_nir(source, options)
    raise ConfigError(
        f"{source}: what is exported is a {INTEGER_SUFFIX} file, from 'snn-tool quantize', "
        f"or a {NIR_SUFFIX} file"
    )


def _golden_of_student(source: Path, nir: Path, options: GoldenOptions) -> ExportSource:
    opened = open_integers(source)
    network = opened.network
    size = network.image_size or (options.size, options.size)
    write_nir(nir, to_nir(network, *size))
    images, origin = _drawn(source, options, opened.provenance.trained_for, network, size)
    record = [p.wiring.name for p in network.populations]
    tiles, traces = zip(*run_passes(IntegerEngine(network), images, record), strict=True)
    origin |= {"integers_by": "integer engine"}
    held = NetworkFile(nir)
    return ExportSource(held, np.concatenate(tiles), joined(traces), opened.provenance.sha256, origin, True)


def _golden_of_nir(source: Path, options: GoldenOptions) -> ExportSource:
    nir = NetworkFile(source)
    program = nir.program
    usual = replace(options, sigma=options.sigma or DEFAULT_SIGMA)
    size = (program.height, program.width)
    images, origin = _drawn(source, usual, TrainedFor(), integer_network(program), size)
    tiles = [first_tiles(program, images)]
    traces = [run_program(program, tiles[0].astype(np.int64))]
    for _ in range(program.passes - 1):
        tiles.append(next_tiles(program, tiles[-1], traces[-1].readout).astype(np.int16))
        traces.append(run_program(program, tiles[-1].astype(np.int64)))
    origin |= {"integers_by": "nir interpreter"}
    return ExportSource(nir, np.concatenate(tiles), joined(traces), nir.sha256, origin, False)


def refuse_photographs(source: Path, network: IntegerNetwork) -> None:
    """Refuse to draw tiles of photographs for a network that takes something else.

    Raises:
        ConfigError: says what it takes, and how to give it.
    """
    channels = network.topology.image_channels
    if network.grid or channels not in (1, 3):
        raise ConfigError(
            f"{source}: takes {channels} channels of {network.grid.kind if network.grid else 'images'}, "
            "which photographs do not have; give --inputs FILE for golden tiles"
        )


def _drawn(
    source: Path,
    options: GoldenOptions,
    trained_for: TrainedFor,
    network: IntegerNetwork,
    size: tuple[int, int],
) -> tuple[NDArray[np.int16], dict[str, Any]]:
    """Tiles [N, C, H, W], or [N, T, C, H, W], on the network's grid, and how they were made.

    The folder's name stands without its path, so that the same export gives the same bytes elsewhere.
    """
    channels = network.topology.image_channels
    if options.inputs.inputs is not None:
        known = (network.timesteps, network.timesteps, options.tiles)
        samples = read_samples(options.inputs, own_shape(channels, size), *known)
        made = {"images": samples.path.name, "inputs": samples.document()}
        return integers_of(samples.values, network), made
    refuse_photographs(source, network)
    degradation = degradation_for(options.task, options.sigma, trained_for)
    drawn = draw_tiles(options.images, options.tiles, size, degradation, options.seed, channels)
    return quantize_image(drawn, network), {
        "images": options.images.name if options.images else "shipped with scikit-image",
        "seed": options.seed,
        "degradation": degradation.describe(),
    }
