"""`snn-tool import`: integers of a NIR file that another tool wrote, and what they cost on given images."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.degradations.crops import (
    ImagesUsed,
    central,
    channels_first,
    first_images,
    name_below,
)
from snn_tool.degradations.noise import Degradation
from snn_tool.degradations.tasks import TrainedFor, degradation_for, image_rng
from snn_tool.deploy.options import ImportOptions
from snn_tool.deploy.recorded_outputs import INPUTS, Agreement, Recorded, agreement, read_recorded
from snn_tool.errors import ConfigError
from snn_tool.exporters.nir.metadata import KEY
from snn_tool.exporters.nir_foreign.hints import fitting_dt, may_reset_softly, silence_text
from snn_tool.exporters.nir_foreign.importing import ImportedGraph, import_graph, output_node
from snn_tool.exporters.nir_foreign.module import NirModule, read_foreign
from snn_tool.exporters.nir_foreign.module_neurons import NirSpiking
from snn_tool.files.artifacts import sha256_file
from snn_tool.images.files import find_images
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.models.checkpoints import refuse_existing_pair
from snn_tool.models.integer.engine import IntegerEngine, base_image, quantize_image
from snn_tool.models.integer.file import INTEGER_KIND, INTEGER_SUFFIX, save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize_real import quantize_real
from snn_tool.terminal import Track
from torch import Tensor

IDENTICAL_DB = 999.0
"""PSNR of identical images; JSON has no infinity."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One image: `clean` float32 [C, H, W] in [0, 1] or None, and `shown` float32 [1, C, H, W], presented."""

    name: str
    clean: NDArray[np.float32] | None
    shown: NDArray[np.float32]


@dataclass(slots=True)
class SpikeDifference:
    """Spikes of one population on all images.

    Attributes:
        node: of the file.
        population: of the integer network.
        neuron_steps: neurons times timesteps times images.
        float_spikes, integer_spikes: of the file in float64, and of the integers.
        differing: places and timesteps at which exactly one of the two fires.
    """

    node: str
    population: str
    neuron_steps: int = 0
    float_spikes: int = 0
    integer_spikes: int = 0
    differing: int = 0

    def add(self, expected: NDArray[np.bool_], found: NDArray[np.bool_]) -> None:
        """Count one image."""
        self.neuron_steps += expected.size
        self.float_spikes += int(expected.sum())
        self.integer_spikes += int(found.sum())
        self.differing += int((expected != found).sum())


@dataclass(slots=True)
class Comparison:
    """All images.

    Attributes:
        images: their names.
        spikes: by population, in the order of execution.
        squared, squared_reference: sums over the outputs of (integer - float)^2 and float^2.
        largest: largest |integer - float| of an output.
        outputs: number of outputs that were compared.
        same_class: images whose largest output is the same; None if there is more than one position.
        float_psnr_db, integer_psnr_db: against the clean images, one each; empty if no image is restored.
        float_outputs, integer_outputs: of each image, float64, one-dimensional.
    """

    images: list[str]
    spikes: list[SpikeDifference]
    squared: float = 0.0
    squared_reference: float = 0.0
    largest: float = 0.0
    outputs: int = 0
    same_class: int | None = None
    float_psnr_db: list[float] = field(default_factory=list)
    integer_psnr_db: list[float] = field(default_factory=list)
    float_outputs: list[Reals] = field(default_factory=list)
    integer_outputs: list[Reals] = field(default_factory=list)

    @property
    def silent(self) -> list[str]:
        """Populations that never fired in float64."""
        return [one.population for one in self.spikes if not one.float_spikes]

    @property
    def rms_difference(self) -> float:
        """Root mean square of integer - float, in units of the output."""
        return float(np.sqrt(self.squared / self.outputs))

    @property
    def relative_difference(self) -> float:
        """The same over the root mean square of the float output; 0 if that is 0."""
        return float(np.sqrt(self.squared / self.squared_reference)) if self.squared_reference else 0.0

    def document(self) -> dict[str, Any]:
        """JSON values."""
        psnr = {"float": self.float_psnr_db, "integer": self.integer_psnr_db}
        return {
            "images": list(self.images),
            "populations": [asdict(one) for one in self.spikes],
            "output_rms_difference": self.rms_difference,
            "output_relative_difference": self.relative_difference,
            "output_largest_difference": self.largest,
            "same_class": self.same_class,
            "psnr_db": {name: float(np.mean(values)) if values else None for name, values in psnr.items()},
        }


