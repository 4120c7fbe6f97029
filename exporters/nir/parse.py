"""From a NIR graph to a `Program`: every node, edge, shape and value is checked, none is skipped."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import nir
import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.ladder import check_ladder
from snn_tool.exporters.nir.metadata import REMEDY, Constants, PopulationConstants, from_metadata
from snn_tool.exporters.nir.program import (
    DECAY_STEPS,
    IMAGE,
    OUTPUT,
    ConvNode,
    GradedNode,
    Integers,
    LifNode,
    PopulationNode,
    Program,
    ReadoutNode,
    float_threshold,
    rest,
    shuffle_ports,
    time_constant,
)

POPULATION_TYPES = (nir.LIF, nir.IF, nir.CubaLIF, nir.I, nir.LI, nir.NIRGraph)
LARGEST_INTEGER = (1 << 31) - 1
"""Weights and biases are deployed as 32-bit integers."""

LARGEST_GEOMETRY = 1 << 10
"""Bound on stride, padding, dilation and kernel sides, in pixels; beyond it a file is damaged."""

NODE_OF_KIND = {"lif": (nir.LIF, nir.IF, nir.CubaLIF), "graded": (nir.NIRGraph,), "readout": (nir.I, nir.LI)}


@dataclass(frozen=True, slots=True)
class Wiring:
    """Edges with the pixel-shuffle's ports closed: conv -> Output and Input -> population become one edge.

    Attributes:
        source: of each convolution.
        inputs: of each population, in the order of the file's edges.
        order: populations such that each follows all that it reads; the read-out last.
    """

    source: Mapping[str, str]
    inputs: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]


def read_wiring(graph: nir.NIRGraph, constants: Constants, file: str) -> Wiring:
    """Check the node names, their types and the edges against the metadata.

    Raises:
        ArtifactError: names the node that is missing, unknown, of the wrong type or wrongly connected.
    """
    _check_nodes(graph, constants, file)
    _check_output_edges(graph, constants, file)
    sources, inputs = _incoming(graph, constants, file)
    for name, found in sources.items():
        if len(found) != 1:
            raise ArtifactError(
                f"{file}: {name}: has {len(found)} incoming edges, a convolution has one; {REMEDY}"
            )
        if not any(name in readers for readers in inputs.values()):
            raise ArtifactError(f"{file}: {name}: feeds no population; {REMEDY}")
    for name, found in inputs.items():
        claimed = constants.populations[name].fan_in
        if len(found) != claimed:
            raise ArtifactError(f"{file}: {name}: has {len(found)} incoming edges, not {claimed}; {REMEDY}")
    source = {name: found[0] for name, found in sources.items()}
    order = _execution_order(source, inputs, constants.delays, constants.readout, file)
    return Wiring(source, {name: tuple(found) for name, found in inputs.items()}, order)


def _check_nodes(graph: nir.NIRGraph, constants: Constants, file: str) -> None:
    """The node names are exactly those that the metadata implies, each of the right family."""
    ports = [shuffle_ports(name) for name in constants.shuffles]
    expected: dict[str, tuple[type, ...]] = {IMAGE: (nir.Input,), OUTPUT: (nir.Output,)}
    expected |= {before: (nir.Output,) for before, _ in ports} | {after: (nir.Input,) for _, after in ports}
    expected |= {name: (nir.Conv2d,) for name in constants.mantissa_exponents}
    expected |= {name: POPULATION_TYPES for name in constants.populations}
    if absent := sorted(expected.keys() - graph.nodes.keys()):
        raise ArtifactError(f"{file}: {absent[0]}: the node is missing; {REMEDY}")
    for name, node in graph.nodes.items():
        if name not in expected:
            raise ArtifactError(
                f"{file}: {name}: a {type(node).__name__} that the metadata does not know; {REMEDY}"
            )
        if not isinstance(node, expected[name]):
            raise ArtifactError(
                f"{file}: {name}: a node of type {type(node).__name__} does not belong here; {REMEDY}"
            )


def _check_output_edges(graph: nir.NIRGraph, constants: Constants, file: str) -> None:
    if len(set(graph.edges)) != len(graph.edges):
        raise ArtifactError(f"{file}: an edge occurs twice; {REMEDY}")
    required = {(name, shuffle_ports(name)[0]) for name in constants.shuffles} | {(constants.readout, OUTPUT)}
    found = {edge for edge in graph.edges if isinstance(graph.nodes.get(edge[1]), nir.Output)}
    for source, target in sorted(required ^ found):
        raise ArtifactError(f"{file}: {target}: the edge from {source} is missing or superfluous; {REMEDY}")


def _incoming(
    graph: nir.NIRGraph, constants: Constants, file: str
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Sources of every convolution, and convolutions of every population."""
    sources: dict[str, list[str]] = {name: [] for name in constants.mantissa_exponents}
    inputs: dict[str, list[str]] = {name: [] for name in constants.populations}
    emitters = {IMAGE, *inputs} - {constants.readout}
    delivering = {name: name for name in sources if name not in constants.shuffles}
    delivering |= {shuffle_ports(name)[1]: name for name in constants.shuffles}
    for source, target in graph.edges:
        if target in sources and source in emitters:
            sources[target].append(source)
        elif target in inputs and source in delivering:
            inputs[target].append(delivering[source])
        elif not isinstance(graph.nodes.get(target), nir.Output):
            raise ArtifactError(f"{file}: {target}: an edge from {source} has no meaning here; {REMEDY}")
    return sources, inputs


