"""A float file held against torch, step by step: what each operation gives for what onnxruntime gave it.

Spikes answer to their inputs in jumps, so that two correct float32 runs may end far apart. Each population is
therefore held against its own sources as onnxruntime computed them: sums within a bound that is
derived below, and what the neurons make of them equal to what torch's own neurons make of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import ExportDiffersError
from snn_tool.exporters.onnx.run import FileRun, Image, Values, run_steps
from snn_tool.exporters.onnx.student import Form, chained_name
from snn_tool.models.network import IMAGE_OFFSET, Network, SynapticConv
from snn_tool.models.neurons import LifNeuron
from snn_tool.models.topology import IMAGE, Population
from torch.nn import functional

UNIT, WHITE = 2.0**-24, 255
FURTHER = 4
"""Roundings besides those of products and streams: of the bias, and of a leak's factor, product and sum."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ExactSum:
    """A population's membrane input.

    Attributes:
        total: in float64 [N, C, H, W].
        bound: of the magnitude of float32's error, of the same shape.
    """

    total: Reals
    bound: Reals


def exact_sum(
    network: Network, population: Population, sources: Mapping[str, NDArray[Any]], past: NDArray[Any] | None
) -> ExactSum:
    """A population's membrane before its neuron answers.

    Args:
        network: the weights.
        population: one of its populations.
        sources: what image and populations gave in this step, float32 [N, C, H, W], by name.
        past: its membrane after the step before; None at rest and of neurons without memory.
    """
    named = (network.synapses[name] for name in population.inputs)
    modules = [module for module in named if isinstance(module, SynapticConv)]
    total = sum(_convolved(m, sources[m.synapse.source], False) for m in modules)
    magnitude = sum(_convolved(m, sources[m.synapse.source], True) for m in modules)
    if past is not None:
        kept = 1 - _leak(network, population)
        total = total + kept * past.astype(np.float64)
        magnitude = magnitude + kept * np.abs(past.astype(np.float64))
    products = max(m.synapse.in_channels * m.synapse.kernel**2 for m in modules)
    rounded = (products + len(modules) + FURTHER) * UNIT
    return ExactSum(np.asarray(total), rounded / (1 - rounded) * np.asarray(magnitude))


def _leak(network: Network, population: Population) -> float:
    """0 of the read-out, which has no neurons."""
    if population.name not in network.neurons:
        return 0.0
    neuron = network.neurons[population.name]
    return neuron.leak if isinstance(neuron, LifNeuron) else 0.0


def _convolved(module: SynapticConv, source: NDArray[Any], magnitudes: bool) -> Reals:
    """A synapse's currents, or the sums of their products' magnitudes."""
    wiring = module.synapse
    given, weight = torch.from_numpy(source).double(), module.weight.detach().double()
    bias = None if module.bias is None else module.bias.detach().double()
    if magnitudes:
        given, weight, bias = given.abs(), weight.abs(), None if bias is None else bias.abs()
    sums = functional.conv2d(given, weight, bias, wiring.stride, wiring.padding, wiring.dilation)
    shuffled: Reals = functional.pixel_shuffle(sums, wiring.upsample).numpy()
    return shuffled


Floats = NDArray[np.float32]


@dataclass(slots=True)
class FloatCheck:
    """What was compared.

    Attributes:
        values: number of potentials and spikes.
        share: the largest difference from float64 as a share of its bound, at most 1.
    """

    values: int = 0
    share: float = 0.0


