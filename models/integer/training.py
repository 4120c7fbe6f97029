"""Training with the integers' rounding: every parameter as the quantiser would deploy it, straight-through.

    p_deployed = p + stop_gradient(Q(p) - p)

Q is `quantization.quantize` itself, without calibration, so that training sees the mantissas, the shared LSB,
the zero-mean kernels and the thresholds that the chip will hold, and no second description of them exists.
"""

import torch
from snn_tool.models.dequantization import real_parameters
from snn_tool.models.network import Network
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.student import StudentConfig
from torch import Tensor, nn
from torch.func import functional_call


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


@torch.no_grad()
def round_parameters(student: Network, config: StudentConfig) -> None:
    """Put the deployed parameters in the place of the trained ones."""
    rounded = deployed_parameters(student, config)
    for name, parameter in student.named_parameters():
        parameter.copy_(rounded[name])