def _execution_order(
    source: Mapping[str, str], inputs: Mapping[str, list[str]], late: Collection[str], readout: str, file: str
) -> tuple[str, ...]:
    """Populations, each behind all that it reads but for recurrent convolutions, those of `late`."""
    placed: list[str] = []
    waiting = {
        name: {source[conv] for conv in convs if conv not in late} - {IMAGE} for name, convs in inputs.items()
    }
    while waiting:
        ready = [name for name, needed in waiting.items() if needed <= set(placed)]
        if not ready:
            raise ArtifactError(f"{file}: {_on_cycle(waiting)}: lies on a cycle of edges; {REMEDY}")
        placed += ready
        waiting = {name: needed for name, needed in waiting.items() if name not in ready}
    return (*(name for name in placed if name != readout), readout)


def _on_cycle(waiting: Mapping[str, set[str]]) -> str:
    """Walk from source to source among populations that all wait; the first met twice lies on a cycle."""
    name, seen = min(waiting), set[str]()
    while name not in seen:
        seen.add(name)
        name = min(waiting[name] & waiting.keys())
    return name


def parse_conv(
    node: nir.Conv2d, name: str, source: str, lsb_exponent: int, constants: Constants, file: str
) -> ConvNode:
    """A Conv2d as integers in LSB of the populations that it feeds.

    Raises:
        ArtifactError: a value is not finite or not a multiple of the LSB, or the geometry is not supported.
    """
    where = f"{file}: {name}"
    exponent, upsample = constants.mantissa_exponents[name], constants.shuffles.get(name, 1)
    weight = _integers(np.asarray(node.weight), lsb_exponent, 4, f"{where}: weight")
    bias = _integers(np.asarray(node.bias), lsb_exponent, 1, f"{where}: bias")
    if bias.shape != weight.shape[:1] or weight.shape[0] % upsample**2:
        raise ArtifactError(
            f"{where}: bias {list(bias.shape)} and weight {list(weight.shape)} do not fit; {REMEDY}"
        )
    if max(weight.shape[2:]) > LARGEST_GEOMETRY:
        raise ArtifactError(
            f"{where}: a kernel of {list(weight.shape[2:])} pixels is not supported; {REMEDY}"
        )
    if (weight % (1 << exponent)).any():
        raise ArtifactError(
            f"{where}: weights are not multiples of 2^{exponent}, as the metadata says; {REMEDY}"
        )
    if upsample > 1 and bias.any():
        raise ArtifactError(f"{where}: a bias before the pixel-shuffle is not supported; {REMEDY}")
    if np.ndim(node.groups) or node.groups != 1:
        groups = node.groups if np.ndim(node.groups) == 0 else f"an array of {list(np.shape(node.groups))}"
        raise ArtifactError(
            f"{where}: groups = {groups}, but only dense convolutions are supported; {REMEDY}"
        )
    return ConvNode(
        name=name,
        source=source,
        weight=weight,
        bias=bias,
        stride=_geometry(node.stride, "stride", 1, where),
        padding=_geometry(node.padding, "padding", 0, where),
        dilation=_geometry(node.dilation, "dilation", 1, where),
        upsample=upsample,
        mantissa_exponent=exponent,
        delay=constants.delays.get(name, 0),
    )


