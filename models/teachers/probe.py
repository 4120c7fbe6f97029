"""Whether a teacher can guide a student, asked of one batch before hours are spent on the rest.

A restored image is near the clean one. A teacher that works in [0, 255] or [-1, 1], or returns the noise
instead of the image, is not: its distance to the clean image is compared with that of the degraded one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from snn_tool.errors import TeacherError
from snn_tool.models.losses import HintPair, resampling
from snn_tool.models.teachers.onnx import OnnxTeacher
from snn_tool.models.teachers.tapped import TappedTeacher
from torch import Tensor, nn

FAR, TIMES_DEGRADED = 0.15, 2.0
"""An output further from the clean image than both, as mean absolute distance in [0, 1], is none."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a teacher gave for one batch.

    Attributes:
        features: sizes (C, h, w) by name.
        teacher_psnr_db, degraded_psnr_db: against the clean batch.
    """

    features: Mapping[str, tuple[int, int, int]]
    teacher_psnr_db: float
    degraded_psnr_db: float


def probe(teacher: nn.Module, degraded: Tensor, clean: Tensor) -> Probe:
    """Run a teacher on one batch, and declare the features of a tapped one.

    Args:
        teacher: frozen.
        degraded: float32 [N, 3, P, P].
        clean: of the same shape, in [0, 1].

    Raises:
        TeacherError: it fails, its output is not finite, of another shape or no image in [0, 1], or a feature
            is no map of the images.
    """
    restored, features = run_teacher(teacher, degraded)
    check_restored(restored, degraded)
    check_finite(restored, features)
    _check_range(restored.float(), degraded, clean)
    sizes = {name: (f.shape[1], f.shape[2], f.shape[3]) for name, f in features.items()}
    if isinstance(teacher, TappedTeacher | OnnxTeacher):
        teacher.feature_channels = {name: size[0] for name, size in sizes.items()}
        teacher.feature_scales = {name: _scale(name, size, degraded, teacher) for name, size in sizes.items()}
    return Probe(sizes, _psnr_db(restored, clean), _psnr_db(degraded, clean))


def check_restored(restored: object, image: Tensor) -> None:
    """Refuse an output that is not one image for each image.

    Raises:
        TeacherError: says what was returned.
    """
    if not isinstance(restored, Tensor):
        raise TeacherError(
            f"the teacher returns {type(restored).__name__}, not a tensor; let the factory return a module "
            "whose forward gives the restored image alone"
        )
    if restored.shape != image.shape:
        raise TeacherError(
            f"the teacher returns {tuple(restored.shape)} for images {tuple(image.shape)}; a restorer keeps "
            "the shape, [N, 3, H, W]"
        )


def check_finite(
    restored: Tensor,
    features: Mapping[str, Tensor],
    where: str = "",
    remedy: str = "try --precision fp32, or other weights",
) -> None:
    """Refuse NaN and infinity in what a teacher gives.

    Raises:
        TeacherError: names the output or the feature.
    """
    for name, values in {"its output": restored, **{f"hint '{n}'": f for n, f in features.items()}}.items():
        if not bool(torch.isfinite(values).all()):
            raise TeacherError(f"the teacher gives NaN or infinity in {name}{where}; {remedy}")


def check_pairs(
    pairs: tuple[HintPair, ...], scales: Mapping[str, int], found: Probe, image: Tensor
) -> tuple[str, ...]:
    """Compare both sides of each pair, and say in a line how they meet.

    Args:
        pairs: names.
        scales: downscale factors of the student's populations.
        found: the teacher's features.
        image: the batch that was probed.

    Raises:
        TeacherError: sides that are no multiples of each other; both are named with their sizes.
    """
    lines = []
    for pair in pairs:
        side = (image.shape[2] // scales[pair.student], image.shape[3] // scales[pair.student])
        channels, *size = found.features[pair.teacher]
        way = resampling((size[0], size[1]), side)
        if way is None:
            raise TeacherError(
                f"hint '{pair.teacher}' is {channels}x{size[0]}x{size[1]} and the student's '{pair.student}' "
                f"{side[0]}x{side[1]}; one must divide the other: use another --patch or a hint that fits"
            )
        lines.append(
            f"{pair.student} {side[0]}x{side[1]} <- {pair.teacher} {channels}x{size[0]}x{size[1]}, {way}"
        )
    return tuple(lines)


def run_teacher(
    teacher: nn.Module, degraded: Tensor, remedy: str = "use a --patch that it can take"
) -> tuple[Tensor, dict[str, Tensor]]:
    """What a teacher gives for images float32 [N, 3, H, W]: the restored ones and its features.

    Raises:
        TeacherError: it fails; `remedy` is what to do.
    """
    try:
        with torch.no_grad():
            restored, features = teacher.forward_features(degraded)  # type: ignore[operator]
    except (TypeError, ValueError, IndexError, AttributeError, KeyError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            raise  # no fault of the teacher: the command line says what to make smaller
        reason = " ".join(str(error).split())[:160]
        raise TeacherError(
            f"the teacher fails on images {tuple(degraded.shape)} ({type(error).__name__}: {reason}); "
            f"{remedy}"
        ) from error
    return restored, features


def _check_range(restored: Tensor, degraded: Tensor, clean: Tensor) -> None:
    far, before = (float((image - clean).abs().mean()) for image in (restored, degraded))
    if far > FAR and far > TIMES_DEGRADED * before:
        low, high = float(restored.min()), float(restored.max())
        raise TeacherError(
            f"the teacher's output is {low:.3g} to {high:.3g}, on average {far:.3g} from the clean image "
            f"(the degraded one {before:.3g}); it must restore RGB images in [0, 1], not return the noise or "
            "another range"
        )


def _scale(name: str, size: tuple[int, int, int], image: Tensor, teacher: TappedTeacher | OnnxTeacher) -> int:
    height, width = image.shape[2], image.shape[3]
    if height % size[1] or width % size[2] or height // size[1] != width // size[2]:
        raise TeacherError(
            f"hint '{name}' is {size[1]}x{size[2]} for images {height}x{width}; a hint's side divides the "
            f"image's; {teacher.fitting(image)}"
        )
    return height // size[1]


def _psnr_db(image: Tensor, clean: Tensor) -> float:
    error = float((image.float().clamp(0, 1) - clean).square().mean())
    return float("inf") if error == 0 else -10 * float(torch.log10(torch.tensor(error)))
