"""Encoded graphs, loaded by a simulator's importer or by nirtorch with our maps, and checked node by node.

Everything runs in float64: an importer that cuts values to float32 on the way is only given values that
float32 holds exactly.
"""

import contextlib
import copy
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import nir
import numpy as np
import torch
from snn_tool.errors import (
    BackendUnavailableError,
    UnsupportedLayerError,
    VerificationError,
    check_known,
)
from snn_tool.exporters.nir.reading import pair
from snn_tool.exporters.simulators.encoding import Encoded
from snn_tool.exporters.simulators.semantics import SIMULATORS, Simulator
from torch import Tensor, nn

REMEDY = "pip install 'snn-tool[simulators]'"


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A network in a simulator.

    Attributes:
        simulator: which.
        module: a torch module; called with a frame [N, C, H, W] and a state, it returns output and state.
        encoded: what it was made of.
        versions: of what computes it.
    """

    simulator: Simulator
    module: Any
    encoded: Encoded
    versions: Mapping[str, str]


def find_simulator(name: str) -> Simulator:
    """A simulator by its name, if it is installed.

    Raises:
        ConfigError: unknown.
        BackendUnavailableError: not installed; gives the command.
    """
    check_known("simulator", name, SIMULATORS)
    if importlib.util.find_spec(name) is None:
        raise BackendUnavailableError(f"{name} is not installed; run `{REMEDY}`")
    return SIMULATORS[name]


def load(encoded: Encoded, simulator: Simulator) -> Loaded:
    """Give an encoded graph to a simulator and hold the modules that it made against the graph's nodes.

    Raises:
        UnsupportedLayerError: a value is not exact in the float32 that the importer uses.
        VerificationError: the importer dropped or replaced a node, or fails on the graph.
    """
    graph = copy.deepcopy(encoded.graph)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet():
            warnings.simplefilter("ignore")
            module = _IMPORTERS[simulator.name](graph)
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        line = str(error).partition("\n")[0] or type(error).__name__
        raise VerificationError(f"{simulator.name}: {simulator.importer} fails ({line})") from error
    check_nodes(encoded.graph, module, simulator.name)
    names = dict.fromkeys((simulator.name, "nirtorch", "nir", "torch"))
    return Loaded(simulator, module, encoded, {name: version(name) for name in names})


def check_nodes(graph: nir.NIRGraph, module: Any, simulator: str) -> None:
    """Every node but Input and Output must be a module of its name that computes something.

    Raises:
        VerificationError: names the first node that the importer lost.
    """
    children = dict(module.named_children())
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input | nir.Output):
            continue
        if type(children.get(name)).__name__ in ("NoneType", "Identity"):
            raise VerificationError(
                f"{name}: {type(node).__name__}: {simulator}'s importer dropped the node without an error; "
                "what it computes is another network"
            )


@contextlib.contextmanager
def _quiet() -> Any:
    """Silence the root logger, through which norse says that r is not 1 although the threshold holds it."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _norse(graph: nir.NIRGraph) -> Any:
    import norse.torch
    import torch

    # Its importer leaves tensors alone and cuts numpy arrays to float32.
    for node in graph.nodes.values():
        for field, value in vars(node).items():
            if isinstance(value, np.ndarray) and value.dtype == np.float64:
                setattr(node, field, torch.from_numpy(value))
    module = norse.torch.from_nir(graph, ignore_warnings=True, dt=1.0)
    if in_order(graph, [node.name for node in module.execution_order]):
        return module
    return _norse_in_order(graph)


def in_order(graph: nir.NIRGraph, names: Sequence[str]) -> bool:
    """Whether every node comes after all that it reads.

    nirtorch 2.6's `load` (norse's way) orders a graph by one walk, and its executor silently leaves a source
    out of the sum that comes after its reader. Nodes that are not there are for `check_nodes` to report.
    """
    place = {name: index for index, name in enumerate(names)}
    return all(place.get(source, -1) < place.get(target, len(place)) for source, target in graph.edges)


def _norse_in_order(graph: nir.NIRGraph) -> Any:
    """Norse's own map of each node, wired by nirtorch's newer interpreter, which waits for all sources."""
    import nirtorch
    import torch
    from norse.torch.utils import import_nir

    def mapped(node: Any) -> Any:
        return import_nir._import_norse_module(node, ignore_warnings=True, dt=1.0)

    maps = dict.fromkeys((nir.Conv2d, nir.LIF, nir.IF), mapped)
    return nirtorch.nir_to_torch(graph, maps, dtype=torch.float64)


def _snntorch(graph: nir.NIRGraph) -> Any:
    import nirtorch
    from snntorch import import_nir

    _check_single_precision(graph)
    if not any(isinstance(node, nir.IF) for node in graph.nodes.values()):
        return import_nir.import_from_nir(graph).double()
    own = {kind: _snntorch_map(import_nir) for kind in (nir.Conv2d, nir.LIF)}
    return nirtorch.nir_to_torch(graph, {**own, nir.IF: snntorch_leaky}).double()