def check_steps(model: Any, path: Path, network: Network, form: Form, images: Image) -> FloatCheck:
    """Hold every potential and spike of a student's or `unet` teacher's file against the network.

    Args:
        model: of `float_model`.
        path: for messages.
        network: what was exported.
        form: of the graph.
        images: float32 [N, 3, H, W] of fitting sides.

    Raises:
        ExportDiffersError: a value is further off than float32 can explain, or a neuron answers otherwise;
            the population, the timestep and the index are named.
    """
    names = [f"membranes.{network.topology.readout.name}"]
    for population in network.topology.spiking:
        remembers = isinstance(network.neurons[population.name], LifNeuron)
        kinds = ("potentials", "spikes", *(("membranes",) if remembers else ()))
        names += [f"{kind}.{population.name}" for kind in kinds]
    passes, steps = network.topology.passes, range(network.topology.passes * form.steps)
    results = [chained_name(number) for number in range(1, passes)]
    run = FileRun(model, path, [*results, *(f"{name}.{step}" for name in names for step in steps)])
    runs = run_steps(run, network.topology, form, network.timesteps, images)
    found, before = FloatCheck(), dict[str, NDArray[Any]]()
    image = images - np.float32(IMAGE_OFFSET)
    given = np.concatenate([image, image], axis=1) if passes > 1 else image
    for index, (values, step) in enumerate((values, step) for values in runs for step in steps):
        place = f"{path}: not written, timestep {index}"
        if (number := step // form.steps) and not step % form.steps:
            result, readout = values[chained_name(number)], before[names[0]]
            _check_result(images, readout / network.timesteps, result, place)
            given, before = np.concatenate([image, result], axis=1), {}
        now = {name: values[f"{name}.{step}"] for name in names}
        _check_step(network, given, before, now, place, found)
        before = now
    return found


NEARLY = 1e-3
"""Grey levels by which float32 may miss a whole one, or take the other side of a half."""


def _check_result(images: Image, residual: NDArray[Any], result: NDArray[Any], place: str) -> None:
    """What the next pass reads is the result before it in whole grey levels."""
    grey = (result.astype(np.float64) + IMAGE_OFFSET) * WHITE
    wanted = np.clip(images.astype(np.float64) + residual, 0, 1) * WHITE
    whole = np.abs(grey - np.rint(grey)) < NEARLY
    if not (whole & (np.abs(grey - wanted) < 0.5 + NEARLY)).all():
        raise ExportDiffersError(f"{place}: the pass does not read the result of the one before in 8 bits")


def _check_step(
    network: Network, given: Image, before: Values, now: Values, place: str, found: FloatCheck
) -> None:
    sources: Values = {IMAGE: given}
    for population in network.topology.populations:
        name, past = population.name, before.get(f"membranes.{population.name}")
        exact = exact_sum(network, population, sources, past)
        if population is network.topology.readout:
            _check_sum(exact, now[f"membranes.{name}"], f"{place}, {name}", found)
        else:
            _check_sum(exact, now[f"potentials.{name}"], f"{place}, {name}", found)
            _check_neuron(network.neurons[name], now, name, f"{place}, {name}")
            sources[name] = now[f"spikes.{name}"]
            found.values += sources[name].size


def _check_sum(exact: ExactSum, value: Floats, place: str, found: FloatCheck) -> None:
    if value.shape != exact.total.shape:
        raise ExportDiffersError(f"{place}: is {value.shape}, not {exact.total.shape}")
    off = np.abs(value.astype(np.float64) - exact.total)
    # A NaN compares false, and is off.
    if not (off <= exact.bound).all():
        index = tuple(int(i) for i in np.unravel_index(int((~(off <= exact.bound)).argmax()), off.shape))
        raise ExportDiffersError(
            f"{place}, index {index}: {value[index]:.9g} is {off[index]:.3g} off float64, of which float32 "
            f"explains {exact.bound[index]:.3g}"
        )
    share = np.divide(off, exact.bound, out=np.zeros_like(off), where=exact.bound > 0)
    found.values += value.size
    found.share = max(found.share, float(share.max()))


def _check_neuron(neuron: Any, now: Values, name: str, place: str) -> None:
    potential = now[f"potentials.{name}"]
    with torch.inference_mode():
        spikes = neuron(torch.from_numpy(potential)[None])[0].numpy()
    pairs = [(now[f"spikes.{name}"], spikes)]
    if f"membranes.{name}" in now:
        pairs.append((now[f"membranes.{name}"], np.where(spikes > 0, np.float32(0), potential)))
    if any((here != torchs).any() for here, torchs in pairs):
        raise ExportDiffersError(f"{place}: its neurons answer otherwise than torch's to equal potentials")
