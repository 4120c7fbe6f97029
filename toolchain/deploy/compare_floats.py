"""A NIR file in float64 beside the integers made of it: spikes of every population, outputs, classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.exporters.nir_foreign.importing import ImportedGraph, Placed, output_node
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.exporters.nir_foreign.module_neurons import NirSpiking
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.inputs.encoding import clipped, integers_of
from snn_tool.models.integer.engine import IntegerEngine, base_image
from snn_tool.models.integer.network import IntegerNetwork
from torch import Tensor

IDENTICAL_DB = 999.0
"""PSNR of identical images; JSON has no infinity."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Samples that are run together.

    Attributes:
        names: of the samples.
        values: [T, N, *shape] as the network is given them, or [1, N, *shape] where they do not change.
        clean: float32 [C, H, W] in [0, 1], of a single degraded image, or None.
        labels: their classes int64 [N], or None.
    """

    names: tuple[str, ...]
    values: NDArray[Any]
    clean: NDArray[np.float32] | None = None
    labels: NDArray[np.int64] | None = None


@dataclass(slots=True)
class SpikeDifference:
    """Spikes of one population on all samples.

    Attributes:
        node: of the file.
        population: of the integer network; the first of several that the node became.
        parts: how many it became.
        neuron_steps: neurons times timesteps times samples.
        float_spikes, integer_spikes: of the file in float64, and of the integers.
        differing: places and timesteps at which exactly one of the two fires.
    """

    node: str
    population: str
    parts: int = 1
    neuron_steps: int = 0
    float_spikes: int = 0
    integer_spikes: int = 0
    differing: int = 0

    @property
    def rate_difference(self) -> float:
        """Of spikes per neuron and timestep, without a sign."""
        return abs(self.float_spikes - self.integer_spikes) / self.neuron_steps if self.neuron_steps else 0.0

    def add(self, expected: NDArray[np.bool_], found: NDArray[np.bool_]) -> None:
        """Count some samples."""
        self.neuron_steps += expected.size
        self.float_spikes += int(expected.sum())
        self.integer_spikes += int(found.sum())
        self.differing += int((expected != found).sum())


@dataclass(slots=True)
class Comparison:
    """All samples.

    Attributes:
        images: their names.
        spikes: by population, in the order of execution.
        squared, squared_reference: sums over the outputs of (integer - float)^2 and float^2.
        largest: largest |integer - float| of an output.
        outputs: number of outputs that were compared.
        same_class: samples whose largest output is the same; None if there is more than one position.
        float_psnr_db, integer_psnr_db: against the clean images, one each; empty if no image is restored.
        float_outputs, integer_outputs: of each sample, float64, one-dimensional.
        clipped: input values beyond the limits of the integers' register.
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
    clipped: int = 0

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

    @property
    def most_different(self) -> SpikeDifference | None:
        """The population whose rates differ most, the first of several; None where all rates are equal."""
        found = max(self.spikes, key=lambda one: one.rate_difference, default=None)
        return found if found and found.rate_difference else None

    @property
    def first_different(self) -> SpikeDifference | None:
        """The first population, in the order of execution, whose rates differ; None where none do."""
        return next((one for one in self.spikes if one.rate_difference), None)

    def add(self, shown: Shown, expected: Reals, found: Reals, restores: bool) -> None:
        """The outputs [N, ...] of some samples, of the file and of the integers."""
        difference = found - expected
        self.images += shown.names
        self.squared += float((difference**2).sum())
        self.squared_reference += float((expected**2).sum())
        self.largest = max(self.largest, float(np.abs(difference).max()))
        self.outputs += difference.size
        self.float_outputs += [one.ravel() for one in expected]
        self.integer_outputs += [one.ravel() for one in found]
        if expected.shape[2:] == (1, 1):
            same = flat(expected).argmax(axis=1) == flat(found).argmax(axis=1)
            self.same_class = (self.same_class or 0) + int(same.sum())
        if restores and shown.clean is not None:
            images = (shown.clean, expected[0], found[0])
            clean, *outputs = (to_uint8(image.transpose(1, 2, 0)) for image in images)
            self.float_psnr_db.append(min(psnr_db(outputs[0], clean), IDENTICAL_DB))
            self.integer_psnr_db.append(min(psnr_db(outputs[1], clean), IDENTICAL_DB))

    def document(self) -> dict[str, Any]:
        """JSON values."""
        psnr = {"float": self.float_psnr_db, "integer": self.integer_psnr_db}
        first, most = self.first_different, self.most_different
        return {
            "images": list(self.images),
            "populations": [asdict(one) for one in self.spikes],
            "rates_differ_first_in": first.population if first else None,
            "rates_differ_most_in": most.population if most else None,
            "output_rms_difference": self.rms_difference,
            "output_relative_difference": self.relative_difference,
            "output_largest_difference": self.largest,
            "same_class": self.same_class,
            "clipped_inputs": self.clipped,
            "psnr_db": {name: float(np.mean(values)) if values else None for name, values in psnr.items()},
        }


