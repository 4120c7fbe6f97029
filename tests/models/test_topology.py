import pytest
import torch
from snn_tool.models.bodies import chain, flat, unet
from snn_tool.models.config import StudentConfig, default_config
from snn_tool.models.streams import hop_depths, relay_counts
from snn_tool.models.student import build_student
from snn_tool.models.topology import macs_per_pixel


def test_parameter_counts_by_formula() -> None:
    """5x5x3 head, 3x3 blocks, 1x1 up, 3x3 tail; a bias per output channel, not for `up`; a threshold each."""
    w = 24
    weights = (
        75 * w + 2 * 9 * w * w + 9 * w * 2 * w + 2 * 9 * 4 * w * w + 2 * w * 4 * w + 2 * 9 * w * w + 27 * w
    )
    biases = w + 2 * w + 2 * w + 4 * w + 2 * w + 3
    assert unet(w).parameters == weights + biases + 9 == 79_908
    assert flat().parameters == 75 * 28 + 8 * 9 * 28 * 28 + 27 * 28 + 9 * 28 + 3 + 9 == 59_568
    assert chain().parameters == 75 * 40 + 5 * 9 * 40 * 40 + 27 * 40 + 6 * 40 + 3 + 6 == 76_329


@pytest.mark.parametrize("neuron", ["graded", "lif"])
@pytest.mark.parametrize("body", ["unet", "flat", "chain"])
def test_default_students_stay_within_a_300th_of_restormer(neuron: str, body: str) -> None:
    student = build_student(default_config(neuron, body))
    assert sum(p.numel() for p in student.parameters()) == student.topology.parameters <= 87_000


def test_macs_per_pixel_by_formula() -> None:
    w = 24
    full, half = 75 * w + 4 * 9 * w * w + 27 * w, 9 * 2 * w * w + 2 * 9 * 4 * w * w + 8 * w * w
    assert macs_per_pixel(unet(w)) == full + half / 4


@pytest.mark.parametrize("body", ["unet", "flat", "chain"])
def test_receptive_radius_bounds_the_influence_of_one_pixel(body: str) -> None:
    """Change one pixel of a ReLU-free (linear) copy and look how far the output moves."""
    config = StudentConfig(body=body, width=4)
    network = build_student(config).double()
    for name in network.neurons:
        network.neurons[name] = torch.nn.Identity()
    radius = network.topology.receptive_radius
    size = 2 * (radius + 8)
    reach = 0
    for shift in range(network.topology.multiple):
        image = torch.zeros(1, 3, size, size, dtype=torch.float64)
        centre = size // 2 + shift
        moved = image.clone()
        moved[0, :, centre, centre] = 1
        with torch.no_grad():
            touched = (network(moved) - network(image)).abs().amax((0, 1)) > 1e-14
        rows = touched.any(1).nonzero().flatten()
        reach = max(reach, centre - int(rows.min()), int(rows.max()) - centre)
    assert radius - network.topology.multiple <= reach <= radius


def test_depths_and_relays_of_a_hand_drawn_skip() -> None:
    """image -> a -> b -> c, skips image -> c and a -> c: a's spikes wait a step, the image is the host's."""
    sources = {"a": ("image",), "b": ("a",), "c": ("b", "a", "image")}
    assert hop_depths(sources, "image") == {"image": 0, "a": 1, "b": 2, "c": 3}
    assert relay_counts(sources, "image") == {"a": 1, "b": 0, "c": 0}
