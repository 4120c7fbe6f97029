"""The reference run of an integer network: vectorised, and exact by proof rather than by luck.

With M = 2^23, all quantities integers, one line per operation:

    input       x = clip(floor((255 image - offset) / step + 1/2), input_range)
    synapse     c = wrap24(conv(mantissa, z) << exponent), then pixel-shuffle
                wrap24(a) = ((a + M) mod 2M) - M
    lif         u = wrap_once((sum c) << 6);  v = clip(decay(v) + u + (bias << 6), -M + 1, M - 1)
                z = [v > threshold << 6];  v = 0 where z           decay(v) = sign(v) (|v| (4096 - dv) >> 12)
    graded      v = clip(sum c + bias, -M + 1, M - 1)
                z = sign(v) min(levels, (2 |v| + threshold) // (2 threshold))
    read-out    lif, usually without decay, that never fires; residual = v residual_scale
    over time   another x at each timestep; otherwise the same x at all
    current     of networks trained elsewhere: u = wrap_once(decay(u) + (sum c << 6)), by its own decay
    recurrent   c of the timestep before, 0 at the first

`lif` and the read-out are Lava's stock LIF (select_tag fixed_pt, du = 4095; a lasting current has another du)
number for number. The arithmetic is that of bytes or floats wherever a proof shows that it gives these
integers (`conv`, `neurons`). Channels lie innermost in memory, which convolutions on a CPU are fastest with.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.models.integer.conv import ExactConv
from snn_tool.models.integer.network import (
    INPUT_OFFSET,
    WRAP,
    IntegerNetwork,
    IntegerPopulation,
    synapse_range,
)
from snn_tool.models.integer.neurons import GradedNeurons, LifNeurons, LifRun, Response, encode
from snn_tool.models.integer.passes import first_inputs, next_inputs
from snn_tool.models.topology import IMAGE
from torch import Tensor

Stream = tuple[str, ...]
"""Names of the synapses whose currents a population sums."""

Watch = Callable[[str, Tensor], None]


@dataclass(frozen=True, slots=True, eq=False)
class IntegerTrace:
    """What a run produced.

    Attributes:
        readout: int64 [N, 3, H, W], the read-out's membrane after the last timestep, in 64ths of its LSB.
        spikes: for each recorded population int16 [T, N, C, H, W].
        membranes: likewise int64 [T, N, C, H, W], after the reset; 64ths of an LSB for `lif`, whole LSB for
            `graded`.
    """

    readout: NDArray[np.int64]
    spikes: dict[str, NDArray[np.int16]]
    membranes: dict[str, NDArray[np.int64]]


def to_input_grid(
    image: NDArray[np.floating[Any]], step: int, low: int, high: int, offset: int = INPUT_OFFSET
) -> NDArray[np.int16]:
    """Integer input of the same shape from an image in [0, 1] before noise; any real values, clipped."""
    grey = image.astype(np.float64) * 255 - offset
    return np.clip(np.floor(grey / step + 0.5), low, high).astype(np.int16)


def quantize_image(image: NDArray[np.float32], network: IntegerNetwork) -> NDArray[np.int16]:
    """`to_input_grid` with a network's own grid, or integers of any input [N, (T,) C, H, W] that it takes.

    Raises:
        DataError: the network takes spikes, and some value is none.
    """
    if network.grid:
        return network.grid.integers(image)
    return to_input_grid(image, network.input_step, *network.input_range, network.input_offset)


def base_image(inputs: NDArray[np.int16], network: IntegerNetwork) -> NDArray[np.float64]:
    """What the scaled read-out is added to, [N, C, H, W]: the inputs' image; 0 if it is no residual.

    The residual takes away the noise that the network saw. Added to the image as it was before the grid, it
    would take the grid's error as well and so put it in: at sigma 25 a grid of 4 grey levels cost 0.09 dB.
    """
    image = inputs[:, : network.topology.image_channels]
    if not network.adds_image:
        return np.zeros(image.shape)
    return (image.astype(np.float64) * network.input_step + network.input_offset) / 255


class IntegerEngine:
    """Runs one integer network on any number of images; weights and proofs are prepared once.

    A residual stream only grows, so a sum of currents continues that of the longest earlier stream it begins
    with; a synapse of two streams that share no beginning is computed for each.

    Raises:
        QuantizationError: a sum of products could reach 2^53.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        self._convs = {s.wiring.name: ExactConv(s, network) for s in network.synapses}
        self._neurons = {p.wiring.name: _neurons(p, network) for p in network.populations}
        streams = [p.wiring.inputs for p in network.populations]
        self._loops = loops(network)
        apart = {p.wiring.inputs for members in self._loops.values() for p in members}
        self._continued = {
            stream: _longest_beginning(stream, [e for e in streams[:i] if e not in apart])
            for i, stream in enumerate(streams)
        }
        self._last_use = {self._continued[stream]: i for i, stream in enumerate(streams)}
        self._last_use |= {stream: max(i, self._last_use.get(stream, 0)) for i, stream in enumerate(streams)}

    def run(
        self, image: NDArray[np.int16], record: Iterable[str] = (), watch: Watch | None = None
    ) -> IntegerTrace:
        """Run once on integer inputs [N, C, H, W]; H and W are multiples of the topology's `multiple`.

        Args:
            image: integers of `quantize_image`, or, of several passes, what `passes` makes of them;
                [N, T, C, H, W] of a network whose input changes with time.
            record: names of the populations whose spikes and membranes are kept.
            watch: sees each spiking population's name and its spikes while they are at hand, without a copy:
                [T, N, C, H, W], each increased by the magnitude of the smallest level.
        """
        network, kept = self.network, frozenset(record)
        outputs: dict[str, Tensor] = {IMAGE: self._presented(image)}
        sums: dict[Stream, Tensor] = {}
        spikes: dict[str, NDArray[np.int16]] = {}
        membranes: dict[str, NDArray[np.int64]] = {}
        for position, population in enumerate(network.populations):
            name, stream = population.wiring.name, population.wiring.inputs
            if name in self._loops:
                responses = self._run_loop(self._loops[name], outputs, kept)
            elif name in outputs:
                responses = {}
            else:
                # Further sums of float32 would round where the bound asks for float64.
                sums[stream] = self._sum(stream, sums, outputs, self._neurons[name].dtype)
                responses = {name: self._neurons[name](sums[stream], network.timesteps, name in kept)}
            for made, response in responses.items():
                outputs[made] = response.spikes
                if watch and made != network.populations[-1].wiring.name:
                    watch(made, response.spikes)
                if made in kept:
                    membranes[made] = _integers(response.membrane)
                    spikes[made] = self._levels(response.spikes, membranes[made].shape)
            sums = {held: sum_ for held, sum_ in sums.items() if self._last_use[held] > position}
        return IntegerTrace(_integers(response.membrane)[-1], spikes, membranes)

    def _presented(self, image: NDArray[np.int16]) -> Tensor:
        """The input [T or 1, N, C, H, W]."""
        frames = torch.from_numpy(image)
        return frames.transpose(0, 1) if self.network.over_time else frames[None]

    def _run_loop(
        self, members: Sequence[IntegerPopulation], outputs: Mapping[str, Tensor], kept: frozenset[str]
    ) -> dict[str, Response]:
        """Populations that lie on loops, side by side from step to step."""
        timesteps, within = self.network.timesteps, {p.wiring.name for p in members}
        outer: dict[str, list[Tensor]] = {}
        inner: dict[str, list[str]] = {}
        for population in members:
            name, inputs = population.wiring.name, population.wiring.inputs
            source = {one: self.network.by_name[one].wiring.source for one in inputs}
            outer[name] = [
                self._current(one, outputs[source[one]]) for one in inputs if source[one] not in within
            ]
            inner[name] = [one for one in inputs if source[one] in within]
        runs: dict[str, LifRun] = {}
        for step in range(timesteps):
            for name in outer:
                neurons = self._neurons[name]
                assert isinstance(neurons, LifNeurons)
                parts = [one[min(step, len(one) - 1)] for one in outer[name]]
                parts += self._of_step(inner[name], runs, step)
                total = sum(parts[1:], start=parts[0].to(neurons.dtype))
                if name not in runs:
                    runs[name] = LifRun(neurons, total[None], timesteps, name in kept)
                runs[name].advance(total)
        return {name: run.response() for name, run in runs.items()}

    def _of_step(self, names: Sequence[str], runs: Mapping[str, LifRun], step: int) -> list[Tensor]:
        """Currents [N, C, H, W] of synapses inside a loop; a recurrent one delivers nothing at the first."""
        wirings = [self.network.by_name[name].wiring for name in names]
        due = [wiring for wiring in wirings if step >= wiring.delay]
        return [
            self._convs[one.name](runs[one.source].spikes[step - one.delay].view(torch.uint8)) for one in due
        ]

    def current(self, name: str, source: NDArray[np.int16]) -> NDArray[np.int64]:
        """Currents of one synapse in LSB, int64 [T or 1, N, C, H, W], after wrap and pixel-shuffle.

        Args:
            name: the synapse.
            source: what its source emits: recorded spikes [T, N, C, H, W], or the input as `run` takes it.
        """
        values = torch.from_numpy(source)
        if self.network.by_name[name].wiring.source == IMAGE:
            return _integers(self._current(name, self._presented(source)))
        low, high = self.network.spike_range
        return _integers(self._current(name, encode(values.to(torch.float32) - low, high - low)))

    def _sum(
        self,
        stream: Stream,
        sums: Mapping[Stream, Tensor],
        outputs: Mapping[str, Tensor],
        dtype: torch.dtype,
    ) -> Tensor:
        """Summed currents [T or 1, N, C, H, W] of a stream in LSB."""
        begun = self._continued[stream]
        if begun == stream:
            return sums[stream]
        names = stream[len(begun) :]
        parts = [self._current(name, outputs[self.network.by_name[name].wiring.source]) for name in names]
        total = (sums[begun] if begun else parts.pop(0)).to(dtype)
        for part in parts:
            total = total + part
        return total

    def _current(self, name: str, source: Tensor) -> Tensor:
        """Currents float32 [T or 1, N, C, H, W] from encoded spikes, or the image, [T or 1, N, C, H, W]."""
        if self.network.by_name[name].wiring.delay:
            source = torch.cat((torch.zeros_like(source[:1]), source[:-1]))
        return torch.unflatten(self._convs[name](source.flatten(0, 1)), 0, source.shape[:2])

    def _levels(self, encoded: Tensor, shape: tuple[int, ...]) -> NDArray[np.int16]:
        """Recorded spikes; the read-out emits none."""
        if not encoded.numel():
            return np.zeros(shape, dtype=np.int16)
        levels: NDArray[np.int16] = (
            (encoded.to(torch.int16) + self.network.spike_range[0]).contiguous().numpy()
        )
        return levels


