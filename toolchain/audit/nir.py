"""`snn-tool energy report --nir`: what a NIR file of another tool computes on given images, and its price."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from snn_tool.files.artifacts import sha256_file, write_json
from snn_tool.degradations.crops import LUMA, central, name_below
from snn_tool.energy.torch_counter.result import SpikeCount
from snn_tool.energy.torch_exact_ops import NeuronWork
from snn_tool.energy.torch_counter.kinds import Spikes
from snn_tool.energy.torch_counter.spikes import DenseNetworkWarning, count_spikes
from snn_tool.errors import ConfigError, UnsupportedLayerError
from snn_tool.exporters.nir_foreign.hints import fitting_dt
from snn_tool.exporters.nir_foreign.module import DT_S, NirModule, load_nir_module
from snn_tool.exporters.nir_foreign.module_neurons import NirIntegrator, NirSpiking
from snn_tool.image_choice import first_images
from snn_tool.images.files import find_images
from snn_tool.nir_energy_report import KIND, SCHEMA, ImageCount, NirEnergyReport
from snn_tool.files.ownership import claim, of_kind, owned_path, refuse_existing_file
from snn_tool.terminal import Track
from torch import Tensor

JSON_FILE = "energy.json"
LOGGER = logging.getLogger("snn_tool")


@dataclass(frozen=True, slots=True)
class NirEnergyOptions:
    """What is counted, and on what.

    Attributes:
        nir: the file.
        images: folder of images, or one image.
        timesteps: T, for which each image is presented unchanged.
        dt_s: timestep in seconds.
        limit: largest number of images, 0 for all.
    """

    nir: Path
    images: Path
    timesteps: int = 10
    dt_s: float = DT_S
    limit: int = 0


def run_nir_energy(
    options: NirEnergyOptions, out: Path | None, overwrite: bool, track: Track
) -> NirEnergyReport:
    """Run the file on every image, count, and write `energy.json` if a folder is given.

    Raises:
        ConfigError: an option is out of range, or the file exists.
        ArtifactError: the NIR file cannot be used.
        UnsupportedLayerError: names a node that cannot be run or counted, or an Input that is no image.
        DataError: no image, a damaged one, or one smaller than the file's input.
    """
    if options.timesteps < 1 or options.limit < 0:
        raise ConfigError("--timesteps must be at least 1 and --limit at least 0")
    if out:
        refuse_existing_file(out / JSON_FILE, overwrite)
        claim([out / JSON_FILE], of_kind(KIND))
    module = load_nir_module(options.nir, options.dt_s)
    check_input(module, options.nir)
    if not any(isinstance(part, NirSpiking) for part in module.neurons.values()):
        LOGGER.warning("%s: no node emits spikes; everything is counted as multiply-accumulates", options.nir)
    paths = find_images(options.images)
    chosen, used = first_images(paths, options.limit)
    counted = tuple(_counted(module, path, options) for path in track(chosen, "count"))
    work = {name: NeuronWork(part.multiplies, part.adds) for name, part in module.neurons.items()}
    fitting = None
    if not any(image.rate for image in counted):
        first = present(chosen[0], module.input_shape)
        fitting = fitting_dt(module.graph, str(options.nir), [first], options.timesteps)
    about = (str(options.nir.name), sha256_file(options.nir), options.timesteps, options.dt_s)
    report = NirEnergyReport(*about, counted, work, used, fitting)
    if out:
        write_json(out / JSON_FILE, KIND, SCHEMA, report.to_json(), owned_path)
    return report


def check_input(module: NirModule, path: Path) -> None:
    """An Input must be a colour or a grey image.

    Raises:
        UnsupportedLayerError: names its shape.
    """
    shape = module.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1:
        raise UnsupportedLayerError(
            f"{path}: {module.input}: takes {list(shape)}, but images are [3, height, width] or "
            "[1, height, width]; count other inputs in Python with `count_spikes`"
        )


def present(path: Path, shape: Sequence[int]) -> Tensor:
    """The centre of an image, float64 [1, C, H, W] in [0, 1]; never resized.

    Args:
        path: of the image.
        shape: [C, H, W] of the network's input; of one channel the image becomes grey.

    Raises:
        DataError: damaged, or smaller than the input.
    """
    channels, height, width = shape
    values = central(path, height, width).astype(np.float64) / 255
    planes = values if channels == 3 else (values @ np.array(LUMA))[..., None]
    return torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))[None]


def count_image(module: NirModule, image: Tensor, timesteps: int) -> SpikeCount:
    """Counts of one image [1, C, H, W], presented unchanged in each of T steps, from the state at rest."""
    module.reset()
    counting = count_spikes(module, spiking={NirSpiking: Spikes()}, integrators=[NirIntegrator])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DenseNetworkWarning)  # said once, of the file
        with counting as counter:
            for _ in range(timesteps):
                module(image)
    return counter.result()


def _counted(module: NirModule, path: Path, options: NirEnergyOptions) -> ImageCount:
    name = name_below(path, options.images)
    image = present(path, module.input_shape)
    return ImageCount(name, sha256_file(path), count_image(module, image, options.timesteps))
