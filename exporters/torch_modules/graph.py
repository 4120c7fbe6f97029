"""A torch network as a NIR graph: a chain of known modules by our own maps, others by their own library.

The maps keep what the exporters lose: norse's time constants and Flatten, MaxPool, BatchNorm. MaxPool of
spikes is exact as a sum whose neuron fires where any spike arrived; BatchNorm goes into the layer before it.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from snn_tool.errors import UnsupportedLayerError, first_line
from snn_tool.exporters.nir_foreign import DT_S
from snn_tool.exporters.nir_foreign.loops import FIRING
from snn_tool.exporters.nir_foreign.loops import flattened as flattened_graph
from snn_tool.exporters.torch_modules.neurons import Update, update_of
from torch import Tensor, nn

SKIPPED = (nn.Identity, nn.Dropout, nn.Dropout2d)
"""Modules that do nothing once a network is trained."""

LIBRARIES = ("snntorch", "spikingjelly", "norse")
REMEDY = (
    "return the layers in their order as one nn.Sequential, of Conv2d, Linear, BatchNorm, AvgPool2d, "
    "MaxPool2d "
    "after spikes, Flatten and neurons; or write a NIR file"
)


@dataclass(frozen=True, slots=True, eq=False)
class ModuleGraph:
    """A graph of a torch network.

    Attributes:
        graph: for timesteps of `DT_S`.
        by: what made it: `snn-tool`, or a library.
        notes: what of the network it does not hold.
        resets: of its nodes that fire, what a spike does, which a graph cannot write; one of `RESETS`.
    """

    graph: nir.NIRGraph
    by: str
    notes: tuple[str, ...]
    resets: Mapping[str, str]


def graph_of(module: nn.Module, named: str, shape: tuple[int, ...]) -> ModuleGraph:
    """The graph of a network in evaluation mode.

    Args:
        module: a chain of known modules, or what its library exports.
        named: stands at the head of messages.
        shape: of its input, without the batch.

    Raises:
        UnsupportedLayerError: neither our maps nor the library's exporter can; both say why.
    """
    try:
        return _Chain(named).made(module, shape)
    except UnsupportedLayerError as error:
        return _exported(module, named, shape, error)


def library_of(module: nn.Module) -> str | None:
    """The library whose neurons a network has."""
    roots = {type(part).__module__.split(".")[0] for part in module.modules()}
    return next((name for name in LIBRARIES if name in roots), None)


def flattened(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The parts of a chain with their paths; of nested chains in their order."""
    if isinstance(module, nn.Sequential):
        for key, part in module._modules.items():
            if part is not None:
                yield from flattened(part, f"{name}.{key}" if name else key)
    else:
        yield name, module


