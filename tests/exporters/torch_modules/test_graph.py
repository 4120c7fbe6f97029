"""Torch networks as graphs: three libraries' own runs against the graph's equations, and what is refused."""

from collections.abc import Callable
from typing import Any

import norse.torch as norse
import numpy as np
import pytest
import snntorch
import torch
from snn_tool.errors import UnsupportedLayerError
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.exporters.torch_modules.graph import graph_of
from snn_tool.exporters.torch_modules.running import run_module
from spikingjelly.activation_based import layer, neuron
from torch import nn

SIDE, STEPS, CLASSES = 8, 5, 4


def chain(*neurons: Callable[[], Any], kind: type = nn.Sequential) -> nn.Module:
    """Conv, BatchNorm with statistics of its own, neurons, MaxPool, Flatten, Linear."""
    torch.manual_seed(5)
    norm = nn.BatchNorm2d(6)
    with torch.no_grad():
        norm.running_mean.normal_(0, 0.2)
        norm.running_var.uniform_(0.3, 2)
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_(0, 0.2)
    first, second, *last = neurons
    return kind(
        nn.Conv2d(2, 6, 3, padding=1),
        norm,
        first(),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        second(),
        nn.Flatten(),
        nn.Linear(8 * 4, CLASSES),
        *(one() for one in last),
    ).eval()


def leaky(**options: Any) -> Any:
    return snntorch.Leaky(beta=0.8, threshold=0.4, init_hidden=True, **options)


def hard() -> Any:
    return leaky(reset_mechanism="zero", reset_delay=False)


def box() -> Any:
    held = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(250.0), v_th=torch.tensor(0.1))
    return norse.LIFBoxCell(held)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "snntorch": lambda: chain(hard, hard),
    "spikingjelly LIF": lambda: chain(
        lambda: neuron.LIFNode(tau=3.0, v_threshold=0.4),
        lambda: neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=0.5),
    ),
    "spikingjelly IF": lambda: chain(
        lambda: neuron.IFNode(v_threshold=0.5), lambda: neuron.IFNode(v_threshold=0.25)
    ),
    "norse": lambda: chain(box, box, norse.LIBoxCell, kind=norse.SequentialState),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_computes_what_the_library_does(name: str) -> None:
    network = NETWORKS[name]()
    made = graph_of(network, "mine:net", (2, SIDE, SIDE))
    assert (made.by, made.notes) == ("snn-tool", ())
    inputs = torch.rand((STEPS, 3, 2, SIDE, SIDE), generator=torch.Generator().manual_seed(1)) * 2
    theirs = run_module(network, inputs, name)
    module = NirModule(made.graph, name).eval()
    with torch.no_grad():
        ours = torch.stack([module(step.double()) for step in inputs]).numpy()
    assert np.abs(theirs).max() > 0.05 and theirs.shape == (STEPS, 3, CLASSES)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


class Recurrent(nn.Sequential):
    """Linear, neurons with a loop of their own, Linear."""

    def __init__(self, given: int, *parts: nn.Module) -> None:
        super().__init__(nn.Linear(12, given), *parts, nn.Linear(7, CLASSES))
        with torch.no_grad():
            self[0].bias.uniform_(0, 1)


def second_order(kind: Any, **options: Any) -> Any:
    alpha, beta = torch.linspace(0.2, 0.7, 7), torch.linspace(0.5, 0.9, 7)
    usual = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
    return kind(alpha=alpha, beta=beta, **{**usual, **options})


def late(**options: Any) -> Any:
    return snntorch.Leaky(beta=0.8, threshold=0.4, init_hidden=True, **options)


def current_of_norse() -> Any:
    return norse.LIFParameters(
        torch.tensor(300.0), torch.tensor(250.0), torch.tensor(0.0), torch.tensor(0.2), torch.tensor(0.0)
    )


