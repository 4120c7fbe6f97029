"""An integer network as a NIR graph of standard nodes, dequantised on the exact grid.

| part | nodes |
|---|---|
| image | Input `image`, integers [C, H, W] of the input grid; of several passes the image and a result, 2 C |
| synapse | Conv2d, weight and bias float32 = integer 2^lsb_exponent of the population that it feeds |
| meeting of synapses | several edges into one node, which NIR adds |
| lif | LIF with r = tau / dt, tau = dt 4096 / decay, hard reset to 0; IF with r = 1 / dt without decay |
| lasting current | CubaLIF: tau_mem and r as LIF, tau_syn likewise, w_in = tau_syn / dt, bias in v_leak |
| recurrent | the same Conv2d on a cycle of edges; the metadata say that it is one timestep late |
| graded | a nested graph of Threshold nodes (`ladder`) |
| read-out | I with r = 1 / dt, or LI like LIF where it leaks, then Output `output` |
| pixel-shuffle | Output `<conv>_unshuffled` and Input `<conv>_shuffled`: the host permutes in between |

NIR has no node that trades channels for pixels, and its type check admits no nested graph that does. Ports
keep the graph well typed, and a backend that knows nothing of them stops for lack of an input instead of
computing something else. Thresholds lie half a unit above the membrane's grid (64ths of an LSB), so that `>`
and `>=` agree.
"""

import math
from collections.abc import Iterator

import nir
import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ExportError
from snn_tool.exporters.nir.ladder import ladder_graph
from snn_tool.exporters.nir.metadata import KEY, Constants, PopulationConstants, to_metadata
from snn_tool.exporters.nir.program import (
    IMAGE,
    MAX_ARRAY_BYTES,
    OUTPUT,
    GradedNode,
    InputForm,
    float_threshold,
    rest,
    shuffle_ports,
    time_constant,
)
from snn_tool.models.integer.network import INSTANT, IntegerNetwork, IntegerPopulation, IntegerSynapse

DT_S = 1e-4
"""The timestep that the NIR importers of snntorch (hard-coded) and spikingjelly (default) assume."""

Size = tuple[int, int]


def to_nir(network: IntegerNetwork, height: int, width: int) -> nir.NIRGraph:
    """The graph of a network for images of one size, which NIR's neuron shapes fix.

    Args:
        network: what to write.
        height: of the image in pixels, a multiple of the topology's `multiple`.
        width: likewise.

    Raises:
        ExportError: the size does not fit, a name occurs twice, a value is not exact in float32, or
            populations of unequal LSB share a synapse.
    """
    _check_exportable(network, height, width)
    topology = network.topology
    sizes = topology.sizes(height, width)
    shape = np.array([topology.input_channels, height, width])
    nodes: dict[str, nir.NIRNode] = {IMAGE: nir.Input({"input": shape})}
    for population in network.populations:
        nodes[population.wiring.name] = _population_node(population, network, sizes[population.wiring.name])
    lsb, held = _lsb_of_synapses(network), _into_rest(network)
    for synapse in network.synapses:
        name = synapse.wiring.name
        nodes |= dict(_synapse_nodes(synapse, lsb[name], sizes[synapse.wiring.source], name in held))
    readout = topology.readout
    nodes[OUTPUT] = nir.Output({"output": np.array([readout.channels, *sizes[readout.name]])})
    return nir.NIRGraph(nodes, list(_edges(network)), metadata={KEY: to_metadata(_constants(network))})


def _check_exportable(network: IntegerNetwork, height: int, width: int) -> None:
    _check_size(network, height, width)
    names = [IMAGE, OUTPUT, *(p.wiring.name for p in network.populations)]
    for synapse in network.synapses:
        names.append(synapse.wiring.name)
        names += shuffle_ports(synapse.wiring.name) if synapse.wiring.upsample > 1 else ()
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ExportError(
            f"{twice[0]}: two nodes of the NIR graph would have this name; rename one in the topology"
        )
    sizes = network.topology.sizes(height, width)
    neurons = sum(p.wiring.channels * math.prod(sizes[p.wiring.name]) for p in network.populations)
    arrays = 2 * network.levels + 2 if network.neuron == "graded" else 5
    if neurons * arrays * 8 > MAX_ARRAY_BYTES:
        raise ExportError(
            f"image size {height}x{width}: NIR stores {arrays} values per neuron, "
            f"{neurons * arrays >> 27} GiB in all; export a smaller size and restore larger ones tile by tile"
        )