@dataclass
class _Chain:
    """A chain as far as it was walked."""

    named: str
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    last: str = "input"
    resets: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    spiking: bool = False

    def made(self, module: nn.Module, shape: tuple[int, ...]) -> ModuleGraph:
        """Walk all parts with an example of zeros, which tells their shapes."""
        parts = list(flattened(module))
        if len(parts) < 2:
            raise UnsupportedLayerError(f"{self.named}: {type(module).__name__} is no nn.Sequential")
        self.nodes["input"] = nir.Input(np.array(shape))
        values = torch.zeros((1, *shape))
        with torch.no_grad():
            for name, part in parts:
                values = self.step(name.replace(".", "_"), part, values)
        self.add("output", nir.Output(np.array(values.shape[1:])))
        graph = nir.NIRGraph(self.nodes, self.edges, type_check=False)
        return ModuleGraph(graph, "snn-tool", tuple(self.notes), self.resets)

    def add(self, name: str, node: Any) -> None:
        """A node behind the last one."""
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.last = name

    def step(self, name: str, part: nn.Module, values: Tensor) -> Tensor:
        """One part; returns an example of what leaves it."""
        where = f"{self.named}: {name} ({type(part).__name__})"
        update = update_of(part, where)
        if update is not None:
            return self.populate(f"n{name}", update, values, where)
        if isinstance(part, SKIPPED):
            return values
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            self.fold(part, where)
            return values
        try:
            left: Tensor = part(values)
        except Exception as error:  # a user's layer may raise anything
            raise UnsupportedLayerError(f"{where}: {first_line(error)}") from error
        if isinstance(part, nn.MaxPool2d):
            self.pooled(f"n{name}", part, tuple(left.shape[1:]), where)
        else:
            self.add(f"n{name}", layer(part, tuple(values.shape[1:]), where))
            self.spiking = self.spiking and isinstance(part, nn.Flatten)
        return left

    def populate(self, name: str, update: Update, values: Tensor, where: str) -> Tensor:
        """A neuron, the layer in front of it that it brings, and its loop."""
        if update.feeds is not None:
            self.add(f"{name}_in", layer(update.feeds, tuple(values.shape[1:]), where))
            values = update.feeds(values)
        shape = tuple(values.shape[1:])
        self.add(name, neuron(update, shape, where))
        if update.recurrent is not None:
            self.nodes[f"{name}_rec"] = returning(update.recurrent, shape, where)
            self.edges += [(name, f"{name}_rec"), (f"{name}_rec", name)]
        if update.threshold is not None:
            self.resets[name] = update.resets
        self.notes += [f"{where}: {change}" for change in update.changed]
        self.spiking = update.threshold is not None
        return values

    def fold(self, norm: Any, where: str) -> None:
        """A normalisation by its running statistics, in the weights and the bias of the layer before it."""
        node = self.nodes[self.last]
        if not isinstance(node, nir.Conv2d | nir.Affine) or norm.running_mean is None:
            raise UnsupportedLayerError(f"{where}: stands behind no Conv2d or Linear, or has no statistics")
        mean, variance = (t.double().numpy() for t in (norm.running_mean, norm.running_var))
        gain = 1 / np.sqrt(variance + norm.eps)
        offset = -mean * gain
        if norm.affine:
            scale = norm.weight.detach().double().numpy()
            gain, offset = gain * scale, offset * scale + norm.bias.detach().double().numpy()
        shape = (-1,) + (1,) * (node.weight.ndim - 1)
        self.nodes[self.last] = replace(
            node, weight=node.weight * gain.reshape(shape), bias=node.bias * gain + offset
        )

    def pooled(self, name: str, part: Any, shape: tuple[int, ...], where: str) -> None:
        """The largest of spikes is 1 where their sum is above 0: a neuron of threshold 1/2 behind a sum."""
        if not self.spiking:
            raise UnsupportedLayerError(f"{where}: of values that are no spikes; put it behind the neurons")
        if part.ceil_mode or (_pair(part.dilation) != 1).any():
            raise UnsupportedLayerError(f"{where}: with ceil_mode or dilation")
        kernel, stride, padding = map(_pair, (part.kernel_size, part.stride, part.padding))
        self.add(f"{name}_sum", nir.SumPool2d(kernel, stride, padding))
        ones = np.ones(shape)
        self.add(name, nir.IF(ones / DT_S, ones * 0.5, v_reset=ones * 0))


def returning(part: nn.Module, shape: tuple[int, ...], where: str) -> Any:
    """The node that spikes of the step before go through: dense, a convolution, or a factor for each."""
    if hasattr(part, "V"):  # snntorch's RecurrentOneToOne
        held: Any = part.V
        factors = held.detach().double().numpy() if isinstance(held, Tensor) else np.float64(held)
        return nir.Scale(np.broadcast_to(factors, shape).copy())
    return layer(part, shape, where)


def neuron(update: Update, shape: tuple[int, ...], where: str) -> Any:
    """An IF, LIF, CubaLIF, I or LI of the shape.

    Raises:
        UnsupportedLayerError: a synaptic current, or the membrane behind it, that loses nothing.
    """

    def full(values: Any) -> Any:
        given = np.asarray(values, dtype=np.float64)
        if given.ndim == 1 and given.size == shape[0] and len(shape) > 1:
            given = given.reshape(-1, *(1,) * (len(shape) - 1))
        return np.broadcast_to(given, shape).copy()

    if update.current is not None:
        if not (np.all(update.decay) and np.all(update.current)):
            raise UnsupportedLayerError(
                f"{where}: NIR's CubaLIF has no membrane and no current that loses nothing; let beta and "
                "alpha be below 1"
            )
        tau, r = full(DT_S / update.decay), full(update.gain / update.decay)
        return nir.CubaLIF(
            *(full(DT_S / update.current), tau, r, full(update.leak), full(update.threshold)),
            w_in=full(1 / update.current),
            v_reset=full(update.reset),
        )
    if not np.any(update.decay):
        if update.threshold is None:
            return nir.I(full(update.gain / DT_S))
        return nir.IF(full(update.gain / DT_S), full(update.threshold), v_reset=full(update.reset))
    tau, r = full(DT_S / update.decay), full(update.gain / update.decay)
    if update.threshold is None:
        return nir.LI(tau, r, full(update.leak))
    return nir.LIF(tau, r, full(update.leak), full(update.threshold), v_reset=full(update.reset))


