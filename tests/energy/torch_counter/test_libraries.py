"""Networks of each library against a recount from the tensors that their layers really read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import norse.torch as norse
import pytest
import sinabs.layers as sinabs
import snntorch
import torch
from norse.torch.module.snn import SNNRecurrent
from sinabs.activation import MultiSpike, SingleSpike
from snn_tool.energy import count_spikes
from snn_tool.energy.counts.fan_out import conv_synops
from snn_tool.energy.torch_counter import neurons as torch_neurons
from snn_tool.energy.torch_counter.result import SpikeCount
from snn_tool.errors import UnsupportedLayerError
from snn_tool.models.config import StudentConfig
from snn_tool.models.network import Network, SynapticConv
from snn_tool.models.topology import IMAGE
from spikingjelly.activation_based import encoding, layer, neuron
from spikingjelly.activation_based import functional as jelly
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

STEPS, BATCH = 4, 2
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, SynapticConv)


@pytest.fixture
def frames() -> Tensor:
    """Images [T, N, 1, 9, 8] of values that make neurons fire."""
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.rand(STEPS, BATCH, 1, 9, 8, generator=generator)


@contextmanager
def recorded(network: nn.Module) -> Iterator[list[tuple[str, nn.Module, Tensor]]]:
    """What each weighted layer read, call by call."""
    read: list[tuple[str, nn.Module, Tensor]] = []

    def keep(name: str, part: nn.Module, args: tuple[Tensor, ...], _: object) -> None:
        read.append((name, part, args[0]))

    handles = [
        part.register_forward_hook(partial(keep, name))
        for name, part in network.named_modules()
        if isinstance(part, WEIGHTED)
    ]
    yield read
    for handle in handles:
        handle.remove()


def recount(read: list[tuple[str, nn.Module, Tensor]]) -> dict[str, int]:
    """Nonzero inputs that each layer's weights met."""
    met: dict[str, int] = {}
    for name, part, tensor in read:
        met[name] = met.get(name, 0) + meetings(part, tensor)
    return met


def meetings(part: nn.Module, read: Tensor) -> int:
    """By the layer itself with weights of one in float64, whose sums are whole numbers."""
    fired, weight = (read != 0).double(), torch.ones_like(part.weight).double()  # type: ignore[arg-type]
    if isinstance(part, nn.Linear):
        return int((fired @ weight.T).sum())
    fired = fired.flatten(0, -4)
    assert isinstance(part, nn.Conv2d | nn.ConvTranspose2d)
    if isinstance(part, nn.ConvTranspose2d):
        return int(
            conv_transpose2d(
                fired,
                weight,
                None,
                part.stride,
                part.padding,
                part.output_padding,
                part.groups,
                part.dilation,
            ).sum()
        )
    return int(conv2d(fired, weight, None, part.stride, part.padding, part.dilation, part.groups).sum())


def check(network: nn.Module, run: Callable[[], object], real: str) -> SpikeCount:
    """Every layer's events equal the recount; the layer `real` alone reads real values, none of them zero."""
    with count_spikes(network) as counter, recorded(network) as read, torch.no_grad():
        run()
    count, met = counter.result(), recount(read)
    spiking = {name: number for name, number in met.items() if name != real}
    assert {name: count.of(name).synops_events for name in spiking} == spiking
    assert any(spiking.values())
    assert {row.name for row in count.rows if row.exact_macs} == {real}
    assert count.of(real).exact_macs == met[real]
    return count


def body() -> list[nn.Module]:
    """[1, 9, 8] -> [4, 9, 8] -> [6, 5, 4] -> [3, 11, 9] -> 5."""
    return [
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        nn.ConvTranspose2d(6, 3, 3, stride=2, dilation=1),
        nn.Linear(3 * 11 * 9, 5),
    ]


SIZES = (4 * 9 * 8, 6 * 5 * 4, 3 * 11 * 9)


def test_norse(frames: Tensor) -> None:
    torch.manual_seed(0)
    first, second, third, last = body()
    cell = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(0.1))
    network = norse.SequentialState(
        first,
        norse.LIFBoxCell(cell),
        second,
        norse.LIFBoxCell(cell),
        third,
        norse.LIFBoxCell(cell),
        nn.Flatten(),
        last,
        norse.LICell(),
    )

    def run() -> None:
        state = None
        for frame in frames:
            _, state = network(frame, state)

    count = check(network, run, real="0")
    assert count.calls == STEPS
    for name, size in zip(("1", "3", "5"), SIZES, strict=True):
        assert count.of(name).neuron_updates == STEPS * BATCH * size
        assert count.of(name).state_bytes == BATCH * size * 4  # one membrane in float32
    assert (count.of("8").kind, count.of("8").neuron_updates) == ("integrator", STEPS * BATCH * 5)
    assert count.of("8").state_bytes == 2 * BATCH * 5 * 4  # membrane and current