def flat(outputs: Reals) -> Reals:
    """[N, size]."""
    return outputs.reshape(len(outputs), -1)


def compare_samples(
    module: NirModule,
    imported: ImportedGraph,
    network: IntegerNetwork,
    samples: Iterable[Shown],
) -> Comparison:
    """Run both on all samples and add up how they differ.

    Args:
        module: the file in float64.
        imported: says which neuron became which population.
        network: the integers.
        samples: of the file's size.
    """
    engine, integrates = IntegerEngine(network), output_node(module.graph, module)
    spiking = {n: p for n, p in imported.populations.items() if n != integrates}
    total = Comparison([], [SpikeDifference(node, p[0].name, len(p)) for node, p in spiking.items()])
    names = [one.name for placed in spiking.values() for one in placed]
    for shown in samples:
        spikes, expected = run_float(module, shown.values, network.timesteps, integrates is not None)
        inputs = integers_of(shown.values, network)
        total.clipped += clipped(shown.values, network)
        trace = engine.run(inputs, names)
        found = trace.readout.astype(np.float64) * network.residual_scale
        if network.adds_image:
            found = found + base_image(inputs, network)
        for one in total.spikes:
            made = _together(spiking[one.node], trace.spikes)
            one.add(spikes[one.node].reshape(made.shape), made)
        total.add(shown, expected.reshape(found.shape), found, network.topology.restores)
    return total


def _together(placed: Sequence[Placed], spikes: Mapping[str, NDArray[np.int16]]) -> NDArray[np.bool_]:
    """Spikes [T, N, C, H, W] of a node whose channels lie in several populations."""
    parts = np.concatenate([spikes[one.name] for one in placed], axis=2) > 0
    made = np.empty_like(parts)
    made[:, :, np.concatenate([one.part.channels for one in placed])] = parts
    return made


def run_float(
    module: NirModule, values: NDArray[Any], timesteps: int, integrates: bool
) -> tuple[Mapping[str, NDArray[np.bool_]], Reals]:
    """Spikes bool [T, N, ...] of every neuron, and the outputs [N, ...] after T timesteps from rest.

    Args:
        module: the file.
        values: [T, N, *shape], or [1, N, *shape] that are presented T times.
        timesteps: T.
        integrates: the output is the last timestep's; otherwise the mean over all.
    """
    module.reset()
    spiking = {name: part for name, part in module.neurons.items() if isinstance(part, NirSpiking)}
    seen: dict[str, list[Tensor]] = {name: [] for name in spiking}
    hooks = [part.register_forward_hook(_note(seen[name])) for name, part in spiking.items()]
    steps = torch.from_numpy(values.astype(np.float64))
    with torch.no_grad():
        outputs = [module(steps[min(step, len(steps) - 1)]) for step in range(timesteps)]
    for hook in hooks:
        hook.remove()
    output = outputs[-1] if integrates else torch.stack(outputs).mean(dim=0)
    return {name: torch.stack(steps).numpy() for name, steps in seen.items()}, output.numpy()


def _note(into: list[Tensor]) -> Any:
    return lambda _module, _given, spikes: into.append(spikes > 0)
