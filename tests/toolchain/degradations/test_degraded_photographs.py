"""Rain, haze, shake and defocus: identities, energy balances and moments derived from their models."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snn_tool.degradations.blur import Defocus, MotionBlur, disk, rasterised, shake
from snn_tool.degradations.haze import AIRLIGHT, ColouredHaze, Haze, edged_depth, smooth_depth
from snn_tool.degradations.noise import NOISE_SIGMA, Degradation, blur
from snn_tool.degradations.options import HowOptions
from snn_tool.degradations.rain import RainStreaks, VariedRain, rain_layer, streak
from snn_tool.degradations.raindrops import DEPTHS, DIAMETERS, FOCAL, Drops, Raindrops, drops, lines
from snn_tool.degradations.tasks import (
    TASKS,
    TrainedFor,
    degradation_for,
    degradation_from_options,
    image_rng,
    task_text,
)
from snn_tool.errors import ConfigError

KINDS = [(name, kind) for name, task in TASKS.items() for kind in task.kinds]
OTHER_KINDS = [(name, kind) for name, kind in KINDS if kind != "gaussian"]
OTHERS = [name for name in TASKS if name != "denoise"]
WITHOUT_NOISE: list[Degradation] = [RainStreaks(0, 0), Haze(0, 0), MotionBlur(0, 0, 0), Defocus(0, 0, 0)]
WITHOUT_NOISE += [VariedRain(0, 0), Raindrops(0, 0), ColouredHaze(0, 0)]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).random((height, width, 3), dtype=np.float32)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(KINDS), st.floats(0, 1), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_every_kind_keeps_shape_type_and_finiteness_and_repeats(
    named: tuple[str, str], share: float, height: int, width: int, seed: int
) -> None:
    task, kind = named
    degradation = degradation_from_options(
        task,
        f"{share * TASKS[task].most:.6f}",
        HowOptions(kind, seed % 3 == 0, "50-90" if seed % 3 else None),
    )
    clean = picture(height, width)
    before = clean.copy()
    first, second = (degradation.apply(clean, image_rng(seed, "x")) for _ in range(2))
    assert first.shape == clean.shape and first.dtype == np.float32 and np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(clean, before)


@pytest.mark.parametrize("degradation", WITHOUT_NOISE)
def test_zero_strength_is_the_identity(degradation: Degradation) -> None:
    clean = picture(20, 30)
    np.testing.assert_array_equal(degradation.apply(clean, image_rng(0, "x")), clean)


@pytest.mark.parametrize("degradation", [MotionBlur(0, 0), Defocus(0, 0.4)])
def test_blur_of_zero_strength_leaves_the_noise(degradation: Degradation) -> None:
    """49,152 samples: the standard error of sigma is sigma / sqrt(2 n)."""
    clean = picture(128, 128)
    noise = (degradation.apply(clean, image_rng(0, "x")) - clean) * 255
    assert abs(noise.std() - NOISE_SIGMA) < 5 * NOISE_SIGMA / math.sqrt(2 * noise.size)


@pytest.mark.parametrize(("task", "kind"), OTHER_KINDS)
def test_a_batch_draws_anew_for_each_image_and_what_was_trained_for_is_found_again(
    task: str, kind: str
) -> None:
    degradation = degradation_from_options(task, None, HowOptions(kind))
    batch = np.stack([picture(24, 24)] * 3)
    degraded = degradation.apply(batch, np.random.default_rng(1))
    assert degraded.shape == batch.shape and degraded.dtype == np.float32
    assert np.abs(degraded[0] - degraded[1]).max() > 0.01
    np.testing.assert_array_equal(degraded[0], degradation.apply(batch[0], np.random.default_rng(1)))
    described = degradation.describe()
    trained_for = TrainedFor.of(described)
    assert described["task"] == task and degradation_for(None, None, trained_for) == degradation
    other = next(name for name in TASKS if name != task)
    assert degradation_for(other, None, trained_for) == degradation_from_options(other)
    assert task_text(described).startswith(f"{task} {TASKS[task].symbol} ")


@pytest.mark.parametrize("task", OTHERS)
@pytest.mark.parametrize("strength", ["nan", "inf", "-1", "3-1", "1e9", "much", ""])
def test_a_bad_strength_is_named(task: str, strength: str) -> None:
    with pytest.raises(ConfigError) as caught:
        degradation_from_options(task, strength)
    message = str(caught.value)
    assert message.startswith(f"--strength {strength}: use ") and TASKS[task].unit in message
    assert "\n" not in message


def test_rain_only_brightens_by_the_screen_blend() -> None:
    """On black the result is s R, on white nothing changes, and in between 1 - (1 - B)(1 - s R)."""
    black, grey = np.zeros((60, 70, 3), np.float32), np.full((60, 70, 3), 0.25, np.float32)
    rain, on_grey = (RainStreaks(0.5, 0.5).apply(clean, image_rng(0, "x")) for clean in (black, grey))
    assert 0.1 < rain.max() <= 0.5 and rain.min() >= -1e-6
    np.testing.assert_allclose(on_grey, 1 - 0.75 * (1 - rain), atol=1e-6)
    white = RainStreaks(1, 1).apply(np.ones_like(black), image_rng(0, "x"))
    np.testing.assert_array_equal(white, np.ones_like(black))
    assert rain_layer((9, 11), image_rng(0, "y")).shape == (9, 11)


@pytest.mark.parametrize("angle", [-40.0, 0.0, 25.0])
def test_a_streak_points_where_its_angle_says(angle: float) -> None:
    """The principal axis of its second moments, measured from the vertical."""
    kernel = streak(30, 0.7, angle)
    rows, columns = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    xx, yy, xy = ((kernel * product).sum() for product in (columns**2, rows**2, rows * columns))
    assert math.degrees(0.5 * math.atan2(2 * xy, yy - xx)) == pytest.approx(angle, abs=0.5)


@pytest.mark.parametrize("kind", [VariedRain, Raindrops])
def test_other_rain_brightens_black_within_the_film_and_differs_from_image_to_image(
    kind: type[VariedRain] | type[Raindrops],
) -> None:
    black = np.zeros((80, 90, 3), np.float32)
    rain = [kind(0.8, 0.8).apply(black, image_rng(seed, "x")) for seed in range(6)]
    assert all(0 <= each.min() and each.max() <= 1 for each in rain)
    assert max(each.max() - each.min() for each in rain) > 0.15
    assert all(np.ptp(each, axis=2).max() == 0 for each in rain)  # rain of black and of white light is grey
    assert len({round(float(each.mean()), 6) for each in rain}) == 6


def test_a_drop_is_a_line_of_its_width() -> None:
    """Upright, 19 pixels long: one of 2 pixels covers 38 of them, a thin one its share of one column."""
    wide, fine = (
        Drops(*map(np.array, ([[10.5, 5]], [[10.5, 24]], [width], [5.0], [0.8]))) for width in (2.0, 0.1)
    )
    seen, thin = (lines((30, 20), one, np.array([0])) for one in (wide, fine))
    columns = seen.sum(axis=0)
    assert columns.sum() == pytest.approx(0.8 * 2 * 19, rel=0.06) and columns[:9].sum() == 0
    assert seen.max() == pytest.approx(0.8, abs=0.01) and columns[13:].sum() == 0
    thin = lines(
        (30, 20), Drops(*map(np.array, ([[10.5, 5]], [[10.5, 24]], [0.1], [5.0], [0.8]))), np.array([0])
    )
    assert 0 < thin.sum() < 0.1 * seen.sum()


def test_drops_have_the_sizes_and_speeds_of_rain() -> None:
    """A line is as long as its drop falls in the exposure: lengths over widths go as the speed over D."""
    for seed in range(5):
        found = drops((300, 400), np.random.default_rng(seed))
        diameters = found.widths * found.depths * 1000 / FOCAL
        assert DIAMETERS[0] - 1e-9 <= diameters.min() and diameters.max() <= DIAMETERS[1] + 1e-9
        assert DEPTHS[0] <= found.depths.min() and found.depths.max() <= DEPTHS[1]
        falls = (found.ends - found.starts)[:, 1] * found.depths
        exposures = falls / FOCAL / (9.65 - 10.3 * np.exp(-0.6 * diameters))
        assert np.ptp(exposures) < 1e-9 and 1 / 200 <= exposures[0] <= 1 / 50
        # of the room before a camera half lies beyond the depth whose cube is the mean of both cubes
        middle = (sum(depth**3 for depth in DEPTHS) / 2) ** (1 / 3)
        slack = 5 * 0.5 / math.sqrt(len(found.depths))
        assert np.mean(found.depths > middle) == pytest.approx(0.5, abs=slack)


def test_coloured_haze_has_one_transmission_and_three_airlights() -> None:
    black, white = (np.full((90, 120, 3), value, np.float32) for value in (0, 1))
    dark, light = (ColouredHaze(1.2, 1.2).apply(clean, image_rng(3, "x")) for clean in (black, white))
    transmission = (light - dark).astype(np.float64)
    np.testing.assert_allclose(transmission, transmission[:, :, :1].repeat(3, 2), atol=1e-6)
    far = transmission[:, :, 0] < 0.9
    airlight = dark[far] / (1 - transmission[far])
    assert np.ptp(airlight, axis=0).max() < 1e-4 and np.ptp(airlight[0]) > 0.01
    assert np.abs(airlight[0] - airlight[0].mean()).max() <= 2 * ColouredHaze.TINT and airlight.max() <= 1


def test_things_before_the_depth_have_edges() -> None:
    jumps = []
    for seed in range(12):
        depth = edged_depth(picture(60, 80), image_rng(seed, "x"))
        assert depth.shape == (60, 80) and 0 <= depth.min() and depth.max() <= 1
        jumps.append(np.abs(np.diff(depth, axis=1)).max())
    assert sum(jump > 0.05 for jump in jumps) >= 4 and min(jumps) < 0.03


def test_haze_is_the_scattering_model() -> None:
    """Black gives A (1 - t), white 1 - (1 - A)(1 - t): their difference is the transmission t."""
    black, white = (np.full((200, 400, 3), value, np.float32) for value in (0, 1))
    dark, light = (Haze(1.2, 1.2).apply(clean, image_rng(3, "x")) for clean in (black, white))
    transmission = (light - dark).astype(np.float64)
    assert np.exp(-1.2) - 1e-5 <= transmission.min() and transmission.max() <= 1 + 1e-6
    airlight = dark[transmission < 0.9] / (1 - transmission[transmission < 0.9])
    assert np.ptp(airlight) < 1e-4 and AIRLIGHT[0] <= airlight.mean() <= AIRLIGHT[1]


def test_depth_is_smooth_and_a_patch_spans_a_part_of_it() -> None:
    whole = [smooth_depth((240, 320), image_rng(seed, "x")) for seed in range(20)]
    patch = [smooth_depth((32, 32), image_rng(seed, "x")) for seed in range(20)]
    assert all(depth.min() >= 0 and depth.max() <= 1 for depth in whole + patch)
    assert max(np.abs(np.diff(depth, axis=axis)).max() for depth in whole for axis in (0, 1)) < 0.03
    assert max(np.ptp(depth) for depth in patch) <= 32 / 320 + 1e-6
    assert np.mean([depth[:60].mean() - depth[-60:].mean() for depth in whole]) > 0.2


@pytest.mark.parametrize("radius", [0.3, 0.5, 1.0, 2.5, 7.0])
def test_a_disk_has_the_area_of_a_disk_in_every_column(radius: float) -> None:
    """The part of a disk left of x is 1/2 + (x sqrt(r^2 - x^2) + r^2 asin(x / r)) / (pi r^2)."""
    kernel = disk(radius)
    half = len(kernel) // 2
    assert kernel.sum() == pytest.approx(1) and (kernel == kernel.T).all() and (kernel == kernel[::-1]).all()
    edges = np.clip(np.arange(-half - 0.5, half + 1), -radius, radius)
    left = (edges * np.sqrt(radius**2 - edges**2) / radius**2 + np.arcsin(edges / radius)) / math.pi
    np.testing.assert_allclose(kernel.sum(axis=0), np.diff(left), atol=0.01)
    assert len(kernel) == (1 if radius <= 0.5 else 2 * math.ceil(radius - 0.5) + 1)


@pytest.mark.parametrize("length", [0.0, 3.0, 20.0, 40.0])
def test_a_shake_has_its_length_and_its_kernel_its_moments(length: float) -> None:
    for seed in range(5):
        path = shake(length, np.random.default_rng(seed))
        assert np.abs(np.diff(path)).sum() == pytest.approx(length) and abs(path.mean()) < 1e-9
        kernel = rasterised(path)
        half = len(kernel) // 2
        places = np.arange(-half, half + 1)
        assert kernel.sum() == pytest.approx(1) and kernel.min() >= 0
        assert (kernel.sum(axis=0) * places).sum() == pytest.approx(path.real.mean(), abs=1e-9)
        assert (kernel.sum(axis=1) * places).sum() == pytest.approx(path.imag.mean(), abs=1e-9)


def test_blur_is_convolution_with_mirrored_borders() -> None:
    """By hand on a row: half of the pixel to the left and half of itself; beyond the border the mirror."""
    row = np.array([1, 2, 4, 8], np.float32)
    image = np.repeat(np.tile(row, (3, 1))[:, :, None], 3, axis=2)
    kernel = np.array([[0, 0, 0], [0, 0.5, 0.5], [0, 0, 0]])
    blurred = blur(image, kernel)
    # A convolution turns the kernel round: out(x) = (in(x) + in(x - 1)) / 2, and in(-1) = in(1).
    np.testing.assert_allclose(blurred[1, :, 0], [1.5, 1.5, 3, 6], atol=1e-6)
    flat = np.full((9, 9, 3), 0.4, np.float32)
    np.testing.assert_allclose(blur(flat, disk(3)), flat, atol=1e-6)
