"""A NIR file of another tool as a network of convolutions and spiking populations, in real numbers.

Every chain of layers between two neurons becomes one convolution (`nir_import_forms`), and neuron parameters
go into weights and biases (`nir_import_neurons`), so that what is left is what a Loihi-class chip has.
Nothing is approximated here; `models.real_quantization` rounds.

The output after T timesteps is the membrane of an I or LI that feeds the Output; otherwise the mean over the
timesteps of what arrives at the Output. An image that the file adds to its output is added by the host.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import nir
import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir_foreign.forms import Form, Term, added, emitted, scaled, squared
from snn_tool.exporters.nir_import_layers import apply_layer
from snn_tool.exporters.nir_import_neurons import INTEGRATORS, SPIKING, Neurons, neurons
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.exporters.nir_units import OUTPUT
from snn_tool.models.real_network import RealNetwork, RealPopulation, RealSynapse
from snn_tool.models.topology import IMAGE, Population, Synapse, fits_any_size

READOUT = "readout"


@dataclass(frozen=True, slots=True, eq=False)
class ImportedGraph:
    """What was made of a graph.

    Attributes:
        network: in real numbers.
        populations: for each neuron of the file, in the order of execution, the population that it became.
    """

    network: RealNetwork
    populations: Mapping[str, str]


def import_graph(graph: nir.NIRGraph, module: NirModule, timesteps: int) -> ImportedGraph:
    """Import a graph.

    Args:
        graph: flat, of supported nodes.
        module: made of the same graph; gives order, edges, timestep and the file's name.
        timesteps: T, by which the host divides the read-out.

    Raises:
        UnsupportedLayerError: names the node that has no counterpart on the chip, and why.
    """
    if len(module.input_shape) != 3:
        raise UnsupportedLayerError(
            f"{module.file}: {module.input}: takes {list(module.input_shape)}, which is no image [C, H, W]"
        )
    parts = _Parts(graph, module, timesteps)
    for name in module.order:
        parts.visit(name)
    parts.finish()
    return ImportedGraph(parts.network(), parts.names)


def output_node(graph: nir.NIRGraph, module: NirModule) -> str | None:
    """The I or LI whose membrane is the output; None if the output is a mean over timesteps."""
    sources = module.sources[module.output]
    return sources[0] if len(sources) == 1 and isinstance(graph.nodes[sources[0]], INTEGRATORS) else None


@dataclass
class _Parts:
    """The network as far as it was visited."""

    graph: nir.NIRGraph
    module: NirModule
    timesteps: int
    forms: dict[str, Form] = field(default_factory=dict)
    synapses: list[RealSynapse] = field(default_factory=list)
    populations: list[RealPopulation] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    adds_image: bool = False
    bound: bool = False

    def __post_init__(self) -> None:
        channels, height, width = self.module.input_shape
        self.forms[self.module.input] = emitted(IMAGE, (channels, height, width))
        self.sizes[IMAGE] = (height, width)
        self.taken = {IMAGE, OUTPUT}

    def visit(self, name: str) -> None:
        """One node, after all that feed it."""
        node, where = self.graph.nodes[name], f"{self.module.file}: {name}"
        form = self.arriving(name)
        if isinstance(node, SPIKING):
            self.names[name] = self.new_name(name)
            self.population(self.names[name], form, neurons(node, form, self.dt_s, where), where)
            self.forms[name] = emitted(self.names[name], form.shape, form.flat)
        elif isinstance(node, INTEGRATORS):
            if name != output_node(self.graph, self.module) or self.readers(name) != 1:
                raise UnsupportedLayerError(
                    f"{where}: {type(node).__name__} does not fire; only one that feeds the Output alone, as "
                    "the read-out, can be imported"
                )
            self.names[name] = self.new_name(name)
        else:
            self.forms[name] = apply_layer(node, form, name, where)

    def finish(self) -> None:
        """The read-out."""
        if not self.populations:
            raise UnsupportedLayerError(f"{self.module.file}: has no IF, LIF or CubaLIF; nothing would spike")
        name = output_node(self.graph, self.module)
        where = f"{self.module.file}: {name or self.module.output}"
        form = self.arriving(name or self.module.output)
        channels = form.shape[0]
        held = Neurons(np.ones(channels), np.zeros(channels), 0.0)
        if name:
            found = neurons(self.graph.nodes[name], form, self.dt_s, where)
            held = Neurons(found.gain * self.timesteps, found.drive * self.timesteps, found.decay)
        form = self.without_image(scaled(form, held.gain))
        if not form.terms:
            raise UnsupportedLayerError(f"{where}: nothing but the image arrives")
        ready = Neurons(np.ones(channels), held.drive, held.decay)
        self.population(self.names[name] if name else self.new_name(READOUT), form, ready, where)

    def without_image(self, form: Form) -> Form:
        """The image itself among what is read out is added by the host, on the input grid."""
        skips = [term for term in form.terms if term.source == IMAGE and term.is_identity]
        if len(skips) != 1 or form.shape != self.module.input_shape:
            return form
        self.adds_image = True
        return Form(tuple(term for term in form.terms if term is not skips[0]), form.bias, form.shape)

    def population(self, name: str, form: Form, held: Neurons, where: str) -> None:
        """Neurons and the synapses that feed them."""
        driven = scaled(form, held.gain)
        inputs = [self.synapse(term, name, where) for term in driven.terms]
        channels, *size = form.shape
        self.sizes[name] = tuple(size)
        downscale = max(1, self.sizes[IMAGE][0] // size[0])
        wiring = Population(name, tuple(inputs), channels, downscale)
        self.populations.append(RealPopulation(wiring, driven.bias + held.drive, held.decay))

    def synapse(self, term: Term, target: str, where: str) -> str:
        """One term as a synapse; its name is that of its layers."""
        square = squared(term.conv, term.size, where)
        self.bound |= square.bound
        name = self.new_name("_".join(term.layers) or f"{term.source}_to_{target}")
        channels, inputs, kernel, _ = square.weight.shape
        usual = square.dilation * (kernel // 2)
        wiring = Synapse(
            name=name,
            source=term.source,
            in_channels=inputs,
            out_channels=channels,
            kernel=kernel,
            stride=square.stride,
            dilation=square.dilation,
            given_padding=None if square.padding == usual else square.padding,
        )
        self.synapses.append(RealSynapse(wiring, square.weight))
        return name

    def network(self) -> RealNetwork:
        """The whole, which fits any image if every part of it does."""
        wirings = [synapse.wiring for synapse in self.synapses], [p.wiring for p in self.populations]
        anywhere = not self.bound and fits_any_size(*wirings)
        height, width = self.sizes[IMAGE]
        return RealNetwork(
            tuple(self.synapses),
            tuple(self.populations),
            self.adds_image,
            None if anywhere else (height, width),
        )

    @property
    def dt_s(self) -> float:
        """Timestep in seconds."""
        return self.module.dt_s

    def arriving(self, name: str) -> Form:
        """The sum of what feeds a node."""
        sources = self.module.sources[name]
        return added([self.forms[source] for source in sources], f"{self.module.file}: {name}")

    def readers(self, name: str) -> int:
        """Number of edges that leave a node."""
        return sum(sources.count(name) for sources in self.module.sources.values())

    def new_name(self, wanted: str) -> str:
        """A name that HDF5, safetensors and Lava all take, and that nothing has yet."""
        plain = re.sub(r"\W", "_", wanted, flags=re.ASCII) or "layer"
        name = next(n for n in _numbered(plain) if n not in self.taken)
        self.taken.add(name)
        return name


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1
