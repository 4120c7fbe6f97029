"""A NIR graph of another tool as a torch module of one timestep, in float64."""

from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from snn_tool.errors import (
    ArtifactError,
    ConfigError,
    SnnToolError,
    UnsupportedLayerError,
    check_known,
    first_line,
)
from snn_tool.exporters.nir.metadata import KEY, PASSES
from snn_tool.exporters.nir.reading import (
    MAX_FOREIGN_BYTES,
    MAX_QUOTED,
    load_graph,
    pair,
    port_shape,
    read_nodes,
)
from snn_tool.exporters.nir_foreign import DT_S, RESETS, TO_ZERO
from snn_tool.exporters.nir_foreign.loops import Loops, find_loops, flattened
from snn_tool.exporters.nir_foreign.module_neurons import NEURONS, NirNeuron
from snn_tool.exporters.nir_foreign.older import completed, count_no_batch
from torch import Tensor, nn
from torch.nn import functional

SUPPORTED = frozenset(
    ("Input Output Affine Linear Conv1d Conv2d Scale Flatten SumPool2d AvgPool2d IF LIF CubaLIF LI I").split()
)
REMEDY = "write it again with the tool that made it"


def read_foreign(path: Path) -> nir.NIRGraph:
    """A graph of supported nodes, those of inner graphs in their place (`loops.flattened`).

    NIR's own type check is left out: snntorch writes one parameter for a whole population, which it refuses.
    `NirModule` checks every shape when the graph runs.

    Raises:
        ArtifactError: missing, damaged, truncated, too large, or not a NIR graph.
        ConfigError: this tool made it.
        UnsupportedLayerError: names the first node, by name, of a type that is not supported.
    """
    nodes = read_nodes(path, REMEDY, MAX_FOREIGN_BYTES)
    _refuse_own(nodes, path)
    _check_types(str(path), nodes, "")
    graph = flattened(load_graph(path, completed(nodes), REMEDY, type_check=False), str(path))
    count_no_batch(graph)
    return graph


def _check_types(file: str, tree: Mapping[str, Any], prefix: str) -> None:
    """Every node's type, before one is made."""
    flat = tree.get("nodes")
    for name, node in flat.items() if isinstance(flat, dict) else ():
        kind = node.get("type") if isinstance(node, dict) else None
        word = kind if isinstance(kind, str) else "a node without type"  # a damaged one may be an array
        if word == "NIRGraph":
            _check_types(file, node, f"{prefix}{name}.")
        else:
            check_type(file, prefix + name, word)


def check_type(file: str, name: str, kind: str) -> None:
    """Refuse a node that this tool cannot run.

    Raises:
        UnsupportedLayerError: names file, node, type, and what is supported.
    """
    if kind not in SUPPORTED:
        raise UnsupportedLayerError(
            f"{file}: {name}: {kind[:80]} is not supported; "
            f"use a graph of {', '.join(sorted(SUPPORTED - {'Input', 'Output'}))}"
        )


class Scaled(nn.Module):
    """Times constants; a single factor is a number, which the next layer's weights can absorb."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        uniform = bool((scale == scale.flatten()[0]).all())
        self.factor = float(scale.flatten()[0]) if uniform else None
        self.scale = nn.Parameter(scale, requires_grad=False) if not uniform else None

    def forward(self, x: Tensor) -> Tensor:
        """Of the input's shape [N, ...]; factors that differ must have the shape of one item."""
        if self.scale is None:
            assert self.factor is not None
            return x * self.factor
        if self.scale.shape != x.shape[1:]:
            raise ValueError(f"scale has shape {list(self.scale.shape)}, but {list(x.shape[1:])} arrives")
        return x * self.scale


class Pool(nn.Module):
    """Sums [N, C, H, W] over windows, zeros of the padding included, by `divisor` (0: the window's area)."""

    def __init__(self, node: Any, divisor: int) -> None:
        super().__init__()
        self.window, self.stride, self.padding = map(pair, (node.kernel_size, node.stride, node.padding))
        self.divisor = divisor or self.window[0] * self.window[1]

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H', W']."""
        return functional.avg_pool2d(x, self.window, self.stride, self.padding, divisor_override=self.divisor)


class Flat(nn.Module):
    """Flattens dimensions that NIR counts without the batch."""

    def __init__(self, node: nir.Flatten) -> None:
        super().__init__()
        self.first, self.last = (int(n) + (int(n) >= 0) for n in (node.start_dim, node.end_dim))

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...]."""
        return x.flatten(self.first, self.last)


