"""Bit for bit or not: backends of one network held against the golden integers of its export.

All must give every spike and every membrane of every population at every timestep. What did not run is
reported as not run, with the reason; nothing that compared no value can be exact. Which backends there are,
`snn_tool.exporters.contract.targets` says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from snn_tool.errors import BackendUnavailableError, UnsupportedLayerError
from snn_tool.exporters.contract.export import NETWORK, Export
from snn_tool.exporters.contract.folder import GOLDEN
from snn_tool.exporters.contract.statements import Statements
from snn_tool.exporters.contract.targets import DEFAULT, Context
from snn_tool.exporters.contract.traces import EXACT, MISMATCH, NOT_RUN, BackendResult, compare
from snn_tool.exporters.verify.images import WholeImageResult
from snn_tool.exporters.verify.running import Runner, check_backends
from snn_tool.files.artifacts import sha256_file, write_json
from snn_tool.results import Result

KIND, SCHEMA = "verification", 2


@dataclass(frozen=True, slots=True)
class PhotographReport:
    """Outcomes on images beyond the golden tiles, held against the integer engine that runs network.nir.

    Attributes:
        images: name of the folder.
        degradation, seed: of the noise and of the tiles' places.
        tiles: one for each backend; every membrane and spike.
        whole_images: read-outs of whole images.
        difference_psnr_db: for each backend that differs, the PSNR of its tiles against the engine's.
    """

    images: str
    degradation: Mapping[str, Any]
    seed: int
    tiles: tuple[BackendResult, ...]
    whole_images: tuple[WholeImageResult, ...]
    difference_psnr_db: Mapping[str, float]

    @property
    def results(self) -> tuple[BackendResult, ...]:
        """Every comparison."""
        return (*self.tiles, *(item.result for item in self.whole_images))


@dataclass(frozen=True, slots=True)
class VerificationReport(Result):
    """All implementations' outcomes for one export.

    Attributes:
        manifest_sha256: hash of the export's manifest, which holds the hashes of all its files.
        statements: what the export's files state, held against network.nir; None where there are none.
        results: one for each backend asked for, on the golden tiles.
        photographs: outcomes on other images, if any were given.
    """

    manifest_sha256: str
    statements: Statements | None
    results: tuple[BackendResult, ...]
    photographs: PhotographReport | None = None

    @property
    def passed(self) -> bool:
        """Every backend that was asked for ran and is exact, and no file states what is not so."""
        return all(result.status == EXACT for result in self._all) and not self._contradicted

    @property
    def _all(self) -> tuple[BackendResult, ...]:
        return self.results + (self.photographs.results if self.photographs else ())

    @property
    def failed(self) -> bool:
        """A backend that ran differs, or a file states what is not so; what was not run decides nothing."""
        return any(result.status == MISMATCH for result in self._all) or self._contradicted

    @property
    def _contradicted(self) -> bool:
        return bool(self.statements and self.statements.contradictions)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"passed": self.passed, **asdict(self)}


def verify_golden(
    export: Export, backends: Sequence[str] | None = None, context: Context = DEFAULT
) -> VerificationReport:
    """Run an export's golden tiles through backends and compare; derive again what its files state.

    Args:
        export: read with matching hashes.
        backends: names out of `backend_names`, each run once; None takes those that are usual.
        context: how they run.

    Raises:
        ConfigError: a backend or the context's convolution is unknown.
        VerificationError: an implementation refuses the network or gives values of other shapes.
    """
    names = dict.fromkeys(export.usual if backends is None else backends)
    check_backends(export, list(names))
    statements, runner = export.statements(), Runner(export, context)
    if statements and statements.contradicted(GOLDEN):
        unfit = BackendResult("", NOT_RUN, reason=f"{GOLDEN} does not belong to {NETWORK}")
        results = tuple(replace(unfit, backend=name) for name in names)
    else:
        results = tuple(hold(runner, name) for name in names)
    return VerificationReport(sha256_file(export.folder / export.manifest_name), statements, results)


def hold(runner: Runner, name: str) -> BackendResult:
    """Run an export's golden tiles by one backend and compare every integer; raises as `Runner.trace`."""
    golden = runner.export.golden
    try:
        trace, versions = runner.trace(name, golden.tiles, runner.order), runner.versions(name)
    except (BackendUnavailableError, UnsupportedLayerError) as error:
        return BackendResult(name, NOT_RUN, reason=str(error))
    return replace(compare(golden, trace, runner.order, name), versions=versions)


def write_verification(path: Path, report: VerificationReport) -> None:
    """Write verification.json; a backend that was not run keeps its reason."""
    write_json(path, KIND, SCHEMA, report.to_dict())
