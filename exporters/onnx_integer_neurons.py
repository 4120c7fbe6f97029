"""Integer neurons as nodes: `lif`, `graded` and the read-out; `models.integer_run` states the equations."""

from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ExportError
from snn_tool.exporters.onnx.graph import Graph
from snn_tool.models.integer.network import CURRENT_SHIFT, WRAP, IntegerNetwork, IntegerPopulation
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
            raise ExportError(
                f"{population.wiring.name}: a sum of currents may exceed 32 bits; use fewer levels"
            )

    def grade(self, current: str, step: int) -> tuple[str, str]:
        """Levels z = sign(v) min(levels, (2 |v| + threshold) // (2 threshold)), v = clip(current + bias)."""
        op, name, threshold = self.graph.op, self.population.wiring.name, self.population.threshold
        biased = self._add_bias(current, self._bias, np.int32)
        membrane = op("Identity", self._clipped(biased, np.int32), name=f"membranes.{name}.{step}")
        twice = op("Mul", op("Abs", membrane), self._whole(2))
        counted = op("Div", op("Add", twice, self._whole(threshold)), self._whole(2 * threshold))
        signed = op("Mul", op("Sign", membrane), counted)
        low, high = (self._whole(value) for value in self.network.spike_range)
        return op("Clip", signed, low, high, name=f"spikes.{name}.{step}"), membrane

    def fire(self, current: str, state: str, step: int) -> tuple[str, str]:
        """Spikes z = [v > threshold << 6], v = 0 where z."""
        op, name = self.graph.op, self.population.wiring.name
        potential = self.integrate(current, state)
        fired = op("Greater", potential, self._whole(self.population.threshold << CURRENT_SHIFT))
        membrane = op("Where", fired, self._whole(0), potential, name=f"membranes.{name}.{step}")
        return self.graph.cast(fired, np.int32, name=f"spikes.{name}.{step}"), membrane

    def integrate(self, current: str, state: str) -> str:
        """Membrane v = clip(decay(v) + wrap_once(current << 6) + (bias << 6)); `state` is empty at rest."""
        op, bias = self.graph.op, self._bias << CURRENT_SHIFT
        largest = (self._bound << CURRENT_SHIFT) + int(np.abs(bias).max()) + WRAP
        kind: Any = np.int32 if largest <= WORD else np.int64
        drive = op("Mul", self._from_int32(current, kind), self.graph.number(1 << CURRENT_SHIFT, kind))
        if self._bound << CURRENT_SHIFT > WRAP:
            drive = self._wrapped_once(drive, kind)
        drive = self._add_bias(drive, bias, kind)
        if state:
            drive = op("Add", drive, self._from_int32(self._kept(state), kind))
        clipped = self._clipped(drive, kind)
        return clipped if kind is np.int32 else self.graph.cast(clipped, np.int32)

    def _kept(self, state: str) -> str:
        """decay(v): |v| (4096 - dv) >> 12 with v's sign, which is what ONNX's division does, toward zero."""
        decay = self.network.decay_of(self.population)
        if not decay:
            return state
        common = gcd(decay, DECAY_STEPS)
        kept, steps = (DECAY_STEPS - decay) // common, DECAY_STEPS // common
        kind: Any = np.int32 if LARGEST * kept <= WORD else np.int64
        product = self.graph.op("Mul", self._from_int32(state, kind), self.graph.number(kept, kind))
        divided = self.graph.op("Div", product, self.graph.number(steps, kind))
        return divided if kind is np.int32 else self.graph.cast(divided, np.int32)

    def _wrapped_once(self, drive: str, kind: Any) -> str:
        """Above M subtract 2M, at or below -M add 2M; M = 2^23."""
        op, number = self.graph.op, self.graph.number
        turn = number(2 * WRAP, kind)
        lowered = op("Where", op("Greater", drive, number(WRAP, kind)), op("Sub", drive, turn), drive)
        low = op("LessOrEqual", lowered, number(-WRAP, kind))
        return op("Where", low, op("Add", lowered, turn), lowered)

    def _clipped(self, membrane: str, kind: Any) -> str:
        return self.graph.op("Clip", membrane, *(self.graph.number(m, kind) for m in (-LARGEST, LARGEST)))

    def _add_bias(self, current: str, bias: NDArray[np.int64], kind: Any) -> str:
        """Per channel; nothing where all are 0."""
        if not bias.any():
            return current
        return self.graph.op("Add", current, self.graph.constant(bias.astype(kind)[:, None, None]))

    def _from_int32(self, tensor: str, kind: Any) -> str:
        return tensor if kind is np.int32 else self.graph.cast(tensor, kind)

    def _whole(self, value: int) -> str:
        return self.graph.number(value, np.int32)
