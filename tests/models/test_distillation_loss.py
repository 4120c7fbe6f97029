"""The public loss: its terms by hand, its sum, and that training itself computes with it."""

from collections.abc import Callable

import pytest
import torch
from snn_tool.errors import ConfigError, QuantizationError, UnsupportedLayerError
from snn_tool.models.bodies import unet
from snn_tool.models.config import LossWeights, StudentConfig
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.integer.training import deployed_parameters, quantization_aware
from snn_tool.models.losses import DistillationLoss
from snn_tool.models.network import Network
from snn_tool.models.neurons import GradedNeuron, LifNeuron, ReluNeuron
from snn_tool.models.student import build_student
from snn_tool.models.topology import Population, Synapse, Topology
from snn_tool.training.module import Guide, RestorationModule
from snn_tool.training.settings import TrainingSettings
from torch import nn

Make = Callable[..., tuple[Network, StudentConfig]]


def images() -> tuple[torch.Tensor, torch.Tensor]:
    clean = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2)), clean


def test_terms_by_hand() -> None:
    loss_of = DistillationLoss(LossWeights(l1=1, mse=2, fft=0, output=3, hints=0))
    restored, clean = torch.full((1, 3, 4, 4), 0.5), torch.full((1, 3, 4, 4), 0.25)
    terms = loss_of(restored, {}, (torch.full((1, 3, 4, 4), 0.375), {}), clean)
    assert {name: float(term) for name, term in terms.items()} == {
        "l1": 0.25,
        "mse": 0.0625,
        "output": 0.125,
    }
    assert float(loss_of.total(terms)) == 1 * 0.25 + 2 * 0.0625 + 3 * 0.125


def test_without_a_teacher_nothing_is_taught() -> None:
    restored, clean = images()
    assert set(DistillationLoss(LossWeights())(restored, {}, None, clean)) == {"l1", "fft"}


def test_the_weight_of_hints_falls_to_zero() -> None:
    loss_of = DistillationLoss(LossWeights(hints=0.01, hint_decay_from=0.5))
    assert [loss_of.factors(progress)["hints"] for progress in (0, 0.5, 0.75, 1)] == [0.01, 0.01, 0.005, 0]


def test_hints_tap_the_student_and_train_their_adapters(make_student: Make) -> None:
    student, _ = make_student("graded")
    teacher = Network(unet(8), ReluNeuron).eval()
    loss_of = DistillationLoss.between(student, teacher, LossWeights(hint_sites=("up_in",)))
    degraded, clean = images()
    with torch.no_grad():
        taught = teacher.forward_features(degraded)
    terms = loss_of(*student.forward_features(degraded), taught, clean)
    assert set(terms) == {"l1", "fft", "output", "hints"}
    terms["hints"].backward()
    assert all(parameter.grad is not None for parameter in loss_of.parameters())
    with pytest.raises(ConfigError, match="no population 'nosuch'"):
        DistillationLoss.between(student, teacher, LossWeights(hint_sites=("nosuch",)))
    with pytest.raises(ConfigError, match="exposes no decoder features"):
        DistillationLoss.between(student, nn.Identity())


def test_training_minimises_this_loss(make_student: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    student, config = make_student("graded")
    teacher, weights = Network(unet(8), ReluNeuron).eval(), LossWeights(mse=0.3)
    loss_of = DistillationLoss.between(student, teacher, weights)
    settings = TrainingSettings(max_steps=10, qat=0)
    module = RestorationModule(student, settings, weights, Guide(teacher, loss_of.hints), config)
    monkeypatch.setattr(
        RestorationModule, "trainer", type("Trainer", (), {"world_size": 1, "global_step": 8})
    )
    monkeypatch.setattr(RestorationModule, "global_step", 8)
    monkeypatch.setattr(module, "log", lambda *a, **k: None)
    monkeypatch.setattr(module, "log_dict", lambda *a, **k: None)
    degraded, clean = images()
    with torch.no_grad():
        found = module.training_step((degraded, clean), 0)
        terms = loss_of(*student.forward_features(degraded), teacher.forward_features(degraded), clean)
    assert len(terms) == 5
    assert torch.equal(found, loss_of.total(terms, 0.8))


@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_the_view_computes_with_the_deployed_parameters(make_student: Make, neuron: str) -> None:
    student, config = make_student(neuron)
    view, degraded = quantization_aware(student, config), images()[0]
    found = view(degraded)
    found.sum().backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    rounded = deployed_parameters(student, config)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            parameter.copy_(rounded[name])
        assert torch.allclose(found, student(degraded), atol=1e-6)


class OwnNeuron(LifNeuron):
    """A class of somebody's own, whose forward may be another."""


TWO = Topology(
    (Synapse("head", "image", 3, 4), Synapse("tail", "first", 4, 3)),
    (Population("first", ("head",), 4), Population("readout", ("tail",), 3)),
    ("first",),
)


@pytest.mark.parametrize(
    ("network", "config", "error", "said"),
    [
        (nn.Conv2d(3, 3, 1), StudentConfig(), UnsupportedLayerError, "Conv2d: a body of its own"),
        (
            Network(TWO, ReluNeuron),
            StudentConfig(),
            UnsupportedLayerError,
            "first: ReluNeuron has no integers",
        ),
        (Network(TWO, lambda: OwnNeuron(1 / 64)), StudentConfig(), UnsupportedLayerError, "first: OwnNeuron"),
        (
            Network(TWO, lambda: LifNeuron(1 / 64)),
            StudentConfig(),
            QuantizationError,
            "first: its neuron is lif",
        ),
        (
            Network(TWO, lambda: GradedNeuron(8, True)),
            StudentConfig(levels=4),
            QuantizationError,
            "first: its levels is 8, the config says 4",
        ),
        (
            build_student(StudentConfig(neuron="lif", timesteps=4), TWO),
            StudentConfig(neuron="lif", timesteps=2),
            QuantizationError,
            "runs 4 timesteps, its config says 2",
        ),
    ],
)
def test_what_has_no_integers_is_named(
    network: nn.Module, config: StudentConfig, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        quantization_aware(network, config)  # type: ignore[arg-type]
    with pytest.raises(error, match=said):
        quantize(network, config, [])  # type: ignore[arg-type]


def test_a_replaced_convolution_is_named() -> None:
    network = build_student(StudentConfig(), TWO)
    network.synapses["head"] = nn.Conv2d(3, 4, 3, padding=1)
    with pytest.raises(UnsupportedLayerError, match="head: Conv2d has no integers"):
        quantize(network, StudentConfig(), [])
    network = build_student(StudentConfig(), TWO)
    nn.utils.parametrizations.weight_norm(network.synapses["tail"], "raw_weight")
    with pytest.raises(UnsupportedLayerError, match="tail: "):
        quantize(network, StudentConfig(), [])


def test_a_wiring_of_ones_own_is_quantised() -> None:
    config = StudentConfig(neuron="lif", timesteps=3, input_step=4)
    integers = quantize(build_student(config, TWO), config, [])
    assert integers.topology.synapses == TWO.synapses
    assert (integers.neuron, integers.timesteps, integers.decay) == ("lif", 3, config.leak)