def loops(network: IntegerNetwork) -> dict[str, tuple[IntegerPopulation, ...]]:
    """Populations that wait for each other's spikes, in execution order, by the name of the first.

    A recurrent connection from a population to itself, or to an earlier one, makes a loop of both and of
    all between them.
    """
    order = [population.wiring.name for population in network.populations]
    spans = sorted(
        (start, order.index(wiring.source))
        for start, population in enumerate(network.populations)
        for wiring in (network.by_name[name].wiring for name in population.wiring.inputs)
        if wiring.delay and order.index(wiring.source) >= start
    )
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            start, end = joined[-1][0], max(end, joined.pop()[1])
        joined.append((start, end))
    return {order[start]: network.populations[start : end + 1] for start, end in joined}


def _longest_beginning(stream: Stream, earlier: Sequence[Stream]) -> Stream:
    """The longest of the earlier streams that this one begins with; empty if none."""
    return max((e for e in earlier if e == stream[: len(e)]), key=len, default=())


def _integers(membrane: Tensor) -> NDArray[np.int64]:
    """Channels before rows in memory again, as callers expect of an array of this shape."""
    integers: NDArray[np.int64] = membrane.to(torch.int64).contiguous().numpy()
    return integers


def _neurons(population: IntegerPopulation, network: IntegerNetwork) -> GradedNeurons | LifNeurons:
    """The neurons of a population with the sum of its synapses' biases (a shuffled synapse has none)."""
    synapses = [network.by_name[name] for name in population.wiring.inputs]
    biases = [synapse.bias.astype(np.int64) for synapse in synapses if synapse.wiring.bias]
    bias = torch.from_numpy(sum(biases, np.zeros(population.wiring.channels, dtype=np.int64)))
    bound = sum(min(synapse_range(synapse, network).largest, WRAP) for synapse in synapses)
    is_readout = population is network.populations[-1]
    if network.neuron == "graded" and not is_readout:
        return GradedNeurons(bias, population.threshold, network.spike_range, bound)
    threshold = None if is_readout else population.threshold
    decay, current = network.decay_of(population), population.current_decay
    return LifNeurons(bias, threshold, decay, bound, network.timesteps, current)


