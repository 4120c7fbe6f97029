"""A NIR graph of another tool as a torch module of one timestep, in float64."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import nir
from snn_tool.errors import ArtifactError, ConfigError, SnnToolError, UnsupportedLayerError
from snn_tool.exporters.nir_module_file import check_type, read_foreign
from snn_tool.exporters.nir_module_layers import layer
from snn_tool.exporters.nir_foreign.module_neurons import NEURONS, NirNeuron
from snn_tool.exporters.nir.reading import port_shape
from torch import Tensor, nn

DT_S = 1e-4
"""Seconds; the step that snntorch's and, by default, spikingjelly's exporters write time constants for."""


class NirModule(nn.Module):
    """Runs every node once in a step, after all nodes that feed it; several edges into a node add up.

    Args:
        graph: flat, of supported nodes, with one Input and one Output and no cycle.
        file: stands at the head of every message.
        dt_s: timestep in seconds; no time constant may be below it.

    Attributes:
        graph: that it was made of.
        input_shape: of the Input node, without the batch.
        sources: for each node those that feed it, in the order of the file's edges.
        order: of execution, without Input and Output.
        neurons: by the name of their node.

    Raises:
        UnsupportedLayerError: a node's type, or a recurrent connection; both name the node.
        ArtifactError: an edge, a shape or a value is wrong.
        ConfigError: `dt_s` is not above 0, or above a time constant.
    """

    def __init__(self, graph: nir.NIRGraph, file: str, dt_s: float = DT_S) -> None:
        super().__init__()
        if not 0 < dt_s < float("inf"):
            raise ConfigError(f"--dt {dt_s:g} is not a timestep; give seconds above 0")
        self.graph, self.file, self.dt_s = graph, file, dt_s
        self.sources = _sources(graph, file)
        self.input, self.output = (_only(graph, kind, file) for kind in (nir.Input, nir.Output))
        self.input_shape = port_shape(file, self.input, graph.nodes[self.input].input_type["input"])
        self.order = _order(self.sources, (self.input, self.output), file)
        for name in self.order:
            # Not add_module: node names may be any, also those of a module's methods, or hold a dot.
            self._modules[name] = _module(graph.nodes[name], f"{file}: {name}", dt_s)

    @property
    def neurons(self) -> Mapping[str, NirNeuron]:
        """Modules with state."""
        return {name: part for name, part in self._modules.items() if isinstance(part, NirNeuron)}

    def reset(self) -> None:
        """Forget the state of all neurons, as before the first step of an image."""
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
        return self._arriving(self.output, values)

    def _arriving(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        first, *others = (values[source] for source in self.sources[name])
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
            line = str(error).partition("\n")[0]
            raise ArtifactError(f"{self.file}: {name}: cannot take {list(x.shape[1:])} ({line})") from error


def load_nir_module(path: Path, dt_s: float = DT_S) -> NirModule:
    """The module of a file; raises as `read_foreign` and `NirModule` do."""
    return NirModule(read_foreign(path), str(path), dt_s).eval()


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


def _order(sources: Mapping[str, list[str]], ends: tuple[str, str], file: str) -> list[str]:
    """Of execution, without Input and Output; a node that nobody reads runs and costs nevertheless."""
    try:
        order = TopologicalSorter(sources).static_order()
        return [name for name in order if name not in ends]
    except CycleError as error:
        name = error.args[1][0]
        raise UnsupportedLayerError(
            f"{file}: {name}: a recurrent connection ({' -> '.join(error.args[1])}) is not supported: "
            "NIR does not say when its spikes arrive"
        ) from error
