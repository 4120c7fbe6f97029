"""The losses: L1, MSE and FFT on the output, the teacher's output, and its decoder features as hints.

With y the student's output, x the clean image, y_T the teacher's output, F(.) the orthonormal 2-D Fourier
transform, v_k the student's membrane at read-out and F_k a decoder feature of the teacher (arXiv 2504.01755,
whose weights are 1 for L1, 0.1 for FFT and 0.12 for hints):

    l1      mean |y - x|
    mse     mean (y - x)^2, which is PSNR's own error
    fft     mean (|Re d| + |Im d|),  d = F(y) - F(x)
    output  mean |y - y_T|
    hints   (1 / K) sum_k mean (A_k(v_k) - norm(P_k(F_k)))^2

A_k is a 1x1 convolution from the student's to the teacher's channels that is discarded after training;
without it both sides are normalised and need as many channels. The mean spikes over time can take the
place of v_k. P_k brings F_k to the student's resolution: over whole blocks by their mean, or by repeating
each value over a whole block; sides that are no multiple of each other are refused. norm gives each channel
of a batch mean 0 and variance 1, so that one weight suits any teacher.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from snn_tool.errors import ConfigError, TeacherError
from snn_tool.models.config import LINEAR, NO_ADAPTER, LossWeights
from snn_tool.models.network import Network
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class HintPair:
    """One place where student and teacher are compared."""

    student: str
    teacher: str


def fft_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean of |Re d| + |Im d| over the difference d of the orthonormal half spectra of [N, 3, H, W]."""
    difference = torch.fft.rfft2((restored - clean).float(), norm="ortho")
    return torch.view_as_real(difference).abs().sum(-1).mean()


def normalised(feature: Tensor) -> Tensor:
    """Each channel of a batch [N, C, h, w] with mean 0 and variance 1."""
    variance, mean = torch.var_mean(feature.float(), dim=(0, 2, 3), keepdim=True, correction=0)
    return (feature - mean) * torch.rsqrt(variance + 1e-6)


