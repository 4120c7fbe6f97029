"""A NIR file of another tool as a network of convolutions and spiking populations, in real numbers.

Every chain of layers between two neurons becomes one convolution (`forms`), and neuron parameters go into
weights and biases, so that what is left is what a Loihi-class chip has.
Nothing is approximated here; `models.integer.quantize_real` rounds.

The output after T timesteps is the membrane of an I or LI that feeds the Output; otherwise the mean over the
timesteps of what arrives at the Output. An image that the file adds to its output is added by the host.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import nir
import numpy as np
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir.program import OUTPUT
from snn_tool.exporters.nir_foreign import SUBTRACT_LATE, TO_ZERO
from snn_tool.exporters.nir_foreign.constants import INTEGRATORS, Channels, Neurons, Part, neurons, parts_of
from snn_tool.exporters.nir_foreign.forms import (
    Conv,
    Form,
    Reals,
    Term,
    added,
    emitted,
    scaled,
    squared,
    unrolled,
)
from snn_tool.exporters.nir_foreign.layers import apply_layer, differs_within
from snn_tool.exporters.nir_foreign.loops import FIRING
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.models.integer.quantize_real import RealNetwork, RealPopulation, RealSynapse
from snn_tool.models.topology import IMAGE, MOST_PARTS, Population, Synapse, fits_any_size

SPIKING = FIRING
READOUT = "readout"
ALWAYS = 2.0
"""What bias neurons gain in each step, of a threshold of 1."""

REGROUP = (
    "each pair of them is a population of its own, and every population has a synapse from each that feeds "
    "it; --group-constants 8 gives near ones one value"
)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A population, and the channels of its node that it holds."""

    name: str
    part: Part


@dataclass(frozen=True, slots=True, eq=False)
class ImportedGraph:
    """What was made of a graph.

    Attributes:
        network: in real numbers.
        populations: for each neuron of the file, in the order of execution, the populations that it became,
            and the channels of each.
    """

    network: RealNetwork
    populations: Mapping[str, tuple[Placed, ...]]


