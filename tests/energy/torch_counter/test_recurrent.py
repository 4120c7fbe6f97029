"""Neurons with weights inside equal their cell stepped by hand, and a recount from what they emitted."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import norse.torch as norse
import pytest
import sinabs.layers as sinabs
import snntorch
import torch
from norse.torch.functional.izhikevich import tonic_spiking
from norse.torch.module.coba_lif import CobaLIFCell
from norse.torch.module.izhikevich import IzhikevichRecurrent, IzhikevichRecurrentCell
from snn_tool.energy import count_spikes
from snn_tool.energy.torch_counter.kinds import Spikes
from snn_tool.energy.torch_counter.spikes import DenseNetworkWarning
from snn_tool.errors import UnsupportedLayerError
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn

STEPS, BATCH, INPUTS, HIDDEN = 8, 2, 6, 5
Make = Callable[..., nn.Module]
NORSE: dict[str, tuple[Make, Make]] = {
    "Izhikevich": (
        partial(IzhikevichRecurrent, spiking_method=tonic_spiking),
        partial(IzhikevichRecurrentCell, spiking_method=tonic_spiking),
    ),
    "LIF": (norse.LIFRecurrent, norse.LIFRecurrentCell),
    "LIFAdEx": (norse.LIFAdExRecurrent, norse.LIFAdExRecurrentCell),
    "LIFAdExRefrac": (norse.LIFAdExRefracRecurrent, norse.LIFAdExRefracRecurrentCell),
    "LIFEx": (norse.LIFExRecurrent, norse.LIFExRecurrentCell),
    "LIFRefrac": (norse.LIFRefracRecurrent, norse.LIFRefracRecurrentCell),
    "LSNN": (norse.LSNNRecurrent, norse.LSNNRecurrentCell),
}


def frames(scale: float) -> Tensor:
    return scale * torch.rand(STEPS, BATCH, INPUTS, generator=torch.Generator().manual_seed(1))


def stepped(cell: nn.Module, images: Tensor) -> Tensor:
    state, fired = None, []
    for image in images:
        spikes, state = cell(image, state)
        fired.append(spikes)
    return torch.stack(fired)


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("name", NORSE)
def test_a_sequence_of_norse_equals_its_cell(name: str, named: bool) -> None:
    """Whether norse's class is known, or named by the user: each spike but the last step's meets its row."""
    make, make_cell = NORSE[name]
    torch.manual_seed(0)
    whole, cell = make(INPUTS, HIDDEN), make_cell(INPUTS, HIDDEN)
    cell.load_state_dict(whole.state_dict())
    images = frames(900)
    with (
        count_spikes(whole, spiking={type(whole): Spikes()} if named else None) as counter,
        torch.no_grad(),
    ):
        fired = whole(images)[0]
    with count_spikes(cell) as by_step, torch.no_grad():
        assert torch.equal(stepped(cell, images), fired)
    products, spiking = counter.result().rows
    assert products.synops_events == products.synops_levels == HIDDEN * int(fired[:-1].sum()) > 0
    assert products.exact_macs == STEPS * BATCH * INPUTS * HIDDEN
    assert (products.source, spiking.spikes) == ("both", int(fired.sum()))
    for one, other in zip(counter.result().rows, by_step.result().rows, strict=True):
        same = replace(other, name=one.name, calls=one.calls)
        assert one == same


def test_a_recorded_sequence_keeps_one_state() -> None:
    """norse's `record_states` returns the states of all steps; a neuron keeps that of the last."""
    plain = norse.LIFRecurrent(INPUTS, HIDDEN)
    recording = norse.LIFRecurrent(INPUTS, HIDDEN, record_states=True)
    sizes = []
    for network in (plain, recording):
        with count_spikes(network) as counter, torch.no_grad():
            network(frames(9))
        sizes.append(counter.result().of("LIFRecurrent", "spiking neuron").state_bytes)
    assert sizes == [3 * BATCH * HIDDEN * 4] * 2  # spikes, potential, current


