"""The energy audit from Python: exact counts of a deployed student, priced by every model, and a verdict."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from snn_tool.api.images import Images, folders_of
from snn_tool.api.networks import Student, Teacher, load
from snn_tool.api.training import filled
from snn_tool.auditing.options import AuditOptions
from snn_tool.auditing.student import run_audit
from snn_tool.energy.pages.html import render
from snn_tool.energy.pages.latex import render_latex
from snn_tool.energy.pages.numbers import outcome, span, versus
from snn_tool.energy.report.document import EnergyReport
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import write_text
from snn_tool.files.ownership import refuse_existing_file
from snn_tool.files.temporaries import new_place
from snn_tool.results import Result, dataframe
from torch import nn

_Item = TypeVar("_Item")


def _untracked(items: Sequence[_Item], label: str) -> Iterable[_Item]:
    """The items, without a word."""
    return items


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Audit(Result):
    """An energy audit; every joule in it is an estimate: an exact count times a published price.

    Attributes:
        report: all of it as dataclasses, energies in picojoules per image.
        folder: holds `energy.json` and `energy.html`.
    """

    report: EnergyReport
    folder: Path

    @property
    def headline(self) -> tuple[float, float]:
        """How many times less energy the student needs than the reference: least and most of all models."""
        return self.report.headline.least, self.report.headline.most

    @property
    def verdict(self) -> str:
        """Whether the claim `holds` by every model, `fails` by every one, or `depends`."""
        return self.report.verdict.outcome

    def to_dict(self) -> dict[str, Any]:
        """JSON values; docs/reference/energy-json.md says what each is."""
        return self.report.to_dict()

    def to_html(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the audit as one self-contained page and return its path.

        Raises:
            ConfigError: the file exists and `overwrite` is false.
        """
        refuse_existing_file(Path(path), overwrite)
        write_text(Path(path), render(self.report))
        return Path(path)

    def to_latex(self, path: str | os.PathLike[str] | None = None, overwrite: bool = False) -> str:
        r"""The energies and ratios of every model as a table for a paper, which needs `booktabs`.

        Args:
            path: file to write it into as well, for `\input`; None writes none.
            overwrite: replace that file.

        Raises:
            ConfigError: the file exists and `overwrite` is false.
        """
        text = render_latex(self.report)
        if path is not None:
            refuse_existing_file(Path(path), overwrite)
            write_text(Path(path), text)
        return text

    def to_dataframe(self) -> Any:
        """A pandas table with a line for each model and precision: `model`, `ratio`, `least`, `most`.

        Raises:
            BackendUnavailableError: pandas is not installed.
        """
        return dataframe(
            {key: value for key, value in asdict(row).items() if not isinstance(value, Mapping)}
            for row in self.report.ratios
        )

    def __repr__(self) -> str:
        return f"Audit: {versus(self.report)} {span(self.report.headline)}\n  {outcome(self.report)}"


def audit(
    student: Student | str | os.PathLike[str],
    images: Images,
    *,
    teacher: Teacher | nn.Module | str | os.PathLike[str] | None = None,
    degraded: Images | None = None,
    twin: Teacher | str | os.PathLike[str] | None = None,
    qann: Student | str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Audit:
    """Audit the energy of a student in integers, as `snn-tool energy report` does.

    Args:
        student: of `quantize`, or what `load` opens as one.
        images: clean ones that both restore; a folder, paths, or arrays.
        teacher: the rival: of `train_teacher`, what `load` opens as one, or a torch module of yours that maps
            RGB images [N, 3, H, W] in [0, 1] to restored ones; the name of an architecture without weights is
            counted, but has no PSNR.
        degraded: the recorded partners of `images`.
        twin: a trained network of the student's shape with ReLU.
        qann: the bit-matched quantised twin of a `lif` student.
        out: folder for `energy.json` and `energy.html`; by default a temporary one.
        overwrite: replace them.
        **options: the other fields of `AuditOptions`, e.g. `claim`, `crop`, `limit`, `lowering`, `sweep`.

    Raises:
        ConfigError: an option is unknown or out of range, the student is not in integers, or files exist.
        DataError: an image cannot be used.
        UnsupportedLayerError: the teacher holds an operation that cannot be counted.
    """
    opened = student if isinstance(student, Student) else load(student)
    if not isinstance(opened, Student) or opened.kind != "integer":
        raise ConfigError(f"{getattr(opened, 'name', student)}: an audit needs integers; quantize it first")
    source = teacher.source if isinstance(teacher, Teacher) else None
    module = teacher if isinstance(teacher, nn.Module) else None
    named = None if teacher is None or module is not None else str(teacher)
    rival = {
        "teacher": source.spec if source else named,
        "weights": source.weights if source else None,
        "twin": Path(twin.source.spec) if isinstance(twin, Teacher) else twin and Path(twin),
        "qann": qann.path if isinstance(qann, Student) else qann and Path(qann),
    }
    given = {key: value for key, value in rival.items() if value is not None}
    folder = Path(out or new_place("audit"))
    with folders_of(images, degraded) as (clean, partners):
        asked = filled(AuditOptions, options, student=opened.path, images=clean, degraded=partners, **given)
        return Audit(run_audit(asked, folder, overwrite, _untracked, module), folder)
