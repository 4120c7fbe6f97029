"""How a teacher guides a student: which features meet, asked of the first batch before training starts."""

from collections.abc import Callable, Mapping
from typing import cast

from snn_tool.errors import ConfigError, TeacherError
from snn_tool.models.losses import HintLoss, HintPair, LossWeights, pair_hints
from snn_tool.models.network import Network
from snn_tool.models.teachers.onnx import OnnxTeacher
from snn_tool.models.teachers.tapped import TappedTeacher
from snn_tool.models.teachers.probe import check_pairs, probe
from snn_tool.networks.teachers import OpenedTeacher, TeacherSource, open_teacher
from snn_tool.training.module import Batch, Guide
from torch import Tensor, nn

Note = Callable[[str], None]


def open_source(source: TeacherSource | None, hints: tuple[str, ...]) -> OpenedTeacher | None:
    """The teacher, or None without one.

    Raises:
        ConfigError: hints or weights without a teacher.
    """
    if source is None:
        if hints:
            raise ConfigError("--hints needs --teacher FILE")
        return None
    return open_teacher(source, hints)


def guide_with(
    opened: OpenedTeacher | None,
    student: Network,
    hints: tuple[str, ...],
    weights: LossWeights,
    batch: Batch,
    note: Note,
) -> tuple[Guide | None, tuple[HintPair, ...]]:
    """The guide, with hints if they are weighted, after a look at what the teacher gives for `batch`.

    Args:
        opened: the teacher, or None for no guide.
        student: whose populations are compared; those that `weights` names are tapped.
        hints: names of teacher features, one for each hint population; empty chooses by resolution.
        weights: whether the hints have a weight, and what they compare.
        batch: degraded and clean patches.
        note: told how good the teacher is there, and which features meet how.

    Raises:
        ConfigError: the teacher does not have the hints, or their number is wrong.
        TeacherError: the teacher cannot guide this student.
    """
    if opened is None:
        return None, ()
    teacher, (degraded, clean) = opened.network, batch
    found = probe(teacher, degraded, clean)
    note(
        f"teacher {opened.title}: {found.teacher_psnr_db:.2f} dB on the first batch, "
        f"degraded {found.degraded_psnr_db:.2f} dB"
    )
    if found.teacher_psnr_db < found.degraded_psnr_db:
        note("warning: the teacher is worse than the degraded images; is it for this task?")
    if not weights.hints:
        return Guide(teacher, None), ()
    student.tap(weights.hint_sites or student.topology.hints, weights.hint_feature)
    pairs = _pairs(teacher, student, hints, degraded)
    for line in check_pairs(pairs, student.feature_scales, found, degraded):
        note(f"hint {line}")
    ours, theirs = student.feature_channels, cast(Mapping[str, int], teacher.feature_channels)
    return Guide(teacher, HintLoss(pairs, ours, theirs, weights.hint_adapter)), pairs


def _pairs(
    teacher: nn.Module, student: Network, hints: tuple[str, ...], degraded: Tensor
) -> tuple[HintPair, ...]:
    if isinstance(teacher, TappedTeacher | OnnxTeacher) and not teacher.taps:
        raise TeacherError(
            f"name hints with --hints a,b, one each for {', '.join(student.feature_scales)}, or set "
            f"--loss-hints 0; {teacher.fitting(degraded)}"
        )
    multiple, patch = int(getattr(teacher, "multiple", 1)), degraded.shape[2]
    if patch % multiple:
        # Extended images have features that do not lie over the student's.
        raise TeacherError(f"hints of this teacher need a --patch in multiples of {multiple}, not {patch}")
    return pair_hints(student.feature_scales, teacher.feature_scales, hints)  # type: ignore[arg-type]
