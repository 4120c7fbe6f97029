"""`snn-tool import`: integers of a NIR file that another tool wrote, and what they cost on given images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snn_tool.artifacts import sha256_file
from snn_tool.crops import central, channels_first, name_below, to_channels
from snn_tool.degradations import Degradation, degradation_for, image_rng
from snn_tool.errors import ConfigError
from snn_tool.exporters.nir_import import import_graph
from snn_tool.exporters.nir_module import DT_S, NirModule
from snn_tool.exporters.nir_module_file import read_foreign
from snn_tool.images import find_images
from snn_tool.import_comparison import Comparison, Pair, compare_images
from snn_tool.models.checkpoints import refuse_existing_pair
from snn_tool.models.integer import IntegerNetwork
from snn_tool.models.integer_file import INTEGER_SUFFIX, KIND, save_integer_network
from snn_tool.models.real_quantization import quantize_real
from snn_tool.terminal import Track

MOST_TIMESTEPS, MOST_STEP = 64, 16
UNDEGRADED = {"task": "denoise", "sigma": [0.0, 0.0]}
"""What images are taken to be degraded by where nobody says it: nothing."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What is imported, and on which images its loss is measured.

    Attributes:
        nir: the file.
        images: folder of images, or one image.
        timesteps: T, for which each image is presented unchanged.
        dt_s: timestep in seconds that the file's time constants are meant for.
        input_step: grey levels per integer input unit.
        limit: largest number of images, 0 for all.
        task, sigma: degradation of the images; None leaves them as they are.
        seed: of the degradation.
    """

    nir: Path
    images: Path
    timesteps: int = 10
    dt_s: float = DT_S
    input_step: int = 4
    limit: int = 16
    task: str | None = None
    sigma: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no network can have.

        Raises:
            ConfigError: names the option and its range.
        """
        for option, value, low, high in (
            ("--timesteps", self.timesteps, 1, MOST_TIMESTEPS),
            ("--input-step", self.input_step, 1, MOST_STEP),
        ):
            if not low <= value <= high:
                raise ConfigError(f"{option} {value}: use {low} to {high}")
        if self.limit < 0:
            raise ConfigError(f"--limit {self.limit}: use 0 for all images, or more")


@dataclass(frozen=True, slots=True, eq=False)
class ImportedNetwork:
    """What an import left behind.

    Attributes:
        path: of the integer network.
        network: its content.
        comparison: with the file in float64.
    """

    path: Path
    network: IntegerNetwork
    comparison: Comparison


def import_network(options: ImportOptions, out: Path, overwrite: bool, track: Track) -> ImportedNetwork:
    """Import, quantise, measure, and write `out` with its sidecar.

    Args:
        options: what is imported, and what it is measured on.
        out: ends in `.int.safetensors`.
        overwrite: replace `out`.
        track: shows how far the images are, e.g. `Terminal.track`.

    Raises:
        ConfigError: `out` exists or ends otherwise, or an option is out of range.
        ArtifactError: the NIR file cannot be used.
        UnsupportedLayerError: a node has no counterpart on the chip; named with the reason.
        QuantizationError: a population does not fit its registers.
        DataError: no image, a damaged one, or one smaller than the file's input.
    """
    if not out.name.endswith(INTEGER_SUFFIX):
        raise ConfigError(f"{out}: the name of an integer network ends in {INTEGER_SUFFIX}")
    refuse_existing_pair(out, overwrite, KIND, "integer network")
    paths = find_images(options.images)
    degradation = degradation_for(options.task, options.sigma, UNDEGRADED)
    graph = read_foreign(options.nir)
    module = NirModule(graph, str(options.nir), options.dt_s).eval()
    imported = import_graph(graph, module, options.timesteps)
    network = quantize_real(imported.network, options.timesteps, options.input_step)
    chosen = paths[: options.limit] if options.limit else paths
    pairs = (_pair(path, options, degradation, module) for path in track(chosen, "compare"))
    comparison = compare_images(module, graph, imported, network, pairs)
    provenance = {
        "nir": options.nir.name,
        "nir_sha256": sha256_file(options.nir),
        "dt_s": options.dt_s,
        "noise": degradation.describe(),
        "comparison": comparison.document(),
    }
    save_integer_network(out, network, provenance)
    return ImportedNetwork(out, network, comparison)


def _pair(path: Path, options: ImportOptions, degradation: Degradation, module: NirModule) -> Pair:
    """The centre of an image, of the network's size: clean, and as the network sees it."""
    channels, height, width = module.input_shape
    clean = central(path, height, width).astype(np.float32) / np.float32(255)
    name = name_below(path, options.images)
    degraded = degradation.apply(clean, image_rng(options.seed, name))
    shown: NDArray[np.float32] = to_channels(channels_first(degraded)[None], channels)
    return Pair(name, channels_first(clean), shown)
