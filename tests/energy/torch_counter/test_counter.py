"""What carries spikes is decided by the graph: each operation by hand, on networks of one or two layers."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from snn_tool.energy import count_spikes
from snn_tool.energy.torch_counter.kinds import Spikes
from snn_tool.energy.torch_counter.result import SpikeCount
from snn_tool.errors import ConfigError, DataError, UnsupportedLayerError
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

SIZE = 2 * 4 * 4


class Emitter(nn.Module):
    """A neuron that fires where its input is above zero."""

    def forward(self, image: Tensor) -> Tensor:
        return (image > 0).to(image.dtype)


class Behind(nn.Module):
    """`between` of spikes [N, 2, 4, 4], then a layer with one output: synops are spikes, no more."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.neuron = Emitter()
        self.between = between
        self.layer = nn.LazyLinear(1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        value: Tensor = self.layer(self.between(self.neuron(image)).flatten(1))
        return value


def count(network: nn.Module, *images: Tensor, **options: Any) -> SpikeCount:
    with torch.no_grad():
        network(images[0])  # lazy layers take their shape
    with count_spikes(network, spiking={Emitter: Spikes()}, **options) as counter:
        for image in images:
            network(image)
    return counter.result()


@pytest.fixture
def image() -> Tensor:
    """[1, 2, 4, 4] with five values above zero."""
    values = -torch.ones(SIZE)
    values[[0, 3, 10, 17, 31]] = 1.0
    return values.view(1, 2, 4, 4)


def pixel_shuffled(spikes: Tensor) -> Tensor:
    return functional.pixel_shuffle(spikes.repeat(1, 2, 1, 1), 2)


# operation -> levels, events of the five spikes 0, 3, 10, 17, 31 of [2, 4, 4]
KEPT = {
    "itself": (lambda z: z, 5, 5),
    "a permutation": (lambda z: z.permute(0, 3, 1, 2).flip(1).roll(1, 2), 5, 5),
    "zero padding": (lambda z: functional.pad(z, (1, 2, 0, 1)), 5, 5),
    "concatenation": (lambda z: torch.cat([z, torch.zeros_like(z), z[:, :1]], 1), 8, 8),
    "a pixel shuffle": (pixel_shuffled, 10, 10),
    "nearest upsampling": (lambda z: functional.interpolate(z, scale_factor=2), 20, 20),
    "exact nearest upsampling": (
        lambda z: functional.interpolate(z, scale_factor=2, mode="nearest-exact"),
        20,
        20,
    ),
    "a gain": (lambda z: 0.5 * z / 3, 5, 5),
    "a sign": (lambda z: -z, 5, 5),
    "their addition": (lambda z: z + z.flip(3), 10, 8),  # 3 mirrors 0: both become 2
    "their difference": (lambda z: z - z.flip(3), 6, 6),  # 0 and 3 cancel
    "their product": (lambda z: z * z.flip(3), 2, 2),
    "silence instead": (lambda z: 1 - z, SIZE - 5, SIZE - 5),
    "a selection": (lambda z: torch.where(z > 0, z, torch.zeros_like(z)), 5, 5),
    "a maximum": (lambda z: torch.maximum(z, z.flip(3)), 8, 8),
    # pairs of columns in rows: 0 | 3 in the first row; 10 in the third; 17 and 31 in the second channel
    "sums of windows": (lambda z: functional.avg_pool2d(z, 4) * 16, 5, 2),
    "averages of windows": (lambda z: functional.avg_pool2d(z, 2), 5, 5),
    "averages of a map": (lambda z: functional.adaptive_avg_pool2d(z, 1), 5, 2),
    "sums over channels": (lambda z: z.sum(1), 5, 5),
    "maxima of windows": (lambda z: functional.max_pool2d(z, 4), 2, 2),
    "maxima of unequal windows": (lambda z: functional.adaptive_max_pool2d(z, 1), 2, 2),
    "maxima over a dimension": (lambda z: z.max(1).values, 5, 5),
    "minima over a dimension": (lambda z: z.min(2).values, 0, 0),
    "smaller of two": (lambda z: torch.minimum(z, z.flip(3)), 2, 2),
    "the largest": (lambda z: z.topk(2, 3).values, 5, 5),
    "an order": (lambda z: z.sort(3).values, 5, 5),
    "whether any fired": (lambda z: z.any(1).float(), 5, 5),
    "volumes of averages": (lambda z: functional.avg_pool3d(z, (2, 4, 4)), 5, 1),
    "volumes of maxima": (lambda z: functional.max_pool3d(z, (2, 2, 2)), 3, 3),
    "a volume's average": (lambda z: functional.adaptive_avg_pool3d(z[None], 1), 5, 1),
    "a choice of a number or zero": (lambda z: chosen(z), 5, 5),
    "a selection of constants": (lambda z: torch.where(z > 0, 0.5 * z, torch.zeros_like(z)), 5, 5),
    "writing into zeros": (lambda z: torch.zeros_like(z).copy_(z), 5, 5),
    "writing into a part": (lambda z: written(z, z[:, 0]), 6, 6),
    "half precision and back": (lambda z: z.half().float(), 5, 5),
}


def chosen(spikes: Tensor) -> Tensor:
    """A number where a spike is, and zero elsewhere."""
    return torch.where(spikes.bool(), 0.3, 0.0)


def overwritten(whole: Tensor, part: Tensor) -> Tensor:
    whole[:, 0] = part
    return whole


def written(spikes: Tensor, part: Tensor) -> Tensor:
    whole = torch.empty_like(spikes)
    whole[:, 0] = part
    whole[:, 1] = part
    return whole


@pytest.mark.parametrize("name", KEPT)
def test_what_keeps_spikes(name: str, image: Tensor) -> None:
    between, levels, events = KEPT[name]
    row = count(Behind(between), image).of("layer")
    assert (row.synops_levels, row.synops_events, row.exact_macs, row.source) == (levels, events, 0, "spikes")


REAL: dict[str, Callable[[Tensor], Tensor]] = {
    "a bias": lambda z: z + 0.5,
    "batch statistics": lambda z: functional.batch_norm(z, None, None, training=True),
    "bilinear upsampling": lambda z: functional.interpolate(z, scale_factor=2, mode="bilinear"),
    "a sigmoid": torch.sigmoid,
    "unequal gains": lambda z: z * torch.linspace(0.1, 1, 4),
    "a comparison": lambda z: (z > 0.5).float(),
    "addition of a real value": lambda z: z + torch.sigmoid(z),
    "concatenation with real values": lambda z: torch.cat([z, torch.sigmoid(z)], 1),
    "levels of no common unit": lambda z: z + z * 0.7,
    "positions of maxima": lambda z: functional.max_pool2d(z, 2, return_indices=True)[1].float(),
    "real values over a part": lambda z: overwritten(z.clone(), torch.sigmoid(z[:, 0])),
    "spikes over a part of real values": lambda z: overwritten(torch.sigmoid(z), z[:, 0]),
    "a weighted addition": lambda z: torch.add(z, z.flip(3), alpha=0.7),
    "positions of the largest": lambda z: z.max(1).indices.float(),
    "where the largest is": lambda z: z.argmax(1).float(),
    "a smooth maximum": lambda z: z.logsumexp(1),
    "two constants": lambda z: torch.where(z > 0, torch.tensor(0.3), torch.tensor(0.7)),
    "fractions cut to whole numbers": lambda z: (z * 1.5).long().float(),
    "averages of unequal windows": lambda z: functional.avg_pool2d(z, 3, 1, 1, count_include_pad=False),
}


@pytest.mark.parametrize("name", REAL)
def test_what_ends_in_real_values(name: str, image: Tensor) -> None:
    row = count(Behind(REAL[name]), image).of("layer")
    assert (row.synops_levels, row.source) == (0, "real")
    assert row.exact_macs == row.dense_exact_macs == row.parameters > 0


class Joined(nn.Module):
    """Spikes and the image itself, joined before one layer, as a skip connection is."""

    def __init__(self, layer: nn.Module, between: Callable[[Tensor], Tensor] = lambda both: both) -> None:
        super().__init__()
        self.neuron, self.layer, self.between = Emitter(), layer, between

    def forward(self, image: Tensor) -> Tensor:
        both = torch.cat([image[:, :1], self.neuron(image), image], 1)
        value: Tensor = self.layer(self.between(both))
        return value


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_of_spikes_beside_an_image(image: Tensor, stride: int) -> None:
    """Each part as by a layer of its own: channels 0, 3 and 4 are the image's, 1 and 2 spikes."""
    joined = count(Joined(nn.Conv2d(5, 3, 3, stride, 1)), image).of("layer")
    spiking = count(nn.Sequential(Emitter(), nn.Conv2d(2, 3, 3, stride, 1)), image).of("1")
    assert joined.synops_levels == joined.synops_events == spiking.synops_levels > 0
    with pytest.warns(UserWarning, match="no spiking neuron"):
        real = count(nn.Conv2d(3, 3, 3, stride, 1), torch.cat([image, image[:, :1]], 1)).of("Conv2d")
    assert (joined.exact_macs, joined.padded_macs) == (real.exact_macs, real.padded_macs)
    assert joined.dense_exact_macs == real.exact_macs + spiking.dense_exact_macs
    assert joined.elementwise_ops == real.elementwise_ops  # one bias
    assert joined.source == "both"


def test_a_linear_layer_of_spikes_beside_an_image(image: Tensor) -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neuron, self.layer = Emitter(), nn.Linear(8, 7, bias=False)

        def forward(self, image: Tensor) -> Tensor:
            value: Tensor = self.layer(torch.cat([image, self.neuron(image)], -1))
            return value

    row = count(Rows(), image).of("layer")
    assert (row.synops_events, row.exact_macs, row.dense_exact_macs) == (5 * 7, SIZE * 7, 2 * SIZE * 7)


@pytest.mark.parametrize(
    ("between", "layer"),
    [
        (lambda x: x.relu(), nn.Conv2d(5, 3, 1, bias=False)),
        (lambda x: x.mul_(2), nn.Conv2d(5, 3, 1, bias=False)),
        (lambda x: x.transpose(2, 3), nn.Conv2d(5, 3, 1, bias=False)),
        (lambda x: x[:, :, 1:], nn.Conv2d(5, 3, 1, bias=False)),
        (lambda x: x, nn.Conv2d(5, 5, 1, bias=False, groups=5)),
        (lambda x: x, nn.ConvTranspose2d(5, 3, 1, bias=False)),
        (lambda x: x.flatten(1), nn.Linear(80, 3, bias=False)),
        (lambda x: x, nn.Linear(4, 3, bias=False)),
    ],
)
def test_parts_that_are_not_known_any_more_are_real(
    image: Tensor, between: Callable[[Tensor], Tensor], layer: nn.Module
) -> None:
    row = count(Joined(layer, between), image).of("layer")
    assert (row.synops_levels, row.source) == (0, "real")
    assert row.exact_macs == row.dense_exact_macs > 0


@pytest.mark.parametrize(("signed", "operations"), [(False, 0), (True, 3 * 4)])
def test_only_pools_of_unsigned_spikes_are_free(signed: bool, operations: int) -> None:
    """Pairs cancel in two of three windows, which takes the own four operations of each window."""
    fired = torch.tensor([[[[1.0, -1.0, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, -1.0, 1.0]]]])
    kind = Spikes(signed=signed)
    network = nn.Sequential(Given(), nn.AvgPool2d(2), nn.Conv2d(1, 1, 1, bias=False))
    with count_spikes(network, spiking={Given: kind}) as counter:
        network(fired if signed else fired.abs())
    assert counter.result().synops == (2 if signed else 6)
    assert counter.result().total("elementwise_ops") == operations


def test_values_decide_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), Emitter(), nn.Conv2d(3, 1, 1))
    with torch.no_grad():
        network[0].bias.fill_(-1.0)  # type: ignore[union-attr, operator]
    # an image of zeros, and one of ones: 10 taps on 4 padded positions along each axis
    for image in (torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4) + 1e-9):
        counted = count(network, image)
        assert counted.of("0").exact_macs == 3 * 2 * 10 * 10
        assert counted.of("0").padded_macs == 3 * 2 * 9 * 16
        assert counted.of("0").synops_levels == 0
        silent = counted.of("2")
        assert (silent.synops_levels, silent.exact_macs, silent.dense_exact_macs) == (0, 0, 48)
        assert silent.source == "spikes"
    assert counted.of("1").neuron_updates == 48


