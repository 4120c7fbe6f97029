"""From a float student to integers: 8-bit mantissas, a power of two per layer, one LSB per meeting point.

1. Each synapse takes the exponent whose rounded (and, at the edge, saturated) mantissas have the least
   squared error.
2. Synapses that meet in a population share an LSB: the smallest exponent among them. If interval arithmetic
   finds a current that some image could drive beyond the neuron's range, that LSB is doubled until none can.
3. Thresholds and biases are rounded to the LSB. The read-out's bias then absorbs the mean error that the
   calibration images show, which is the one statistic that is cheap and safe to correct.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.errors import QuantizationError, UnsupportedLayerError
from snn_tool.models.config import LEAK_STEPS, StudentConfig
from snn_tool.models.integer.engine import IntegerEngine, restore_integers
from snn_tool.models.integer.network import (
    CURRENT_SHIFT,
    THRESHOLD_LIMIT,
    WRAP,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapse,
    population_range,
)
from snn_tool.models.network import Network, SynapticConv
from snn_tool.models.neurons import GradedNeuron, LifNeuron
from snn_tool.models.topology import IMAGE, Synapse, Topology
from torch import nn

MANTISSA_LIMIT = 127
LIF_CURRENT_LIMIT = WRAP >> CURRENT_SHIFT
BIAS_LIMIT = 4095
"""Lava's bias_mant is 13-bit signed; its exponent is 6, so that one unit is one LSB."""
LARGEST_REAL = 2.0**100
"""Of a weight or bias; all scales that follow from it are ordinary numbers of float32, which end at 2^128."""
BIAS_RANGE = (-(1 << 31) + 1, (1 << 31) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class _RealSynapse:
    """A synapse's real weights, in units of the target's membrane per unit of the integer source."""

    wiring: Synapse
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


def quantize(
    student: Network,
    config: StudentConfig,
    calibration: list[NDArray[np.float32]],
    for_array: bool = False,
) -> IntegerNetwork:
    """Quantise a float student.

    Args:
        student: `lif` or `graded` network in the topology of `config`.
        config: its configuration.
        calibration: degraded images [C, H, W] in [0, 1], for the read-out's bias; may be empty.
        for_array: for an array of multipliers with 32-bit accumulators instead of a chip: the read-out need
            hold no more than a change by the full scale, where a chip's must hold what any image gives.

    Raises:
        QuantizationError: a weight is not finite or absurdly large, or a threshold does not fit; the layer is
            named.
        UnsupportedLayerError: see `check_deployable`.
    """
    check_deployable(student, config)
    synapses = {s.name: _real_synapse(student, s, config) for s in student.topology.synapses}
    lsb = _common_exponents(student.topology, {name: best_exponent(s.weight) for name, s in synapses.items()})
    network = _assemble(student, config, synapses, lsb)
    while too_wide := _overflowing(network, for_array):
        for member in _meeting_group(student.topology, too_wide):
            lsb[member] += 1
        network = _assemble(student, config, synapses, lsb)
    return _correct_readout(network, student, calibration, for_array)


def check_deployable(student: nn.Module, config: StudentConfig) -> None:
    """Refuse what has no integers: bodies, convolutions and neurons of somebody's own.

    Raises:
        UnsupportedLayerError: names the layer and its type.
        QuantizationError: a neuron or T is not the one of `config`.
    """
    if type(student) is not Network:
        raise UnsupportedLayerError(
            f"{type(student).__name__}: a body of its own has no integers; write it as a Topology of "
            "synapses and populations, and build it with build_student or Network"
        )
    for name, conv in student.synapses.items():
        if type(conv) is not SynapticConv:
            raise UnsupportedLayerError(
                f"{name}: {type(conv).__name__} has no integers; a synapse is a plain SynapticConv"
            )
    if student.timesteps != config.timesteps:
        raise QuantizationError(
            f"the network runs {student.timesteps} timesteps, its config says {config.timesteps}"
        )
    for name, neuron in student.neurons.items():
        _check_neuron(name, neuron, config)


def _check_neuron(name: str, neuron: nn.Module, config: StudentConfig) -> None:
    if type(neuron) is LifNeuron:
        found = {"neuron": "lif", "leak": neuron.leak * LEAK_STEPS}
        wanted = {"neuron": config.neuron, "leak": config.leak}
    elif type(neuron) is GradedNeuron:
        found = {"neuron": "graded", "levels": neuron.levels, "signed": neuron.low < 0}
        wanted = {"neuron": config.neuron, "levels": config.levels, "signed": config.signed}
    else:
        raise UnsupportedLayerError(
            f"{name}: {type(neuron).__name__} has no integers; use LifNeuron or GradedNeuron, or train on "
            "without quantising"
        )
    for key, value in found.items():
        if value != wanted[key]:
            raise QuantizationError(f"{name}: its {key} is {value}, the config says {wanted[key]}")


def _real_synapse(student: Network, wiring: Synapse, config: StudentConfig) -> _RealSynapse:
    conv = student.synapses[wiring.name]
    assert isinstance(conv, SynapticConv)
    weight = conv.weight.detach().double().cpu().numpy()
    bias = np.zeros(wiring.out_channels) if conv.bias is None else conv.bias.detach().double().cpu().numpy()
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise QuantizationError(f"{wiring.name}: weights are not finite; the training diverged, lower --lr")
    weight = weight * source_unit(student, wiring, config)
    largest = max(float(np.abs(values).max(initial=0.0)) for values in (weight, bias))
    if largest > LARGEST_REAL:
        raise QuantizationError(
            f"{wiring.name}: a weight of {largest:.2g} is beyond {LARGEST_REAL:.2g}, where scales leave the "
            "range of float32; the training diverged, lower --lr"
        )
    return _RealSynapse(wiring, weight, bias)


def source_unit(student: Network, wiring: Synapse, config: StudentConfig) -> float:
    """The float activation that one unit of a synapse's integer source stands for."""
    if wiring.source == IMAGE:
        return config.input_step / 255
    neuron = student.neurons[wiring.source]
    assert isinstance(neuron, LifNeuron | GradedNeuron)
    return neuron.amplitude


def best_exponent(weight: NDArray[np.float64]) -> int:
    """Exponent e whose mantissas round(weight / 2^e), saturated at +-127, have the least squared error."""
    largest = float(np.abs(weight).max(initial=0.0))
    if largest == 0.0:
        return 0
    widest = int(np.ceil(np.log2(largest / MANTISSA_LIMIT)))
    return min(
        range(widest - 2, widest + 1),
        key=lambda e: float(((mantissas(weight, 2.0**e) * 2.0**e - weight) ** 2).sum()),
    )


def mantissas(weight: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Weights in units of `scale`, rounded and cut to 8 bits, as floats."""
    return np.clip(np.round(weight / scale), -MANTISSA_LIMIT, MANTISSA_LIMIT)


def _zero_mean_mantissas(weight: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Mantissas whose sum over each kernel [kh, kw] is exactly zero: the best-placed entries move by one."""
    mantissa = mantissas(weight, scale)
    scaled = (weight / scale).reshape(*weight.shape[:2], -1)
    flat = mantissa.reshape(scaled.shape)
    for index in np.ndindex(flat.shape[:2]):
        surplus = int(flat[index].sum())
        error = (flat[index] - scaled[index]) * np.sign(surplus)
        flat[index][np.argsort(-error, kind="stable")[: abs(surplus)]] -= np.sign(surplus)
    return np.clip(flat, -128, MANTISSA_LIMIT).reshape(weight.shape)


def _groups(topology: Topology) -> list[set[str]]:
    """Sets of synapse names that meet, directly or through a shared synapse, in populations."""
    groups: list[set[str]] = []
    for population in topology.populations:
        joined = set(population.inputs)
        apart = []
        for group in groups:
            if group & joined:
                joined |= group
            else:
                apart.append(group)
        groups = [*apart, joined]
    return groups


def _meeting_group(topology: Topology, synapse: str) -> set[str]:
    return next(group for group in _groups(topology) if synapse in group)


def _common_exponents(topology: Topology, best: dict[str, int]) -> dict[str, int]:
    """For each synapse the exponent of the LSB that its group shares."""
    return {name: min(best[member] for member in group) for group in _groups(topology) for name in group}


def _assemble(
    student: Network, config: StudentConfig, synapses: dict[str, _RealSynapse], lsb: dict[str, int]
) -> IntegerNetwork:
    populations = []
    for population in student.topology.populations:
        exponent = lsb[population.inputs[0]]
        threshold = 0
        if population is not student.topology.readout:
            threshold = _threshold(student, population.name, exponent)
        populations.append(IntegerPopulation(population, threshold, exponent))
    is_lif = config.neuron == "lif"
    return IntegerNetwork(
        synapses=tuple(_integer_synapse(s, lsb[name]) for name, s in synapses.items()),
        populations=tuple(populations),
        neuron=config.neuron,
        timesteps=config.timesteps,
        levels=1 if is_lif else config.levels,
        signed=False if is_lif else config.signed,
        decay=config.leak if is_lif else 0,
        input_step=config.input_step,
        passes=student.topology.passes,
    )


def _threshold(student: Network, name: str, exponent: int) -> int:
    neuron = student.neurons[name]
    assert isinstance(neuron, LifNeuron | GradedNeuron)
    threshold = float(neuron.threshold.detach().double()) / 2.0**exponent
    if not (np.isfinite(threshold) and 1 <= round(threshold) <= THRESHOLD_LIMIT):
        raise QuantizationError(
            f"{name}: threshold {threshold:.3g} LSB lies outside 1..{THRESHOLD_LIMIT}; its weights and "
            "threshold differ too much in scale, train longer or with a smaller --lr"
        )
    return round(threshold)


def _integer_synapse(synapse: _RealSynapse, lsb: int) -> IntegerSynapse:
    exponent = max(best_exponent(synapse.weight), lsb)
    round_to = _zero_mean_mantissas if synapse.wiring.zero_mean else mantissas
    mantissa = round_to(synapse.weight, 2.0**exponent).astype(np.int8)
    # A bias beyond int32 is beyond every register too, and `_overflowing` must still see that.
    bias = np.clip(np.round(synapse.bias / 2.0**lsb), *BIAS_RANGE).astype(np.int32)
    return IntegerSynapse(synapse.wiring, mantissa, exponent - lsb, bias)


def _overflowing(network: IntegerNetwork, for_array: bool = False) -> str | None:
    """The first synapse of a population whose worst-case current or bias exceeds its range."""
    for population in network.populations:
        is_readout = population is network.populations[-1]
        if is_readout and for_array:
            return (
                population.wiring.inputs[0] if LIF_CURRENT_LIMIT * 2.0**population.lsb_exponent < 1 else None
            )
        stock_lif = network.neuron == "lif" or is_readout
        limit = LIF_CURRENT_LIMIT if stock_lif else WRAP
        steps = network.timesteps if is_readout else 1
        bias = max_bias(population, network)
        if (population_range(population, network).largest + bias) * steps >= limit or (
            stock_lif and bias > BIAS_LIMIT
        ):
            return population.wiring.inputs[0]
    return None


def max_bias(population: IntegerPopulation, network: IntegerNetwork) -> int:
    """Largest magnitude of the summed bias of a population, in LSB."""
    biases = [network.by_name[n].bias for n in population.wiring.inputs if network.by_name[n].wiring.bias]
    return int(np.abs(np.sum(biases, axis=0, dtype=np.int64)).max(initial=0))


def _correct_readout(
    network: IntegerNetwork, student: Network, calibration: list[NDArray[np.float32]], for_array: bool
) -> IntegerNetwork:
    """Shift the read-out's bias by the mean difference to the float student, channel by channel."""
    if not calibration:
        return network
    engine = IntegerEngine(network)
    with torch.no_grad():
        errors = [
            (
                student(torch.from_numpy(image)[None])[0].double().numpy()
                - restore_integers(engine, image[None])[0]
            ).mean((1, 2))
            for image in calibration
        ]
    last = network.synapses[-1]
    per_step = np.mean(errors, axis=0) / (network.residual_scale * (1 << CURRENT_SHIFT) * network.timesteps)
    shifted = np.clip(last.bias + np.round(per_step), -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)
    corrected = replace(network, synapses=(*network.synapses[:-1], replace(last, bias=shifted)))
    return network if _overflowing(corrected, for_array) else corrected