def convolution(node: Any, dimensions: int) -> nn.Module:
    """A torch convolution of the node's weight [Co, Ci / groups, ...]."""
    weight = _array(node.weight)
    outputs, inputs, *kernel = weight.shape
    if len(kernel) != dimensions:
        raise ValueError(f"a weight of {weight.dim()} dimensions")
    spread = {name: _spread(getattr(node, name), dimensions) for name in ("stride", "padding", "dilation")}
    groups = int(node.groups)
    kind: Any = nn.Conv1d if dimensions == 1 else nn.Conv2d
    made = kind(inputs * groups, outputs, kernel, groups=groups, bias=False, dtype=torch.float64, **spread)
    return _with_weights(made, weight, node.bias)


def linear(node: Any) -> nn.Module:
    """A torch linear layer; Affine has a bias, Linear none."""
    weight = _array(node.weight)
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    return _with_weights(made, weight, getattr(node, "bias", None))


def _with_weights(made: Any, weight: Tensor, bias: Any) -> nn.Module:
    """Exporters write zeros for a bias that is not there; zeros are no bias, so that none is charged."""
    made.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None and np.size(bias) and (values := _array(bias)).any():
        if values.shape != weight.shape[:1]:
            raise ValueError(f"bias {list(values.shape)} does not fit weight {list(weight.shape)}")
        made.bias = nn.Parameter(values, requires_grad=False)
    module: nn.Module = made
    return module


def _array(values: Any) -> Tensor:
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all() or array.size == 0:
        raise ValueError("values that are not finite, or none")
    return torch.from_numpy(array)


def _spread(value: Any, dimensions: int) -> Any:
    return value if isinstance(value, str) else tuple(int(n) for n in np.broadcast_to(value, dimensions))


LAYERS: Mapping[type, Callable[[Any], nn.Module]] = {
    nir.Affine: linear,
    nir.AvgPool2d: lambda node: Pool(node, 0),
    nir.Conv1d: lambda node: convolution(node, 1),
    nir.Conv2d: lambda node: convolution(node, 2),
    nir.Flatten: Flat,
    nir.Linear: linear,
    nir.Scale: lambda node: Scaled(_array(node.scale)),
    nir.SumPool2d: lambda node: Pool(node, 1),
}


def layer(node: Any, where: str) -> nn.Module:
    """The module of a node.

    Raises:
        ArtifactError: its values contradict each other; `where` stands at the head.
    """
    try:
        return LAYERS[type(node)](node)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        line = first_line(error, MAX_QUOTED)
        raise ArtifactError(f"{where}: {type(node).__name__} cannot be read ({line})") from error