def import_graph(
    graph: nir.NIRGraph, module: NirModule, timesteps: int, images: bool = True, most_parts: int = 0
) -> ImportedGraph:
    """Import a graph.

    Args:
        graph: of supported nodes.
        module: made of the same graph; gives order, edges, timestep and the file's name.
        timesteps: T, by which the host divides the read-out.
        images: inputs are images in [0, 1], which a host may add to the output; otherwise spikes or real
            values on a grid (`InputGrid`), of the file's size alone.
        most_parts: populations that a node may become where its time constants differ, 0 for any number.

    Raises:
        UnsupportedLayerError: names the node that has no counterpart on the chip, and why.
    """
    if len(module.input_shape) not in (1, 2, 3):
        raise UnsupportedLayerError(
            f"{module.file}: {module.input}: takes {list(module.input_shape)}; a network that is imported "
            "takes [F], [C, L] or [C, H, W]: export it without the batch (snntorch: ignore_dims=[0])"
        )
    parts = _Parts(module.graph, module, timesteps, images, most_parts)
    for name in module.order:
        parts.visit(name)
    parts.finish()
    return ImportedGraph(parts.network(), parts.placed)


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
    most_parts: int = 0
    forms: dict[str, Form] = field(default_factory=dict)
    synapses: list[RealSynapse] = field(default_factory=list)
    populations: list[RealPopulation] = field(default_factory=list)
    placed: dict[str, tuple[Placed, ...]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    passed: dict[tuple[str, tuple[int, int]], str] = field(default_factory=dict)
    adds_image: bool = False
    bound: bool = False

    def __post_init__(self) -> None:
        channels, *sides = self.module.input_shape
        height, width = ([1, 1] + sides)[-2:]
        recurrent = bool(self.module.loops.late) or any(
            one.resets != TO_ZERO for one in self.module.neurons.values()
        )
        self.bound |= len(sides) < 2 or not self.images or recurrent
        self.forms[self.module.input] = emitted(IMAGE, (channels, height, width))
        self.sizes[IMAGE] = (height, width)
        self.taken = {IMAGE, OUTPUT}

    def visit(self, name: str) -> None:
        """One node, after all that feed it."""
        node, where = self.graph.nodes[name], f"{self.module.file}: {name}"
        form = self.arriving(name)
        if isinstance(node, SPIKING):
            if name not in self.module.loops.members and differs_within(node, form):
                form = unrolled(form)
            held, placed = neurons(node, form, self.dt_s, where), self.parts_of(name, form)
            if self.resets(name) != TO_ZERO:
                form, held = self.subtracting(name, form, held, where)
            self.spiking(name, form, held, where)
            self.forms[name] = spoken(placed, form)
        elif isinstance(node, INTEGRATORS):
            if name != output_node(self.graph, self.module) or self.readers(name) != 1:
                raise UnsupportedLayerError(
                    f"{where}: {type(node).__name__} does not fire; only one that feeds the Output alone, as "
                    "the read-out, can be imported"
                )
            self.placed[name] = (Placed(self.new_name(name), whole(form.shape[0])),)
        else:
            self.forms[name] = apply_layer(node, self.cropped(form, node, where), name, where)

    def finish(self) -> None:
        """The read-out."""
        if not self.populations:
            raise UnsupportedLayerError(f"{self.module.file}: has no IF, LIF or CubaLIF; nothing would spike")
        name = output_node(self.graph, self.module)
        where = f"{self.module.file}: {name or self.module.output}"
        form = self.arriving(name or self.module.output)
        channels = form.shape[0]
        gain, drive, part = np.ones(channels), np.zeros(channels), whole(channels)
        if name:
            found = neurons(self.graph.nodes[name], form, self.dt_s, where)
            gain, drive = found.gain * self.timesteps, found.drive * self.timesteps
            part = replace(part, decay=float(found.decay[0]))
        form = self.without_image(scaled(form, gain))
        if not form.terms:
            raise UnsupportedLayerError(f"{where}: nothing but the image arrives")
        readout = self.placed[name][0].name if name else self.new_name(READOUT)
        self.population(Placed(readout, part), form, drive, where)

    def without_image(self, form: Form) -> Form:
        """The image itself among what is read out is added by the host, on the input grid."""
        skips = [term for term in form.terms if term.source == IMAGE and term.is_identity]
        if len(skips) != 1 or form.shape != self.module.input_shape or not self.images:
            return form
        self.adds_image = True
        return Form(tuple(term for term in form.terms if term is not skips[0]), form.bias, form.shape)

    def spiking(self, node: str, form: Form, held: Neurons, where: str) -> None:
        """A node's populations, one for each pair of time constants, and the synapses that feed them."""
        driven, placed = scaled(form, held.gain), self.placed[node]
        through_current = np.where(held.lasts, driven.bias, 0)
        if through_current.any():
            driven = self.with_bias_neurons(driven, through_current, placed[0].name, where)
        for one in placed:
            chosen = driven if len(placed) == 1 else selected(driven, one.part.channels)
            self.population(one, chosen, held.drive[one.part.channels], where, held.subtracts)

    def population(
        self, placed: Placed, form: Form, drive: Reals, where: str, subtracts: bool = False
    ) -> None:
        """Neurons and the synapses that feed them, recurrent ones last."""
        name, part = placed.name, placed.part
        terms = sorted(form.terms, key=lambda term: term.delay)
        inputs = [self.synapse(term, name, where) for term in terms]
        channels, *size = form.shape
        self.sizes[name] = tuple(size)
        downscale = max(1, self.sizes[IMAGE][0] // size[0])
        wiring = Population(name, tuple(inputs), channels, downscale)
        state = (part.decay, part.current_decay, subtracts)
        self.populations.append(RealPopulation(wiring, form.bias + drive, *state))

    def subtracting(self, node: str, form: Form, held: Neurons, where: str) -> tuple[Form, Neurons]:
        """Neurons that keep what a spike leaves, though the chip's membrane does not survive one.

        Their membrane is the synaptic current, which does: u = (1 - decay) u + gain x + drive - z of the step
        before, and v = u but for the 4096th that the chip keeps of v. The 1 of threshold comes through a
        recurrent synapse from each neuron to itself; a leak in between makes it 1 - decay.
        """
        if held.lasts.any():
            raise UnsupportedLayerError(
                f"{where}: CubaLIF whose current lasts cannot reset by subtraction: of Lava's two states the "
                "current alone survives a spike; use LIF, or --reset zero"
            )
        kept = 1.0 if self.resets(node) == SUBTRACT_LATE else 1 - held.decay
        placed, scale = self.placed[node], 1 / held.gain
        back = scaled(spoken(placed, form, delay=1), -kept * scale, f"{placed[0].name}_reset")
        driven = replace(form, terms=(*form.terms, *back.terms), bias=form.bias + held.drive * scale)
        zero, one = np.zeros(len(scale)), np.ones(len(scale))
        return driven, Neurons(held.gain, zero, one, held.decay, subtracts=True)

    def with_bias_neurons(self, form: Form, bias: Reals, target: str, where: str) -> Form:
        """The same with a part of its bias as spikes of neurons that fire in every step.

        The chip adds biases to the membrane, and this one passes through a current that lasts. The neurons
        have the target's positions, which an empty convolution of the target's first source gives them.
        """
        first = next(term for term in form.terms if not term.delay)
        empty = replace(first.conv, weight=np.zeros_like(first.conv.weight[:1]))
        name = self.new_name(f"{target}_bias")
        size = (form.shape[1], form.shape[2])
        silent = Form((replace(first, conv=empty, layers=(f"{name}_clock",)),), np.zeros(1), (1, *size))
        self.population(Placed(name, whole(1)), silent, np.full(1, ALWAYS), where)
        spread = Term(name, Conv(bias[:, None, None, None]), size, (f"{name}_weights",))
        return replace(form, terms=(*form.terms, spread), bias=form.bias - bias)

    def cropped(self, form: Form, node: Any, where: str) -> Form:
        """A form without the rows that a pool leaves over, where a padded convolution follows.

        Its padding stands for zeros, where the rows left over would be read. Neurons that pass each spike on
        at once, without those rows, take the place of the neurons that are pooled.
        """
        padding = getattr(node, "padding", 0)
        padded = padding == "same" if isinstance(padding, str) else bool(np.any(padding))
        if not padded or isinstance(node, nir.SumPool2d | nir.AvgPool2d) or form.bias.any():
            return form
        return replace(form, terms=tuple(self.without_rest(term, where) for term in form.terms))

    def without_rest(self, term: Term, where: str) -> Term:
        """A term of neurons that pass on what its windows reach of its source."""
        size = term.conv.reached(term.size)
        if size == term.size or term.source == IMAGE or term.delay:
            return term
        passing = (term.source, size)
        if passing not in self.passed:
            channels, name = term.conv.weight.shape[1], self.new_name(f"{term.source}_cropped")
            self.passed[passing] = name
            window = [n - m + 1 for n, m in zip(term.size, size, strict=True)]
            taps = np.zeros((channels, channels, *window))
            taps[:, :, 0, 0] = ALWAYS * np.eye(channels)
            given = Term(term.source, Conv(taps), term.size, (f"{name}_taps",))
            arriving = Form((given,), np.zeros(channels), (channels, *size))
            self.population(Placed(name, whole(channels)), arriving, np.zeros(channels), where)
        return replace(term, source=self.passed[passing], size=size)

    def synapse(self, term: Term, target: str, where: str) -> str:
        """One term as a synapse; its name is that of its layers."""
        if len(self.synapses) == MOST_PARTS:
            raise UnsupportedLayerError(f"{where}: more than {MOST_PARTS} synapses; {REGROUP}")
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
        return spoken(self.parts_of(neuron, shaped), shaped, delay=1)

    def resets(self, neuron: str) -> str:
        """What a spike does to a neuron of the file."""
        return self.module.neurons[neuron].resets

    def parts_of(self, neuron: str, form: Form) -> tuple[Placed, ...]:
        """The populations that a neuron of the file becomes; `form` has its shape."""
        if neuron not in self.placed:
            where = f"{self.module.file}: {neuron}"
            held = neurons(self.graph.nodes[neuron], form, self.dt_s, where)
            if self.resets(neuron) != TO_ZERO:  # the membrane's decay is the current's then
                held = replace(held, decay=np.ones(len(held.decay)), current_decay=held.decay)
            parts = parts_of(held, self.most_parts)
            if len(parts) > MOST_PARTS // 4:
                raise UnsupportedLayerError(f"{where}: {len(parts)} time constants; {REGROUP}")
            self.placed[neuron] = tuple(Placed(self.new_name(neuron), part) for part in parts)
        return self.placed[neuron]

    def readers(self, name: str) -> int:
        """Number of edges that leave a node."""
        return sum(sources.count(name) for sources in self.module.sources.values())

    def new_name(self, wanted: str) -> str:
        """A name that HDF5, safetensors and Lava all take, and that nothing has yet."""
        plain = re.sub(r"\W", "_", wanted, flags=re.ASCII) or "layer"
        name = next(n for n in _numbered(plain) if n not in self.taken)
        self.taken.add(name)
        return name


def spoken(placed: Sequence[Placed], form: Form, delay: int = 0) -> Form:
    """What a node's populations emit together, of the shape of what arrives at it."""
    channels, height, width = form.shape
    terms = tuple(
        Term(one.name, Conv(np.eye(channels)[:, one.part.channels, None, None]), (height, width), delay=delay)
        for one in placed
    )
    return Form(terms, np.zeros(channels), form.shape, form.flat)


def selected(form: Form, channels: Channels) -> Form:
    """Some channels of a form, without recurrent terms that reach none of them.

    Others stay although they bring nothing: what feeds a population says how deep it lies, and the parts of
    one node that answer each other on a loop must lie equally deep.
    """
    terms = [replace(term, conv=replace(term.conv, weight=term.conv.weight[channels])) for term in form.terms]
    reaching = tuple(term for term in terms if not term.delay or term.conv.weight.any())
    return Form(reaching, form.bias[channels], (len(channels), *form.shape[1:]), form.flat)


def whole(channels: int) -> Part:
    """All channels, of neurons that keep neither membrane nor current unless it is said."""
    return Part(np.arange(channels), 0.0, 1.0)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1
