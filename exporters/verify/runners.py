"""Verification on any image: the file's implementations against the engine that runs what the file says.

Tiles of the file's own size are compared layer by layer, every membrane and every spike. Whole images are cut
into windows of that size whose middles cover them; the read-outs of the middles, put together, must be the
engine's read-out of the whole image. A window ends where the image ends, so that zero padding acts there and
nowhere else, and its middle lies a receptive radius inside all its other edges.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, ConfigError, DataError, UnsupportedLayerError
from snn_tool.exporters.contract.targets import PluginBackend, plugin_names
from snn_tool.exporters.contract.traces import EXACT, MISMATCH, NOT_RUN, BackendResult, Trace, compare
from snn_tool.exporters.lava.environment import REMEDY, LavaEnvironment, find_lava
from snn_tool.exporters.lava.netx import NetxFolder
from snn_tool.exporters.lava.simulation import TIME_LIMIT_S, run_on_lava, run_on_netx
from snn_tool.exporters.loihi.bundle import NETWORK
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.simulators.semantics import SIMULATORS
from snn_tool.exporters.simulators.trace import SimulatorNetwork
from snn_tool.models.integer.engine import IntegerEngine

Integers = NDArray[np.int16]
TILES_PER_RUN = 8
"""Tiles that are traced at a time: every membrane of a tile takes some 20 MB."""


@dataclass(frozen=True, slots=True)
class LavaOptions:
    """How Lava runs: its convolution (`stock` or `blas`), time limit in seconds, who hears of its steps."""

    conv: str = "stock"
    timeout_s: float = TIME_LIMIT_S
    log: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class WholeImageResult:
    """One image through one implementation, window by window.

    Attributes:
        name: of the image.
        height, width: of what was compared, in pixels.
        windows: number of windows that covered it.
        result: the read-out's comparison; its `tiles` is 1, the image.
    """

    name: str
    height: int
    width: int
    windows: int
    result: BackendResult


class BundleRunner:
    """The implementations of one bundle, ready to run integer tiles of its size.

    Attributes:
        chip: name of the implementation that stands for the chip.

    Raises:
        ArtifactError: network.nir cannot be read.
    """

    chip = "lava"

    def __init__(self, folder: Path, lava: LavaOptions) -> None:
        self.folder = folder
        self.program: Program = read_program(folder / NETWORK)
        self.engine = IntegerEngine(integer_network(self.program))
        self.order = [population.name for population in self.program.populations]
        self.lava = lava
        self._simulated: dict[str, SimulatorNetwork] = {}
        self._plugins: dict[str, PluginBackend] = {}

    def trace(self, backend: str, tiles: Integers, record: list[str]) -> Trace:
        """Run tiles [N, 3, H, W] and record populations; the read-out is always there.

        Raises:
            BackendUnavailableError: the simulator is not there, or died; a package's backend cannot be used.
            UnsupportedLayerError: it cannot hold a node.
            VerificationError: a package's backend fails, or returns no integers of the right shapes.
            ConfigError: unknown backend.
        """
        if backend == "integer":
            return self.engine.run(tiles, record)
        if backend == "nir":
            return run_program(self.program, tiles.astype(np.int64))
        if backend in SIMULATORS:
            if backend not in self._simulated:
                self._simulated[backend] = SimulatorNetwork(self.program, backend)
            return self._simulated[backend].trace(tiles)
        if backend != self.chip:
            return self._plugin(backend).trace(self.folder / NETWORK, self.program, tiles, record)
        environment = find_lava()
        if environment is None:
            raise BackendUnavailableError(f"Lava is not installed; run `{REMEDY}`")
        return self.run_on_chip(environment, tiles, record)

    def package(self, backend: str) -> dict[str, str]:
        """Package and version of another package's backend.

        Raises:
            ConfigError: unknown backend.
            BackendUnavailableError: it cannot be used.
        """
        item = self._plugin(backend).plugin.declared
        return {item.package: item.version}

    def _plugin(self, backend: str) -> PluginBackend:
        """The backend of another package, imported once."""
        if backend not in self._plugins:
            plugins = plugin_names()
            if backend not in plugins:
                allowed = ", ".join(("integer", "nir", self.chip, *SIMULATORS, *plugins))
                raise ConfigError(f"backend {backend} is not allowed; use one of {allowed}")
            self._plugins[backend] = PluginBackend(backend)
        return self._plugins[backend]

    def run_on_chip(self, environment: LavaEnvironment, tiles: Integers, record: list[str]) -> Trace:
        """Let Lava execute the plan."""
        options = self.lava
        return run_on_lava(
            self.folder,
            tiles,
            environment,
            timeout_s=options.timeout_s,
            conv=options.conv,
            record=record,
            log=options.log,
        )


class NetxRunner(BundleRunner):
    """The same for a netx folder, whose `.net` file lava-dl executes.

    Args:
        netx: the folder.
        lava: how Lava runs.
    """

    chip = "netx"

    def __init__(self, netx: NetxFolder, lava: LavaOptions) -> None:
        super().__init__(netx.folder, lava)
        self.run = netx.run

    def run_on_chip(self, environment: LavaEnvironment, tiles: Integers, record: list[str]) -> Trace:
        """Let lava-dl load and execute the file.

        Raises:
            BackendUnavailableError: this Lava has no lava-dl that loads.
        """
        if not environment.lava_dl:
            raise BackendUnavailableError(netx_remedy(environment))
        options = self.lava
        return run_on_netx(
            self.folder,
            self.run,
            tiles,
            environment,
            timeout_s=options.timeout_s,
            conv=options.conv,
            record=record,
            log=options.log,
        )


def netx_remedy(environment: LavaEnvironment) -> str:
    """Why netx cannot run there, and the command that mends it."""
    return f"{environment.python}: {environment.netx_fault}; run `{environment.netx_remedy}`"


def verify_tiles(runner: BundleRunner, tiles: Integers, backend: str) -> BackendResult:
    """Compare every membrane and spike of every population on tiles [N, 3, H, W] with the engine's.

    Raises:
        VerificationError: the implementation refuses the network, or gives values of other shapes.
    """
    total = BackendResult(backend, NOT_RUN, reason="no tile was given")
    for start in range(0, len(tiles), TILES_PER_RUN):
        some = tiles[start : start + TILES_PER_RUN]
        try:
            found = runner.trace(backend, some, runner.order)
        except (BackendUnavailableError, UnsupportedLayerError) as error:
            return BackendResult(backend, NOT_RUN, reason=str(error))
        reference = runner.engine.run(some, runner.order)
        total = _sum(total, compare(reference, found, runner.order, backend), start)
    return total


def _sum(total: BackendResult, part: BackendResult, first_tile: int) -> BackendResult:
    """Two results as one; the first mismatch is that of the earlier tiles."""
    first = total.first or (part.first and replace(part.first, tile=part.first.tile + first_tile))
    return BackendResult(
        part.backend,
        MISMATCH if first else EXACT,
        total.tiles + part.tiles,
        total.values_compared + part.values_compared,
        total.mismatches + part.mismatches,
        first,
    )


def verify_whole_image(runner: BundleRunner, name: str, image: Integers, backend: str) -> WholeImageResult:
    """Compare the read-out of a whole image [3, H, W], put together from windows, with the engine's.

    Args:
        runner: of the bundle.
        name: of the image, for the report.
        image: integers; sides are multiples of the network's, and at least a window.
        backend: name of the implementation.

    Raises:
        DataError: the image is smaller than a window.
        ConfigError: a window has no middle; export with a larger --size.
    """
    spans = [list(_spans(length, side, *_margins(runner))) for length, side in _sides(runner, image)]
    windows = [(rows, columns) for rows in spans[0] for columns in spans[1]]
    tiles = np.stack([image[:, rows.outer, columns.outer] for rows, columns in windows])
    _, height, width = image.shape
    try:
        readouts = runner.trace(backend, tiles, []).readout
    except (BackendUnavailableError, UnsupportedLayerError) as error:
        return WholeImageResult(
            name, height, width, len(tiles), BackendResult(backend, NOT_RUN, reason=str(error))
        )
    whole = np.zeros((1, *image.shape), dtype=np.int64)
    for (rows, columns), readout in zip(windows, readouts, strict=True):
        whole[0, :, rows.own, columns.own] = readout[:, rows.inside, columns.inside]
    reference = runner.engine.run(image[None], [])
    return WholeImageResult(
        name, height, width, len(tiles), compare(reference, _Stitched(whole), [], backend, runner.order[-1])
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Stitched:
    """A trace of nothing but a read-out."""

    readout: NDArray[np.int64]

    @property
    def spikes(self) -> dict[str, NDArray[np.int64]]:
        return {}

    @property
    def membranes(self) -> dict[str, NDArray[np.int64]]:
        return {}


def _margins(runner: BundleRunner) -> tuple[int, int]:
    """Receptive radius rounded up to the coarsest grid, and that grid."""
    topology = runner.engine.network.topology
    multiple = topology.multiple
    return -(-topology.receptive_radius // multiple) * multiple, multiple


def _sides(runner: BundleRunner, image: Integers) -> Iterator[tuple[int, int]]:
    """Length of the image and of a window along both axes."""
    for length, side in zip(image.shape[1:], (runner.program.height, runner.program.width), strict=True):
        if length < side:
            raise DataError(f"an image side of {length} pixels is smaller than the network's {side}")
        yield length, side


@dataclass(frozen=True, slots=True)
class _Span:
    """A window along one axis: what it sees, what is kept of it, and where that lies inside it."""

    outer: slice
    own: slice
    inside: slice


def _spans(length: int, side: int, margin: int, multiple: int) -> Iterator[_Span]:
    """Windows of `side` whose kept parts cover 0 .. length without overlap."""
    if side < length and side - 2 * margin < multiple:
        raise ConfigError(
            f"windows of {side} pixels have no middle beyond the receptive radius of {margin}; "
            f"export with --size {2 * margin + 4 * multiple} or more"
        )
    start = 0
    while start < length:
        left = min(max(start - margin, 0), length - side)
        stop = length if left + side == length else left + side - margin
        yield _Span(slice(left, left + side), slice(start, stop), slice(start - left, stop - left))
        start = stop
