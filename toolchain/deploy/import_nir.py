"""`snn-tool import`: integers of a NIR file that another tool wrote, and what they cost on given images."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.files.artifacts import sha256_file
from snn_tool.degradations.crops import central, channels_first, name_below, to_channels
from snn_tool.degradations.tasks import Degradation, degradation_for, image_rng
from snn_tool.errors import ConfigError
from snn_tool.exporters.nir_foreign.hints import fitting_dt, may_reset_softly, silence_text
from snn_tool.exporters.nir_foreign.importing import import_graph, output_node
from snn_tool.exporters.nir.metadata import KEY
from snn_tool.exporters.nir_foreign.module import DT_S, NirModule
from snn_tool.exporters.nir_module_file import read_foreign
from snn_tool.image_choice import ImagesUsed, first_images
from snn_tool.images.files import find_images
from snn_tool.import_comparison import Comparison, Pair, compare_images
from snn_tool.models.checkpoints import refuse_existing_pair
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.file import INTEGER_SUFFIX, KIND, save_integer_network
from snn_tool.models.integer.quantize_real import quantize_real
from snn_tool.deploy.recorded_outputs import INPUTS, Agreement, Recorded, agreement, read_recorded
from snn_tool.terminal import Track

MOST_TIMESTEPS, MOST_STEP = 64, 16
UNDEGRADED = {"task": "denoise", "sigma": [0.0, 0.0]}
"""What images are taken to be degraded by where nobody says it: nothing."""

SOFT_RESET = (
    "note: NIR has no reset by subtraction, the default of snntorch and sinabs: their exporters write "
    "v_reset = 0, and what is compared here is the file; give recorded outputs of the original with --expect"
)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What is imported, and on which images its loss is measured.

    Attributes:
        nir: the file.
        images: folder of images, or one image; None where `expect` holds the inputs.
        timesteps: T, for which each image is presented unchanged.
        dt_s: timestep in seconds that the file's time constants are meant for.
        input_step: grey levels per integer input unit.
        limit: largest number of images, 0 for all.
        task, sigma: degradation of the images; None leaves them as they are.
        seed: of the degradation.
        expect: npz file with what the original gave.
    """

    nir: Path
    images: Path | None
    timesteps: int = 10
    dt_s: float = DT_S
    input_step: int = 4
    limit: int = 16
    task: str | None = None
    sigma: str | None = None
    seed: int = 0
    expect: Path | None = None

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
        if self.images is None and self.expect is None:
            raise ConfigError("import needs --images DIR, or --expect FILE.npz with inputs")


@dataclass(frozen=True, slots=True, eq=False)
class ImportedNetwork:
    """What an import left behind.

    Attributes:
        path: of the integer network.
        network: its content.
        comparison: with the file in float64.
        images: how many were used.
        warning: of populations that never fire, or empty.
        fitting_dt_s: a timestep under which something would, if nothing does.
        note: what a NIR file cannot tell of these neurons, or empty.
        expected: the original's outputs beside the file's and the integers', if they were given.
        expected_file: that they are in.
    """

    path: Path
    network: IntegerNetwork
    comparison: Comparison
    images: ImagesUsed
    warning: str
    fitting_dt_s: float | None
    note: str
    expected: tuple[Agreement, Agreement] | None
    expected_file: Path | None


