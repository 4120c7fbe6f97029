"""From a NIR graph to a `Program`: every node, edge, shape and value is checked, none is skipped."""

import nir
import numpy as np
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.metadata import REMEDY, Constants, from_metadata
from snn_tool.exporters.nir_nodes import check_ports, parse_conv, parse_population
from snn_tool.exporters.nir.program import IMAGE, ConvNode, Program
from snn_tool.exporters.nir_wiring import Wiring, read_wiring


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
    if program.adds_image and shapes[program.readout.name] != shapes[IMAGE]:
        raise ArtifactError(
            f"{file}: {program.readout.name}: the read-out has not the image's shape; {REMEDY}"
        )
