"""`snn-tool conformance`: one bundle in every simulator, on photographs, spike for spike.

The reference is the integer engine that runs network.nir. Each simulator stands twice: with the membrane
register on the host, which must be exact, and with its own floating-point membrane, which shows what leaving
out the chip's rounding of a decaying membrane costs, and decides nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.degradations.crops import ImagesUsed, channels_first, draw_counted
from snn_tool.degradations.noise import Degradation
from snn_tool.degradations.tasks import degradation_from_options
from snn_tool.deploy.options import ConformanceOptions
from snn_tool.deploy.photographs import export_inputs
from snn_tool.errors import (
    BackendUnavailableError,
    ConfigError,
    DataError,
    UnsupportedLayerError,
    VerificationError,
)
from snn_tool.exporters.contract.targets import FLOAT, REGISTER, Context
from snn_tool.exporters.loihi.bundle import Bundle
from snn_tool.exporters.simulators.semantics import SIMULATORS
from snn_tool.exporters.verify.running import Runner
from snn_tool.files.artifacts import write_json, write_text
from snn_tool.files.ownership import claim, of_report, owned_path, refuse_existing_file
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.inputs.options import InputOptions
from snn_tool.models.integer.engine import base_image, pass_inputs, quantize_image

KIND, SCHEMA = "conformance", 1
JSON, PAGE = "conformance.json", "conformance.html"
TITLE = "Conformance of "
"""How the page's title begins, by which a page without a ledger beside it is known."""

TILES_PER_RUN = 4
NOTHING = InputOptions()
INTEGERS = "integers"
Images = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """One implementation.

    Attributes:
        backend: its name.
        membrane: `register`, `float`, or `integers` for the NIR interpreter and for packages' backends.
        loads, runs: whether it came so far; `reason` says why not.
        spikes_compared: neurons times timesteps times tiles.
        differing_spikes: for each population, the read-out excepted.
        readout_difference_levels: largest difference of the residual image, in grey levels of 255; of a
            network that restores nothing, of an output, in its own unit.
        psnr_db: of all restored tiles against the clean ones; None of a network that restores nothing.
        accuracy: of a classifier, where its inputs have labels.
        versions: of what computed it.
    """

    backend: str
    membrane: str
    loads: bool = False
    runs: bool = False
    reason: str = ""
    spikes_compared: int = 0
    differing_spikes: Mapping[str, int] = field(default_factory=dict)
    readout_difference_levels: float = 0.0
    psnr_db: float | None = None
    accuracy: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def differing(self) -> int:
        """Spikes that differ, in all populations."""
        return sum(self.differing_spikes.values())

    @property
    def differs(self) -> bool:
        """It loads, must be exact, and is not; or loads and does not run."""
        if self.membrane == FLOAT or not self.loads:
            return False
        return not self.runs or self.differing > 0 or self.readout_difference_levels > 0


@dataclass(frozen=True, slots=True)
class Conformance:
    """The matrix.

    Attributes:
        bundle, images: names of the folders.
        tiles, height, width: of what was run.
        degradation, seed: of the noise and of the tiles' places.
        reference_psnr_db, reference_accuracy: of the integer engine; None where there is none.
        rows: one or two for each backend.
        images_used: of how many images the tiles are.
    """

    bundle: str
    images: str
    tiles: int
    height: int
    width: int
    degradation: Mapping[str, Any]
    seed: int
    reference_psnr_db: float | None
    reference_accuracy: float | None
    rows: tuple[Row, ...]
    images_used: ImagesUsed

    @property
    def passed(self) -> bool:
        """Something ran, and nothing that loads and must be exact differs."""
        return any(row.runs for row in self.rows) and not any(row.differs for row in self.rows)

    def document(self) -> dict[str, Any]:
        """The matrix as JSON values."""
        rows = [{**asdict(row), "differing": row.differing, "differs": row.differs} for row in self.rows]
        return {"passed": self.passed, **asdict(self), "rows": rows}