def test_images_made_inside_of_the_block_are_images() -> None:
    network = nn.Conv2d(1, 1, 1)
    with count_spikes(network) as counter:
        network(torch.zeros(1, 1, 3, 3))
        network(torch.empty(1, 1, 3, 3).zero_())
    assert counter.result().of("Conv2d").exact_macs == 18


def test_a_kept_input_is_still_an_input() -> None:
    """A tensor that a module holds is a constant, unless the caller passes it in."""

    class Keeps(nn.Module):
        def __init__(self, value: Tensor) -> None:
            super().__init__()
            self.last = value
            self.layer = nn.Linear(3, 2)

        def forward(self, value: Tensor) -> Tensor:
            out: Tensor = self.layer(value)
            return out

    value = torch.ones(5, 3)
    assert count(Keeps(value), value).of("layer").exact_macs == 5 * 3 * 2
    with count_spikes(network := Keeps(value), inputs="spikes") as counter:
        network(value=value)
    assert counter.result().of("layer").synops_levels == 5 * 3 * 2


def test_own_spikes_as_input() -> None:
    frames = torch.tensor([[0.0, 3.0, -1.0, 0.0, 1.0]])
    row = count(nn.Linear(5, 7), frames, inputs="spikes").of("Linear")
    assert (row.synops_levels, row.synops_events, row.exact_macs) == (5 * 7, 3 * 7, 0)
    with pytest.raises(DataError, match="the input of Linear: a value is no multiple of 1"):
        count(nn.Linear(5, 7), frames / 2, inputs="spikes")
    with pytest.raises(ConfigError, match="'analog' is not allowed; use 'real' or 'spikes'"):
        count(nn.Linear(5, 7), frames, inputs="analog")


