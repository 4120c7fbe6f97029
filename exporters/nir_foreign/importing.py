"""A NIR file of another tool as a network of convolutions and spiking populations, in real numbers.

Every chain of layers between two neurons becomes one convolution (`forms`), and neuron parameters go into
weights and biases, so that what is left is what a Loihi-class chip has.
Nothing is approximated here; `models.integer.quantize_real` rounds.

The output after T timesteps is the membrane of an I or LI that feeds the Output; otherwise the mean over the
timesteps of what arrives at the Output. An image that the file adds to its output is added by the host.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir.program import OUTPUT
from snn_tool.exporters.nir.reading import pair
from snn_tool.exporters.nir_foreign.forms import (
    Conv,
    Form,
    Pair,
    Reals,
    Term,
    added,
    convolved,
    emitted,
    scaled,
    squared,
)
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.models.integer.quantize_real import RealNetwork, RealPopulation, RealSynapse
from snn_tool.models.topology import IMAGE, Population, Synapse, fits_any_size

REMEDY = "give the layers between neurons as Conv2d, Linear, Affine, Scale, Flatten, SumPool2d or AvgPool2d"
SPIKING = (nir.IF, nir.LIF, nir.CubaLIF)
INTEGRATORS = (nir.I, nir.LI)
SAME = 1e-6
"""Relative difference that is taken for float32 rounding of equal time constants."""

READOUT = "readout"


def apply_layer(node: nir.NIRNode, form: Form, name: str, where: str) -> Form:
    """What leaves a layer.

    Args:
        node: the layer.
        form: what arrives.
        name: of the layer.
        where: stands at the head of messages.

    Raises:
        UnsupportedLayerError: the layer's type, shape or geometry has no form.
    """
    if isinstance(node, nir.Conv2d):
        weight = _dense(np.asarray(node.weight, dtype=np.float64), int(node.groups))
        conv = Conv(weight, pair(node.stride), _padding(node, where), pair(node.dilation))
        return convolved(form, conv, _bias(node.bias, len(weight)), name, where)
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        return convolved(form, _pool(node, form.shape[0]), np.zeros(form.shape[0]), name, where)
    if isinstance(node, nir.Linear | nir.Affine):
        return _linear(node, form, name, where)
    if isinstance(node, nir.Scale):
        return scaled(form, per_channel(node.scale, form, "scale", where), name)
    if isinstance(node, nir.Flatten):
        return _flattened(node, form, where)
    raise UnsupportedLayerError(f"{where}: {type(node).__name__} cannot be imported; {REMEDY}")


def per_channel(values: Any, form: Form, field: str, where: str) -> Reals:
    """A parameter as [C]: one for all, or of the full shape with equal values at all positions of a channel.

    Raises:
        UnsupportedLayerError: another shape, or values that differ within a channel.
    """
    array = np.asarray(values, dtype=np.float64)
    channels = form.shape[0]
    if array.size == 1:
        return np.full(channels, float(array.reshape(())))
    if array.shape not in (form.shape, (int(np.prod(form.shape)),)):
        raise UnsupportedLayerError(f"{where}: {field} has shape {list(array.shape)}, not {list(form.shape)}")
    rows = array.reshape(channels, -1)
    if (rows != rows[:, :1]).any():
        raise UnsupportedLayerError(
            f"{where}: {field} differs between the positions of a channel, which shared weights cannot take "
            "up; use one value per channel"
        )
    return rows[:, 0].copy()


def _linear(node: Any, form: Form, name: str, where: str) -> Form:
    weight = np.asarray(node.weight, dtype=np.float64)
    channels, height, width = form.shape
    is_vector = form.flat or (height, width) == (1, 1)
    if weight.ndim != 2 or not is_vector or weight.shape[1] != channels * height * width:
        raise UnsupportedLayerError(
            f"{where}: takes {list(weight.shape[1:])}, but {list(form.shape)} arrives; put Flatten before it"
        )
    conv = Conv(weight.reshape(len(weight), channels, height, width))
    unfolded = Form(form.terms, form.bias, form.shape)
    bias = _bias(getattr(node, "bias", None), len(weight))
    return convolved(unfolded, conv, bias, name, where)


def _flattened(node: nir.Flatten, form: Form, where: str) -> Form:
    if int(node.start_dim) != 0 or int(node.end_dim) not in (-1, 2):
        raise UnsupportedLayerError(
            f"{where}: flattens dimensions {node.start_dim} to {node.end_dim}; only a whole map is flattened"
        )
    return Form(form.terms, form.bias, form.shape, flat=True)


def _pool(node: Any, channels: int) -> Conv:
    """Each channel by itself: sums, or means with the zeros of the padding counted."""
    rows, columns = pair(node.kernel_size)
    value = 1.0 if isinstance(node, nir.SumPool2d) else 1 / (rows * columns)
    weight = np.eye(channels)[:, :, None, None] * np.full((rows, columns), value)
    return Conv(weight, pair(node.stride), pair(node.padding))


def _dense(weight: Reals, groups: int) -> Reals:
    """[out, in, ...] of a kernel [out, in / groups, ...], zero between groups."""
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    wide = np.zeros((weight.shape[0], inputs * groups, *weight.shape[2:]))
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        wide[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return wide


def _padding(node: Any, where: str) -> Pair:
    if not isinstance(node.padding, str):
        return pair(node.padding)
    if node.padding == "valid":
        return 0, 0
    surplus = [d * (k - 1) for d, k in zip(pair(node.dilation), np.shape(node.weight)[2:], strict=True)]
    if node.padding != "same" or any(n % 2 for n in surplus):
        raise UnsupportedLayerError(f"{where}: padding {node.padding!r} of an even kernel is one-sided")
    return surplus[0] // 2, surplus[1] // 2


def _bias(values: Any, channels: int) -> Reals:
    return np.zeros(channels) if values is None else np.asarray(values, dtype=np.float64).reshape(channels)


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """What one timestep does: v = (1 - decay) v + gain x + drive; [C] each but the decay."""

    gain: Reals
    drive: Reals
    decay: float


def neurons(node: Any, form: Form, dt_s: float, where: str) -> Neurons:
    """A population's constants, with a threshold of 1 if it spikes.

    Args:
        node: IF, LIF, CubaLIF, I or LI.
        form: what arrives; gives the shape.
        dt_s: timestep in seconds.
        where: stands at the head of messages.

    Raises:
        UnsupportedLayerError: a parameter differs within a channel, a time constant between channels, a
            synaptic current that lasts, or a threshold that is not above the reset.
    """

    def read(field: str) -> Reals:
        return per_channel(getattr(node, field), form, field, where)

    zero = np.zeros(form.shape[0])
    gain, decay, rest = dt_s * read("r"), 0.0, zero
    if not isinstance(node, nir.IF | nir.I):
        tau = _one(read("tau_mem" if isinstance(node, nir.CubaLIF) else "tau"), where)
        decay = min(dt_s / tau, 1.0)
        gain, rest = decay * read("r"), read("v_leak")
    if isinstance(node, nir.CubaLIF):
        gain = gain * _instant(read("tau_syn"), dt_s, where) * read("w_in")
    if isinstance(node, INTEGRATORS):
        return _integrator(Neurons(gain, decay * rest, decay), rest, where)
    reset = read("v_reset")
    threshold = read("v_threshold") - reset
    if (threshold <= 0).any():
        raise UnsupportedLayerError(
            f"{where}: v_threshold is not above v_reset, so that it fires without input; raise v_threshold"
        )
    drive = decay * (rest - reset) if decay else zero
    return Neurons(gain / threshold, drive / threshold, decay)


def _integrator(found: Neurons, rest: Reals, where: str) -> Neurons:
    if rest.any():
        raise UnsupportedLayerError(f"{where}: v_leak of a read-out must be 0, where the chip's starts")
    return found


def _one(tau: Reals, where: str) -> float:
    if tau.max() > tau.min() * (1 + SAME):
        raise UnsupportedLayerError(
            f"{where}: its time constants lie between {tau.min():g} and {tau.max():g} s; a population of the "
            "chip has one decay"
        )
    return float(tau[0])


def _instant(tau: Reals, dt_s: float, where: str) -> float:
    if (np.abs(tau - dt_s) > dt_s * SAME).any():
        raise UnsupportedLayerError(
            f"{where}: CubaLIF with tau_syn = {tau.max():g} s, whose current outlasts the timestep of "
            f"{dt_s:g} s; use LIF, or tau_syn = dt"
        )
    return 1.0


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
