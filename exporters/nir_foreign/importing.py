"""A NIR file of another tool as a network of convolutions and spiking populations, in real numbers.

Every chain of layers between two neurons becomes one convolution (`forms`), and neuron parameters go into
weights and biases, so that what is left is what a Loihi-class chip has.
Nothing is approximated here; `models.integer.quantize_real` rounds.

The output after T timesteps is the membrane of an I or LI that feeds the Output; otherwise the mean over the
timesteps of what arrives at the Output. An image that the file adds to its output is added by the host.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import nir
import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir.program import OUTPUT
from snn_tool.exporters.nir_foreign import SUBTRACT_LATE, TO_ZERO
from snn_tool.exporters.nir_foreign.forms import Conv, Form, Reals, Term, added, emitted, scaled, squared
from snn_tool.exporters.nir_foreign.layers import apply_layer, per_channel
from snn_tool.exporters.nir_foreign.loops import FIRING
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.models.integer.quantize_real import RealNetwork, RealPopulation, RealSynapse
from snn_tool.models.topology import IMAGE, Population, Synapse, fits_any_size

SPIKING = FIRING
INTEGRATORS = (nir.I, nir.LI)
SAME = 1e-6
"""Relative difference that is taken for float32 rounding of equal time constants."""

READOUT = "readout"
ALWAYS = 2.0
"""What bias neurons gain in each step, of a threshold of 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """What one timestep does: u = (1 - current_decay) u + gain x, v = (1 - decay) v + u + drive.

    Gain and drive are [C]; with a current_decay of 1 the current u is what arrives.
    """

    gain: Reals
    drive: Reals
    decay: float
    current_decay: float = 1.0
    subtracts: bool = False


def neurons(node: Any, form: Form, dt_s: float, where: str) -> Neurons:
    """A population's constants, with a threshold of 1 if it spikes.

    Args:
        node: IF, LIF, CubaLIF, I or LI.
        form: what arrives; gives the shape.
        dt_s: timestep in seconds.
        where: stands at the head of messages.

    Raises:
        UnsupportedLayerError: a parameter differs within a channel, a time constant between channels, or a
            threshold that is not above the reset.
    """

    def read(field: str) -> Reals:
        return per_channel(getattr(node, field), form, field, where)

    zero = np.zeros(form.shape[0])
    gain, decay, rest, current = dt_s * read("r"), 0.0, zero, 1.0
    if not isinstance(node, nir.IF | nir.I):
        tau = _one(read("tau_mem" if isinstance(node, nir.CubaLIF) else "tau"), where)
        decay = min(dt_s / tau, 1.0)
        gain, rest = decay * read("r"), read("v_leak")
    if isinstance(node, nir.CubaLIF):
        current = dt_s / _one(read("tau_syn"), where)
        current = 1.0 if current > 1 - SAME else current
        gain = gain * current * read("w_in")
    if isinstance(node, INTEGRATORS):
        return _integrator(Neurons(gain, decay * rest, decay), rest, where)
    reset = read("v_reset")
    threshold = read("v_threshold") - reset
    if (threshold <= 0).any():
        raise UnsupportedLayerError(
            f"{where}: v_threshold is not above v_reset, so that it fires without input; raise v_threshold"
        )
    drive = decay * (rest - reset) if decay else zero
    return Neurons(gain / threshold, drive / threshold, decay, current)


def _integrator(found: Neurons, rest: Reals, where: str) -> Neurons:
    if rest.any():
        raise UnsupportedLayerError(f"{where}: v_leak of a read-out must be 0, where the chip's starts")
    return found


def _one(tau: Reals, where: str) -> float:
    if tau.max() > tau.min() * (1 + SAME):
        raise UnsupportedLayerError(
            f"{where}: its time constants lie between {tau.min():g} and {tau.max():g} s; Lava's LIF has one "
            "du and one dv for all its neurons: give them one time constant, or write a node for each"
        )
    return float(tau[0])


@dataclass(frozen=True, slots=True, eq=False)
class ImportedGraph:
    """What was made of a graph.

    Attributes:
        network: in real numbers.
        populations: for each neuron of the file, in the order of execution, the population that it became.
    """

    network: RealNetwork
    populations: Mapping[str, str]