def test_own_spikes_from_the_network_between_calls(image: Tensor) -> None:
    """A caller may take spikes out, add them, and pass them in again."""
    network = nn.ModuleList([Emitter(), nn.Conv2d(2, 3, 1)])
    with count_spikes(network, spiking={Emitter: Spikes()}) as counter:
        spikes = network[0](image)
        network[1](spikes + spikes)
    row = counter.result().of("1")
    assert (row.synops_levels, row.synops_events) == (2 * 5 * 3, 5 * 3)
    assert counter.result().calls == 0  # the network itself never ran


class Attention(nn.Module):
    """Attention between spikes: Q K^T and then times V, with or without softmax."""

    def __init__(self, softmax: bool) -> None:
        super().__init__()
        self.neuron = Emitter()
        self.softmax = softmax

    def forward(self, value: Tensor) -> Tensor:
        spikes = self.neuron(value)
        if self.softmax:
            return functional.scaled_dot_product_attention(spikes, spikes, spikes)
        return spikes @ spikes.transpose(-1, -2) @ spikes


@pytest.mark.parametrize("softmax", [False, True])
def test_products_of_spikes_are_their_coincidences(softmax: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    value = torch.randn(
        2, 1, 5, 3, generator=generator
    )  # four dimensions, for which torch has a fused kernel
    spikes = (value[:, 0] > 0).int()
    coincidences = sum(
        int(spikes[b, i, k] * spikes[b, j, k])
        for b in range(2)
        for i in range(5)
        for j in range(5)
        for k in range(3)
    )
    # scores are real values; each of V's spikes meets the five scores of its column
    expected = coincidences + 5 * int(spikes.sum())
    counted = count(Attention(softmax), value)
    assert counted.synops == expected
    assert counted.macs == 0
    assert counted.total("dense_exact_macs") == 2 * 2 * 5 * 5 * 3
    # a softmax takes five operations per score, less one maximum and one sum per row
    assert counted.total("elementwise_ops") == (5 * 50 - 2 * 10 if softmax else 0)


def test_products_of_real_values_are_macs() -> None:
    layer = nn.MultiheadAttention(4, 2, batch_first=True).eval()

    class Self(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, value: Tensor) -> Tensor:
            attended: Tensor = self.layer(value, value, value, need_weights=False)[0]
            return attended

    counted = count(Self(), torch.randn(1, 3, 4))
    # three projections in, scores and their use in two heads of width 2, one projection out
    assert counted.macs == 3 * 3 * 4 * 4 + 2 * (2 * 3 * 3 * 2) + 3 * 4 * 4
    assert counted.synops == 0


class Unknown(nn.Module):
    """An operation that no table knows."""

    def forward(self, value: Tensor) -> Tensor:
        return torch.linalg.qr(value)[0]


def test_an_unknown_operation_is_named_with_its_module() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Sequential(Unknown()))
    with pytest.raises(
        UnsupportedLayerError, match=r"^1\.0: the operation aten\.linalg_qr has no known cost"
    ):
        count(network, torch.ones(1, 3))
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in network.modules())