def _check_size(network: IntegerNetwork, height: int, width: int) -> None:
    fixed, multiple = network.image_size, network.topology.multiple
    if fixed and (height, width) != fixed:
        raise ExportError(
            f"image size {height}x{width}: the network takes {fixed[0]}x{fixed[1]} alone, as it was imported"
        )
    if not fixed and (height < 1 or width < 1 or height % multiple or width % multiple):
        raise ExportError(f"image size {height}x{width}: sides must be positive multiples of {multiple}")


def _lsb_of_synapses(network: IntegerNetwork) -> dict[str, int]:
    exponents: dict[str, set[int]] = {s.wiring.name: set() for s in network.synapses}
    for population in network.populations:
        for name in population.wiring.inputs:
            exponents[name].add(population.lsb_exponent)
    for name, found in exponents.items():
        if len(found) != 1:
            raise ExportError(
                f"{name}: read by {len(found)} kinds of populations with unequal LSB; quantise again"
            )
    return {name: found.pop() for name, found in exponents.items()}


def _into_rest(network: IntegerNetwork) -> set[str]:
    """Synapses whose bias stands in a CubaLIF's v_leak, since it does not pass through its current.

    Raises:
        ExportError: another population reads one, and would lose its bias.
    """
    lasting = [p for p in network.populations if p.current_decay < INSTANT]
    held = {name for p in lasting for name in p.wiring.inputs}
    for population in network.populations:
        for name in held.intersection(population.wiring.inputs):
            if population not in lasting and network.by_name[name].bias.any():
                raise ExportError(f"{name}: populations with and without a lasting current read its bias")
    return held


def _synapse_nodes(
    synapse: IntegerSynapse, lsb: int, source: Size, bias_elsewhere: bool
) -> Iterator[tuple[str, nir.NIRNode]]:
    wiring = synapse.wiring
    baked = synapse.mantissa.astype(np.int64) << synapse.exponent
    bias = synapse.bias if wiring.bias and not bias_elsewhere else np.zeros_like(synapse.bias)
    conv = nir.Conv2d(
        input_shape=source,
        weight=_on_grid(baked, lsb, wiring.name),
        stride=(wiring.stride, wiring.stride),
        padding=(wiring.padding, wiring.padding),
        dilation=(wiring.dilation, wiring.dilation),
        groups=1,
        bias=_on_grid(bias.astype(np.int64), lsb, wiring.name),
    )
    yield wiring.name, conv
    if wiring.upsample > 1:
        channels, rows, columns = (int(n) for n in conv.output_type["output"])
        before, after = shuffle_ports(wiring.name)
        shuffled = [wiring.target_channels, rows * wiring.upsample, columns * wiring.upsample]
        yield before, nir.Output({"output": np.array([channels, rows, columns])})
        yield after, nir.Input({"input": np.array(shuffled)})


def _on_grid(integers: NDArray[np.int64], lsb: int, name: str) -> NDArray[np.float32]:
    exact = np.ldexp(integers.astype(np.float64), lsb)
    narrow = exact.astype(np.float32)
    if not (narrow == exact).all():
        raise ExportError(
            f"{name}: integers up to {np.abs(integers).max()} at 2^{lsb} are not exact in float32"
        )
    return narrow


def _population_node(population: IntegerPopulation, network: IntegerNetwork, size: Size) -> nir.NIRNode:
    shape = (population.wiring.channels, *size)
    decay = network.decay_of(population)
    if population is network.populations[-1]:
        return _readout_node(shape, decay)
    if network.neuron == "graded":
        node = GradedNode(
            population.wiring.name, (), *shape, population.threshold, network.levels, network.signed
        )
        return ladder_graph(node, population.lsb_exponent)
    threshold = np.full(shape, float_threshold(population.threshold, population.lsb_exponent))
    if decay == 0 and population.current_decay < INSTANT:
        raise ExportError(f"{population.wiring.name}: NIR has no lasting current without a leak; use decay 1")
    if decay == 0:
        return nir.IF(r=np.full(shape, 1 / DT_S), v_threshold=threshold, v_reset=np.zeros(shape))
    if population.current_decay < INSTANT:
        return _lasting_node(population, network, shape, threshold)
    tau = time_constant(decay, DT_S)
    return nir.LIF(
        tau=np.full(shape, tau),
        r=np.full(shape, tau / DT_S),
        v_leak=np.zeros(shape),
        v_reset=np.zeros(shape),
        v_threshold=threshold,
    )


