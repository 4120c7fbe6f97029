"""Noise as cameras make it, and files: moments and correlations derived from their models."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image as Picture
from snn_tool.degradations.camera import (
    CorrelatedNoise,
    PoissonGaussian,
    RealNoise,
    grains,
    kernel_of,
    poisson_gaussian,
)
from snn_tool.degradations.noise import GaussianNoise
from snn_tool.degradations.options import HowOptions
from snn_tool.degradations.pairs import Pairs, source_for
from snn_tool.degradations.stored import Stored, as_jpeg
from snn_tool.degradations.tasks import (
    TrainedFor,
    degradation_for,
    degradation_from_options,
    image_rng,
    task_text,
)
from snn_tool.errors import ConfigError
from snn_tool.images.metrics import to_uint8

DEVIATIONS = 5
SIGMA = 25 / 255


def flat(value: float, side: int = 160) -> np.ndarray:
    return np.full((side, side, 3), value, np.float32)


@pytest.mark.parametrize("value", [0.0, 0.2, 0.5, 1.0])
def test_the_variance_is_a_x_plus_b(value: float) -> None:
    """Its standard error over n samples is sqrt((k - 1) / n) of it: k = 3, of counts 3 + a / x."""
    a, b = 0.004, 0.002
    noise = poisson_gaussian(flat(value), a, b, image_rng(0, "x")).astype(np.float64) - np.float32(value)
    variance = a * value + b
    assert noise.mean() == pytest.approx(0, abs=DEVIATIONS * math.sqrt(variance / noise.size))
    assert noise.var() == pytest.approx(variance, rel=DEVIATIONS * math.sqrt(2.1 / noise.size))


def test_without_a_read_out_values_are_counts_of_photons() -> None:
    counts = poisson_gaussian(flat(0.5), 0.125, 0, image_rng(0, "x")) / np.float32(0.125)
    np.testing.assert_array_equal(counts, np.round(counts))
    zero = np.mean(counts == 0)
    assert zero == pytest.approx(math.exp(-4), abs=DEVIATIONS * math.sqrt(math.exp(-4) / counts.size))


@pytest.mark.parametrize("kind", [PoissonGaussian, CorrelatedNoise])
def test_sigma_is_the_deviation_at_mid_grey(kind: type[PoissonGaussian] | type[CorrelatedNoise]) -> None:
    """Grains of deviation 1.2 make n samples count as 18 times fewer; three colours alike, 3 times fewer."""
    noise = kind(25, 25).apply(flat(0.5), image_rng(0, "x")) - np.float32(0.5)
    assert noise.std() == pytest.approx(SIGMA, rel=DEVIATIONS * math.sqrt(18 * 3 / (2 * noise.size)))
    np.testing.assert_array_equal(kind(0, 0).apply(flat(0.3), image_rng(0, "x")), flat(0.3))


@pytest.mark.parametrize("width", CorrelatedNoise.WIDTHS)
def test_grains_correlate_as_their_kernel_does(width: float) -> None:
    """Filtered white noise of variance 1 correlates as the kernel with itself."""
    kernel = kernel_of(width).astype(np.float64)
    field = grains((400, 300), kernel_of(width), image_rng(0, "x")).astype(np.float64)
    slack = DEVIATIONS * math.sqrt(36 / field.size)
    assert field.shape == (400, 300) and field.var() == pytest.approx(1, abs=slack)
    for lag in (1, 2):
        expected = (kernel[lag:] * kernel[:-lag]).sum()
        assert (field[lag:] * field[:-lag]).mean() == pytest.approx(expected, abs=slack)
        assert (field[:, lag:] * field[:, :-lag]).mean() == pytest.approx(expected, abs=slack)


def test_colours_share_a_part_of_their_noise_and_grey_has_one() -> None:
    most = 0.0
    for index in range(8):
        noise = CorrelatedNoise(25, 25).apply(flat(0.5, 64), image_rng(index, "x")) - np.float32(0.5)
        shared = np.corrcoef(noise.reshape(-1, 3).T)[np.triu_indices(3, 1)]
        assert np.ptp(shared) < 0.4 and -0.2 < shared.mean() < CorrelatedNoise.SHARED[1] + 0.2
        most = max(most, shared.mean())
    assert most > 0.2
    grey = CorrelatedNoise(25, 25).apply(flat(0.5)[:, :, :1], image_rng(0, "x"))
    assert grey.shape[2] == 1 and (grey - 0.5).std() == pytest.approx(SIGMA, rel=0.1)


def test_a_file_holds_the_same_noise_rounded_and_clipped() -> None:
    clean = np.random.default_rng(0).random((2, 24, 32, 3), dtype=np.float32)
    noise = GaussianNoise(25, 50)
    floats, stored = (made.apply(clean, image_rng(0, "x")) for made in (noise, Stored(noise)))
    np.testing.assert_array_equal(stored, to_uint8(floats) / np.float32(255))
    assert floats.min() < 0 <= stored.min() and floats.max() > 1 >= stored.max()


def test_jpeg_is_what_pillow_writes_and_coarser_at_a_lower_quality() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    image = np.stack([np.tile(ramp, (48, 1)), np.tile(ramp[::-1], (48, 1)), np.full((48, 64), 0.5)], axis=2)
    noisy = GaussianNoise(20, 20).apply(image.astype(np.float32), image_rng(0, "x"))
    one = noisy[:, :, :1]  # of colours half the noise goes at any quality, with half of their pixels
    errors = [np.square(as_jpeg(one, quality) - to_uint8(one) / 255).mean() for quality in (30, 60, 95)]
    assert errors[0] > 1.2 * errors[1] > 1.5 * errors[2] > 0
    file = io.BytesIO()
    Picture.fromarray(to_uint8(noisy)).save(file, "JPEG", quality=60, subsampling=2)
    np.testing.assert_array_equal(to_uint8(as_jpeg(noisy, 60)), np.asarray(Picture.open(file)))
    grey = as_jpeg(noisy[:, :, :1], 60)
    assert grey.shape == (48, 64, 1) and 0 <= grey.min() <= grey.max() <= 1
    stored = Stored(GaussianNoise(0, 0), (40, 41))
    qualities = {stored.apply(noisy, image_rng(seed, "x")).tobytes() for seed in range(20)}
    assert len(qualities) == 2


def test_the_mixture_draws_its_parts_as_often_as_it_says() -> None:
    """Of n images a share p is drawn with standard error sqrt(p (1 - p) / n)."""
    count = 1200
    clean = np.random.default_rng(1).integers(0, 256, (count, 8, 8, 3)).astype(np.float32) / np.float32(255)
    noisy = RealNoise(20, 50).apply(clean, np.random.default_rng(2))
    same = (noisy == clean).all(axis=(1, 2, 3))
    in_file = (to_uint8(noisy) / np.float32(255) == noisy).all(axis=(1, 2, 3)) & ~same
    for found, share in ((same, 0.05), (in_file, 0.95 * 0.7)):
        assert found.mean() == pytest.approx(share, abs=DEVIATIONS * math.sqrt(share * (1 - share) / count))
    assert sum(RealNoise.NOISES.values()) == pytest.approx(1) == sum(RealNoise.FILES.values())
    np.testing.assert_array_equal(noisy, RealNoise(20, 50).apply(clean, np.random.default_rng(2)))


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (HowOptions("real"), "denoise sigma 0 to 50, real"),
        (HowOptions("gaussian", eight_bit=True), "denoise sigma 25, 8 bits"),
        (HowOptions("correlated", jpeg="80"), "denoise sigma 25, correlated, JPEG 80"),
        (HowOptions(jpeg="60-95", eight_bit=True), "denoise sigma 25, JPEG 60 to 95"),
    ],
)
def test_what_was_said_is_described_and_found_again(how: HowOptions, text: str) -> None:
    degradation = degradation_from_options("denoise", None, how)
    described = json.loads(json.dumps(degradation.describe()))
    assert task_text(described) == text
    trained_for = TrainedFor.of(described)
    assert degradation_for(None, None, trained_for) == degradation
    plain = degradation_for(None, "25", trained_for, HowOptions("gaussian"))
    assert plain == GaussianNoise(25, 25) and "kind" not in plain.describe()


@pytest.mark.parametrize("text", ["", "0", "101", "90-60", "-5", "fine", "60.5", "²"])
def test_a_bad_quality_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=f"^--jpeg {text}: use "):
        degradation_from_options("denoise", "25", HowOptions(jpeg=text))


def test_a_bad_kind_is_named_with_those_of_its_task() -> None:
    with pytest.raises(ConfigError, match="--task derain --kind.*gaussian.*streaks"):
        degradation_from_options("derain", None, HowOptions("gaussian"))
    pairs = Pairs(None, {}, "derain")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--kind, --eight-bit, --jpeg: pairs are degraded as they are"):
        source_for(pairs, None, None, TrainedFor(), HowOptions(jpeg="80"))