def test_a_kernel_of_spikes_is_refused(image: Tensor) -> None:
    class Kernel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neuron = Emitter()

        def forward(self, image: Tensor) -> Tensor:
            return functional.conv2d(image, self.neuron(image))

    with pytest.raises(UnsupportedLayerError, match=r"^Kernel: a convolution whose kernel carries spikes"):
        count(Kernel(), image)


def test_a_neuron_that_emits_real_values_is_refused(image: Tensor) -> None:
    class Leaking(Emitter):
        def forward(self, image: Tensor) -> Tensor:
            return image * 0.3

    with pytest.raises(DataError, match="^0: a value is no multiple of 1 as spikes are"):
        count(nn.Sequential(Leaking()), image)


def test_an_integrator_emits_its_membrane(image: Tensor) -> None:
    class Membrane(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image * 0.3

    counted = count(nn.Sequential(Membrane(), nn.Conv2d(2, 3, 1)), image, integrators=[Membrane])
    assert counted.of("0").kind == "integrator"
    assert counted.of("0").neuron_updates == SIZE
    assert counted.of("1").exact_macs == SIZE * 3


def test_counting_changes_nothing(image: Tensor) -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), Emitter(), nn.Flatten(), nn.Linear(12, 2))
    expected = network(image)
    fused = torch.backends.mha.get_fastpath_enabled()
    with count_spikes(network, spiking={Emitter: Spikes()}) as counter:
        value = network(image)
        value.sum().backward()  # outside of every module: training costs are not counted
    assert torch.equal(value, expected)
    assert counter.result() == count(network, image)
    assert torch.backends.mha.get_fastpath_enabled() == fused
    with torch.inference_mode():  # composite operations arrive undivided
        assert count(network, image) == counter.result()
    assert not network[0]._forward_hooks