def test_the_conductances_of_norse_have_weights_of_their_own() -> None:
    """Excitation reads the positive weights, inhibition the negative ones: two products each are computed."""
    torch.manual_seed(0)
    cell = CobaLIFCell(INPUTS, HIDDEN)
    images = frames(900)
    with count_spikes(cell) as counter, torch.no_grad():
        fired = stepped(cell, images)
    row = counter.result().of("CobaLIFCell", "matrix product")
    assert row.synops_events == 2 * HIDDEN * int(fired[:-1].sum()) > 0
    assert row.exact_macs == 2 * STEPS * BATCH * INPUTS * HIDDEN


class Own(nn.Module):
    """A user's recurrent neuron that loops over time; `threshold` makes its spikes."""

    def __init__(self, threshold: Callable[[Tensor], Tensor], recurrent: bool = False) -> None:
        super().__init__()
        self.read = nn.Linear(INPUTS, HIDDEN, bias=False)
        layer = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.name = "recurrent" if recurrent else "own"
        self.add_module(self.name, layer)
        self.threshold = threshold

    def forward(self, images: Tensor) -> Tensor:
        spikes = torch.zeros(BATCH, HIDDEN)
        potential, fired = torch.zeros(BATCH, HIDDEN), []
        for image in images:
            potential = 0.9 * potential + self.read(image) + self.get_submodule(self.name)(spikes)
            spikes = self.threshold(potential - 0.5)
            potential = potential * (1 - spikes)
            fired.append(spikes)
        return torch.stack(fired)


COMPARED: dict[str, Callable[[Tensor], Tensor]] = {
    "greater": lambda v: (v > 0).float(),
    "greater, by name": lambda v: torch.ge(v, 0).to(v.dtype),
    "a step": lambda v: torch.heaviside(v, torch.tensor(0.0)),
    "a choice": lambda v: torch.where(v > 0, 1.0, 0.0),
    "two conditions": lambda v: ((v > 0) & ~(v > 50)).float(),
    "a whole number": lambda v: 1.0 * (v > 0),
}


@pytest.mark.parametrize("name", COMPARED)
def test_an_own_neuron_reads_its_own_spikes(name: str) -> None:
    torch.manual_seed(0)
    network = Own(COMPARED[name])
    with count_spikes(network, spiking={Own: Spikes()}) as counter, torch.no_grad():
        fired = network(frames(3))
    assert counter.result().of("own").synops_events == HIDDEN * int(fired[:-1].sum()) > 0
    assert counter.result().of("own").exact_macs == 0
    assert counter.result().of("read").exact_macs == STEPS * BATCH * INPUTS * HIDDEN


HIDDEN_SPIKES: dict[str, tuple[Callable[[Tensor], Tensor], Spikes]] = {
    "levels": (lambda v: v.relu().round(), Spikes(1.0, unit=False)),
    "a scaled level": (lambda v: 0.5 * v.relu().floor(), Spikes(0.5, unit=False)),
    "a sign": (lambda v: (torch.sign(v) + 1) / 2, Spikes(0.5, unit=False)),
}


@pytest.mark.parametrize("name", HIDDEN_SPIKES)
def test_weights_that_would_be_hidden_are_refused_and_the_remedy_is_true(name: str) -> None:
    """Levels are no comparison: a product that reads them would count as MACs without a word."""
    threshold, kind = HIDDEN_SPIKES[name]
    torch.manual_seed(0)
    with (
        pytest.raises(
            UnsupportedLayerError, match=r"^Own: weights inside of it read its own output.*recurrent"
        ),
        count_spikes(Own(threshold), spiking={Own: kind}) as counter,
        torch.no_grad(),
    ):
        counter.module(frames(3))
    torch.manual_seed(0)
    with count_spikes(network := Own(threshold, True), spiking={Own: kind}) as counter, torch.no_grad():
        fired = network(frames(3))
    assert kind.amplitude is not None
    expected = HIDDEN * int((fired[:-1] / kind.amplitude).sum())
    assert counter.result().of("recurrent").synops_levels == expected > 0
    assert counter.result().of("recurrent").exact_macs == 0


