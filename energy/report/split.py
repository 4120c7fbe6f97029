"""A ratio as a product: what the smaller network saves, what fewer bits save, what the spikes save."""

from dataclasses import dataclass

from snn_tool.energy.estimators.prices import Precision

FLOATS = "in floating point few-valued activations cost what all others do"
AS_WIDE = "its activations are as wide as the precision's"
ANY_WIDTH = "this model prices a MAC whatever the width of its activations"


@dataclass(frozen=True, slots=True)
class Split:
    """A ratio as the product of what a smaller network, fewer bits, and spikes save.

        teacher / student = (teacher / twin) (twin / qann) (qann / student)

    All three factors exist in every cell. `qann` is a dense network of the student's shape whose activations
    have as many values as a neuron of the student has outcomes, in ceil(log2(values)) bits; for `graded`
    neurons it computes the student's very integers. Where a precision or a model has no price for so few
    bits, the second factor is 1, `note` says why, and the third is twin / student.

    Attributes:
        teacher_over_twin: the smaller network's share; None without a teacher.
        twin_over_qann: what fewer bits of the activations save without spikes.
        qann_over_student: what spikes save between networks of one function, the equal integers' share.
        teacher_over_student: the product of the three; None without a teacher.
        twin_over_student: the product of the last two, between networks of one shape.
        cnn_over_student: an int8 CNN of the student's quality over the student; None without one.
        note: why quantisation is worth exactly 1; empty where it is not.
    """

    teacher_over_twin: float | None
    twin_over_qann: float
    qann_over_student: float
    teacher_over_student: float | None
    twin_over_student: float
    cnn_over_student: float | None = None
    note: str = ""


def split(
    teacher_pj: float | None,
    twin_pj: float,
    qann_pj: float,
    student_pj: float,
    cnn_pj: float | None = None,
    note: str = "",
) -> Split:
    """The factors from energies in picojoules, each above zero.

    Args:
        teacher_pj: None without a teacher.
        twin_pj: of the ANN twin.
        qann_pj: of the quantised twin.
        student_pj: of the student.
        cnn_pj: None without a CNN of the student's quality.
        note: as in `Split`.
    """
    return Split(
        teacher_over_twin=None if teacher_pj is None else teacher_pj / twin_pj,
        twin_over_qann=twin_pj / qann_pj,
        qann_over_student=qann_pj / student_pj,
        teacher_over_student=None if teacher_pj is None else teacher_pj / student_pj,
        twin_over_student=twin_pj / student_pj,
        cnn_over_student=None if cnn_pj is None else cnn_pj / student_pj,
        note=note,
    )


def why_one(precision: Precision, bits: int, twin_pj: float, qann_pj: float) -> str:
    """Why quantisation saves nothing in a cell; empty where it does.

    Args:
        precision: of the row.
        bits: of the quantised twin's activations.
        twin_pj: the ANN twin's energy.
        qann_pj: the quantised twin's.
    """
    if not precision.integer:
        return FLOATS
    if bits >= precision.bits:
        return AS_WIDE
    return ANY_WIDTH if twin_pj == qann_pj else ""