def run_passes(
    engine: IntegerEngine, image: NDArray[np.int16], record: Iterable[str] = (), watch: Watch | None = None
) -> Iterator[tuple[NDArray[np.int16], IntegerTrace]]:
    """Run every pass on integer images [N, C, H, W], one after the other; `record` and `watch` as in `run`.

    Yields:
        The input of the pass, [N, 2 C, H, W] unless it is the only one, and what it produced.
    """
    network, kept = engine.network, tuple(record)
    inputs = first_inputs(image, network.passes)
    for later in reversed(range(network.passes)):
        trace = engine.run(inputs, kept, watch)
        yield inputs, trace
        if later:
            inputs = next_inputs(inputs, trace.readout, network)


def pass_inputs(engine: IntegerEngine, image: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    """The input of every pass on integer images [N, C, H, W]."""
    if engine.network.passes == 1:
        return [image]
    return [inputs for inputs, _ in run_passes(engine, image)]


def restore_integers(engine: IntegerEngine, image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Restored images [N, C, H, W], not clamped: the scaled read-out, plus `base_image` if it is a residual.

    Of a network that does not restore, e.g. a classifier, it is the output [N, C, h, w].
    """
    network = engine.network
    inputs, trace = deque(run_passes(engine, quantize_image(image, network)), maxlen=1)[0]
    output = trace.readout.astype(np.float64) * network.residual_scale
    return output + base_image(inputs, network) if network.adds_image else output