def import_graph(
    graph: nir.NIRGraph, module: NirModule, timesteps: int, images: bool = True
) -> ImportedGraph:
    """Import a graph.

    Args:
        graph: of supported nodes.
        module: made of the same graph; gives order, edges, timestep and the file's name.
        timesteps: T, by which the host divides the read-out.
        images: inputs are images in [0, 1], which a host may add to the output; otherwise spikes or real
            values on a grid (`InputGrid`), of the file's size alone.

    Raises:
        UnsupportedLayerError: names the node that has no counterpart on the chip, and why.
    """
    if len(module.input_shape) not in (1, 2, 3):
        raise UnsupportedLayerError(
            f"{module.file}: {module.input}: takes {list(module.input_shape)}; a network that is imported "
            "takes [F], [C, L] or [C, H, W]"
        )
    parts = _Parts(module.graph, module, timesteps, images)
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
    images: bool
    forms: dict[str, Form] = field(default_factory=dict)
    synapses: list[RealSynapse] = field(default_factory=list)
    populations: list[RealPopulation] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    adds_image: bool = False
    bound: bool = False

    def __post_init__(self) -> None:
        channels, *sides = self.module.input_shape
        height, width = ([1, 1] + sides)[-2:]
        recurrent = bool(self.module.loops.late) or self.module.resets != TO_ZERO
        self.bound |= len(sides) < 2 or not self.images or recurrent
        self.forms[self.module.input] = emitted(IMAGE, (channels, height, width))
        self.sizes[IMAGE] = (height, width)
        self.taken = {IMAGE, OUTPUT}

    def visit(self, name: str) -> None:
        """One node, after all that feed it."""
        node, where = self.graph.nodes[name], f"{self.module.file}: {name}"
        form = self.arriving(name)
        if isinstance(node, SPIKING):
            held = neurons(node, form, self.dt_s, where)
            if self.module.resets != TO_ZERO:
                form, held = self.subtracting(self.named(name), form, held, where)
            self.population(self.named(name), form, held, where)
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
        if len(skips) != 1 or form.shape != self.module.input_shape or not self.images:
            return form
        self.adds_image = True
        return Form(tuple(term for term in form.terms if term is not skips[0]), form.bias, form.shape)

    def population(self, name: str, form: Form, held: Neurons, where: str) -> None:
        """Neurons and the synapses that feed them, recurrent ones last."""
        driven = scaled(form, held.gain)
        if held.current_decay < 1 and driven.bias.any():
            driven = self.with_bias_neurons(driven, name, where)
        terms = sorted(driven.terms, key=lambda term: term.delay)
        inputs = [self.synapse(term, name, where) for term in terms]
        channels, *size = form.shape
        self.sizes[name] = tuple(size)
        downscale = max(1, self.sizes[IMAGE][0] // size[0])
        wiring = Population(name, tuple(inputs), channels, downscale)
        bias = driven.bias + held.drive
        state = (held.decay, held.current_decay, held.subtracts)
        self.populations.append(RealPopulation(wiring, bias, *state))

    def subtracting(self, name: str, form: Form, held: Neurons, where: str) -> tuple[Form, Neurons]:
        """Neurons that keep what a spike leaves, though the chip's membrane does not survive one.

        Their membrane is the synaptic current, which does: u = (1 - decay) u + gain x + drive - z of the step
        before, and v = u but for the 4096th that the chip keeps of v. The 1 of threshold comes through a
        recurrent synapse from each neuron to itself; a leak in between makes it 1 - decay.
        """
        if held.current_decay < 1:
            raise UnsupportedLayerError(
                f"{where}: CubaLIF whose current lasts cannot reset by subtraction: of Lava's two states the "
                "current alone survives a spike; use LIF, or a reset to zero"
            )
        channels, *size = form.shape
        kept = 1.0 if self.module.resets == SUBTRACT_LATE else 1 - held.decay
        scale = 1 / held.gain
        taken = Conv((-kept * np.diag(scale))[:, :, None, None])
        back = Term(name, taken, (size[0], size[1]), (f"{name}_reset",), delay=1)
        driven = replace(form, terms=(*form.terms, back), bias=form.bias + held.drive * scale)
        return driven, Neurons(held.gain, np.zeros(channels), 1.0, held.decay, subtracts=True)

    def with_bias_neurons(self, form: Form, target: str, where: str) -> Form:
        """The same with its bias as spikes of neurons that fire in every step.

        The chip adds biases to the membrane, and this one passes through a current that lasts. The neurons
        have the target's positions, which an empty convolution of the target's first source gives them.
        """
        first = next(term for term in form.terms if not term.delay)
        empty = replace(first.conv, weight=np.zeros_like(first.conv.weight[:1]))
        name = self.new_name(f"{target}_bias")
        size = (form.shape[1], form.shape[2])
        silent = Form((replace(first, conv=empty, layers=(f"{name}_clock",)),), np.zeros(1), (1, *size))
        always = Neurons(np.ones(1), np.full(1, ALWAYS), 0.0)
        self.population(name, silent, always, where)
        spread = Term(name, Conv(form.bias[:, None, None, None]), size, (f"{name}_weights",))
        return replace(form, terms=(*form.terms, spread), bias=np.zeros_like(form.bias))

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
            delay=term.delay,
        )
        self.synapses.append(RealSynapse(wiring, square.weight))
        return name

    def network(self) -> RealNetwork:
        """The whole, which fits any image if every part of it does."""
        wirings = [synapse.wiring for synapse in self.synapses], [p.wiring for p in self.populations]
        anywhere = not self.bound and len(self.module.input_shape) > 1 and fits_any_size(*wirings)
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
        """The sum of what feeds a node; what feeds it late, one timestep late."""
        sources, loops = self.module.sources[name], self.module.loops
        forms = [self.late(one) if (one, name) in loops.late else self.forms[one] for one in sources]
        return added(forms, f"{self.module.file}: {name}")

    def late(self, neuron: str) -> Form:
        """The spikes of a neuron that was not visited yet, of the timestep before."""
        shaped = self.forms[self.module.loops.outer(neuron, self.module.sources)[0]]
        return emitted(self.named(neuron), shaped.shape, shaped.flat, delay=1)

    def named(self, neuron: str) -> str:
        """The population that a neuron of the file becomes."""
        if neuron not in self.names:
            self.names[neuron] = self.new_name(neuron)
        return self.names[neuron]

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