def _snntorch_map(import_nir: Any) -> Callable[[Any], Any]:
    return lambda node: import_nir._nir_to_snntorch_module(node, init_hidden=True)


def _check_single_precision(graph: nir.NIRGraph) -> None:
    for name, node in graph.nodes.items():
        for field in ("weight", "bias", "v_threshold"):
            values = np.asarray(getattr(node, field, 0.0), dtype=np.float64)
            if not (values.astype(np.float32) == values).all():
                raise UnsupportedLayerError(
                    f"{name}: {type(node).__name__} on snntorch: its importer cuts {field} to float32, "
                    "which does not hold it exactly"
                )


def _spikingjelly(graph: nir.NIRGraph) -> Any:
    import torch
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return import_from_nir(graph, dt=1.0, dtype=torch.float64)


def _sinabs(graph: nir.NIRGraph) -> Any:
    import nirtorch
    import torch

    return nirtorch.nir_to_torch(graph, sinabs_maps(), dtype=torch.float64)


def _nirtorch(graph: nir.NIRGraph) -> Any:
    import nirtorch
    import torch

    return nirtorch.nir_to_torch(graph, plain_maps(), dtype=torch.float64)


_IMPORTERS: Mapping[str, Callable[[nir.NIRGraph], Any]] = {
    "norse": _norse,
    "snntorch": _snntorch,
    "spikingjelly": _spikingjelly,
    "sinabs": _sinabs,
    "nirtorch": _nirtorch,
}


Maps = Mapping[type, Callable[[Any], nn.Module]]


class PlainNeuron(nn.Module):
    """u = kept u + x, fires above the threshold, then takes the reset's value; the state is u."""

    def __init__(self, kept: float, threshold: float, reset: float) -> None:
        super().__init__()
        self.kept, self.threshold, self.reset = kept, threshold, reset

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Spikes and membranes after the reset, of the input's shape."""
        u = x if state is None else self.kept * state + x
        fired = u > self.threshold
        return fired.to(x.dtype), torch.where(fired, torch.full_like(u, self.reset), u)


class SinabsNeuron(nn.Module):
    """A sinabs layer as a module of one timestep with an explicit state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer: Any = layer

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Spikes and membranes after the reset, of the input's shape."""
        self.layer.v_mem = torch.zeros_like(x) if state is None else state
        spikes = self.layer(x[:, None])[:, 0]
        return spikes, self.layer.v_mem


def conv2d(node: nir.Conv2d) -> nn.Module:
    """A torch convolution in float64."""
    weight, bias = (torch.from_numpy(np.asarray(a, dtype=np.float64)) for a in (node.weight, node.bias))
    outputs, inputs, *kernel = weight.shape
    stride, padding, dilation = (pair(value) for value in (node.stride, node.padding, node.dilation))
    rows, columns = kernel
    module = nn.Conv2d(inputs, outputs, (rows, columns), stride, padding, dilation, dtype=torch.float64)
    module.weight.data, module.bias.data = weight, bias  # type: ignore[union-attr]
    return module


def plain_maps() -> Maps:
    """For nirtorch itself."""
    return {nir.Conv2d: conv2d, nir.LIF: _plain, nir.IF: _plain}


def sinabs_maps() -> Maps:
    """Onto sinabs' LIF and IAF."""
    return {nir.Conv2d: conv2d, nir.LIF: _sinabs_map, nir.IF: _sinabs_map}


def _first(values: Any) -> float:
    return float(np.asarray(values).flat[0])


def _kept(node: nir.LIF | nir.IF, dt_s: float) -> float:
    return 1 - dt_s / _first(node.tau) if isinstance(node, nir.LIF) else 1.0


def _plain(node: nir.LIF | nir.IF) -> nn.Module:
    return PlainNeuron(_kept(node, 1.0), _first(node.v_threshold), _first(node.v_reset))


def _sinabs_map(node: nir.LIF | nir.IF) -> nn.Module:
    import sinabs.activation as sa
    import sinabs.layers as sl

    options = {
        "spike_threshold": torch.tensor(_first(node.v_threshold), dtype=torch.float64),
        "spike_fn": sa.SingleSpike,
        "reset_fn": sa.MembraneReset(_first(node.v_reset)),
    }
    if isinstance(node, nir.IF):
        return SinabsNeuron(sl.IAF(**options))
    layer = sl.LIF(tau_mem=1.0, norm_input=False, **options)
    # The constructor cuts tau to float32, which moves exp(-1 / tau) by more than a membrane's unit allows.
    steps = -1 / np.log(_kept(node, 1.0))
    layer.tau_mem = nn.Parameter(torch.tensor(steps, dtype=torch.float64), requires_grad=False)
    return SinabsNeuron(layer)


def snntorch_leaky(node: nir.IF) -> nn.Module:
    """An IF as snntorch's Leaky without a leak."""
    import snntorch

    return snntorch.Leaky(  # type: ignore[no-any-return]
        beta=1.0,
        threshold=_first(node.v_threshold),
        reset_mechanism="zero",
        init_hidden=True,
        reset_delay=False,
    )