def test_calls_add_up(image: Tensor) -> None:
    network = Behind(lambda z: z)
    once, twice = count(network, image), count(network, image, -image)
    assert (once.calls, twice.calls) == (1, 2)
    assert (once.synops, twice.synops) == (5, 5 + SIZE - 5)
    assert twice.of("neuron").neuron_updates == 2 * SIZE
    assert twice.total("weight_bytes") == 4 * SIZE


def test_work_on_weights_alone_is_no_work_per_image(image: Tensor) -> None:
    class Standardised(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return functional.conv2d(input, weight / weight.std(), self.bias)

    counted = count(nn.Sequential(Emitter(), Standardised(2, 3, 1)), image)
    assert counted.of("1").synops_levels == 15
    assert counted.total("elementwise_ops") == 3 * 16  # the bias


def test_counters_do_not_count_each_other(image: Tensor) -> None:
    network = nn.Sequential(Emitter(), nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 2))
    alone = count(network, image)
    own = {Emitter: Spikes()}
    with (
        FlopCounterMode(display=False) as flops,
        count_spikes(network, spiking=own) as outer,
        count_spikes(network, spiking=own) as inner,
    ):
        network(image)
    assert outer.result() == inner.result() == alone
    assert flops.get_total_flops() == 2 * alone.total("dense_padded_macs")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_rounded_levels_are_levels(dtype: torch.dtype) -> None:
    """Thirds and sevenths are rounded in every type; 4 % beside a level is not rounding."""
    levels = torch.tensor([[3.0, -1.0, 0.0, 2.0]], dtype=torch.float64)
    for amplitude in (1 / 3, 1 / 7):
        kind = Spikes(amplitude, unit=False, signed=True)
        network = nn.Sequential(Given(), nn.Linear(4, 5)).to(dtype)
        with count_spikes(network, spiking={Given: kind}) as counter:
            network((levels * amplitude).to(dtype))
        assert counter.result().of("1").synops_levels == 6 * 5
        with (
            pytest.raises(DataError, match=r"^0: a value is no multiple of 0\.\d+ as spikes are"),
            count_spikes(network, spiking={Given: kind}),
        ):
            network((levels * amplitude * 1.04).to(dtype))