class Outer(nn.Module):
    """Weights as something else than a product."""

    def __init__(self, combine: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(INPUTS, HIDDEN))
        self.combine = combine

    def forward(self, image: Tensor) -> Tensor:
        return (self.combine(image, self.weight) > 0.5).float()


@pytest.mark.parametrize(
    ("combine", "named"),
    [
        (lambda x, w: (x[:, :, None] * w).sum(1), "aten.mul"),
        (lambda x, w: torch.cdist(x, w.T.contiguous()), "aten._cdist_forward"),
    ],
)
def test_products_in_disguise_are_refused(combine: Callable[[Tensor, Tensor], Tensor], named: str) -> None:
    network = nn.Sequential(Outer(combine))
    with (
        pytest.raises(UnsupportedLayerError, match=rf"^0: the operation {named} inside of a neuron reads"),
        count_spikes(network, spiking={Outer: Spikes()}),
    ):
        network(frames(1)[0])


def test_a_neuron_inside_of_an_own_neuron_emits_spikes() -> None:
    """A block that the user names: its layers behind a library's neuron read spikes."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = neuron.IFNode(v_threshold=0.5)
            self.between = nn.Linear(INPUTS, HIDDEN, bias=False)
            self.outer = neuron.IFNode(v_threshold=0.1)

        def forward(self, image: Tensor) -> Tensor:
            self.fired = self.inner(image)
            out: Tensor = self.outer(self.between(self.fired))
            return out

    torch.manual_seed(0)
    with count_spikes(block := Block(), spiking={Block: Spikes()}) as counter, torch.no_grad():
        block(frames(1)[0])
    assert counter.result().of("between").synops_events == HIDDEN * int(block.fired.sum()) > 0
    assert [row.name for row in counter.result().rows if row.spikes or row.neuron_updates] == ["Block"]


def by_loop(network: nn.Module, images: Tensor) -> list[Tensor]:
    """snntorch's neurons keep their state; the spikes of each step."""
    return [network(image)[0] for image in images]


@pytest.mark.parametrize("make", [partial(snntorch.RLeaky, 0.9), partial(snntorch.RSynaptic, 0.5, 0.9)])
@pytest.mark.parametrize("learn", [False, True])
def test_recurrence_one_to_one_is_one_weight_for_each_spike(make: Make, learn: bool) -> None:
    network = make(all_to_all=False, V=torch.rand(INPUTS), threshold=0.3, learn_recurrent=learn)
    with count_spikes(network) as counter, torch.no_grad():
        fired = by_loop(network, frames(1))
    row = counter.result().of("recurrent")
    spikes_read = int(sum(step.sum() for step in fired[:-1]))
    assert row.synops_events == row.synops_levels == spikes_read > 0
    assert (row.exact_macs, row.source) == (0, "spikes")
    assert row.dense_exact_macs == STEPS * BATCH * INPUTS


@pytest.mark.parametrize("make", [partial(snntorch.RLeaky, 0.9), partial(snntorch.RSynaptic, 0.5, 0.9)])
def test_recurrence_all_to_all(make: Make) -> None:
    network = make(linear_features=INPUTS, threshold=0.3)
    with count_spikes(network) as counter, torch.no_grad():
        fired = by_loop(network, frames(1))
    row = counter.result().of("recurrent")
    assert row.synops_events == INPUTS * int(sum(step.sum() for step in fired[:-1])) > 0
    assert row.exact_macs == 0


