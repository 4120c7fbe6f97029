"""The float arithmetic of the integer neurons against Python's and numpy's integers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from snn_tool.models.integer.network import WRAP
from snn_tool.models.integer.neurons import LARGEST, GradedNeurons, LifNeurons, encode, wrap_once

Reference = Callable[..., tuple[NDArray[np.int64], NDArray[np.int64]]]
MAX_THRESHOLD = 2**17 - 1


def column(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1, 1)


def lif(bias: int, threshold: int | None, decay: int, bound: int, timesteps: int) -> LifNeurons:
    return LifNeurons(torch.tensor([bias]), threshold, decay, bound, timesteps)


def test_lif_trace_by_hand() -> None:
    """decay 1024 / 4096, bias 1, threshold 100 (6400 in 64ths).

    t0: 60 * 64 + 64 = 3904. t1: 3904 * 3 >> 2 = 2928, + 54 * 64 + 64 = 6448 > 6400 fires, 0.
    t2: -200 * 64 + 64 = -12736. t3: -(12736 * 3 >> 2) = -9552, + 0 + 64 = -9488.
    """
    response = lif(1, 100, 1024, 200, 4)(column(60, 54, -200, 0), 4, keep=True)
    assert response.spikes.flatten().tolist() == [0, 1, 0, 0]
    assert response.membrane.flatten().tolist() == [3904, 0, -12736, -9488]


@pytest.mark.parametrize(("current", "fires"), [(100, 0), (101, 1)])
def test_lif_does_not_fire_at_the_threshold_itself(current: int, fires: int) -> None:
    assert lif(0, 100, 0, 200, 1)(column(current), 1, keep=False).spikes.item() == fires


@given(st.integers(-(2**25), 2**25))
def test_wrap_once_equals_the_rule(value: int) -> None:
    wrapped = value - 2 * WRAP if value > WRAP else value + 2 * WRAP if value <= -WRAP else value
    assert wrap_once(torch.tensor(value)).item() == wrapped


@pytest.mark.slow
@settings(max_examples=300)
@given(
    st.lists(st.integers(-(2**24) + 1, 2**24 - 1), min_size=1, max_size=5),
    st.sampled_from((2**10, 2**17 - 1, 2**20, 2**24 - 1, 2**26)),
    st.integers(1, MAX_THRESHOLD) | st.none(),
    st.sampled_from((0, 1, 64, 1024, 4095)) | st.integers(0, 4095),
    st.integers(-4095, 4095) | st.integers(-(2**19), 2**19),
)
def test_lif_equals_integers(
    lif_reference: Reference, currents: list[int], bound: int, threshold: int | None, decay: int, bias: int
) -> None:
    """Any currents within any bound, whichever float type the bound selects."""
    held = [max(-bound, min(bound, current)) for current in currents]
    neurons = lif(bias, threshold, decay, bound, len(held))
    response = neurons(column(*held).double(), len(held), keep=True)
    total = np.array(held, dtype=np.int64).reshape(-1, 1, 1, 1, 1)
    spikes, membranes = lif_reference(total, np.array([bias]), threshold, decay)
    assert response.membrane.flatten().tolist() == membranes.flatten().tolist()
    if threshold is not None:
        assert response.spikes.flatten().tolist() == spikes.flatten().tolist()


@pytest.mark.slow
@pytest.mark.parametrize("decay", [1, 2, 64, 512, 2048])
def test_float32_decays_every_membrane_exactly(decay: int) -> None:
    """All 2^24 - 1 of them, where the decay is a power of two and no bound is asked for."""
    neurons = lif(0, None, decay, 2**24 - 1, 2)
    assert neurons.dtype is torch.float32
    for start in range(-LARGEST, LARGEST + 1, 1 << 21):
        membrane = torch.arange(start, min(start + (1 << 21), LARGEST + 1), dtype=torch.int64)
        kept = membrane.sign() * ((membrane.abs() * (4096 - decay)) >> 12)
        assert torch.equal(neurons._kept(membrane.to(torch.float32)).to(torch.int64), kept)


@pytest.mark.slow
@settings(max_examples=300)
@given(
    st.integers(-(2**24) + 1, 2**24 - 1),
    st.integers(-(2**17), 2**17),
    st.integers(1, MAX_THRESHOLD),
    st.integers(1, 127),
    st.booleans(),
)
def test_graded_equals_integers(
    graded_reference: Reference, current: int, bias: int, threshold: int, levels: int, signed: bool
) -> None:
    spike_range = (-levels if signed else 0), levels
    neurons = GradedNeurons(torch.tensor([bias]), threshold, spike_range, 2**24 - 1)
    response = neurons(column(current), 1, keep=True)
    spikes, membranes = graded_reference(np.array([current + bias]), threshold, spike_range)
    assert response.spikes.item() + spike_range[0] == spikes.item()
    assert response.membrane.item() == membranes.item()


@pytest.mark.parametrize(
    ("threshold", "levels", "dtype"),
    [(1188, 4, torch.float32), (1, 127, torch.float32), (2**17 - 1, 127, torch.float64)],
)
def test_levels_change_exactly_at_the_halves(
    graded_reference: Reference, threshold: int, levels: int, dtype: torch.dtype
) -> None:
    """The integers on both sides of each of the 2 D boundaries, for odd and even thresholds and any bias."""
    for step in (threshold, threshold - 1 or 2):
        for bias in (0, 4095, -77):
            neurons = GradedNeurons(torch.tensor([bias]), step, (-levels, levels), 2**24 - 1)
            halves = [(2 * k + 1) * step // 2 for k in range(-levels - 1, levels + 1)]
            near = [h + d - bias for h in halves for d in (-1, 0, 1) if abs(h + d - bias) < 2**24]
            response = neurons(column(*near).reshape(1, 1, 1, 1, -1), 1, keep=False)
            expected, _ = graded_reference(np.array(near) + bias, step, (-levels, levels))
            assert (response.spikes.flatten().to(torch.int64) - levels).tolist() == expected.tolist()
            assert len(set(expected.tolist())) > min(2 * levels, 100)
    assert GradedNeurons(torch.tensor([0]), threshold, (-levels, levels), 2**23).dtype is dtype


@pytest.mark.parametrize("largest", [1, 127, 128, 255, 256, 2**20])
def test_encoding_keeps_the_values(largest: int) -> None:
    values = torch.tensor([0.0, 1.0, largest - 1.0, float(largest)])
    encoded = encode(values, largest)
    assert encoded.tolist() == values.tolist()
    assert encoded.dtype is (torch.uint8 if largest <= 255 else torch.int32)