def import_network(options: ImportOptions, out: Path, overwrite: bool, track: Track) -> ImportedNetwork:
    """Import, quantise, measure, and write `out` with its sidecar.

    Args:
        options: what is imported, and what it is measured on.
        out: ends in `.int.safetensors`.
        overwrite: replace `out`.
        track: shows how far the images are, e.g. `Terminal.track`.

    Raises:
        ConfigError: `out` exists or ends otherwise, an option is out of range, or this tool made the file.
        ArtifactError: the NIR file cannot be used.
        UnsupportedLayerError: a node has no counterpart on the chip; named with the reason.
        QuantizationError: a population does not fit its registers.
        DataError: no image, a damaged one, or one smaller than the file's input.
    """
    if not out.name.endswith(INTEGER_SUFFIX):
        raise ConfigError(f"{out}: the name of an integer network ends in {INTEGER_SUFFIX}")
    refuse_existing_pair(out, overwrite, KIND, "integer network")
    degradation = degradation_for(options.task, options.sigma, UNDEGRADED)
    graph = read_foreign(options.nir)
    if KEY in graph.metadata:
        raise ConfigError(
            f"{options.nir}: made by snn-tool, and holds its integers; pass it to 'snn-tool export' as it is"
        )
    module = NirModule(graph, str(options.nir), options.dt_s).eval()
    imported = import_graph(graph, module, options.timesteps)
    network = quantize_real(imported.network, options.timesteps, options.input_step)
    recorded = read_recorded(options.expect, *module.input_shape) if options.expect else None
    pairs, used = _pairs(options, degradation, module, recorded, track)
    comparison = compare_images(module, graph, imported, network, pairs)
    expected = _expected(recorded, comparison, network, output_node(graph, module) is not None)
    fitting = _fitting(options, graph, comparison, module, recorded, degradation)
    provenance = {
        "nir": options.nir.name,
        "nir_sha256": sha256_file(options.nir),
        "dt_s": options.dt_s,
        "noise": degradation.describe(),
        "comparison": comparison.document(),
    }
    save_integer_network(out, network, provenance)
    warning = silence_text(comparison.silent, len(comparison.spikes), options.dt_s, fitting)
    note = SOFT_RESET if not recorded and may_reset_softly(graph) else ""
    return ImportedNetwork(out, network, comparison, used, warning, fitting, note, expected, options.expect)


def _pairs(
    options: ImportOptions,
    degradation: Degradation,
    module: NirModule,
    recorded: Recorded | None,
    track: Track,
) -> tuple[Iterable[Pair], ImagesUsed]:
    """The images, and how many of how many they are: recorded inputs, or files."""
    if recorded and recorded.inputs is not None:
        names = [f"{INPUTS}[{index}]" for index in range(len(recorded.inputs))]
        used = ImagesUsed(len(names), len(names), f"'{INPUTS}' of {recorded.path.name}")
        return (
            Pair(name, None, shown[None]) for name, shown in zip(names, recorded.inputs, strict=True)
        ), used
    if options.images is None:
        raise ConfigError(f"{options.expect}: has no '{INPUTS}'; give the images with --images")
    images: Path = options.images
    chosen, used = first_images(find_images(images), options.limit)
    return (_pair(path, images, options.seed, degradation, module) for path in track(chosen, "compare")), used


def _expected(
    recorded: Recorded | None, found: Comparison, network: IntegerNetwork, integrates: bool
) -> tuple[Agreement, Agreement] | None:
    if recorded is None:
        return None
    of_file, of_integers = np.stack(found.float_outputs), np.stack(found.integer_outputs)
    meant = recorded.outputs(len(of_file), network.timesteps, of_file.shape[1], integrates)
    return agreement(meant, of_file), agreement(meant, of_integers)


def _fitting(
    options: ImportOptions,
    graph: Any,
    found: Comparison,
    module: NirModule,
    recorded: Recorded | None,
    degradation: Degradation,
) -> float | None:
    """Of a network in which nothing fires, a timestep under which something does on the first image."""
    if len(found.silent) < len(found.spikes):
        return None
    pairs, _ = _pairs(options, degradation, module, recorded, lambda items, _: items)
    image = torch.from_numpy(next(iter(pairs)).shown.astype(np.float64))
    return fitting_dt(graph, str(options.nir), [image], options.timesteps)


def _pair(path: Path, images: Path, seed: int, degradation: Degradation, module: NirModule) -> Pair:
    """The centre of an image, of the network's size: clean, and as the network sees it."""
    channels, height, width = module.input_shape
    clean = central(path, height, width).astype(np.float32) / np.float32(255)
    name = name_below(path, images)
    degraded = degradation.apply(clean, image_rng(seed, name))
    shown: NDArray[np.float32] = to_channels(channels_first(degraded)[None], channels)
    return Pair(name, channels_first(clean), shown)
