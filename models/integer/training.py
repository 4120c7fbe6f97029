"""Training with the integers' rounding: every parameter as the quantiser would deploy it, straight-through.

    p_deployed = p + stop_gradient(Q(p) - p)

Q is `quantize.quantize` itself, without calibration, so that training sees the mantissas, the shared LSB,
the zero-mean kernels and the thresholds that the chip will hold, and no second description of them exists.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from snn_tool.errors import ArtifactError
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.file import load_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize import check_deployable, quantize, source_unit
from snn_tool.models.network import Network, SynapticConv
from snn_tool.models.neurons import GradedNeuron, LifNeuron
from snn_tool.models.student import build_student, parse_config
from torch import Tensor, nn
from torch.func import functional_call


def load_dequantized(path: Path) -> tuple[Network, StudentConfig]:
    """The float student that deploys as the integers of `student.int.safetensors`, in evaluation mode.

    Raises:
        ArtifactError: damaged, not an integer network, or not quantised from a student.
    """
    integers, provenance = load_integer_network(path)
    return dequantized(integers, provenance.get("training", {}), path)


def dequantized(
    integers: IntegerNetwork, training: Mapping[str, Any], path: Path
) -> tuple[Network, StudentConfig]:
    """The same of an integer network that was read.

    Args:
        integers: the network.
        training: the account of its student's training.
        path: of its file, for messages.
    """
    if "student" not in training:
        raise ArtifactError(
            f"{path}: was not quantised from a student, so none can be rebuilt from it "
            "(provenance.training.student is missing)"
        )
    keys = ("provenance", "training", "student")
    config = parse_config(path, training["student"], keys)
    student = build_student(config)
    _demand_same(path, config, integers)
    if [s.wiring for s in integers.synapses] != list(student.topology.synapses):
        raise ArtifactError(
            f"{path}: its layers are not those of its training's student (synapses: kernel, zero_mean "
            "and the like differ); quantise it again"
        )
    with torch.no_grad():
        values = real_parameters(student, config, integers)
        for name, parameter in student.named_parameters():
            parameter.copy_(values[name])
    return student.eval(), config


def _demand_same(path: Path, config: StudentConfig, integers: IntegerNetwork) -> None:
    """Hold what the account says of the student against the integers."""
    is_lif = config.neuron == "lif"
    for key, said, found in (
        ("neuron", config.neuron, integers.neuron),
        ("timesteps", config.timesteps, integers.timesteps),
        ("input_step", config.input_step, integers.input_step),
        ("levels", 1 if is_lif else config.levels, integers.levels),
        ("signed", not is_lif and config.signed, integers.signed),
        ("leak", config.leak if is_lif else 0, integers.decay),
        ("passes", config.passes, integers.passes),
    ):
        if said != found:
            raise ArtifactError(
                f"{path}: provenance.training.student.{key} is {said}, but the integers have "
                f"{'decay' if key == 'leak' else key} {found}; quantise the student again"
            )


def real_parameters(student: Network, config: StudentConfig, integers: IntegerNetwork) -> dict[str, Tensor]:
    """What integers stand for, for every parameter of `student`: in its units, shape, dtype and device.

    Args:
        student: gives the parameters' names and shapes; its values do not matter.
        config: its configuration.
        integers: of the student's topology.
    """
    values = dict(_weights(student, config, integers)) | dict(_thresholds(student, integers))
    return {
        name: values[name].to(parameter).reshape(parameter.shape)
        for name, parameter in student.named_parameters()
    }


def _weights(
    student: Network, config: StudentConfig, integers: IntegerNetwork
) -> Iterator[tuple[str, Tensor]]:
    lsb = {s: 2.0**p.lsb_exponent for p in integers.populations for s in p.wiring.inputs}
    for synapse in integers.synapses:
        name = synapse.wiring.name
        scale = lsb[name] * 2.0**synapse.exponent / source_unit(student, synapse.wiring, config)
        yield f"synapses.{name}.raw_weight", torch.from_numpy(synapse.mantissa * scale)
        conv = student.synapses[name]
        assert isinstance(conv, SynapticConv)
        if conv.bias is not None:
            yield f"synapses.{name}.bias", torch.from_numpy(synapse.bias * lsb[name])


def _thresholds(student: Network, integers: IntegerNetwork) -> Iterator[tuple[str, Tensor]]:
    for population in integers.populations:
        name = population.wiring.name
        if name in student.neurons:
            assert isinstance(student.neurons[name], LifNeuron | GradedNeuron)
            threshold = torch.tensor(population.threshold * 2.0**population.lsb_exponent, dtype=torch.float64)
            yield f"neurons.{name}.log_threshold", threshold.log()


class _Features(nn.Module):
    """`forward_features` as a forward, which is all that `functional_call` can replace parameters in."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.network.forward_features(image)


def deployed_parameters(student: Network, config: StudentConfig) -> dict[str, Tensor]:
    """Q(p) of every parameter by its name in `student`, in its shape, dtype and device.

    Raises:
        QuantizationError: a weight is not finite, or a threshold does not fit; the layer is named.
    """
    return real_parameters(student, config, quantize(student, config, []))


def forward_deployed(
    student: Network, config: StudentConfig, image: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """`forward_features` of the rounded student; gradients reach the unrounded parameters unchanged."""
    rounded = deployed_parameters(student, config)
    replaced = {
        f"network.{name}": parameter + (rounded[name] - parameter).detach()
        for name, parameter in student.named_parameters()
    }
    result: tuple[Tensor, dict[str, Tensor]] = functional_call(_Features(student), replaced, (image,))
    return result


class QuantizationAware(nn.Module):
    """A student that runs with its parameters as the integers round them; it shares those parameters.

    Gradients reach the unrounded parameters unchanged (straight-through).
    """

    def __init__(self, student: Network, config: StudentConfig) -> None:
        super().__init__()
        self.student, self.config = student, config

    def forward(self, image: Tensor) -> Tensor:
        """Restored images [N, 3, H, W], as `Network.forward`."""
        return self.forward_features(image)[0]

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Restored images and the tapped features by name, as `Network.forward_features`.

        Raises:
            QuantizationError: a weight is not finite, or a threshold does not fit; the layer is named.
        """
        return forward_deployed(self.student, self.config, image)


def quantization_aware(student: Network, config: StudentConfig) -> QuantizationAware:
    """A view of a student that computes with rounded weights and thresholds, to train through.

    Args:
        student: stays as it is; train its parameters.
        config: of the student; of a network of your own topology `body` and `width` do not matter.

    Raises:
        UnsupportedLayerError: a neuron or a convolution has no integers; it is named.
        QuantizationError: a neuron is not the one of `config`.
    """
    check_deployable(student, config)
    return QuantizationAware(student, config)


@torch.no_grad()
def round_parameters(student: Network, config: StudentConfig) -> None:
    """Put the deployed parameters in the place of the trained ones."""
    rounded = deployed_parameters(student, config)
    for name, parameter in student.named_parameters():
        parameter.copy_(rounded[name])