def test_a_recurrent_cell_of_norse_reads_the_image_and_its_own_spikes() -> None:
    torch.manual_seed(0)
    network = norse.LIFRecurrentCell(4, 6, p=norse.LIFParameters(v_th=torch.tensor(0.02)))
    fired, state = [], None
    with count_spikes(network) as counter, torch.no_grad():
        for _ in range(STEPS):
            spikes, state = network(3 * torch.rand(BATCH, 4), state)
            fired.append(spikes)
    products = counter.result().of("LIFRecurrentCell", "matrix product")
    assert products.source == "both"
    assert products.exact_macs == STEPS * BATCH * 4 * 6
    assert products.synops_levels == 6 * int(torch.stack(fired[:-1]).sum()) > 0


class SnnTorch(nn.Module):
    """The loop of snntorch's tutorials, with a recurrent last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.last = body()
        self.a, self.b, self.c = (snntorch.Leaky(beta=0.9, threshold=0.2) for _ in range(3))
        self.d = snntorch.RLeaky(beta=0.9, threshold=0.05, linear_features=5)

    def forward(self, frames: Tensor) -> Tensor:
        a, b, c = (part.init_leaky() for part in (self.a, self.b, self.c))
        fired, d = self.d.init_rleaky()
        out = []
        for frame in frames:
            spikes, a = self.a(self.first(frame), a)
            spikes, b = self.b(self.second(spikes), b)
            spikes, c = self.c(self.third(spikes), c)
            fired, d = self.d(self.last(spikes.flatten(1)), fired, d)
            out.append(fired)
        return torch.stack(out)


def test_snntorch(frames: Tensor) -> None:
    torch.manual_seed(0)
    network = SnnTorch()
    count = check(network, lambda: network(frames), real="first")
    assert count.calls == 1
    for name, size in zip("abc", SIZES, strict=True):
        assert count.of(name).neuron_updates == STEPS * BATCH * size
        assert count.of(name).state_bytes == BATCH * size * 4
    assert count.of("d").state_bytes == 2 * BATCH * 5 * 4  # membrane, and the spikes that come back
    assert 0 < count.of("d.recurrent").synops_levels <= 5 * count.of("d").spikes


def jelly_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1),
        layer.BatchNorm2d(4),
        neuron.LIFNode(v_threshold=0.3),
        layer.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        neuron.IFNode(v_threshold=0.3),
        layer.ConvTranspose2d(6, 3, 3, stride=2),
        neuron.ParametricLIFNode(v_threshold=0.1),
        layer.MaxPool2d(2),
        layer.Flatten(),
        layer.Linear(3 * 5 * 4, 5),
    ).eval()


def test_spikingjelly_in_both_step_modes(frames: Tensor) -> None:
    network = jelly_network()
    jelly.set_step_mode(network, "m")
    several = check(network, lambda: network(frames), real="0")
    jelly.reset_net(network)
    jelly.set_step_mode(network, "s")
    single = check(network, lambda: [network(frame) for frame in frames], real="0")
    assert (single.calls, several.calls) == (STEPS, 1)
    assert single.of("4").neuron_updates == STEPS * BATCH * SIZES[1]
    assert single.of("4").state_bytes == BATCH * SIZES[1] * 4
    for one, other in zip(single.rows, several.rows, strict=True):
        assert replace(one, calls=0) == replace(other, calls=0)


@pytest.mark.parametrize("decode", [None, "last_mem"])
def test_spikingjelly_integrators(decode: str | None) -> None:
    network = nn.Sequential(neuron.NonSpikingLIFNode(decode=decode))
    with count_spikes(network) as counter:
        network(torch.rand(STEPS, BATCH, 5))
    row = counter.result().of("0")
    assert (row.kind, row.neuron_updates, row.state_bytes) == ("integrator", STEPS * BATCH * 5, BATCH * 5 * 4)


def sinabs_network(spike: object) -> nn.Sequential:
    torch.manual_seed(0)
    first, second, _, _ = body()
    return nn.Sequential(
        first,
        sinabs.IAFSqueeze(batch_size=BATCH, spike_threshold=0.2, spike_fn=spike),
        sinabs.SumPool2d(1),
        second,
        sinabs.LIFSqueeze(tau_mem=10.0, batch_size=BATCH, spike_threshold=0.2, spike_fn=spike),
    )


@pytest.mark.parametrize("several", [False, True])
def test_sinabs(several: bool, frames: Tensor) -> None:
    network = sinabs_network(MultiSpike if several else SingleSpike)
    batch_first = frames.transpose(0, 1).flatten(0, 1)
    count = check(network, lambda: network(batch_first), real="0")
    assert count.of("1").neuron_updates == STEPS * BATCH * SIZES[0]
    assert count.of("1").state_bytes == BATCH * SIZES[0] * 4
    assert (count.of("1").spike_levels > count.of("1").spikes) is several
    assert (count.of("3").synops_levels > count.of("3").synops_events) is several


def test_sinabs_recurrence_reads_spikes() -> None:
    torch.manual_seed(0)
    network = sinabs.LIFRecurrent(tau_mem=10.0, rec_connect=nn.Linear(6, 6, bias=False), spike_threshold=0.3)
    value = 9 * torch.rand(BATCH, STEPS, 6)
    with count_spikes(network) as counter, torch.no_grad():
        fired = network(value)
    assert counter.result().of("rec_connect").synops_levels == 6 * int(fired.sum()) > 0
    assert counter.result().macs == 0


@pytest.mark.parametrize("kind", ["lif", "graded"])
@pytest.mark.parametrize("shape", ["unet", "flat"])
def test_own_students(
    kind: str, shape: str, make_student: Callable[..., tuple[Network, StudentConfig]]
) -> None:
    student, _ = make_student(kind, shape)
    wiring = {f"synapses.{synapse.name}": synapse for synapse in student.topology.synapses}
    with count_spikes(student) as counter, recorded(student) as read, torch.no_grad():
        student(torch.rand(1, 3, 16, 16))
    count = counter.result()
    fired = {
        name: conv_synops(
            (source[:, 0] != 0).sum(0).numpy(),
            *(wiring[name].out_channels, wiring[name].kernel, wiring[name].stride),
            *(wiring[name].padding, wiring[name].dilation),
        )
        for name, _, source in read
    }
    spiking = [name for name, synapse in wiring.items() if synapse.source != IMAGE]
    assert {name: count.of(name).synops_events for name in spiking} == {name: fired[name] for name in spiking}
    assert all(count.of(name).source == ("spikes" if name in spiking else "real") for name in wiring)
    assert sum(fired[name] for name in spiking) > 0
    steps = student.timesteps * 16 * 16
    assert {row.name: row.neuron_updates for row in count.rows if row.kind == "spiking neuron"} == {
        f"neurons.{p.name}": steps * p.channels // p.downscale**2 for p in student.topology.spiking
    }
    assert (count.total("spike_levels") > count.total("spikes")) is (kind == "graded")


def test_all_known_neurons_exist() -> None:
    """A name that a library no longer has would be a rule that never acts."""
    homes = {"norse": norse, "snntorch": snntorch, "spikingjelly": (neuron, encoding), "sinabs": sinabs}
    known = [
        (library, name)
        for table in (torch_neurons._UNIT, torch_neurons._SIGNED, torch_neurons._INTEGRATORS)
        for library, names in table.items()
        for name in names.split()
    ]
    classes = {(c.__module__.partition(".")[0], c.__name__) for c in descendants(nn.Module)}
    assert len(known) > 70
    assert not [pair for pair in known if pair[0] in homes and pair not in classes]


def descendants(base: type) -> set[type]:
    """Every class that has been imported below `base`."""
    return {c for below in base.__subclasses__() for c in {below} | descendants(below)}


REFUSED = {
    "norse": lambda: SNNRecurrent(norse.LIFRecurrentCell(3, 3).activation, None, 3, 3, None),
    "snntorch": lambda: snntorch.LeakyParallel(3, 3),
    "sinabs": sinabs.NeuromorphicReLU,
    "sinabs base": lambda: sinabs.StatefulLayer(["v_mem"]),
    "spikingjelly": lambda: neuron.ILIFNode(),
}


@pytest.mark.parametrize("library", REFUSED)
def test_neurons_that_cannot_be_judged_are_refused(library: str) -> None:
    network = nn.Sequential(nn.Sequential(REFUSED[library]()))
    with (
        pytest.raises(UnsupportedLayerError, match=r"^0\.0: .* is not known to emit spikes; name it in"),
        count_spikes(network),
    ):
        pass