class NirModule(nn.Module):
    """Runs every node once in a step, after all nodes that feed it; several edges into a node add up.

    On a loop the layers behind its neuron read the spikes of the timestep before (`loops`).

    Args:
        graph: of supported nodes, with one Input and one Output.
        file: stands at the head of every message.
        dt_s: timestep in seconds; no time constant may be below it.
        resets: what a spike does to its neuron, one of `RESETS` for all, or by node: a file cannot say it.

    Attributes:
        graph: that it was made of.
        input_shape: of the Input node, without the batch.
        sources: for each node those that feed it, in the order of the file's edges.
        loops: which edges bring the timestep before.
        order: of execution, without Input and Output.
        neurons: by the name of their node.

    Raises:
        UnsupportedLayerError: a node's type, or a loop of other than one population; both name the node.
        ArtifactError: an edge, a shape or a value is wrong.
        ConfigError: `dt_s` is not above 0, or above a time constant.
    """

    def __init__(
        self, graph: nir.NIRGraph, file: str, dt_s: float = DT_S, resets: str | Mapping[str, str] = TO_ZERO
    ) -> None:
        super().__init__()
        if not 0 < dt_s < float("inf"):
            raise ConfigError(f"--dt {dt_s:g} is not a timestep; give seconds above 0")
        graph = flattened(graph, file)
        self.graph, self.file, self.dt_s = graph, file, dt_s
        self.sources = _sources(graph, file)
        self.input, self.output = (_only(graph, kind, file) for kind in (nir.Input, nir.Output))
        self.input_shape = port_shape(file, self.input, graph.nodes[self.input].input_type["input"])
        self.loops = find_loops(graph, self.sources, file)
        self.order = _order(self.sources, self.loops, (self.input, self.output), file)
        self._before: dict[str, Tensor] = {}
        for name in self.order:
            # Not add_module: node names may be any, also those of a module's methods, or hold a dot.
            self._modules[name] = _module(graph.nodes[name], f"{file}: {name}", dt_s)
        for name, neuron in self.neurons.items():
            neuron.resets = resets if isinstance(resets, str) else resets.get(name, TO_ZERO)
            check_known("--reset", neuron.resets, RESETS)

    @property
    def neurons(self) -> Mapping[str, NirNeuron]:
        """Modules with state."""
        return {name: part for name, part in self._modules.items() if isinstance(part, NirNeuron)}

    def reset(self) -> None:
        """Forget the state of all neurons, as before the first step of an image."""
        self._before.clear()
        for neuron in self.neurons.values():
            neuron.reset()

    def forward(self, x: Tensor) -> Tensor:
        """One timestep: float64 [N, *input_shape] to what the Output node receives.

        Raises:
            ArtifactError: a node cannot take what arrives.
        """
        values = {self.input: x}
        for name in self.order:
            values[name] = self._run(name, self._arriving(name, values))
        self._before.update({source: values[source] for source, _ in self.loops.late})
        return self._arriving(self.output, values)

    def _of_before(self, source: str, values: Mapping[str, Tensor]) -> Tensor:
        """The spikes of a neuron in the timestep before, zeros in the first."""
        if source not in self._before:
            self._before[source] = torch.zeros_like(values[self.loops.outer(source, self.sources)[0]])
        return self._before[source]

    def _arriving(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        first, *others = (
            self._of_before(source, values) if (source, name) in self.loops.late else values[source]
            for source in self.sources[name]
        )
        for other in others:
            if other.shape != first.shape:
                shapes = f"{list(first.shape[1:])} and {list(other.shape[1:])}"
                raise ArtifactError(f"{self.file}: {name}: cannot add what arrives, shapes {shapes}")
            first = first + other
        return first

    def _run(self, name: str, x: Tensor) -> Tensor:
        part: Any = self._modules[name]
        try:
            out: Tensor = part(x)
            return out
        except SnnToolError:
            raise
        except (IndexError, RuntimeError, ValueError) as error:
            line = first_line(error)
            raise ArtifactError(f"{self.file}: {name}: cannot take {list(x.shape[1:])} ({line})") from error


def load_nir_module(path: Path, dt_s: float = DT_S, resets: str | Mapping[str, str] = TO_ZERO) -> NirModule:
    """The module of a file; raises as `read_foreign` and `NirModule` do."""
    return NirModule(read_foreign(path), str(path), dt_s, resets).eval()


def _refuse_own(nodes: Mapping[str, Any], path: Path) -> None:
    """A file of this tool holds integers, which are no real numbers of a network in [0, 1]."""
    metadata = nodes.get("metadata")
    own = metadata.get(KEY) if isinstance(metadata, Mapping) else None
    if own is None:
        return
    passes = np.ravel(own.get(PASSES, 1)) if isinstance(own, Mapping) else np.ones(1)
    several = f" of one of {passes[0]} passes" if passes.tolist() != [1] and passes.size else ""
    raise ConfigError(
        f"{path}: made by snn-tool, and holds its integers{several}, which take their input on a grid; pass "
        "it to 'snn-tool export', or their .int.safetensors to 'energy report --student'"
    )


def graph_input_shape(graph: nir.NIRGraph, file: object) -> tuple[int, ...]:
    """What a graph's only Input takes, without the batch; raises as `NirModule` does."""
    name = _only(graph, nir.Input, str(file))
    return port_shape(str(file), name, graph.nodes[name].input_type["input"])


def _module(node: Any, where: str, dt_s: float) -> nn.Module:
    made = NEURONS.get(type(node))
    return made(node, where, dt_s) if made else layer(node, where)


def _sources(graph: nir.NIRGraph, file: str) -> dict[str, list[str]]:
    """The nodes that feed each node, in the order of the edges."""
    sources: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        check_type(file, name, type(node).__name__)
        sources[name] = []
    for source, target in graph.edges:
        if source not in sources or target not in sources:
            raise ArtifactError(f"{file}: an edge from {source} to {target}, of which one is no node")
        sources[target].append(source)
    for name, feeding in sources.items():
        if bool(feeding) == isinstance(graph.nodes[name], nir.Input):
            raise ArtifactError(f"{file}: {name}: {'fed by a node' if feeding else 'nothing feeds it'}")
    return sources


def _only(graph: nir.NIRGraph, kind: type, file: str) -> str:
    names = [str(name) for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(names) != 1:
        raise UnsupportedLayerError(f"{file}: {len(names)} {kind.__name__} nodes; one is supported")
    return names[0]


def _order(sources: Mapping[str, list[str]], loops: Loops, ends: tuple[str, str], file: str) -> list[str]:
    """Of execution, without Input and Output; a node that nobody reads runs and costs nevertheless.

    What reads a neuron late runs behind all that feeds the neuron from outside, which tells its shape.
    """
    waits: dict[str, list[str]] = {name: [] for name in sources}
    for name, feeding in sources.items():
        for source in feeding:
            waits[name] += loops.outer(source, sources) if (source, name) in loops.late else [source]
    try:
        order = TopologicalSorter(waits).static_order()
        return [name for name in order if name not in ends]
    except CycleError as error:
        name = error.args[1][0]
        raise UnsupportedLayerError(
            f"{file}: {name}: a loop ({' -> '.join(error.args[1])}) that passes no IF, LIF or CubaLIF "
            "depends on itself in one step"
        ) from error
