import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from snn_tool.degradations.noise import GaussianNoise
from snn_tool.degradations.tasks import TrainedFor, degradation_for, degradation_from_options, image_rng
from snn_tool.errors import ConfigError

GREY = np.full((256, 256, 3), 0.5, np.float32)
DEVIATIONS = 5
"""Allowed standard errors; a correct sampler leaves five once in 1.7 million."""


@pytest.mark.parametrize("sigma", [1, 25, 100])
def test_a_fixed_sigma_is_the_standard_deviation(sigma: int) -> None:
    """Standard errors of n samples: sigma / sqrt(2 n) of the deviation, sigma / sqrt(n) of the mean."""
    noise = (degradation_from_options("denoise", str(sigma)).apply(GREY, image_rng(0, "x")) - GREY) * 255
    assert noise.dtype == np.float32
    assert abs(noise.std() - sigma) < DEVIATIONS * sigma / math.sqrt(2 * noise.size)
    assert abs(noise.mean()) < DEVIATIONS * sigma / math.sqrt(noise.size)


def test_noise_is_white() -> None:
    """Neighbours along each axis correlate by no more than chance, 1 / sqrt(n)."""
    noise = GaussianNoise(25, 25).apply(GREY, image_rng(0, "x")) - GREY
    for axis in range(3):
        first = np.take(noise, range(noise.shape[axis] - 1), axis).ravel()
        second = np.take(noise, range(1, noise.shape[axis]), axis).ravel()
        assert abs(np.corrcoef(first, second)[0, 1]) < DEVIATIONS / math.sqrt(first.size)


@pytest.mark.parametrize("value", [0, 1])
def test_noise_is_not_clamped(value: int) -> None:
    """Half of the samples on a black or a white image leave [0, 1]; standard error 1 / (2 sqrt(n))."""
    clean = np.full_like(GREY, value)
    degraded = GaussianNoise(25, 25).apply(clean, image_rng(0, "x"))
    outside = np.mean((degraded < 0) | (degraded > 1))
    assert abs(outside - 0.5) < DEVIATIONS / (2 * math.sqrt(degraded.size))


def test_a_range_gives_every_image_its_own_sigma() -> None:
    """Uniform on [5, 50]: mean 27.5, standard deviation 45 / sqrt(12) over images."""
    clean = np.zeros((200, 32, 32, 3), np.float32)
    noise = degradation_from_options("denoise", "5-50").apply(clean, np.random.default_rng(0)) * 255
    sigmas = noise.reshape(200, -1).std(axis=1)
    slack = 1 + DEVIATIONS / math.sqrt(2 * 3072)
    assert 5 / slack < sigmas.min() < 10 and 45 < sigmas.max() < 50 * slack
    spread = 45 / math.sqrt(12)
    assert abs(sigmas.mean() - 27.5) < DEVIATIONS * spread / math.sqrt(200)
    assert abs(sigmas.std() - spread) < 0.2 * spread


def test_single_images_draw_from_the_range_too() -> None:
    task = degradation_from_options("denoise", "5-50")
    sigmas = [task.apply(GREY, image_rng(0, f"{index}.png")).std() * 255 for index in range(12)]
    assert 4.9 < min(sigmas) < 20 and 35 < max(sigmas) < 51


def test_sigma_zero_changes_nothing() -> None:
    np.testing.assert_array_equal(GaussianNoise(0, 0).apply(GREY, image_rng(0, "x")), GREY)


def test_noise_depends_on_seed_and_name_alone() -> None:
    task = GaussianNoise(5, 50)
    forth = {name: task.apply(GREY, image_rng(3, name)) for name in ("a", "b", "c")}
    back = {name: task.apply(GREY, image_rng(3, name)) for name in ("c", "a")}
    for name, noisy in back.items():
        np.testing.assert_array_equal(noisy, forth[name])
    assert np.abs(forth["a"] - forth["b"]).max() > 0.01
    assert np.abs(forth["a"] - task.apply(GREY, image_rng(4, "a"))).max() > 0.01


@pytest.mark.parametrize(
    ("sigma", "allowed"),
    [
        *(
            (text, "a number like 25 or a range like 5-50")
            for text in ("", "x", "5-", "-5", "5-50-90", "5..50")
        ),
        *(
            (text, "0 to 100 grey levels, the smaller bound")
            for text in ("50-5", "101", "5-101", "nan", "inf")
        ),
    ],
)
def test_a_bad_sigma_says_what_is_allowed(sigma: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        degradation_from_options("denoise", sigma)
    message = str(caught.value)
    assert message.startswith(f"--sigma {sigma}: ") and allowed in message and "\n" not in message


def test_an_unknown_task_lists_the_known() -> None:
    with pytest.raises(
        ConfigError, match="^--task rain is unknown; use one of denoise, derain, dehaze, deblur, defocus$"
    ):
        degradation_from_options("rain", "25")


@given(st.floats(0, 100), st.floats(0, 100))
def test_what_was_trained_for_is_found_again(first: float, second: float) -> None:
    """Also bounds that print with an exponent or many digits."""
    task = GaussianNoise(min(first, second), max(first, second))
    assert degradation_for(None, None, TrainedFor.of(task.describe())) == task


def test_options_win_over_what_was_trained_for() -> None:
    trained = TrainedFor.of(GaussianNoise(5, 50).describe())
    assert degradation_for(None, "25", trained) == GaussianNoise(25, 25)
    assert degradation_for("denoise", None, trained) == GaussianNoise(5, 50)
    with pytest.raises(ConfigError, match="name it with --sigma"):
        degradation_for(None, None, TrainedFor())
