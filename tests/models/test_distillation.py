from collections.abc import Callable

import pytest
import torch
from snn_tool.errors import ConfigError
from snn_tool.models.config import LossWeights, StudentConfig
from snn_tool.models.losses import HintLoss, HintPair, fft_loss, normalised, pair_hints, to_resolution
from snn_tool.models.network import Network

STUDENT = {"up_in": 2, "tail_in": 1}
TEACHER = {"decoder3": 4, "decoder2": 2, "decoder1": 1, "refinement": 1}


def test_fft_loss_of_one_frequency_by_hand() -> None:
    """d = a on one pixel of 4x4: every orthonormal coefficient has modulus a / 4; the half spectrum's mean of
    |Re| + |Im| over phases 0 (a shift of zero) is a / 4."""
    restored = torch.zeros(1, 1, 4, 4)
    restored[0, 0, 0, 0] = 0.8
    assert fft_loss(restored, torch.zeros(1, 1, 4, 4)).item() == pytest.approx(0.2)


def test_fft_loss_is_zero_only_for_equal_images() -> None:
    image = torch.rand(2, 3, 8, 8)
    assert fft_loss(image, image).item() == 0
    assert fft_loss(image, image + 0.1).item() > 0


def test_normalised_channels() -> None:
    feature = torch.randn(4, 3, 8, 8) * torch.tensor([1.0, 5.0, 0.1]).reshape(1, 3, 1, 1) + 7
    flat = normalised(feature).transpose(0, 1).flatten(1)
    torch.testing.assert_close(flat.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.var(1, correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_resolutions_are_met_from_both_sides() -> None:
    feature = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert to_resolution(feature, (2, 2)).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert to_resolution(feature, (8, 8))[0, 0, :2, :4].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_hint_loss_by_hand() -> None:
    """An adapter of weight 0 and bias 0 leaves the normalised feature: mean square 1."""
    loss = HintLoss((HintPair("up_in", "decoder2"),), {"up_in": 3}, {"decoder2": 5})
    torch.nn.init.zeros_(loss.adapters["up_in"].weight)
    torch.nn.init.zeros_(loss.adapters["up_in"].bias)
    value = loss({"up_in": torch.randn(2, 3, 8, 8)}, {"decoder2": torch.randn(2, 5, 16, 16)})
    assert value.item() == pytest.approx(1.0, abs=1e-3)


def test_hints_decay_linearly_to_zero() -> None:
    weights = LossWeights(hints=0.1, hint_decay_from=0.5)
    assert [weights.hints_at(p) for p in (0.0, 0.5, 0.75, 1.0)] == pytest.approx([0.1, 0.1, 0.05, 0.0])
    assert LossWeights(hints=0.1, hint_decay_from=1.0).hints_at(1.0) == 0.1


def test_hints_are_chosen_by_resolution() -> None:
    assert pair_hints(STUDENT, TEACHER, ()) == (
        HintPair("up_in", "decoder2"),
        HintPair("tail_in", "refinement"),
    )
    assert pair_hints(STUDENT, TEACHER, ("decoder3", "decoder1"))[0] == HintPair("up_in", "decoder3")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("encoder9", "decoder1"), "no feature 'encoder9'; available: decoder3 \\(1/4\\), decoder2"),
        (("decoder1",), "name 2 features, one each for up_in \\(1/2\\), tail_in \\(1/1\\)"),
    ],
)
def test_hints_that_do_not_exist_list_those_that_do(wanted: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pair_hints(STUDENT, TEACHER, wanted)


def test_without_an_adapter_both_sides_are_normalised() -> None:
    """The same map in another scale and shift is no distance; its negative has (v + v)^2 = 4 var = 4."""
    loss = HintLoss((HintPair("up_in", "decoder2"),), {"up_in": 3}, {"decoder2": 3}, "none")
    assert not list(loss.parameters())
    feature = torch.randn(2, 3, 8, 8)
    assert loss({"up_in": 0.01 * feature + 5}, {"decoder2": feature}).item() == pytest.approx(0, abs=1e-3)
    assert loss({"up_in": -feature}, {"decoder2": feature}).item() == pytest.approx(4, abs=1e-3)


def test_no_adapter_between_different_channels_is_refused() -> None:
    message = "the student's up_in has 48 and the teacher's decoder2 96; use 'linear'"
    with pytest.raises(ConfigError, match=message):
        HintLoss((HintPair("up_in", "decoder2"),), {"up_in": 48}, {"decoder2": 96}, "none")


@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_tapped_spikes_and_membranes_are_those_at_the_neuron(
    neuron: str, make_student: Callable[..., tuple[Network, StudentConfig]]
) -> None:
    """Recorded by hooks on the neurons themselves: what arrives, what leaves, both as means over time."""
    student, _ = make_student(neuron)
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name in ("mid_in", "dec_mid"):

        def record(_: object, given: tuple[torch.Tensor], left: torch.Tensor, name: str = name) -> None:
            seen[name] = (given[0].mean(0), left.mean(0))

        student.neurons[name].register_forward_hook(record)
    image = torch.rand(1, 3, 16, 16)
    for place, feature in enumerate(("membrane", "spikes")):
        student.tap(("dec_mid", "mid_in"), feature)
        _, features = student.forward_features(image)
        assert set(features) == {"dec_mid", "mid_in"}
        for name, value in features.items():
            torch.testing.assert_close(value, seen[name][place])
    assert list(student.feature_scales.items()) == [("dec_mid", 1), ("mid_in", 2)]
    assert student.feature_channels == {"dec_mid": 4, "mid_in": 8}


def test_a_site_that_does_not_exist_lists_those_that_do(
    make_student: Callable[..., tuple[Network, StudentConfig]],
) -> None:
    with pytest.raises(ConfigError, match="no population 'readout'; use some of enc_in, enc_mid, down_in"):
        make_student("graded")[0].tap(("readout",))


def test_choices_are_described_only_where_they_are_not_the_default() -> None:
    """Runs of versions without the choices go on: their settings are word for word the same."""
    plain = {"l1": 1.0, "fft": 0.02, "output": 0.5, "hints": 0.005, "hint_decay_from": 0.5}
    assert LossWeights().describe() == plain
    assert LossWeights(hint_sites=("a",), hint_feature="spikes").describe() == plain | {
        "hint_sites": ("a",),
        "hint_feature": "spikes",
    }
