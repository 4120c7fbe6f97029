"""An integer network's arithmetic in ONNX's integer operators; `models.integer.engine` states the equations.

Values and weights are unsigned bytes with zero points: these alone onnxruntime's ConvInteger multiplies
exactly on every processor (with signed weights it adds two products in 16 bits where AVX2 has no VNNI), and
ten times faster than with signed weights.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ExportError
from snn_tool.exporters.contract.traces import BackendResult, Trace, compare
from snn_tool.exporters.onnx.graph import Graph, Part, byte_parts
from snn_tool.exporters.onnx.run import Image, trace_file
from snn_tool.exporters.onnx.student import Form, State, add_student, pixel_shuffle
from snn_tool.models.integer.conv import absolute_product_bound
from snn_tool.models.integer.network import (
    CURRENT_SHIFT,
    INSTANT,
    WRAP,
    IntegerNetwork,
    IntegerPopulation,
    IntegerSynapse,
    synapse_range,
)
from snn_tool.models.integer.passes import LARGEST_PIXEL, residual_unit

LARGEST = WRAP - 1
DECAY_STEPS = 1 << 12
WORD = (1 << 31) - 1
WEIGHT_ZERO = 128
GREY, HALF = 255.0, 0.5
KIND, SCHEMA = "onnx-integer-student", 1
BACKEND = "onnxruntime"


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
        self.lasts = population.current_decay < INSTANT
        if self._bound + int(np.abs(self._bias).max()) + WRAP > WORD:
            raise ExportError(
                f"{population.wiring.name}: a sum of currents may exceed 32 bits; use fewer levels"
            )

    def grade(self, current: str, step: int) -> State:
        """Levels z = sign(v) min(levels, (2 |v| + threshold) // (2 threshold)), v = clip(current + bias)."""
        op, name, threshold = self.graph.op, self.population.wiring.name, self.population.threshold
        biased = self._add_bias(current, self._bias, np.int32)
        membrane = op("Identity", self._clipped(biased, np.int32), name=f"membranes.{name}.{step}")
        twice = op("Mul", op("Abs", membrane), self._whole(2))
        counted = op("Div", op("Add", twice, self._whole(threshold)), self._whole(2 * threshold))
        signed = op("Mul", op("Sign", membrane), counted)
        low, high = (self._whole(value) for value in self.network.spike_range)
        return State(membrane, spikes=op("Clip", signed, low, high, name=f"spikes.{name}.{step}"))

    def fire(self, current: str, state: State, step: int) -> State:
        """Spikes z = [v > threshold << 6], v = 0 where z."""
        op, name = self.graph.op, self.population.wiring.name
        synaptic = self.synaptic(current, state.current) if self.lasts else ""
        potential = self.integrate(current, state.membrane, synaptic)
        fired = op("Greater", potential, self._whole(self.population.threshold << CURRENT_SHIFT))
        membrane = op("Where", fired, self._whole(0), potential, name=f"membranes.{name}.{step}")
        return State(membrane, synaptic, self.graph.cast(fired, np.int32, name=f"spikes.{name}.{step}"))

    def synaptic(self, current: str, before: str) -> str:
        """A current that lasts: u = wrap_once(decay(u) + (current << 6)), int64; empty `before` at rest."""
        op, number = self.graph.op, self.graph.number
        drive = op("Mul", self.graph.cast(current, np.int64), number(1 << CURRENT_SHIFT, np.int64))
        if before:
            drive = op("Add", drive, self._kept_part(before, self.population.current_decay, np.int64))
        return self._wrapped_once(drive, np.int64)

    def integrate(self, current: str, state: str, synaptic: str = "") -> str:
        """Membrane v = clip(decay(v) + u + (bias << 6)); `state` is empty at rest.

        u is the `synaptic` current that lasts, or else wrap_once(current << 6).
        """
        op, bias = self.graph.op, self._bias << CURRENT_SHIFT
        largest = (self._bound << CURRENT_SHIFT) + int(np.abs(bias).max()) + WRAP
        kind: Any = np.int32 if largest <= WORD and not synaptic else np.int64
        drive = synaptic or self._instant(current, kind)
        drive = self._add_bias(drive, bias, kind)
        if state:
            drive = op("Add", drive, self._from_int32(self._kept(state), kind))
        clipped = self._clipped(drive, kind)
        return clipped if kind is np.int32 else self.graph.cast(clipped, np.int32)

    def _instant(self, current: str, kind: Any) -> str:
        number = self.graph.number(1 << CURRENT_SHIFT, kind)
        drive = self.graph.op("Mul", self._from_int32(current, kind), number)
        return self._wrapped_once(drive, kind) if self._bound << CURRENT_SHIFT > WRAP else drive

    def _kept(self, state: str) -> str:
        """decay(v), int32."""
        decay = self.network.decay_of(self.population)
        if not decay:
            return state
        kept = (DECAY_STEPS - decay) // gcd(decay, DECAY_STEPS)
        kind: Any = np.int32 if LARGEST * kept <= WORD else np.int64
        divided = self._kept_part(self._from_int32(state, kind), decay, kind)
        return divided if kind is np.int32 else self.graph.cast(divided, np.int32)

    def _kept_part(self, state: str, decay: int, kind: Any) -> str:
        """|v| (4096 - decay) >> 12 with v's sign, which is what ONNX's division does, toward zero."""
        common = gcd(decay, DECAY_STEPS)
        kept, steps = (DECAY_STEPS - decay) // common, DECAY_STEPS // common
        product = self.graph.op("Mul", state, self.graph.number(kept, kind))
        return self.graph.op("Div", product, self.graph.number(steps, kind))

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


class IntegerArithmetic:
    """Of one integer network; fits `student.Arithmetic`.

    Args:
        graph: receives the nodes.
        network: what is exported.

    Raises:
        ExportError: a sum of products could leave 32 bits; the synapse is named.
    """

    number: Any = np.int32
    current_number: Any = np.int64
    pixel: Any = np.uint8

    def __init__(self, graph: Graph, network: IntegerNetwork) -> None:
        self.graph, self.network = graph, network
        self.images, self.over_time = network.grid is None, network.over_time
        self.lasting = frozenset(p.wiring.name for p in network.populations if p.current_decay < INSTANT)
        self._neurons = {p.wiring.name: IntegerNeurons(graph, network, p) for p in network.populations}
        for synapse in network.synapses:
            if 2 * absolute_product_bound(synapse, network) > WORD:
                raise ExportError(
                    f"{synapse.wiring.name}: a sum of products may exceed 32 bits; use fewer levels"
                )

    def source(self, image: str) -> str:
        """The integer input int32, in float64: clip(floor(x + 1/2), input_range) of values x in units.

        Of an image x = (255 image - offset) / step, of other values x = value / 2^exponent.
        """
        op, (low, high), offset = self.graph.op, self.network.input_range, self.network.input_offset
        values, grid = self.graph.cast(image, np.float64), self.network.grid
        if grid:
            steps = op("Mul", values, self._real(2.0**-grid.exponent)) if grid.exponent else values
        else:
            grey = op("Sub", op("Mul", values, self._real(GREY)), self._real(offset))
            steps = op("Div", grey, self._real(self.network.input_step))
        nearest = op("Floor", op("Add", steps, self._real(HALF)))
        return self.graph.cast(op("Clip", nearest, self._real(low), self._real(high)), np.int32)

    def current(self, synapse: str, source: str) -> str:
        """Currents int32 [N, C', H', W'] after shift, wrap and pixel-shuffle."""
        held = self.network.by_name[synapse]
        parts = byte_parts(self.graph, source, *self.network.source_range(held.wiring.source))
        total = self._convolved(held, parts[0])
        for part in parts[1:]:
            total = self.graph.op("Add", total, self._convolved(held, part))
        total = self._shifted(held, total)
        factor = held.wiring.upsample
        return pixel_shuffle(self.graph, total, held.wiring.target_channels, factor) if factor > 1 else total

    def respond(self, population: str, current: str, state: State, step: int) -> State:
        """Spikes and the membrane after the reset, int32, and a current that lasts, int64."""
        neurons = self._neurons[population]
        if self.network.neuron == "graded":
            return neurons.grade(current, step)
        return neurons.fire(current, state, step)

    def integrate(self, current: str, state: str, step: int) -> str:
        """The read-out, LIF without decay that never fires: its membrane, int32."""
        name = self.network.topology.readout.name
        membrane = self._neurons[name].integrate(current, state)
        return self.graph.op("Identity", membrane, name=f"membranes.{name}.{step}")

    def restored(self, image: str, source: str, readout: str) -> str:
        """uint8, by the operations, types and roundings of `models.integer.engine.restore` and `to_uint8`."""
        op, cast, number = self.graph.op, self.graph.cast, self.graph.number
        scaled = op("Mul", cast(readout, np.float64), self._real(self.network.residual_scale))
        whole = op("Add", self._base(source), scaled) if self.network.adds_image else scaled
        restored = cast(whole, np.float32)
        scaled = op("Add", op("Mul", restored, number(GREY, np.float32)), number(HALF, np.float32))
        low, high = number(0, np.float32), number(GREY, np.float32)
        return cast(op("Clip", op("Floor", scaled), low, high), np.uint8)

    def chained(self, image: str, source: str, readout: str, name: str) -> str:
        """`models.integer.passes` in int64, whose division rounds down by taking the remainder away first."""
        op, number, network = self.graph.op, self._wide, self.network
        up, unit = residual_unit(network)
        scaled = op("Mul", self.graph.cast(readout, np.int64), number((2 * LARGEST_PIXEL) << up))
        grey = self._divided(op("Add", scaled, number(unit)), 2 * unit)
        if network.adds_image:
            steps = op("Mul", self.graph.cast(source, np.int64), number(network.input_step))
            grey = op("Add", op("Add", steps, number(network.input_offset)), grey)
        pixel = op("Clip", grey, number(0), number(LARGEST_PIXEL))
        twice = op("Mul", op("Sub", pixel, number(network.input_offset)), number(2))
        step = network.input_step
        on_grid = self._divided(op("Add", twice, number(step)), 2 * step)
        return self.graph.cast(on_grid, np.int32, name=name)

    def _divided(self, dividend: str, divisor: int) -> str:
        """floor(dividend / divisor) of int64; ONNX's division rounds toward zero, its remainder does not."""
        op, by = self.graph.op, self._wide(divisor)
        return op("Div", op("Sub", dividend, op("Mod", dividend, by)), by)

    def _wide(self, value: int) -> str:
        return self.graph.number(value, np.int64)

    def _base(self, source: str) -> str:
        """`models.integer.engine.base_image` in float64."""
        op, network = self.graph.op, self.network
        steps = op("Mul", self.graph.cast(source, np.float64), self._real(network.input_step))
        return op("Div", op("Add", steps, self._real(network.input_offset)), self._real(GREY))

    def _real(self, value: float) -> str:
        return self.graph.number(value, np.float64)

    def _whole(self, value: int) -> str:
        return self.graph.number(value, np.int32)

    def _convolved(self, synapse: IntegerSynapse, part: Part) -> str:
        """Sums of products int32 of one part, times its factor; padded places hold the value 0."""
        wiring, name = synapse.wiring, synapse.wiring.name
        weight = (synapse.mantissa.astype(np.int16) + WEIGHT_ZERO).astype(np.uint8)
        sums = self.graph.op(
            "ConvInteger",
            part.tensor,
            self.graph.constant(weight, f"{name}.weight"),
            self.graph.number(part.zero_point, np.uint8),
            self.graph.number(WEIGHT_ZERO, np.uint8),
            kernel_shape=[wiring.kernel] * 2,
            strides=[wiring.stride] * 2,
            dilations=[wiring.dilation] * 2,
            pads=[wiring.padding] * 4,
        )
        return self.graph.op("Mul", sums, self._whole(part.factor)) if part.factor > 1 else sums

    def _shifted(self, synapse: IntegerSynapse, sums: str) -> str:
        """wrap24(sums << exponent); without the wrap where it was proved to change nothing."""
        op, number = self.graph.op, self.graph.number
        factor = 1 << synapse.exponent
        if absolute_product_bound(synapse, self.network) * factor < WRAP:
            return op("Mul", sums, self._whole(factor)) if factor > 1 else sums
        wide = op("Mul", self.graph.cast(sums, np.int64), number(factor, np.int64))
        raised = op("Mod", op("Add", wide, number(WRAP, np.int64)), number(2 * WRAP, np.int64))
        return self.graph.cast(op("Sub", raised, number(WRAP, np.int64)), np.int32)


def integer_model(network: IntegerNetwork, form: Form, source: Mapping[str, Any]) -> Any:
    """An integer network as a checked ONNX file.

    Args:
        network: what is exported.
        form: of the graph.
        source: JSON values that say where the network is from; they go into the file's metadata.

    Raises:
        ExportError: a sum may exceed 32 bits; synapse or population are named.
    """
    graph = Graph("integer student")
    add_student(network.topology, IntegerArithmetic(graph, network), form)
    return graph.model(KIND, SCHEMA, {**source, **_described(network, form)})


def _taken(network: IntegerNetwork) -> dict[str, Any]:
    """What stands behind the integers of the input."""
    if network.grid is None:
        return {"step": network.input_step, "offset": network.input_offset}
    grid = network.grid
    return {"kind": grid.kind, "exponent": grid.exponent, "over_time": grid.over_time}


def _lasting(population: IntegerPopulation) -> dict[str, int]:
    lasts = population.current_decay < INSTANT
    return {"current_decay": population.current_decay} if lasts else {}


def _described(network: IntegerNetwork, form: Form) -> dict[str, Any]:
    """What a program needs that runs the file, or that holds it against another implementation."""
    low, high = network.input_range
    return {
        "neuron": network.neuron,
        "timesteps": network.timesteps,
        **({"passes": network.passes} if network.passes > 1 else {}),
        "stateful": form.stateful,
        "levels": network.levels,
        "signed": network.signed,
        "multiple": 1 if network.image_size else network.topology.multiple,
        "input": {**_taken(network), "low": low, "high": high},
        "residual_scale": network.residual_scale,
        "adds_image": network.adds_image,
        "populations": [
            {**asdict(p.wiring), "threshold": p.threshold, "decay": network.decay_of(p), **_lasting(p)}
            for p in network.populations
        ],
    }


def compare_integers(
    model: Any, path: Path, network: IntegerNetwork, form: Form, image: Image, reference: Trace
) -> BackendResult:
    """Hold a file in onnxruntime against the integers of a run of the same images.

    Args:
        model: of `integer_model`.
        path: for messages.
        network: what was exported.
        form: of the graph.
        image: float32 [N, C, H, W], sides multiples of the topology's; or values as the file takes them.
        reference: every spike and membrane.

    Raises:
        ArtifactError: onnxruntime refuses the file.
    """
    trace = trace_file(model, path, network.topology, form, network.timesteps, image)
    result = compare(reference, trace, [p.wiring.name for p in network.populations], BACKEND)
    return replace(result, versions={name: version(name) for name in ("onnx", BACKEND)})