def compare_images(
    module: NirModule,
    graph: Any,
    imported: ImportedGraph,
    network: IntegerNetwork,
    pairs: Iterable[Pair],
) -> Comparison:
    """Run both on every image and add up how they differ.

    Args:
        module: the file in float64.
        graph: its content.
        imported: says which neuron became which population.
        network: the integers.
        pairs: of the file's size.
    """
    engine, integrates = IntegerEngine(network), output_node(graph, module)
    spiking = {n: p for n, p in imported.populations.items() if n != integrates}
    total = Comparison([], [SpikeDifference(node, name) for node, name in spiking.items()])
    for pair in pairs:
        spikes, expected = run_float(module, pair.shown, network.timesteps, integrates is not None)
        inputs = quantize_image(pair.shown, network)
        trace = engine.run(inputs, spiking.values())
        found = trace.readout[0] * network.residual_scale
        if network.adds_image:
            found = found + base_image(inputs, network)[0]
        for one in total.spikes:
            made = trace.spikes[one.population][:, 0] > 0
            one.add(spikes[one.node].reshape(made.shape), made)
        _add_outputs(total, pair, expected.reshape(found.shape), found, network.topology.restores)
    return total


def run_float(
    module: NirModule, shown: NDArray[np.float32], timesteps: int, integrates: bool
) -> tuple[Mapping[str, NDArray[np.bool_]], Reals]:
    """Spikes bool [T, ...] of every neuron, and the output after T timesteps from rest.

    Args:
        module: the file.
        shown: the image [1, C, H, W].
        timesteps: T.
        integrates: the output is the last timestep's; otherwise the mean over all.
    """
    module.reset()
    spiking = {name: part for name, part in module.neurons.items() if isinstance(part, NirSpiking)}
    seen: dict[str, list[Tensor]] = {name: [] for name in spiking}
    hooks = [part.register_forward_hook(_note(seen[name])) for name, part in spiking.items()]
    image = torch.from_numpy(shown.astype(np.float64))
    with torch.no_grad():
        outputs = [module(image)[0] for _ in range(timesteps)]
    for hook in hooks:
        hook.remove()
    output = outputs[-1] if integrates else torch.stack(outputs).mean(dim=0)
    return {name: torch.stack(steps).numpy() > 0 for name, steps in seen.items()}, output.numpy()


def _note(into: list[Tensor]) -> Any:
    return lambda _module, _given, spikes: into.append(spikes[0])


def _add_outputs(total: Comparison, pair: Pair, expected: Reals, found: Reals, restores: bool) -> None:
    difference = found - expected
    total.images.append(pair.name)
    total.squared += float((difference**2).sum())
    total.squared_reference += float((expected**2).sum())
    total.largest = max(total.largest, float(np.abs(difference).max()))
    total.outputs += difference.size
    total.float_outputs.append(expected.ravel())
    total.integer_outputs.append(found.ravel())
    if expected.shape[1:] == (1, 1):
        total.same_class = (total.same_class or 0) + int(expected.argmax() == found.argmax())
    if restores and pair.clean is not None:
        clean, *outputs = (to_uint8(image.transpose(1, 2, 0)) for image in (pair.clean, expected, found))
        total.float_psnr_db.append(min(psnr_db(outputs[0], clean), IDENTICAL_DB))
        total.integer_psnr_db.append(min(psnr_db(outputs[1], clean), IDENTICAL_DB))


UNDEGRADED = TrainedFor.of({"task": "denoise", "sigma": [0.0, 0.0]})
"""What images are taken to be degraded by where nobody says it: nothing."""

SOFT_RESET = (
    "note: NIR has no reset by subtraction, the default of snntorch and sinabs: their exporters write "
    "v_reset = 0, and what is compared here is the file; give recorded outputs of the original with --expect"
)


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
    refuse_existing_pair(out, overwrite, INTEGER_KIND, "integer network")
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
    clean = central(path, height, width, channels).astype(np.float32) / np.float32(255)
    name = name_below(path, images)
    degraded = degradation.apply(clean, image_rng(seed, name))
    return Pair(name, channels_first(clean), channels_first(degraded)[None])