def claim_conformance(folder: Path, overwrite: bool) -> None:
    """Refuse what stands where conformance.json and conformance.html will be written.

    Raises:
        ConfigError: one exists, and `overwrite` is false or it is not ours.
    """
    refuse_existing_file(folder / JSON, overwrite)
    refuse_existing_file(folder / PAGE, overwrite)
    claim([folder / JSON, folder / PAGE], of_report(KIND, f"<title>{TITLE}".encode()))


def write_conformance(folder: Path, made: Conformance, page: str) -> None:
    """Write conformance.json, and the page as conformance.html.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    write_json(folder / JSON, KIND, SCHEMA, made.document(), owned_path)
    write_text(folder / PAGE, page, owned_path)


class _Keeping:
    """A degradation that keeps the clean tiles which it was given."""

    def __init__(self, inner: Degradation) -> None:
        self.inner, self.clean = inner, list[Images]()

    def apply(self, clean: Images, rng: np.random.Generator) -> Images:
        self.clean.append(channels_first(clean))
        return self.inner.apply(clean, rng)

    def describe(self) -> dict[str, Any]:
        return dict(self.inner.describe())


def run_conformance(
    bundle: Bundle,
    options: ConformanceOptions,
    inputs: InputOptions = NOTHING,
    log: Callable[[str], None] | None = None,
) -> Conformance:
    """Run tiles of photographs, or the inputs of a classifier, through every simulator.

    Args:
        bundle: of `read_bundle`.
        options: images, number of tiles, noise, and backends of other packages, which must be exact as well.
        inputs: instead of images; accuracy is compared where they have labels.
        log: receives a line for each backend.

    Raises:
        ConfigError: `tiles` is not positive, or the network restores no image and there are no inputs.
        ArtifactError: network.nir cannot be read.
        DataError: no image is as large as a tile, or inputs that cannot be used.
    """
    if options.tiles < 1:
        raise ConfigError(f"--tiles {options.tiles}: use at least 1")
    runner = Runner(bundle)
    sheet, about = _sheet(runner, options, inputs)
    wanted = [
        ("nir", INTEGERS),
        *((name, arithmetic) for name in SIMULATORS for arithmetic in (REGISTER, FLOAT)),
        *((name, INTEGERS) for name in dict.fromkeys(options.backend)),
    ]
    rows = []
    for step, (backend, membrane) in enumerate(wanted, start=1):
        rows.append(sheet.row(backend, membrane))
        if log:
            log(f"conformance: step {step} of {len(wanted)}")
    outputs = sheet.residuals(sheet.readouts)
    size = (runner.program.height, runner.program.width)
    return Conformance(
        bundle=bundle.folder.name,
        images=about.images,
        tiles=sheet.count,
        height=size[0],
        width=size[1],
        degradation=about.degradation,
        seed=options.seed,
        reference_psnr_db=sheet.score(outputs),
        reference_accuracy=sheet.accuracy(outputs),
        rows=tuple(rows),
        images_used=about.used,
    )


@dataclass(frozen=True, slots=True)
class _About:
    """What was run: its name, how it was degraded, and how much of it."""

    images: str
    degradation: Mapping[str, Any]
    used: ImagesUsed


def _sheet(runner: Runner, options: ConformanceOptions, inputs: InputOptions) -> tuple["_Sheet", _About]:
    """Tiles of photographs, or of inputs."""
    if inputs.inputs is not None:
        if options.images is not None:
            raise ConfigError("give --images or --inputs, not both")
        samples, tiles = export_inputs(runner, inputs, options.tiles, options.labels)
        labels = samples.labels.index if samples.labels else None
        return _Sheet(runner, tiles, None, labels), _About(samples.path.name, {}, samples.used)
    network = runner.engine.network
    if not network.topology.restores:
        raise ConfigError(
            f"{runner.export.folder}: its network restores no image, so that there is no PSNR; give --inputs "
            "FILE, with labels for its accuracy"
        )
    keeping = _Keeping(degradation_from_options("denoise", options.sigma))
    size = (runner.program.height, runner.program.width)
    channels = network.topology.image_channels
    degraded, used = draw_counted(options.images, options.tiles, size, keeping, options.seed, channels)
    shown = options.images.name if options.images else "shipped with scikit-image"
    tiles = quantize_image(degraded, network)
    return _Sheet(runner, tiles, np.stack(keeping.clean), None), _About(shown, keeping.describe(), used)


class _Sheet:
    """The tiles, the engine's trace of them, and how an implementation compares."""

    def __init__(
        self, runner: Runner, given: NDArray[np.int16], clean: Images | None, labels: NDArray[np.int64] | None
    ) -> None:
        self.runner, self.clean, self.labels, self.count = runner, clean, labels, len(given)
        tiles = np.concatenate(pass_inputs(runner.engine, given))
        self.base = base_image(given, runner.engine.network)
        count = runner.tiles_at_once(TILES_PER_RUN)
        self.parts = [tiles[i : i + count] for i in range(0, len(tiles), count)]
        self.order = runner.order[:-1]
        self.spikes: list[dict[str, NDArray[np.int8]]] = []
        self.readouts: list[NDArray[Any]] = []
        for part in self.parts:
            trace = runner.engine.run(part, runner.order)
            self.spikes.append({name: trace.spikes[name].astype(np.int8) for name in self.order})
            self.readouts.append(trace.readout)

    def row(self, backend: str, membrane: str) -> Row:
        """Load and run one implementation; what stops it is its reason."""
        row, arithmetic = Row(backend, membrane), FLOAT if membrane == FLOAT else REGISTER
        try:
            told = self.runner.versions(backend)
        except (BackendUnavailableError, UnsupportedLayerError, VerificationError) as error:
            return replace(row, reason=str(error))
        versions = {name: version for name, version in told.items() if name != "membrane"}
        row = replace(row, loads=True, versions=versions)
        try:
            return self._compared(row, Context(membrane=arithmetic))
        except (
            BackendUnavailableError,
            UnsupportedLayerError,
            RuntimeError,
            TypeError,
            ValueError,
            DataError,
            VerificationError,
        ) as error:
            return replace(row, reason=str(error).partition("\n")[0])

    def _compared(self, row: Row, context: Context) -> Row:
        differing, compared, found = dict.fromkeys(self.order, 0), 0, []
        for part, expected in zip(self.parts, self.spikes, strict=True):
            trace = self.runner.trace(row.backend, part, self.runner.order, context)
            found.append(trace.readout)
            for name in self.order:
                differing[name] += int((trace.spikes[name] != expected[name]).sum())
                compared += expected[name].size
        residuals = self.residuals(found)
        distance = np.abs(residuals - self.residuals(self.readouts)).max()
        return replace(
            row,
            runs=True,
            spikes_compared=compared,
            differing_spikes=differing,
            readout_difference_levels=float(distance) * (255 if self.clean is not None else 1),
            psnr_db=self.score(residuals),
            accuracy=self.accuracy(residuals),
        )

    def residuals(self, readouts: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Residual images, or outputs, [N, 3, H, W] in [0, 1] units."""
        scale = self.runner.engine.network.residual_scale
        whole: NDArray[np.float64] = np.concatenate(readouts).astype(np.float64) * scale
        return whole

    def score(self, residuals: NDArray[np.float64]) -> float | None:
        """PSNR in dB of all tiles that the last pass restored, as one image; None where none is restored."""
        if self.clean is None:
            return None
        restored, clean = to_uint8(self.base + residuals[-self.count :]), to_uint8(self.clean)
        return psnr_db(*(np.concatenate(list(a.transpose(0, 2, 3, 1))) for a in (restored, clean)))

    def accuracy(self, outputs: NDArray[np.float64]) -> float | None:
        """Fraction of samples whose largest output is their label's; None without labels."""
        if self.labels is None:
            return None
        return float((outputs[-self.count :].reshape(self.count, -1).argmax(axis=1) == self.labels).mean())
