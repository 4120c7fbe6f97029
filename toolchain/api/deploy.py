"""From a trained student to verified files: integers, an export for a target, and the check of it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snn_tool.api.images import Images, folder_of, folders_of
from snn_tool.api.networks import Student, load, student_of
from snn_tool.api.training import Strength, filled, strength_text
from snn_tool.degradations.options import USUAL_TASK
from snn_tool.degradations.pairs import match_pairs, source_for
from snn_tool.degradations.tasks import TrainedFor, degradation_for
from snn_tool.deploy.export import Exported, export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.deploy.photographs import PhotographOptions
from snn_tool.deploy.quantize import quantize_network, quantize_student
from snn_tool.deploy.verify import exported_for, open_export, verify_export
from snn_tool.errors import ConfigError
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import BackendResult
from snn_tool.exporters.verify.report import VerificationReport
from snn_tool.files.temporaries import new_place
from snn_tool.models.checkpoints import refuse_existing_pair
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.file import INTEGER_KIND, INTEGER_SUFFIX
from snn_tool.models.integer.quantize import check_deployable
from snn_tool.models.network import Network
from snn_tool.models.streams import FANOUT
from snn_tool.results import Result, dataframe
from torch import nn

CONFIGLESS = (
    "a network of one's own needs its configuration: quantize(network, images, config=StudentConfig(...))"
)


def quantize(
    student: Student | nn.Module | str | os.PathLike[str],
    images: Images,
    *,
    config: StudentConfig | None = None,
    degraded: Images | None = None,
    task: str | None = None,
    strength: Strength = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Student:
    """Turn a float student into integers, as `snn-tool quantize` does.

    Args:
        student: of `distill`, what `load` opens as one, or a network of `build_student` or `Network` that a
            loop of your own trained.
        images: clean ones, at most 16 of which calibrate the read-out's bias, and 16 others measure the loss.
        config: of a network of your own; of a topology of your own `body` and `width` do not matter.
        degraded: the recorded partners of `images`.
        task: what degrades the images; by default what the student was trained for.
        strength: of it, in the task's unit; likewise.
        out: file to write, ending in `.int.safetensors`; by default a temporary one that goes when the
            process ends.
        overwrite: replace it.

    Returns:
        A student whose `network` is an `IntegerNetwork`.

    Raises:
        ConfigError: `out` exists or ends otherwise, or nothing says what degrades the images.
        DataError: an image cannot be used.
        UnsupportedLayerError: a body or a neuron of your own has no integers; the layer is named.
        QuantizationError: a layer does not fit the integers' ranges, or is not as `config` says.
    """
    path = Path(out or new_place("quantized") / f"student{INTEGER_SUFFIX}")
    with folders_of(images, degraded) as (clean, partners):
        pairs = match_pairs(partners, clean) if partners else None
        if isinstance(student, nn.Module):
            if config is None:
                raise ConfigError(CONFIGLESS)
            check_deployable(student, config)
            assert isinstance(student, Network)
            source = source_for(pairs, task or USUAL_TASK, strength_text(strength), TrainedFor())
            refuse_existing_pair(path, overwrite, INTEGER_KIND, "integer network")
            quantize_network(student.eval(), config, {}, clean, path, source)
        else:
            given = _path_of(student)
            quantize_student(given, clean, path, strength_text(strength), overwrite, pairs)
    return student_of(path, str(path))


def _path_of(student: Student | str | os.PathLike[str]) -> Path:
    """The file of a student."""
    opened = student if isinstance(student, Student) else load(student)
    if not isinstance(opened, Student):
        raise ConfigError(f"{student}: a teacher; give a student")
    return opened.path


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Bundle(Result):
    """An export: a folder with network.nir, golden vectors, and what its target needs.

    Attributes:
        folder: where it lies; a manifest has the hash of every file.
        target: `nir`, `loihi`, `netx`, or one of another package.
        neurons: in all populations at the size that it was exported for, without relays.
        cores: least and most neurocores of Loihi 2; None of other targets than `loihi`.
        report: what the verification found; None without one.
    """

    folder: Path
    target: str
    neurons: int
    cores: tuple[int, int] | None
    report: "Report | None"

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "folder": str(self.folder),
            "target": self.target,
            "neurons": self.neurons,
            "cores": list(self.cores) if self.cores else None,
            "verification": self.report.to_dict() if self.report else None,
        }

    def __repr__(self) -> str:
        cores = f", {self.cores[0]} to {self.cores[1]} cores of Loihi 2" if self.cores else ""
        verified = repr(self.report).replace("\n", "\n  ") if self.report else "not verified"
        return (
            f"Bundle in {self.folder}\n  target {self.target}, {self.neurons:,} neurons{cores}\n  {verified}"
        )


def export(
    student: Student | str | os.PathLike[str],
    target: str,
    out: str | os.PathLike[str],
    *,
    lowering: str = FANOUT,
    images: Images | None = None,
    overwrite: bool = False,
    verify: bool = True,
    conv: str = "stock",
    log: Callable[[str], None] | None = None,
    **golden: Any,
) -> Bundle:
    """Export a student in integers for a target and verify what lies there, as `snn-tool export` does.

    Args:
        student: of `quantize`, or what `load` opens as one; or a `.nir` file that this tool wrote.
        target: `nir`, `loihi`, `netx` or one of another package.
        out: folder to make.
        lowering: of membrane shortcuts, `fanout` or `relay`; of `loihi` only.
        images: clean ones that golden tiles are cut from; by default photographs of scikit-image.
        overwrite: replace an export that is there.
        verify: run the independent implementations; Lava if it is installed.
        conv: Lava's convolution, `stock` or `blas`.
        log: receives progress lines.
        **golden: fields of `GoldenOptions`: `tiles`, `size`, `task`, `sigma`, `seed`.

    Raises:
        ConfigError: unknown target or option, a float student, or `out` exists.
        ExportError: the network cannot be carried to the target.
        BackendUnavailableError: a package's target cannot be used.
    """
    given = Path(student) if not isinstance(student, Student) and str(student).endswith(".nir") else None
    with _images_or_none(images) as folder:
        options = filled(GoldenOptions, golden, images=folder)
        made = export_student(
            given or _path_of(student),
            target,
            Path(out),
            options,
            lowering=lowering,
            overwrite=overwrite,
            verify=verify,
            context=Context(conv=conv, log=log),
        )
    return _bundle_of(made, target)


@contextmanager
def _images_or_none(images: Images | None) -> Iterator[Path | None]:
    if images is None:
        yield None
        return
    with folder_of(images) as folder:
        yield folder


def _bundle_of(made: Exported, target: str) -> Bundle:
    """What was just exported."""
    neurons = sum(node.channels * node.height * node.width for node in made.program.populations)
    uses, report = made.bundle.resources if made.bundle else None, made.verification
    cores = (uses.cores_low, uses.cores_high) if uses else None
    return Bundle(made.folder, target, neurons, cores, Report(made.folder, report) if report else None)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Report(Result):
    """What independent implementations gave for an export, bit for bit.

    Attributes:
        folder: of the export.
        verification: as `verification.json` has it.
    """

    folder: Path
    verification: VerificationReport

    @property
    def passed(self) -> bool:
        """Every backend that was asked for ran and is exact, and no file states what is not so."""
        return self.verification.passed

    @property
    def results(self) -> tuple[BackendResult, ...]:
        """One for each backend on the golden tiles, then those on other images."""
        photographs = self.verification.photographs
        return self.verification.results + (photographs.results if photographs else ())

    def to_dict(self) -> dict[str, Any]:
        """JSON values, as in `verification.json`."""
        return self.verification.to_dict()

    def to_dataframe(self) -> Any:
        """A pandas table with a line for each result.

        Raises:
            BackendUnavailableError: pandas is not installed.
        """
        return dataframe(asdict(result) for result in self.results)

    def __repr__(self) -> str:
        return "\n".join((f"Report: {'passed' if self.passed else 'NOT PASSED'}", *map(_line, self.results)))


def _line(result: BackendResult) -> str:
    if result.reason:
        return f"  {result.backend}: {result.status} ({result.reason})"
    counts = f"{result.mismatches:,} of {result.values_compared:,} integers differ"
    return f"  {result.backend}: {result.status}, {counts}" + (
        f", first {result.first}" if result.first else ""
    )


def verify(
    bundle: Bundle | str | os.PathLike[str],
    backends: Sequence[str] | None = None,
    *,
    images: Images | None = None,
    tiles: int = 8,
    whole: int = 0,
    conv: str = "stock",
    log: Callable[[str], None] | None = None,
) -> Report:
    """Run an export by independent implementations and compare every integer, as `snn-tool verify` does.

    Args:
        bundle: of `export`, or its folder; one for `nir` keeps no golden tiles to verify on.
        backends: `nir`, `lava`, `integer`, `norse`, `snntorch`, `spikingjelly`, `sinabs`, `nirtorch`, or of
            other packages; by default those that are independent of the engine.
        images: clean ones to verify on besides the golden tiles, degraded as the student was trained for.
        tiles: of them, compared layer by layer.
        whole: number of whole images whose read-outs are compared.
        conv: Lava's convolution, `stock` or `blas`.
        log: receives progress lines.

    Returns:
        The outcomes; a backend that is not installed is `not run`. It is also written to `verification.json`.

    Raises:
        ConfigError: a backend is unknown.
        ArtifactError: no export that keeps golden tiles, or a damaged one.
        VerificationError: an implementation refuses the network.
    """
    folder = bundle.folder if isinstance(bundle, Bundle) else Path(bundle)
    made = open_export(folder)
    with _images_or_none(images) as given:
        options = None
        if given:
            degradation = degradation_for(None, None, TrainedFor.of(exported_for(made)))
            options = PhotographOptions(given, tiles, whole, degradation)
        return Report(folder, verify_export(made, backends, options, Context(conv=conv, log=log)))
