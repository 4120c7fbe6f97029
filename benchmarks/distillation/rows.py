"""Finished runs of the distillation study, one line of JSON each, so that files of several machines merge."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from filelock import FileLock
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import write_text
from snn_tool.files.documents import Count, Finite, Name, NotNegative, Sha256

from distillation.plan import Key

HALVES = ("a", "b")


class Point(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One validation: step, processor seconds up to there, PSNR in dB of both halves.

    Attributes:
        cpu_s: of the steps without the teacher.
        teacher_cpu_s: of the teacher, as its answers cost when they were computed.
        asked_cpu_s: of asking for them, most of them read from the cache.
    """

    step: Count
    cpu_s: NotNegative
    teacher_cpu_s: NotNegative
    asked_cpu_s: NotNegative
    a: Finite
    b: Finite


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One finished run.

    Attributes:
        steps: of the optimiser; those of the plan but for `none-long`.
        settings_sha256: `Plan.settings_hash`.
        curve: its validations; the last one is of the last step.
        failed: why it did not end, e.g. a loss that became NaN; empty of one that did.
        teacher_sha256: of its file; None without one.
        teacher_db: its own PSNR on both halves.
        teacher_left_out: whether its training held out the same images; None where nobody wrote it down.
        training_sha256, validation_sha256: of the names and pixels of the images.
        processor, versions: of the machine.
        student_sha256: of the file that it made; None of a failed run.
        tests: PSNR in dB by test set, once that was opened.
    """

    neuron: Name
    variant: Name
    seed: Count
    steps: Count
    settings_sha256: Sha256
    teacher_sha256: Sha256 | None
    teacher_db: tuple[Finite, Finite] | None
    teacher_left_out: bool | None
    training_sha256: Sha256
    validation_sha256: Sha256
    student_sha256: Sha256 | None
    processor: Name
    versions: dict[str, str]
    curve: tuple[Point, ...]
    failed: str = ""
    tests: dict[str, Finite] = {}

    def __post_init__(self) -> None:
        """Refuse a run without figures that does not say why."""
        if not self.failed and not self.curve:
            raise ValueError("a run that did not fail has a curve")

    @property
    def key(self) -> Key:
        """What names the run."""
        return Key(self.neuron, self.variant, self.seed)

    @property
    def last(self) -> Point:
        """The validation after the last step."""
        return self.curve[-1]

    def score(self, half: str) -> float:
        """PSNR in dB after the last step on one half of the validation crops."""
        return float(getattr(self.last, half))

    @property
    def cpu_s(self) -> float:
        """Processor seconds with the teacher run at every step."""
        return self.last.cpu_s + self.last.teacher_cpu_s


Rows = dict[Key, Row]


def read_rows(path: Path) -> Rows:
    """The rows of a file by key; none where there is no file.

    Raises:
        ArtifactError: a line is no row, or a run is there twice.
    """
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from error
    rows: Rows = {}
    for number, line in enumerate(lines, 1):
        try:
            row = msgspec.json.decode(line, type=Row)
        except msgspec.MsgspecError as error:
            raise ArtifactError(f"{path}, line {number}: no row of the study ({error})") from error
        if row.key in rows:
            raise ArtifactError(f"{path}, line {number}: {row.key} is there twice; keep one of the lines")
        rows[row.key] = row
    return rows


def write_rows(path: Path, rows: Mapping[Key, Row]) -> None:
    """All rows, in the order of their keys, whole or not at all."""
    ordered = sorted(rows.values(), key=lambda row: (row.neuron, row.variant, row.seed))
    write_text(path, "".join(msgspec.json.encode(row).decode() + "\n" for row in ordered))


def add_rows(path: Path, new: Iterable[Row]) -> Rows:
    """Add rows to a file that other processes may write, too; what it then holds.

    Raises:
        ConfigError: a run is there already and has other figures: one of the two is not what it says.
    """
    with FileLock(f"{path}.lock"):
        rows = read_rows(path)
        for row in new:
            there = rows.get(row.key)
            if there is not None and not _same_run(there, row):
                raise ConfigError(f"{path}: has another run {row.key}; keep one of the two")
            tests = {**there.tests, **row.tests} if there else row.tests
            rows[row.key] = msgspec.structs.replace(row, tests=tests)
        write_rows(path, rows)
    return rows


def _same_run(one: Row, other: Row) -> bool:
    return msgspec.structs.replace(one, tests={}) == msgspec.structs.replace(other, tests={})
