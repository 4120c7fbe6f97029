"""Bit for bit or not: implementations of one network held against the golden integers of its bundle.

`nir` interprets network.nir, `lava` executes the plan in Lava's fixed-point simulation, `integer` runs what
network.nir says on the engine that made the golden integers; norse, snntorch, spikingjelly, sinabs and
nirtorch hold a lowering of network.nir in their own neurons; other packages bring more (`targets`). All must
give every spike and every membrane of every population at every timestep. What did not run is reported as not
run, with the reason; nothing that compared no value can be exact.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, ConfigError
from snn_tool.exporters.contract.folder import GOLDEN, Golden
from snn_tool.exporters.contract.statements import Statements
from snn_tool.exporters.contract.targets import plugin_names, verify_plugin
from snn_tool.exporters.contract.traces import EXACT, MISMATCH, NOT_RUN, BackendResult, Trace, compare
from snn_tool.exporters.lava.environment import REMEDY, LavaEnvironment, find_lava
from snn_tool.exporters.lava.simulation import TIME_LIMIT_S, run_on_lava
from snn_tool.exporters.loihi.bundle import MANIFEST, NETWORK, Bundle, derive_statements
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.simulators.semantics import SIMULATORS
from snn_tool.exporters.simulators.trace import verify_simulator
from snn_tool.exporters.verify.runners import BundleRunner, LavaOptions, WholeImageResult
from snn_tool.files.artifacts import sha256_file, write_json

KIND, SCHEMA = "verification", 2
BACKENDS = ("nir", "lava")
"""The implementations that are independent of the engine which usually made the golden integers."""

KNOWN_BACKENDS = ("integer", *BACKENDS, *SIMULATORS)
FILE_BACKENDS = ("integer", "nir", *SIMULATORS)
"""Those that need nothing but network.nir."""


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
class VerificationReport:
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

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"passed": self.passed, **asdict(self)}


def verify_bundle(
    bundle: Bundle,
    backends: Sequence[str] = BACKENDS,
    *,
    environment: LavaEnvironment | None = None,
    conv: str = "stock",
    timeout_s: float = TIME_LIMIT_S,
    log: Callable[[str], None] | None = None,
) -> VerificationReport:
    """Run a bundle's tiles through each backend and compare with its golden integers.

    Args:
        bundle: of `read_bundle`, hence with matching hashes.
        backends: names out of `KNOWN_BACKENDS`, or of other packages' backends.
        environment: an interpreter with Lava; looked for, never installed, if None.
        conv: Lava's convolution, `stock` or `blas`.
        timeout_s: Lava's time limit in seconds.
        log: receives progress lines.

    Raises:
        ConfigError: a backend or `conv` is unknown.
        VerificationError: an implementation refuses the bundle or gives values of other shapes.
    """
    check_backends(backends, (*KNOWN_BACKENDS, *plugin_names()))
    return verify_with(
        backends,
        bundle.folder / MANIFEST,
        derive_statements(bundle),
        lambda name: (
            _verify_lava(bundle, environment, conv, timeout_s, log)
            if name == "lava"
            else verify_file(name, bundle.folder, bundle.golden)
        ),
    )


def verify_with(
    backends: Sequence[str],
    manifest: Path,
    statements: Statements,
    run: Callable[[str], BackendResult],
) -> VerificationReport:
    """Run each backend once, unless the golden integers cannot be the network's.

    Args:
        backends: names; one that stands twice is run once.
        manifest: of the export.
        statements: of the export's files.
        run: compares one backend with the golden integers.
    """
    unfit = BackendResult("", NOT_RUN, reason=f"{GOLDEN} does not belong to {NETWORK}")
    results = tuple(
        replace(unfit, backend=name) if statements.contradicted(GOLDEN) else run(name)
        for name in dict.fromkeys(backends)
    )
    return VerificationReport(sha256_file(manifest), statements, results)


def verify_file(name: str, folder: Path, golden: Golden) -> BackendResult:
    """Hold an implementation that needs nothing but an export's network.nir against its golden integers.

    Args:
        name: out of `FILE_BACKENDS`, or of another package's backend.
        folder: of the export.
        golden: its tiles and integers.

    Raises:
        VerificationError: the implementation refuses the file or gives values of other shapes.
    """
    network = folder / NETWORK
    if name == "integer":
        return run_engine(BundleRunner(folder, LavaOptions()), golden)
    if name == "nir":
        return interpret_nir(network, golden.tiles, golden)
    if name in SIMULATORS:
        return verify_simulator(name, read_program(network), golden.tiles, golden)
    return verify_plugin(name, network, read_program(network), golden.tiles, golden)


def check_backends(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse names of implementations that an export does not have.

    Raises:
        ConfigError: names them, and those that exist.
    """
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        given = ", ".join(unknown) or "none"
        raise ConfigError(f"backend {given} is not allowed; use one or more of {', '.join(known)}")


def write_verification(path: Path, report: VerificationReport) -> None:
    """Write verification.json; a backend that was not run keeps its reason."""
    write_json(path, KIND, SCHEMA, report.to_json())


def interpret_nir(path: Path, tiles: NDArray[np.int16], reference: Trace) -> BackendResult:
    """Run integer tiles [N, 3, H, W] through a NIR file's interpreter and compare with their trace.

    Raises:
        ArtifactError: the file cannot be read, or contradicts itself.
        VerificationError: the file has other populations, or populations of other shapes.
    """
    program = read_program(path)
    trace = run_program(program, tiles.astype(np.int64))
    result = compare(reference, trace, [population.name for population in program.populations], "nir")
    return replace(result, versions={name: version(name) for name in ("nir", "numpy")})


def run_engine(runner: BundleRunner, golden: Golden) -> BackendResult:
    """The engine that made the golden integers, run on what network.nir says now."""
    trace = runner.trace("integer", golden.tiles, runner.order)
    result = compare(golden, trace, runner.order, "integer")
    return replace(result, versions={"torch": version("torch")})


def _verify_lava(
    bundle: Bundle,
    environment: LavaEnvironment | None,
    conv: str,
    timeout_s: float,
    log: Callable[[str], None] | None,
) -> BackendResult:
    try:
        found = environment or find_lava()
        if found is None:
            return BackendResult("lava", NOT_RUN, reason=f"Lava is not installed; run `{REMEDY}`")
        tiles = bundle.golden.tiles
        trace = run_on_lava(bundle.folder, tiles, found, timeout_s=timeout_s, conv=conv, log=log)
    except BackendUnavailableError as error:
        return BackendResult("lava", NOT_RUN, reason=str(error))
    python = found.python_version + (" (unsupported Python, shimmed)" if found.shimmed else "")
    versions = {"lava": found.version, "python": python, "conv": conv}
    order = [population.name for population in read_program(bundle.folder / NETWORK).populations]
    return replace(compare(bundle.golden, trace, order, "lava"), versions=versions)
