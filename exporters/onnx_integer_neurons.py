"""Integer neurons as nodes: `lif`, `graded` and the read-out, an equation of `models.integer_run` at a time."""

from math import gcd
from typing import Any

import numpy as np
from snn_tool.errors import ExportError
from snn_tool.exporters.onnx_graph import Graph
from snn_tool.models.integer import CURRENT_SHIFT, WRAP, IntegerNetwork, IntegerPopulation
from snn_tool.models.ranges import synapse_range

WORD, LARGEST = (1 << 31) - 1, WRAP - 1
DECAY_STEPS = 1 << 12


class IntegerNeurons:
    """One population; every tensor is int32, and int64 in between where 32 bits are not proved to do.

    Args:
        graph: receives the nodes.
        network: holds the constants.
        population: one of its populations.

    Raises:
        ExportError: a sum of currents could leave 32 bits.
    """

    def __init__(self, graph: Graph, network: IntegerNetwork, population: IntegerPopulation) -> None:
        self.graph, self.network, self.population = graph, network, population
        synapses = [network.by_name[name] for name in population.wiring.inputs]
        biases = [s.bias.astype(np.int64) for s in synapses if s.wiring.bias]
        self._bias = sum(biases, np.zeros(population.wiring.channels, np.int64))
        self._bound = sum(min(synapse_range(s, network).largest, WRAP) for s in synapses)
        if self._bound + int(np.abs(self._bias).max()) + WRAP > WORD:
            raise ExportError(f"{population.wiring.name}: a sum of currents may exceed 32 bits")

    def grade(self, current: str, step: int) -> tuple[str, str]:
        """z = sign(v) min(levels, (2 |v| + threshold) // (2 threshold)), v = clip(current + bias)."""
        op, name, threshold = self.graph.op, self.population.wiring.name, self.population.threshold
        biased = self._add_bias(current, self._bias, np.int32)
        membrane = op("Identity", self._clipped(biased, np.int32), name=f"membranes.{name}.{step}")
        twice = op("Mul", op("Abs", membrane), self._whole(2))
        counted = op("Div", op("Add", twice, self._whole(threshold)), self._whole(2 * threshold))
        signed = op("Mul", op("Sign", membrane), counted)
        low, high = (self._whole(value) for value in self.network.spike_range)
        return op("Clip", signed, low, high, name=f"spikes.{name}.{step}"), membrane

    def fire(self, current: str, state: str, step: int) -> tuple[str, str]:
        """z = [v > threshold << 6], v = 0 where z."""
        op, name = self.graph.op, self.population.wiring.name
        potential = self.integrate(current, state)
        fired = op("Greater", potential, self._whole(self.population.threshold << CURRENT_SHIFT))
        membrane = op("Where", fired, self._whole(0), potential, name=f"membranes.{name}.{step}")
        return op("Cast", fired, to=6, name=f"spikes.{name}.{step}"), membrane

    def integrate(self, current: str, state: str) -> str:
        """v = clip(decay(v) + wrap_once(current << 6) + (bias << 6)); `state` is empty at rest."""
        op, bias = self.graph.op, self._bias << CURRENT_SHIFT
        largest = (self._bound << CURRENT_SHIFT) + int(np.abs(bias).max()) + WRAP
        kind: Any = np.int32 if largest <= WORD else np.int64
        wide = current if kind is np.int32 else self.graph.cast(current, kind)
        drive = op("Mul", wide, self.graph.number(1 << CURRENT_SHIFT, kind))
        if self._bound << CURRENT_SHIFT > WRAP:
            drive = self._wrapped_once(drive, kind)
        drive = self._add_bias(drive, bias, kind)
        if state:
            drive = op("Add", drive, self._as(self._kept(state), kind))
        return self._as(self._clipped(drive, kind), np.int32)