LOOP = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False, "linear_features": 7}
VECTORS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "Leaky that subtracts late": (lambda: Recurrent(7, late()), "subtract-late"),
    "Leaky that resets late": (lambda: Recurrent(7, late(reset_mechanism="zero")), "zero"),
    "Leaky with a beta for each": (
        lambda: Recurrent(7, snntorch.Leaky(beta=torch.linspace(0.3, 0.9, 7), init_hidden=True)),
        "subtract-late",
    ),
    "RLeaky": (lambda: Recurrent(7, snntorch.RLeaky(beta=0.7, **LOOP)), "zero"),
    "RLeaky, one to one": (
        lambda: Recurrent(
            7, snntorch.RLeaky(beta=0.7, V=0.4, all_to_all=False, init_hidden=True, learn_recurrent=False)
        ),
        "subtract-late",
    ),
    "Synaptic": (lambda: Recurrent(7, second_order(snntorch.Synaptic)), "zero"),
    "RSynaptic": (  # its own forward fails with reset_delay=False
        lambda: Recurrent(
            7,
            second_order(snntorch.RSynaptic, reset_mechanism="subtract", reset_delay=True, linear_features=7),
        ),
        "subtract-late",
    ),
    "spikingjelly, a learned tau": (
        lambda: Recurrent(7, neuron.ParametricLIFNode(2.5, v_threshold=0.3)),
        "zero",
    ),
    "spikingjelly, a soft reset": (
        lambda: Recurrent(7, neuron.LIFNode(tau=2.5, v_threshold=0.3, v_reset=None)),
        "subtract",
    ),
    "norse's current": (
        lambda: norse.SequentialState(
            nn.Linear(12, 7), norse.LIFCell(current_of_norse()), nn.Linear(7, CLASSES)
        ),
        "zero",
    ),
    "norse, recurrent": (
        lambda: norse.SequentialState(
            norse.LIFRecurrentCell(12, 7, p=current_of_norse()), nn.Linear(7, CLASSES)
        ),
        "zero",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_spikes_and_outputs_through_time_are_the_librarys(name: str) -> None:
    """A Linear behind the neurons shows every spike: in 25 steps of four samples its outputs stay equal."""
    build, resets = VECTORS[name]
    torch.manual_seed(3)
    network = build().eval()
    made = graph_of(network, "mine:net", (12,))
    assert (made.by, made.notes) == ("snn-tool", ()) and set(made.resets.values()) == {resets}
    inputs = torch.rand((25, 4, 12), generator=torch.Generator().manual_seed(1)) * 2
    theirs = run_module(network, inputs, name)
    module = NirModule(made.graph, name, resets=made.resets).eval()
    fired: list[float] = []
    for part in module.neurons.values():
        part.register_forward_hook(lambda _m, _x, z: fired.append(float(z.mean())))
    with torch.no_grad():
        ours = torch.stack([module(step.double()) for step in inputs]).numpy()
    assert 0.02 < np.mean(fired) < 0.98
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_a_max_pools_neurons_reset_to_zero_whatever_the_others_do() -> None:
    network = chain(leaky, leaky)
    made = graph_of(network, "a:b", (2, SIDE, SIDE))
    assert (made.notes, made.resets) == ((), {"n2": "subtract-late", "n6": "subtract-late"})
    inputs = torch.rand((STEPS, 3, 2, SIDE, SIDE), generator=torch.Generator().manual_seed(1)) * 2
    module = NirModule(made.graph, "a", resets=made.resets).eval()
    with torch.no_grad():
        ours = torch.stack([module(step.double()) for step in inputs]).numpy()
    np.testing.assert_allclose(ours, run_module(network, inputs, "a"), atol=2e-5)


def test_what_the_graph_does_not_hold_is_told() -> None:
    slow = Recurrent(7, second_order(snntorch.Synaptic, reset_delay=True))
    assert graph_of(slow, "a:b", (12,)).notes == (
        "a:b: 1 (Synaptic): resets one timestep late and loses that step's input, which becomes a reset in "
        "the same step",
    )


def test_refusals_name_the_module_and_the_library_in_its_own_words() -> None:
    def refused(network: nn.Module, *words: str) -> None:
        with pytest.raises(UnsupportedLayerError) as found:
            graph_of(network, "a:b", (2, SIDE, SIDE))
        text = str(found.value)
        assert "\n" not in text and all(word in text for word in (*words, "nn.Sequential")), text

    plain = nn.Sequential(nn.Conv2d(2, 2, 3), nn.MaxPool2d(2))
    refused(plain, "1 (MaxPool2d): of values that are no spikes", "no neurons of snntorch")
    odd = nn.Sequential(nn.Conv2d(2, 2, 3, padding_mode="circular"), hard())
    refused(odd, "0 (Conv2d): no map for it", "snntorch's exporter")
    alpha = nn.Sequential(nn.Conv2d(2, 2, 3), snntorch.Alpha(alpha=0.6, beta=0.5, init_hidden=True))
    refused(
        alpha, "1 (Alpha): two synaptic currents, of which a chip's neuron has one", "snntorch's exporter"
    )
    forever = nn.Sequential(nn.Conv2d(2, 2, 3), snntorch.Synaptic(alpha=0.6, beta=1.0, init_hidden=True))
    refused(forever, "1 (Synaptic): NIR's CubaLIF has no membrane and no current that loses nothing")
    rivals = nn.Sequential(nn.Conv2d(2, 2, 3), snntorch.Leaky(beta=0.6, init_hidden=True, inhibition=True))
    refused(rivals, "1 (Leaky): with inhibition")
    broken = nn.Sequential(layer.Linear(3, 3), neuron.IFNode())
    refused(broken, "0 (Linear)", "spikingjelly's exporter")