def resampling(given: tuple[int, int], wanted: tuple[int, int]) -> str | None:
    """How a feature of `given` = (height, width) comes to `wanted`; None if no whole blocks do it."""
    if given == wanted:
        return "as it is"
    for large, small, way in ((given, wanted, "mean over {}x{}"), (wanted, given, "repeated {}x{}")):
        if all(one % other == 0 for one, other in zip(large, small, strict=True)):
            return way.format(*(one // other for one, other in zip(large, small, strict=True)))
    return None


def to_resolution(feature: Tensor, size: tuple[int, int]) -> Tensor:
    """A feature [N, C, h, w] at `size` = (height, width), by the mean or the repetition of whole blocks.

    Raises:
        TeacherError: neither side divides the other.
    """
    given = (feature.shape[2], feature.shape[3])
    if given == size:
        return feature
    if resampling(given, size) is None:
        raise TeacherError(
            f"a hint of {given[0]}x{given[1]} does not fit {size[0]}x{size[1]} in whole blocks"
        )
    if given[0] > size[0] or given[1] > size[1]:
        return functional.adaptive_avg_pool2d(feature, size)
    return functional.interpolate(feature, size, mode="nearest")


class HintLoss(nn.Module):
    """The hints with their adapters A_k; train it with the student, then throw it away.

    Args:
        pairs: what is compared.
        student_channels, teacher_channels: by name of a feature.
        adapter: one of `ADAPTERS`.

    Raises:
        ConfigError: no adapter between different numbers of channels; both are named.
    """

    def __init__(
        self,
        pairs: tuple[HintPair, ...],
        student_channels: Mapping[str, int],
        teacher_channels: Mapping[str, int],
        adapter: str = LINEAR,
    ) -> None:
        super().__init__()
        self.pairs = pairs
        ends = {p: (student_channels[p.student], teacher_channels[p.teacher]) for p in pairs}
        if adapter == NO_ADAPTER:
            _require_equal(ends)
        self.adapters = nn.ModuleDict(
            {p.student: nn.Conv2d(*ends[p], 1) for p in pairs} if adapter == LINEAR else {}
        )

    def forward(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> Tensor:
        """The mean over the pairs of the squared distance between adapted membrane and normalised feature."""
        terms = []
        for pair in self.pairs:
            adapted = self._adapted(pair.student, student[pair.student])
            target = normalised(to_resolution(teacher[pair.teacher], (adapted.shape[2], adapted.shape[3])))
            terms.append(functional.mse_loss(adapted.float(), target))
        return torch.stack(terms).mean()

    def _adapted(self, name: str, feature: Tensor) -> Tensor:
        if name not in self.adapters:
            return normalised(feature)
        adapted: Tensor = self.adapters[name](feature)
        return adapted


def _require_equal(ends: Mapping[HintPair, tuple[int, int]]) -> None:
    for pair, (ours, theirs) in ends.items():
        if ours != theirs:
            raise ConfigError(
                f"loss.hint_adapter = '{NO_ADAPTER}' needs equal channels, but the student's {pair.student} "
                f"has {ours} and the teacher's {pair.teacher} {theirs}; use '{LINEAR}' or other sites"
            )


def pair_hints(
    student_scales: Mapping[str, int], teacher_scales: Mapping[str, int], wanted: tuple[str, ...]
) -> tuple[HintPair, ...]:
    """Match the student's hint populations, deepest first, with decoder features of the teacher.

    Args:
        student_scales: downscale of each of the student's hint populations.
        teacher_scales: downscale of each of the teacher's decoder features, deepest first.
        wanted: names of teacher features, one for each hint population; empty chooses by resolution.

    Raises:
        ConfigError: a name does not exist, or their number is wrong; the available names are listed.
    """
    available = ", ".join(f"{name} (1/{scale})" for name, scale in teacher_scales.items())
    if unknown := [name for name in wanted if name not in teacher_scales]:
        raise ConfigError(f"--hints: the teacher has no feature '{unknown[0]}'; available: {available}")
    if wanted and len(wanted) != len(student_scales):
        places = ", ".join(f"{name} (1/{scale})" for name, scale in student_scales.items())
        raise ConfigError(
            f"--hints: name {len(student_scales)} features, one each for {places}; available: {available}"
        )
    if not teacher_scales:
        raise ConfigError("the teacher exposes no decoder features; set --loss-hints 0")
    chosen = wanted or tuple(_nearest(scale, teacher_scales) for scale in student_scales.values())
    return tuple(HintPair(s, t) for s, t in zip(student_scales, chosen, strict=True))


def _nearest(scale: int, teacher_scales: Mapping[str, int]) -> str:
    """The last feature of the teacher whose resolution is nearest to 1 / scale."""
    return min(
        reversed(list(teacher_scales)),
        key=lambda name: abs(teacher_scales[name].bit_length() - scale.bit_length()),
    )


TeacherOutput = tuple[Tensor, Mapping[str, Tensor]]
"""What a teacher's `forward_features` gives: the restored image and its named decoder features."""


class DistillationLoss(nn.Module):
    """The terms of the loss by name, and their weighted sum: what `distill` minimises, for any loop.

        loss_of = DistillationLoss.between(student, teacher)
        terms = loss_of(*student.forward_features(degraded), teacher.forward_features(degraded), clean)
        loss_of.total(terms, step / steps).backward()

    Give its parameters to the optimiser as well: the hints' adapters are trained with the student.

    Args:
        weights: of the terms; those of weight 0 are left out.
        hints: what is compared with the teacher's features; None for no hints.
    """

    def __init__(self, weights: LossWeights, hints: HintLoss | None = None) -> None:
        super().__init__()
        self.weights = weights
        self.hints = hints

    @classmethod
    def between(
        cls,
        student: Network,
        teacher: nn.Module | None,
        weights: LossWeights | None = None,
    ) -> "DistillationLoss":
        """The loss of a student beside a teacher; the populations that the hints compare are tapped.

        Args:
            student: of `build_student`.
            teacher: with `forward_features`, `feature_channels` and `feature_scales`, as networks of
                `train_teacher` have them; None for a student that learns from clean images alone.
            weights: by default those of `distill`.

        Raises:
            ConfigError: a hint names no population or no feature, or there are no features to compare.
        """
        weights = weights or LossWeights()
        if teacher is None or not weights.hints:
            return cls(weights)
        student.tap(weights.hint_sites or student.topology.hints, weights.hint_feature)
        channels: Mapping[str, int] = getattr(teacher, "feature_channels", {})
        scales: Mapping[str, int] = getattr(teacher, "feature_scales", {})
        pairs = pair_hints(student.feature_scales, scales, weights.hint_targets)
        return cls(weights, HintLoss(pairs, student.feature_channels, channels, weights.hint_adapter))

    def forward(
        self,
        restored: Tensor,
        features: Mapping[str, Tensor],
        teacher: TeacherOutput | None,
        clean: Tensor,
    ) -> dict[str, Tensor]:
        """The terms before they are weighted, each a scalar: `l1`, and `mse`, `fft`, `output`, `hints`.

        Args:
            restored: the student's output [N, 3, H, W].
            features: the student's tapped features by name, [N, C, h, w].
            teacher: what the teacher gave for the same images, without a gradient; None for no teacher.
            clean: [N, 3, H, W] in [0, 1].

        Raises:
            TeacherError: a feature of the teacher lies in no whole blocks over the student's.
        """
        terms = {"l1": functional.l1_loss(restored.float(), clean)}
        if self.weights.mse:
            terms["mse"] = functional.mse_loss(restored.float(), clean)
        if self.weights.fft:
            terms["fft"] = fft_loss(restored, clean)
        if teacher is not None and self.weights.output:
            terms["output"] = functional.l1_loss(restored.float(), teacher[0].float())
        if teacher is not None and self.hints is not None:
            terms["hints"] = self.hints(features, teacher[1])
        return terms

    def factors(self, progress: float = 0.0) -> dict[str, float]:
        """The weight of every term after the fraction `progress` of all steps; that of the hints decays."""
        fixed = {name: float(getattr(self.weights, name)) for name in ("l1", "mse", "fft", "output")}
        return {**fixed, "hints": self.weights.hints_at(progress)}

    def total(self, terms: Mapping[str, Tensor], progress: float = 0.0) -> Tensor:
        """The weighted sum of `terms`, a scalar."""
        factors = self.factors(progress)
        return torch.stack([factors[name] * term for name, term in terms.items()]).sum()