class Given(nn.Module):
    """A neuron that fires what it is given."""

    def forward(self, spikes: Tensor) -> Tensor:
        return spikes.clone()


@pytest.mark.parametrize(
    ("fired", "kind"),
    [
        (torch.tensor([0.0, 2.0]), Spikes()),
        (torch.tensor([0.0, -1.0]), Spikes()),
        (torch.tensor([0.0, -1.0]), Spikes(1.0, unit=False)),
    ],
)
def test_more_than_a_class_emits_is_refused(fired: Tensor, kind: Spikes) -> None:
    network = nn.Sequential(Given())
    with pytest.raises(DataError, match="^0: a value"), count_spikes(network, spiking={Given: kind}):
        network(fired)


@pytest.mark.parametrize("amplitude", [0.0, -1.0, float("inf"), float("nan")])
def test_an_impossible_amplitude_is_refused(amplitude: float) -> None:
    with pytest.raises(ConfigError, match="is not allowed; give one above 0"):
        Spikes(amplitude)
    with pytest.raises(ConfigError, match="spikes of several levels need an amplitude"):
        Spikes(None, unit=False)


def test_an_error_inside_does_not_confuse_what_is_running(image: Tensor) -> None:
    class Fails(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            raise RuntimeError("no")

    class Retries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Sequential(Emitter(), Fails()), nn.Linear(4, 3, bias=False)

        def forward(self, value: Tensor) -> Tensor:
            with suppress(RuntimeError):
                self.first(value)
            out: Tensor = self.second(value)
            return out * 2

    with count_spikes(network := Retries(), spiking={Emitter: Spikes()}) as counter:
        network(image)
    counted = counter.result()
    assert counted.of("second").exact_macs == 8 * 4 * 3
    assert counted.of("Retries", "elementwise").elementwise_ops == 8 * 3
