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


def test_what_the_graph_does_not_hold_is_told() -> None:
    subtracts = chain(leaky, hard)
    notes = graph_of(subtracts, "a:b", (2, SIDE, SIDE)).notes
    assert notes == ("a:b: 2 (Leaky): resets by subtraction, which becomes a reset to 0",)
    late = graph_of(chain(hard, lambda: leaky(reset_mechanism="zero")), "a:b", (2, SIDE, SIDE)).notes
    assert len(late) == 1 and "6 (Leaky): resets one timestep late" in late[0]


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
    broken = nn.Sequential(layer.Linear(3, 3), neuron.IFNode())
    refused(broken, "0 (Linear)", "spikingjelly's exporter")
