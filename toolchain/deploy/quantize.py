"""`snn-tool quantize`: integers from a float student, and what they cost in dB on images that set nothing."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from snn_tool.degradations.crops import Crop, channels_first, load_crop
from snn_tool.degradations.pairs import Pairs, Source, source_for
from snn_tool.errors import ConfigError, DataError
from snn_tool.images.files import find_images
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.models.checkpoints import refuse_existing_pair
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import IntegerEngine, restore_integers
from snn_tool.models.integer.file import INTEGER_KIND, INTEGER_SUFFIX, save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.network import Network
from snn_tool.models.topology import Topology
from snn_tool.networks.open import open_float
from snn_tool.training.data import split_validation

CROP = 256
MOST_IMAGES = 16


@dataclass(frozen=True, slots=True)
class QuantizedStudent:
    """What a quantisation ended with.

    Attributes:
        path: of the integer network.
        parameters: trainable values of the student.
        calibration_images: number of images that set the read-out's bias.
        images: number of images that both PSNR are means of; they did not calibrate, unless there is but one.
        calibration_of, images_of: what they were taken from, at most 16 of each and none too small.
        float_psnr_db, integer_psnr_db: before and after, by the protocol of `evaluate`, on centre crops.
    """

    path: Path
    parameters: int
    calibration_images: int
    images: int
    calibration_of: int
    images_of: int
    float_psnr_db: float
    integer_psnr_db: float

    @property
    def loss_db(self) -> float:
        """What the integers cost."""
        return self.float_psnr_db - self.integer_psnr_db


def quantize_student(
    student_path: Path,
    data: Path,
    out: Path,
    sigma: str | None,
    overwrite: bool,
    pairs: Pairs | None = None,
) -> QuantizedStudent:
    """Quantise a student and write `out` with its sidecar.

    Args:
        student_path: `student.safetensors`.
        data: folder of clean images; those that the student's training held out measure the loss.
        out: ends in `.int.safetensors`.
        sigma: strength of the degradation; None takes the one that the student was trained for.
        overwrite: replace `out`.
        pairs: take these degraded images instead; `data` is then their folder of clean ones.

    Raises:
        ConfigError: `out` exists or ends otherwise.
        QuantizationError: a layer does not fit.
    """
    if not out.name.endswith(INTEGER_SUFFIX):
        raise ConfigError(f"{out}: the name of an integer student ends in {INTEGER_SUFFIX}")
    refuse_existing_pair(out, overwrite, INTEGER_KIND, "integer network")
    opened = open_float(student_path)
    provenance = opened.provenance
    degradation = source_for(pairs, None, sigma, provenance.trained_for)
    origin = {"student_sha256": provenance.sha256, "training": provenance.account}
    return quantize_network(opened.network, opened.config, origin, data, out, degradation)


def quantize_network(
    student: Network,
    config: StudentConfig,
    origin: Mapping[str, Any],
    data: Path,
    out: Path,
    degradation: Source,
) -> QuantizedStudent:
    """Quantise a network in memory, calibrate and measure it, and write `out` with its sidecar.

    Args:
        student: in evaluation mode.
        config: its configuration.
        origin: what the sidecar says of it first; `training` with the seed that split its images, if any.
        data: folder of clean images.
        out: ends in `.int.safetensors`.
        degradation: of the images.

    Raises:
        QuantizationError: a layer does not fit.
        UnsupportedLayerError: a layer has no integers.
    """
    seed = int(origin.get("training", {}).get("seed", 0))
    calibration, measured, given = _split(data, degradation, student.topology, seed)
    network = quantize(student, config, [channels_first(crop.degraded) for crop in calibration])
    float_db, integer_db = _mean_psnr_db(student, network, measured)
    provenance = {
        **origin,
        "noise": degradation.describe(),
        "calibration_images": [crop.name for crop in calibration],
        "measured_images": [crop.name for crop in measured],
        "float_psnr_db": round(float_db, 4),
        "integer_psnr_db": round(integer_db, 4),
    }
    save_integer_network(out, network, provenance)
    counts = (network.topology.parameters, len(calibration), len(measured), *given)
    return QuantizedStudent(out, *counts, float_db, integer_db)


def _split(
    data: Path, degradation: Source, topology: Topology, seed: int
) -> tuple[list[Crop], list[Crop], tuple[int, int]]:
    """Crops to calibrate on and crops to measure on, and of how many images; a single image does both."""
    paths = find_images(data)
    calibration, measured = split_validation(paths, seed) if len(paths) > 1 else (paths, paths)
    multiple = topology.multiple
    crops = [_crops(some, data, degradation, topology) for some in (calibration, measured)]
    given = (len(calibration), len(measured))
    if not crops[0] or not crops[1]:
        crops, given = [crops[0] or crops[1]] * 2, (given[not crops[0]],) * 2
    if not crops[0]:
        raise DataError(f"{data}: no image of at least {multiple}x{multiple} pixels; add larger ones")
    return crops[0], crops[1], given


def _crops(paths: Iterable[Path], data: Path, degradation: Source, topology: Topology) -> list[Crop]:
    found: list[Crop] = []
    for path in paths:
        if crop := load_crop(
            path, data, degradation, CROP, topology.multiple, channels=topology.image_channels
        ):
            found.append(crop)
        if len(found) == MOST_IMAGES:
            break
    return found


def _mean_psnr_db(student: Network, network: IntegerNetwork, crops: list[Crop]) -> tuple[float, float]:
    """Means of the float student's and the integer network's PSNR in dB."""
    engine = IntegerEngine(network)

    def by_float(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(student(torch.from_numpy(batch)))

    runs: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
        by_float,
        lambda batch: restore_integers(engine, batch),
    )
    means = []
    for run in runs:
        restored = [run(channels_first(crop.degraded)[None])[0].transpose(1, 2, 0) for crop in crops]
        scores = [psnr_db(to_uint8(image), crop.clean) for image, crop in zip(restored, crops, strict=True)]
        means.append(float(np.mean(scores)))
    return means[0], means[1]