def test_a_spiking_lstm_reads_spikes_and_its_own_potential() -> None:
    """Four gates read what enters, here spikes, and the potential, a real value.

    As many neurons as inputs: snntorch 1.0 forgets the state of any other layer at every step.
    """
    torch.manual_seed(0)
    first, second = snntorch.Leaky(0.5, threshold=0.4), snntorch.SLSTM(INPUTS, INPUTS)
    spikes, state = 0, second.init_slstm()
    with count_spikes(nn.ModuleList([first, second])) as counter, torch.no_grad():
        for image in frames(1):
            fired, _ = first(image)
            _, *state = second(fired, *state)
            spikes += int(fired.sum())
    row = counter.result().of("1.lstm_cell")
    assert row.synops_events == 4 * INPUTS * spikes > 0
    assert row.exact_macs == (STEPS - 1) * BATCH * 4 * INPUTS * INPUTS  # at rest it is zero


@pytest.mark.parametrize(
    "make",
    [
        partial(sinabs.LIFRecurrent, tau_mem=10.0, spike_threshold=0.3),
        partial(sinabs.ALIFRecurrent, tau_mem=10.0, tau_adapt=10.0),
        partial(sinabs.IAFRecurrent, spike_threshold=0.3),
    ],
)
def test_recurrence_of_sinabs(make: Make) -> None:
    torch.manual_seed(0)
    network = make(rec_connect=nn.Sequential(nn.Flatten(), nn.Linear(INPUTS, INPUTS, bias=False)))
    with count_spikes(network) as counter, torch.no_grad():
        fired = network(frames(9).transpose(0, 1))
    row = counter.result().of("rec_connect.1")
    assert row.synops_levels == INPUTS * int(fired.sum()) > 0  # the last step's too: its current is kept
    assert row.exact_macs == 0


@pytest.mark.parametrize("step_mode", ["m", "s"])
def test_a_recurrent_container_of_spikingjelly_reads_the_image_beside_its_own_spikes(step_mode: str) -> None:
    """One linear layer reads both; before the first spikes it reads zeros, which the image makes real."""
    torch.manual_seed(0)
    cell = nn.Sequential(nn.Linear(INPUTS, HIDDEN), neuron.LIFNode(v_threshold=0.1))
    network = layer.LinearRecurrentContainer(cell, INPUTS, HIDDEN, step_mode=step_mode)
    images = frames(1)
    with count_spikes(network) as counter, torch.no_grad():
        fired = network(images) if step_mode == "m" else torch.stack([network(one) for one in images])
    row = counter.result().of("rc")
    assert row.synops_events == INPUTS * int(fired[:-1].sum()) > 0
    assert row.exact_macs == STEPS * BATCH * INPUTS * INPUTS + BATCH * HIDDEN * INPUTS
    assert row.dense_exact_macs == STEPS * BATCH * (INPUTS + HIDDEN) * INPUTS
    assert row.source == "both"


def test_containers_of_spikingjelly_count_as_their_parts() -> None:
    torch.manual_seed(0)
    parts = nn.Linear(INPUTS, HIDDEN), neuron.LIFNode(v_threshold=0.1), nn.Linear(HIDDEN, 3)
    network = layer.MultiStepContainer(*parts)
    with count_spikes(network) as counter, torch.no_grad():
        network(frames(1))
    count = counter.result()
    assert count.of("2").synops_events == 3 * count.of("1").spikes > 0
    assert count.macs == STEPS * BATCH * INPUTS * HIDDEN


def test_a_network_without_neurons_is_said_to_be_counted_as_dense() -> None:
    dense = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU())
    with pytest.warns(DenseNetworkWarning, match="Sequential has no spiking neuron.*spiking="):
        with count_spikes(dense) as counter:
            dense(frames(1)[0])
    assert counter.result().macs == BATCH * INPUTS * HIDDEN
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with count_spikes(dense, inputs="spikes"), torch.no_grad():
            dense(frames(1)[0].round())
        with count_spikes(nn.Sequential(neuron.IFNode())):
            pass
    with pytest.warns(DenseNetworkWarning, match="has no spiking neuron"):
        with count_spikes(nn.Sequential(norse.LICell())):
            pass
