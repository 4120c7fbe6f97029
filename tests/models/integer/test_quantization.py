"""Students with absurd values: refused by name, or quantised to what they say, never something else."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from snn_tool.errors import QuantizationError
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.network import Network

MakeStudent = Callable[..., tuple[Network, StudentConfig]]


def with_value(make: MakeStudent, neuron: str, body: str, name: str, value: float) -> Any:
    student, config = make(neuron, body)
    with torch.no_grad():
        dict(student.named_parameters())[name].view(-1)[0] = value
    return student, config


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["lif", "graded"])
@pytest.mark.parametrize("body", ["unet", "chain"])
def test_one_absurd_value_anywhere_is_one_line_or_integers(
    make_student: MakeStudent, neuron: str, body: str
) -> None:
    image = np.random.default_rng(0).random((3, 16, 16), np.float32)
    refused = 0
    for name, _ in make_student(neuron, body)[0].named_parameters():
        for value in (3e38, 1e20, -1e6, 1e-38, float("nan"), float("inf")):
            student, config = with_value(make_student, neuron, body, name, value)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                try:
                    quantize(student, config, [image])
                except QuantizationError as error:
                    assert "\n" not in str(error)
                    refused += 1
    assert refused > 20


def test_a_weight_at_the_end_of_float32_is_refused_by_name(make_student: MakeStudent) -> None:
    student, config = with_value(make_student, "lif", "unet", "synapses.mid_conv2.raw_weight", 3e38)
    with pytest.raises(QuantizationError, match=r"mid_conv2: a weight of 3e\+38 is beyond 1.3e\+30"):
        quantize(student, config, [])


@pytest.mark.parametrize("value", [1e4, 1e7, 1e12, 1e29])
def test_a_large_bias_keeps_its_value(make_student: MakeStudent, value: float) -> None:
    """The LSB that weights alone would take leaves it more than 32 bits, to which a cast is undefined."""
    student, config = with_value(make_student, "lif", "chain", "synapses.tail.bias", value)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        network = quantize(student, config, [])
    lsb = 2.0 ** network.populations[-1].lsb_exponent
    assert abs(int(network.synapses[-1].bias[0]) * lsb - value) <= lsb / 2
