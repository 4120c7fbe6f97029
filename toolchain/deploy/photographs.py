"""`snn-tool verify --images`: a bundle's implementations on photographs, tile by tile and as whole images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.crops import channels_first, draw_tiles
from snn_tool.degradations.noise import Degradation
from snn_tool.errors import ConfigError
from snn_tool.exporters.contract.traces import MISMATCH, BackendResult
from snn_tool.exporters.verify.images import WholeImageResult, verify_tiles, verify_whole_image
from snn_tool.exporters.verify.report import PhotographReport
from snn_tool.exporters.verify.running import Runner
from snn_tool.images.files import find_images
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.images.tiling import pad_to_multiple
from snn_tool.inputs.encoding import integers_of
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import Samples, read_samples
from snn_tool.models.integer.engine import base_image, pass_inputs, quantize_image
from snn_tool.models.topology import own_shape
from snn_tool.networks.evaluation import load_pair


@dataclass(frozen=True, slots=True)
class PhotographOptions:
    """Which photographs a verification takes.

    Attributes:
        images: folder of clean images; None takes those that ship with scikit-image.
        tiles: number of tiles that are compared layer by layer, 0 for none.
        whole: number of whole images whose read-outs are compared, the first of the folder.
        degradation: added to them.
        seed: of places and noise.
    """

    images: Path | None
    tiles: int
    whole: int
    degradation: Degradation
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers, and whole images without a folder.

        Raises:
            ConfigError: names the option.
        """
        if self.tiles < 0 or self.whole < 0:
            raise ConfigError("--tiles and --whole must not be negative")
        if self.whole and self.images is None:
            raise ConfigError("--whole needs --images DIR")


def verify_photographs(
    runner: Runner, backends: Sequence[str], options: PhotographOptions
) -> PhotographReport:
    """Run photographs through an export's implementations and compare with the integer engine.

    Raises:
        DataError: an image is damaged, or none is as large as the network's.
        ConfigError: an option is out of range, or whole images are asked for and the network has one size.
        VerificationError: an implementation refuses the network.
    """
    others = [backend for backend in dict.fromkeys(backends) if backend != "integer"]
    tiled: list[BackendResult] = []
    costs: dict[str, float] = {}
    if options.tiles:
        size = (runner.program.height, runner.program.width)
        drawing = (size, options.degradation, options.seed, runner.engine.network.topology.image_channels)
        images = quantize_image(draw_tiles(options.images, options.tiles, *drawing), runner.engine.network)
        runs = pass_inputs(runner.engine, images)
        tiles = np.concatenate(runs)
        tiled = [verify_tiles(runner, tiles, backend) for backend in others]
        if runner.engine.network.topology.restores:
            costs = {r.backend: _cost_db(runner, r.backend, runs[-1]) for r in tiled if r.status == MISMATCH}
    whole = [
        verify_whole_image(runner, name, image, backend)
        for name, image in _whole_images(runner, options)
        for backend in others
    ]
    return PhotographReport(
        images=options.images.name if options.images else "shipped with scikit-image",
        degradation=options.degradation.describe(),
        seed=options.seed,
        tiles=tuple(tiled),
        whole_images=tuple(whole),
        difference_psnr_db=costs,
    )


def export_inputs(
    runner: Runner, options: InputOptions, limit: int, labels: Path | None = None
) -> tuple[Samples, NDArray[np.int16]]:
    """Arrays or recordings, and the integers that an export's network takes for them.

    Raises:
        DataError: inputs that cannot be used.
    """
    program, network = runner.program, runner.engine.network
    shape = own_shape(program.image_channels, (program.height, program.width))
    samples = read_samples(options, shape, network.timesteps, network.timesteps, limit, labels)
    return samples, integers_of(samples.values, network)


def verify_inputs(
    runner: Runner, backends: Sequence[str], options: InputOptions, limit: int
) -> PhotographReport:
    """Run arrays or recordings through an export's implementations and compare with the integer engine.

    Raises:
        DataError: inputs that cannot be used.
        VerificationError: an implementation refuses the network.
    """
    samples, given = export_inputs(runner, options, limit)
    tiles = np.concatenate(pass_inputs(runner.engine, given))
    others = [backend for backend in dict.fromkeys(backends) if backend != "integer"]
    results = tuple(verify_tiles(runner, tiles, backend) for backend in others)
    return PhotographReport(samples.path.name, {}, 0, results, (), {})


def _cost_db(runner: Runner, backend: str, tiles: NDArray[np.int16]) -> float:
    """PSNR in dB of the tiles that a differing implementation restores against the engine's.

    Of several passes both do the last, on the input that the engine gives it.
    """
    network = runner.engine.network
    base = base_image(tiles, network)
    restored = [
        to_uint8(base + runner.trace(name, tiles, []).readout * network.residual_scale)
        for name in (backend, "integer")
    ]
    first, second = (np.concatenate(list(tiles.transpose(0, 2, 3, 1))) for tiles in restored)
    return float(min(psnr_db(first, second), 999.0))


def _whole_images(runner: Runner, options: PhotographOptions) -> list[tuple[str, NDArray[np.int16]]]:
    """The inputs of all passes on the first images of the folder, degraded as `evaluate` does."""
    if not options.whole or options.images is None:
        return []
    network = runner.engine.network
    if not network.topology.restores:
        raise ConfigError(
            "--whole: the network was imported for one image size and has no output image; leave it out"
        )
    found = []
    for path in find_images(options.images)[: options.whole]:
        channels = network.topology.image_channels
        pair = load_pair(path, options.images, options.degradation, options.seed, channels)
        batch = quantize_image(channels_first(pair.degraded)[None], network)
        whole = pad_to_multiple(batch, network.topology.multiple)
        for number, inputs in enumerate(pass_inputs(runner.engine, whole), start=1):
            name = pair.name if network.passes == 1 else f"{pair.name}, pass {number}"
            found.append((name, inputs[0]))
    return found


def photograph_lines(report: PhotographReport) -> list[str]:
    """One line for each backend's tiles and for each whole image."""
    lines = [
        f"{_outcome(r)} on {r.tiles} tiles of {report.images}, all layers and steps" for r in report.tiles
    ]
    lines += [f"restored tiles differ, {b}: {cost:.1f} dB" for b, cost in report.difference_psnr_db.items()]
    return lines + [_whole_line(item) for item in report.whole_images]


def _whole_line(item: WholeImageResult) -> str:
    size = f"{item.width}x{item.height} in {item.windows} windows"
    return f"{_outcome(item.result)} on the whole {item.name}, {size}"


def _outcome(result: BackendResult) -> str:
    text = f"{result.backend}: {result.status}"
    if result.values_compared:
        text += f", {result.mismatches:,} of {result.values_compared:,} integers differ"
    text += f" ({result.reason})" if result.reason else ""
    return text + (f"; first: {result.first}" if result.first else "")