def _lasting_node(
    population: IntegerPopulation,
    network: IntegerNetwork,
    shape: tuple[int, ...],
    threshold: NDArray[np.float64],
) -> nir.NIRNode:
    """A CubaLIF in which a value that arrives adds itself to the current, and the current to the membrane."""
    tau = time_constant(network.decay_of(population), DT_S)
    syn = time_constant(population.current_decay, DT_S)
    leak = rest(_bias(population, network), network.decay_of(population), population.lsb_exponent)
    return nir.CubaLIF(
        tau_syn=np.full(shape, syn),
        tau_mem=np.full(shape, tau),
        r=np.full(shape, tau / DT_S),
        v_leak=np.broadcast_to(leak[:, None, None], shape).copy(),
        v_threshold=threshold,
        w_in=np.full(shape, syn / DT_S),
        v_reset=np.zeros(shape),
    )


def _bias(population: IntegerPopulation, network: IntegerNetwork) -> NDArray[np.int64]:
    """The sum [C] of what its synapses add to the membrane at each timestep, LSB."""
    synapses = [network.by_name[name] for name in population.wiring.inputs]
    biases = [synapse.bias.astype(np.int64) for synapse in synapses if synapse.wiring.bias]
    return sum(biases, start=np.zeros(population.wiring.channels, dtype=np.int64))


def _readout_node(shape: tuple[int, ...], decay: int) -> nir.NIRNode:
    if decay == 0:
        return nir.I(r=np.full(shape, 1 / DT_S))
    tau = time_constant(decay, DT_S)
    return nir.LI(tau=np.full(shape, tau), r=np.full(shape, tau / DT_S), v_leak=np.zeros(shape))


def _edges(network: IntegerNetwork) -> Iterator[tuple[str, str]]:
    for synapse in network.synapses:
        yield synapse.wiring.source, synapse.wiring.name
        if synapse.wiring.upsample > 1:
            yield synapse.wiring.name, shuffle_ports(synapse.wiring.name)[0]
    for population in network.populations:
        for name in population.wiring.inputs:
            shuffled = network.by_name[name].wiring.upsample > 1
            yield shuffle_ports(name)[1] if shuffled else name, population.wiring.name
    yield network.populations[-1].wiring.name, OUTPUT


def _constants(network: IntegerNetwork) -> Constants:
    low, high = network.input_range
    return Constants(
        timesteps=network.timesteps,
        dt_s=DT_S,
        input_low=low,
        input_high=high,
        input_step=network.input_step,
        populations={p.wiring.name: _population_constants(p, network) for p in network.populations},
        mantissa_exponents={s.wiring.name: s.exponent for s in network.synapses},
        shuffles={s.wiring.name: s.wiring.upsample for s in network.synapses if s.wiring.upsample > 1},
        input_offset=network.input_offset,
        adds_image=network.adds_image,
        form=_form(network),
        delays={s.wiring.name: s.wiring.delay for s in network.synapses if s.wiring.delay},
        passes=network.passes,
    )


def _form(network: IntegerNetwork) -> InputForm | None:
    grid = network.grid
    return None if grid is None else InputForm(grid.kind, grid.exponent, grid.over_time)


def _population_constants(population: IntegerPopulation, network: IntegerNetwork) -> PopulationConstants:
    is_readout = population is network.populations[-1]
    return PopulationConstants(
        kind="readout" if is_readout else network.neuron,
        fan_in=len(population.wiring.inputs),
        lsb_exponent=population.lsb_exponent,
        threshold=population.threshold,
        decay=network.decay_of(population),
        levels=1 if is_readout else network.levels,
        signed=network.signed and not is_readout,
        current_decay=population.current_decay,
    )