def layer(part: nn.Module, shape: tuple[int, ...], where: str) -> Any:
    """The node of a layer without state that takes `shape`.

    Raises:
        UnsupportedLayerError: there is none.
    """
    if isinstance(part, nn.Conv2d) and part.padding_mode == "zeros":
        weight = part.weight.detach().double().numpy()
        bias = np.zeros(len(weight)) if part.bias is None else part.bias.detach().double().numpy()
        padding = part.padding if isinstance(part.padding, str) else _pair(part.padding)
        about = (_pair(part.stride), padding, _pair(part.dilation), part.groups)
        return nir.Conv2d(shape[1:], weight, *about, bias)
    if isinstance(part, nn.Linear):
        weight = part.weight.detach().double().numpy()
        bias = np.zeros(len(weight)) if part.bias is None else part.bias.detach().double().numpy()
        return nir.Affine(weight, bias)
    if isinstance(part, nn.AvgPool2d) and not part.ceil_mode and part.count_include_pad:
        return nir.AvgPool2d(*map(_pair, (part.kernel_size, part.stride, part.padding)))
    if isinstance(part, nn.Flatten) and part.start_dim == 1 and part.end_dim == -1:
        return nir.Flatten({"input": np.array(shape)}, 0, -1)
    raise UnsupportedLayerError(f"{where}: no map for it")


def _pair(value: Any) -> Any:
    return np.broadcast_to(np.asarray(value, dtype=np.int64), 2).copy()


def _exported(
    module: nn.Module, named: str, shape: tuple[int, ...], known: UnsupportedLayerError
) -> ModuleGraph:
    """The graph that the network's library makes."""
    library = library_of(module)
    if library is None:
        raise UnsupportedLayerError(
            f"{known}; it has no neurons of {', '.join(LIBRARIES)}; {REMEDY}"
        ) from known
    try:
        graph = EXPORTERS[library](module, torch.zeros((1, *shape)))
        held = graph if isinstance(graph, nir.NIRGraph) else None
    except Exception as error:  # an exporter raises what it likes
        raise UnsupportedLayerError(
            f"{known}; {library}'s exporter: {type(error).__name__}: {first_line(error)}; {REMEDY}"
        ) from error
    if held is None:
        raise UnsupportedLayerError(f"{known}; {library}'s exporter made no graph; {REMEDY}")
    return ModuleGraph(held, library, *_told(module, named, held, library))


def _told(
    module: nn.Module, named: str, graph: nir.NIRGraph, library: str
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Notes, and the reset of all nodes that fire, if the network's neurons have one in common."""
    note, found = f"the graph is that of {library}'s exporter", set[str]()
    for part in module.modules():
        try:
            update = update_of(part, named)
        except UnsupportedLayerError:
            continue  # its exporter took it
        if update is not None and update.threshold is not None:
            found.add(update.resets)
    nodes = flattened_graph(graph, named).nodes
    firing = [name for name, node in nodes.items() if isinstance(node, FIRING)]
    if len(found) == 1:
        return (note,), dict.fromkeys(firing, *found)
    unsaid = "its neurons reset in several ways, and the graph does not say which; all reset to 0"
    return ((note, unsaid) if found else (note,)), {}


def _by_norse(module: nn.Module, example: Tensor) -> Any:
    return importlib.import_module("norse.torch").to_nir(module, example, dt=1.0)


def _by_snntorch(module: nn.Module, example: Tensor) -> Any:
    return importlib.import_module("snntorch.export_nir").export_to_nir(module, example, ignore_dims=[0])


def _by_spikingjelly(module: nn.Module, example: Tensor) -> Any:
    exchange = importlib.import_module("spikingjelly.activation_based.nir_exchange")
    return exchange.export_to_nir(module, example)


EXPORTERS: Mapping[str, Any] = {
    "snntorch": _by_snntorch,
    "spikingjelly": _by_spikingjelly,
    "norse": _by_norse,
}


def write_graph(path: Path, graph: nir.NIRGraph) -> None:
    """Write a graph as a NIR file."""
    nir.write(path, graph)
