"""Copies of a network side by side: images in, recordings apart, and a plan as wide as they are."""

import importlib.util
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from snn_tool.exporters.lava.environment import RUNNER


@pytest.fixture(scope="module")
def copies() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lava_runner_copies", RUNNER.with_name("copies.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plan(width: int = 3, channels: int = 2, groups: int = 1) -> dict[str, Any]:
    shape = [width, 4, channels]
    return {
        "sources": [{"name": "image_0", "shape": shape}],
        "neurons": [
            {"name": "a", "type": "lif", "shape": shape, "bias_mant": "bias"},
            {"name": "b", "type": "graded", "shape": shape, "bias": "bias"},
        ],
        "convs": [
            {"name": "c", "weight": "w", "input_shape": shape, "output_shape": shape, "groups": groups}
        ],
    }


@pytest.mark.parametrize("over_time", [False, True])
@pytest.mark.parametrize(("count", "side_by_side"), [(1, 1), (5, 2), (6, 3), (7, 4)])
def test_what_a_copy_is_given_comes_back_as_the_image_s(
    copies: ModuleType, count: int, side_by_side: int, over_time: bool
) -> None:
    """Recordings that repeat the input are the input: image n is the n-th again, what filled up is gone."""
    steps = 3
    shape = (count, steps, 2, 4, 5) if over_time else (count, 2, 4, 5)
    images = np.random.default_rng(0).integers(-99, 99, shape).astype(np.int32)
    shown = copies.together(images, side_by_side)
    assert len(shown) == copies.rounds(count, side_by_side) and shown.shape[-1] == 5 * side_by_side
    rows = shown.reshape(-1, 2, 4, 5 * side_by_side) if over_time else np.repeat(shown, steps, axis=0)
    found = copies.apart(rows, count, steps, side_by_side)
    expected = images if over_time else np.repeat(images[:, None], steps, axis=1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("count", "width", "groups", "expected"),
    [
        (1, 3, 1, 1),
        (2, 3, 1, 1),  # one follows the other, which shows the reset
        (9, 3, 1, 5),
        (450, 3, 1, 113),  # 127 groups would do it in four rounds of 113
        (450, 3, 64, 1),  # two copies would be 128 groups
        (450, 512, 1, 8),  # 32,768 neurons
        (450, 5000, 1, 1),
    ],
)
def test_no_more_copies_than_fit_or_help(
    copies: ModuleType, count: int, width: int, groups: int, expected: int
) -> None:
    assert copies.copies_for(plan(width, groups=groups), count) == expected


def test_every_copy_has_the_network_s_weights_and_biases(copies: ModuleType) -> None:
    arrays = {"w": np.arange(2 * 3 * 3 * 2).reshape(2, 3, 3, 2), "bias": np.array([7, -8])}
    wide, held = copies.widened(plan(), arrays, 3)
    conv = wide["convs"][0]
    assert wide["copies"] == conv["groups"] == 3
    assert conv["input_shape"] == conv["output_shape"] == [3, 4, 6]
    assert held[conv["weight"]].shape == (6, 3, 3, 2)
    for at in range(3):
        np.testing.assert_array_equal(held[conv["weight"]][2 * at : 2 * at + 2], arrays["w"])
    for spec in wide["neurons"]:
        assert spec["shape"] == [3, 4, 6]
        bias = held[spec["bias" if spec["type"] == "graded" else "bias_mant"]]
        np.testing.assert_array_equal(bias, np.broadcast_to([7, -8] * 3, (3, 4, 6)))