def check_ports(graph: nir.NIRGraph, conv: ConvNode, source: tuple[int, int, int], file: str) -> None:
    """Compare the declared shapes of a pixel-shuffle's ports with what arrives and leaves.

    Args:
        graph: holds the ports.
        conv: the convolution in front of them.
        source: shape (Ci, height, width) of the convolution's source.
        file: stands at the head of messages.

    Raises:
        ArtifactError: names the port.
    """
    if conv.upsample == 1:
        return
    before, after = shuffle_ports(conv.name)
    height, width = conv.output_size(*source[1:])
    low = [conv.weight.shape[0], height // conv.upsample, width // conv.upsample]
    for port, expected in ((before, low), (after, [conv.target_channels, height, width])):
        found = [int(n) for n in np.ravel(next(iter(graph.nodes[port].input_type.values())))]
        if found != expected:
            raise ArtifactError(
                f"{file}: {port}: shape {found}, but the pixel-shuffle needs {expected}; {REMEDY}"
            )


def parse_population(
    node: nir.NIRNode, name: str, inputs: tuple[str, ...], constants: Constants, file: str
) -> PopulationNode:
    """A LIF, IF, I or ladder as integers.

    Raises:
        ArtifactError: parameters differ between neurons, are not finite, or contradict the metadata.
    """
    where, claimed = f"{file}: {name}", constants.populations[name]
    if not isinstance(node, NODE_OF_KIND[claimed.kind]):
        raise ArtifactError(
            f"{where}: a {type(node).__name__}, but its metadata says {claimed.kind}; {REMEDY}"
        )
    shape = _shape(node, where)
    if isinstance(node, nir.NIRGraph):
        graded = GradedNode(name, inputs, *shape, claimed.threshold, claimed.levels, claimed.signed)
        check_ladder(node, graded, claimed.lsb_exponent, where)
        return graded
    if isinstance(node, nir.I | nir.LI):
        _check_integrator(node, claimed.decay, constants.dt_s, where)
        return ReadoutNode(name, inputs, *shape, claimed.decay)
    lasts = isinstance(node, nir.CubaLIF)
    if lasts != (claimed.current_decay < DECAY_STEPS):
        raise ArtifactError(
            f"{where}: a {type(node).__name__}, but its current_decay is {claimed.current_decay} / 4096; "
            f"{REMEDY}"
        )
    if lasts:
        drive = _check_lasting(node, claimed, constants.dt_s, where)
        return LifNode(name, inputs, *shape, claimed.threshold, claimed.decay, claimed.current_decay, drive)
    _check_lif(node, claimed, constants.dt_s, where)
    return LifNode(name, inputs, *shape, claimed.threshold, claimed.decay)


def _check_lasting(
    node: nir.CubaLIF, claimed: PopulationConstants, dt_s: float, where: str
) -> tuple[int, ...]:
    """A CubaLIF's constants; returns what each channel adds to the membrane at each timestep, in LSB."""
    if not claimed.decay:
        raise ArtifactError(f"{where}: a CubaLIF, but its decay is 0; {REMEDY}")
    tau, syn = time_constant(claimed.decay, dt_s), time_constant(claimed.current_decay, dt_s)
    threshold = float_threshold(claimed.threshold, claimed.lsb_exponent)
    for field, expected in (
        ("tau_mem", tau),
        ("tau_syn", syn),
        ("r", tau / dt_s),
        ("w_in", syn / dt_s),
        ("v_reset", 0.0),
        ("v_threshold", threshold),
    ):
        _check_constant(getattr(node, field), expected, field, where)
    leak = np.asarray(node.v_leak, dtype=np.float64)
    if not np.isfinite(leak).all():
        raise ArtifactError(f"{where}: v_leak holds NaN or infinity; {REMEDY}")
    rows = leak.reshape(len(leak), -1)[:, 0]
    scaled = np.round(np.ldexp(rows * claimed.decay / DECAY_STEPS, -claimed.lsb_exponent))
    if (np.abs(scaled) > LARGEST_INTEGER).any():
        raise ArtifactError(f"{where}: v_leak is beyond 32 bits; {REMEDY}")
    drive = scaled.astype(np.int64)
    expected_leak = rest(drive, claimed.decay, claimed.lsb_exponent)
    if (leak != expected_leak[:, None, None]).any():
        raise ArtifactError(f"{where}: v_leak is no multiple of the LSB per timestep; {REMEDY}")
    return tuple(drive.tolist())


def _check_integrator(node: nir.NIRNode, decay: int, dt_s: float, where: str) -> None:
    """What IF and I, or LIF and LI, have in common."""
    if isinstance(node, nir.IF | nir.I) != (decay == 0):
        raise ArtifactError(f"{where}: a {type(node).__name__}, but its decay is {decay} / 4096; {REMEDY}")
    if decay:
        tau = time_constant(decay, dt_s)
        _check_constant(node.tau, tau, "tau", where)
        _check_constant(node.r, tau / dt_s, "r", where)
        _check_constant(node.v_leak, 0.0, "v_leak", where)
    else:
        _check_constant(node.r, 1 / dt_s, "r", where)


def _check_lif(node: nir.LIF | nir.IF, claimed: PopulationConstants, dt_s: float, where: str) -> None:
    _check_integrator(node, claimed.decay, dt_s, where)
    _check_constant(node.v_reset, 0.0, "v_reset", where)
    _check_constant(
        node.v_threshold, float_threshold(claimed.threshold, claimed.lsb_exponent), "v_threshold", where
    )


def _check_constant(array: NDArray[np.float64], expected: float, field: str, where: str) -> None:
    values = np.asarray(array)
    differs = values != expected
    if differs.any():
        found = values[differs].flat[0]
        raise ArtifactError(
            f"{where}: {field} {found} contradicts {expected}, which the metadata implies; {REMEDY}"
        )


def _shape(node: nir.NIRNode, where: str) -> tuple[int, int, int]:
    if len(node.input_type) != 1:
        raise ArtifactError(f"{where}: has {len(node.input_type)} inputs, not one; {REMEDY}")
    shape = [int(n) for n in np.ravel(next(iter(node.input_type.values())))]
    if len(shape) != 3 or min(shape) < 1:
        raise ArtifactError(f"{where}: shape {shape} is not [channels, height, width]; {REMEDY}")
    return shape[0], shape[1], shape[2]


def _integers(values: NDArray[np.float32], lsb_exponent: int, dimensions: int, what: str) -> Integers:
    if values.ndim != dimensions or values.size == 0 or values.dtype.kind != "f":
        raise ArtifactError(f"{what}: {values.dtype} of shape {list(values.shape)} is not usable; {REMEDY}")
    if not np.isfinite(values).all():
        raise ArtifactError(f"{what}: holds NaN or infinity; {REMEDY}")
    scaled = np.ldexp(values.astype(np.float64), -lsb_exponent)
    if (scaled != np.round(scaled)).any():
        raise ArtifactError(
            f"{what}: {values[scaled != np.round(scaled)][0]} is no multiple of 2^{lsb_exponent}; {REMEDY}"
        )
    if np.abs(scaled).max() > LARGEST_INTEGER:
        raise ArtifactError(f"{what}: {np.abs(scaled).max():.0f} LSB exceed 32 bits; {REMEDY}")
    return scaled.astype(np.int64)


def _geometry(value: object, field: str, smallest: int, where: str) -> int:
    found = np.ravel(np.asarray(value))
    if found.dtype.kind not in "iu" or found.size != 2 or len(set(found.tolist())) != 1:
        raise ArtifactError(f"{where}: {field} {value} is not one number for both directions; {REMEDY}")
    if not smallest <= int(found[0]) <= LARGEST_GEOMETRY:
        raise ArtifactError(
            f"{where}: {field} {found[0]} is outside {smallest}..{LARGEST_GEOMETRY}; {REMEDY}"
        )
    return int(found[0])


def parse_graph(graph: nir.NIRGraph, file: str) -> Program:
    """Parse a graph; `file` stands at the head of every message.

    Raises:
        ArtifactError: names the node whose type, edge, shape or value is wrong.
    """
    constants = from_metadata(graph.metadata, file)
    wiring = read_wiring(graph, constants, file)
    height, width = _image_size(graph, file)
    program = Program(
        convs=_convs(graph, wiring, constants, file),
        populations=tuple(
            parse_population(graph.nodes[name], name, wiring.inputs[name], constants, file)
            for name in wiring.order
        ),
        timesteps=constants.timesteps,
        dt_s=constants.dt_s,
        input_low=constants.input_low,
        input_high=constants.input_high,
        input_step=constants.input_step,
        height=height,
        width=width,
        residual_scale=float(2.0**constants.residual_exponent / constants.timesteps),
        input_offset=constants.input_offset,
        adds_image=constants.adds_image,
        form=constants.form,
        passes=constants.passes,
    )
    _check_shapes(program, graph, file)
    return program


def _convs(graph: nir.NIRGraph, wiring: Wiring, constants: Constants, file: str) -> tuple[ConvNode, ...]:
    convs = [
        parse_conv(graph.nodes[name], name, source, _lsb(name, wiring, constants, file), constants, file)
        for name, source in wiring.source.items()
    ]
    position = {name: index for index, name in enumerate((IMAGE, *wiring.order))}
    return tuple(sorted(convs, key=lambda conv: position[conv.source]))


def _lsb(conv: str, wiring: Wiring, constants: Constants, file: str) -> int:
    """The LSB that all readers of a convolution share."""
    readers = [name for name, inputs in wiring.inputs.items() if conv in inputs]
    exponents = {constants.populations[name].lsb_exponent for name in readers}
    if len(exponents) > 1:
        raise ArtifactError(
            f"{file}: {conv}: its readers {', '.join(readers)} differ in lsb_exponent; {REMEDY}"
        )
    return exponents.pop()


def _image_size(graph: nir.NIRGraph, file: str) -> tuple[int, int]:
    shape = [int(n) for n in np.ravel(graph.nodes[IMAGE].input_type["input"])]
    if len(shape) != 3 or min(shape) < 1:
        raise ArtifactError(f"{file}: {IMAGE}: shape {shape} is not [channels, height, width]; {REMEDY}")
    return shape[1], shape[2]


def _check_shapes(program: Program, graph: nir.NIRGraph, file: str) -> None:
    channels = int(np.ravel(graph.nodes[IMAGE].input_type["input"])[0])
    shapes = {IMAGE: (channels, program.height, program.width)}
    shapes |= {p.name: (p.channels, p.height, p.width) for p in program.populations}
    for conv in program.convs:
        source = shapes[conv.source]
        declared = (
            int(conv.weight.shape[1]),
            *(int(n) for n in np.ravel(graph.nodes[conv.name].input_shape)),
        )
        if declared != source:
            raise ArtifactError(
                f"{file}: {conv.name}: takes {list(declared)}, but {conv.source} has {list(source)}; {REMEDY}"
            )
        check_ports(graph, conv, source, file)
    for population in program.populations:
        for name in population.inputs:
            conv = program.conv[name]
            arriving = (conv.target_channels, *conv.output_size(*shapes[conv.source][1:]))
            if arriving != shapes[population.name]:
                raise ArtifactError(
                    f"{file}: {population.name}: shape {list(shapes[population.name])}, but {name} delivers "
                    f"{list(arriving)}; {REMEDY}"
                )
    image = (program.image_channels, program.height, program.width)
    if program.passes > 1 and channels != 2 * program.image_channels:
        raise ArtifactError(
            f"{file}: {IMAGE}: {channels} channels are no image and the result of a pass before; {REMEDY}"
        )
    if (program.adds_image or program.passes > 1) and shapes[program.readout.name] != image:
        raise ArtifactError(
            f"{file}: {program.readout.name}: the read-out has not the image's shape; {REMEDY}"
        )
