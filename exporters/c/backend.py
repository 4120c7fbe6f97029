"""The backend `c`: the folder's own sources, compiled and run on integer tiles."""

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, UnsupportedLayerError, VerificationError
from snn_tool.exporters.c.memory import lay_out
from snn_tool.exporters.c.passes import check_chain, pass_name
from snn_tool.exporters.c.plan import make_plan
from snn_tool.exporters.c.source import header_values, template
from snn_tool.exporters.c.steps import by_steps, make_step_plan
from snn_tool.exporters.c.steps_source import step_check_text
from snn_tool.exporters.c.target import expected_bytes
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.process import run_group
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import RecordedTrace
from snn_tool.exporters.nir.program import Program

REMEDY = "install gcc or clang, or name a compiler with --cc"
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-O2")
STATE = re.compile(r"^} ([A-Za-z]\w*)_state;$", re.MULTILINE | re.ASCII)
VERSION_S = 20.0
SOURCE, HEADER, CHECK = "snn.c", "snn.h", "check"


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler that answers.

    Attributes:
        command: program and the options that were given with it.
        version: the first line of what it says of itself.
    """

    command: tuple[str, ...]
    version: str


def find_compiler(wanted: str = "") -> Compiler | None:
    """The compiler that was asked for, else that of the variable CC, else cc; None if there is no cc.

    Raises:
        BackendUnavailableError: the one that was named does not exist or does not run.
    """
    named = wanted or os.environ.get("CC", "")
    command = shlex.split(named) or ["cc"]
    program = shutil.which(command[0])
    if program is None:
        if named:
            raise BackendUnavailableError(f"{command[0]}: no such compiler; {REMEDY}")
        return None
    finished = run_group([program, "--version"], timeout_s=VERSION_S)
    if finished.code != 0:
        raise BackendUnavailableError(f"{program} --version fails: {finished.last_words}; {REMEDY}")
    version = next(iter(finished.stdout.strip().splitlines()), "unknown")
    return Compiler((program, *command[1:]), version)


class CBackend:
    """Compiles snn.c of the export's folder once for each kind of run, and keeps the program till it goes.

    Args:
        name: of the backend.
        runner: what the program is started by, such as an emulator of the machine that it is compiled for.
    """

    def __init__(self, name: str, runner: Sequence[str] = ()) -> None:
        self.name, self._runner = name, tuple(runner)
        self._built: dict[tuple[Path, bool, bool, str], _Built] = {}

    def versions(self, export: Export, context: Context) -> Mapping[str, str]:
        """Of the compiler.

        Raises:
            BackendUnavailableError: there is none.
        """
        return {"compiler": _compiler(context).version}

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> RecordedTrace:
        """Run tiles [N, C, H, W], or [N, T, C, H, W]; with populations to record it is built with taps.

        Raises:
            BackendUnavailableError: there is no compiler, or it or the program fails or does not end.
            UnsupportedLayerError: the folder holds no C.
            VerificationError: the bytes that it gives are not those of its own read-outs.
        """
        program, taps = export.program, bool(record)

        def run(some: NDArray[np.int16], chained: bool = False) -> RecordedTrace:
            return self._program(export, taps, chained, context).run(some, program, context, self._runner)

        found = run(tiles)
        if program.passes > 1:
            order = export.order if taps else []
            check_chain(run, lambda images: run(images, True), program, tiles, found, order)
        return found

    def _program(self, export: Export, taps: bool, chained: bool, context: Context) -> "_Built":
        compiler = _compiler(context)
        key = (export.folder, taps, chained, " ".join(compiler.command))
        if key not in self._built:
            self._built[key] = _Built(export, compiler, taps, chained, context)
        return self._built[key]


def _compiler(context: Context) -> Compiler:
    found = find_compiler(context.cc)
    if found is None:
        raise BackendUnavailableError(f"no C compiler; {REMEDY}")
    return found


class _Built:
    """A program for one network, in a temporary folder that goes with it."""

    def __init__(
        self, export: Export, compiler: Compiler, taps: bool, chained: bool, context: Context
    ) -> None:
        for name in (SOURCE, HEADER):
            if not (export.folder / name).is_file():
                raise UnsupportedLayerError(f"{export.folder}: holds no {name}; export with --target c")
        self.taps, self._chained = taps, chained
        self._scratch = tempfile.TemporaryDirectory(prefix="snn-tool-c-")
        self.folder = Path(self._scratch.name)
        source = self.folder / f"{CHECK}.c"
        text = check_text(export.program, prefix_in(export.folder / HEADER), chained)
        source.write_text(text, encoding="utf-8")
        command: list[str | Path] = [
            *compiler.command,
            *FLAGS,
            *(("-DSNN_TAPS",) if taps else ()),
            "-I",
            export.folder,
        ]
        _run(
            [*command, "-o", self.folder / CHECK, export.folder / SOURCE, source],
            f"{compiler.command[0]} on {SOURCE}",
            context,
        )

    def run(
        self, tiles: NDArray[np.int16], program: Program, context: Context, runner: Sequence[str]
    ) -> RecordedTrace:
        """Tiles through the program."""
        command: list[str | Path] = [*runner, self.folder / CHECK]
        return run_tiles(command, self.folder, self.taps, tiles, program, context, self._chained)


def run_tiles(
    command: Sequence[str | Path],
    folder: Path,
    taps: bool,
    tiles: NDArray[np.int16],
    program: Program,
    context: Context,
    chained: bool = False,
) -> RecordedTrace:
    """Run tiles through a program that reads and writes files, as templates/check.c does.

    Args:
        command: gets the number of tiles, their width, height and the folder as further words.
        folder: of the files.
        taps: it writes every population, too.
        tiles: integers [N, C, H, W], or [N, T, C, H, W] of what changes with time.
        program: what it computes.
        context: how long it may take.
        chained: it runs all passes; tiles are images, and populations [T, passes N, C, H, W].

    Raises:
        BackendUnavailableError: it fails or does not end.
        VerificationError: it wrote too little, or bytes that are not those of its own read-outs.
    """
    count, height, width = len(tiles), *tiles.shape[-2:]
    (folder / "tiles").write_bytes(np.ascontiguousarray(np.moveaxis(tiles, -3, -1)).tobytes())
    sizes = (str(count), str(width), str(height))
    _run([*command, *sizes, folder], "the compiled network", context)
    last = program.readout
    rows = last.height * height // program.height
    columns = last.width * width // program.width
    readout = _read(folder / "readout", np.int32, (count, rows, columns, last.channels))
    if not by_steps(program):
        given = _read(folder / "bytes", np.uint8, readout.transpose(0, 2, 3, 1).shape)
        _check_bytes(given, expected_bytes(program, readout, tiles))
    spikes: dict[str, NDArray[Any]] = {}
    membranes: dict[str, NDArray[Any]] = {}
    for place, node in enumerate(program.populations if taps else ()):
        shape = (
            program.timesteps,
            count * (program.passes if chained else 1),
            node.height,
            node.width,
            node.channels,
        )
        membranes[node.name] = _read(folder / f"membranes.{place}", np.int32, shape)
        spikes[node.name] = (
            np.zeros(membranes[node.name].shape, np.int8)
            if node is last
            else _read(folder / f"spikes.{place}", np.int8, shape)
        )
    return RecordedTrace(readout, spikes, membranes)


def _read(path: Path, kind: type[np.integer[Any]], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array with channels last in its file, and before rows and columns here."""
    values = np.fromfile(path, kind)
    if values.size != np.prod(shape):
        raise VerificationError(
            f"the compiled network wrote {values.size:,} values of {path.name}, not {np.prod(shape):,}; "
            "export it again"
        )
    return np.moveaxis(values.reshape(shape), -1, -3)


def _run(command: Sequence[str | Path], who: str, context: Context) -> None:
    """Run a program that is expected to end well.

    Raises:
        BackendUnavailableError: it does not; its last lines are told.
    """
    finished = run_group(command, timeout_s=context.timeout_s)
    if finished.code is None:
        raise BackendUnavailableError(
            f"{who} did not finish within {context.timeout_s:.0f} s (last: {finished.last_words})"
        )
    if finished.code != 0:
        raise BackendUnavailableError(
            f"{who} ended with exit code {finished.code}: {finished.last_words}; try another with --cc"
        )


def prefix_in(path: Path) -> str:
    """The prefix of a snn.h.

    Raises:
        VerificationError: the file is none of ours.
    """
    found = STATE.search(path.read_text(encoding="utf-8", errors="replace"))
    if not found:
        raise VerificationError(f"{path}: declares no state of a network; export it again")
    return found[1]


def check_text(program: Program, prefix: str, chained: bool = False) -> str:
    """A program in C that runs integer tiles through a network and writes what it gives.

    Args:
        program: of the network.
        prefix: of its names in C.
        chained: tiles are images, which all its passes run on; otherwise they are inputs of one pass.
    """
    if by_steps(program):
        return step_check_text(make_step_plan(program), prefix)
    plan, name = make_plan(program, {}), prefix if chained else pass_name(program, prefix)
    nodes, values = program.populations, header_values(plan, lay_out(plan), name)
    sizes = {
        "passes": program.passes if chained else 1,
        "state": "state.pass[pass]" if chained and program.passes > 1 else "state",
        "populations": len(nodes),
        "channels_of": ", ".join(str(node.channels) for node in nodes),
        "heights": ", ".join(str(node.height) for node in nodes),
        "of_widths": ", ".join(str(node.width) for node in nodes),
        "widest": -(-values["out_width"] // values["unit_width"]) * values["out_channels"],
    }
    return template("check.c", values | sizes)


def _check_bytes(given: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    differing = given != expected
    if differing.any():
        tile, *index = (int(i) for i in np.unravel_index(int(differing.argmax()), differing.shape))
        raise VerificationError(
            f"bytes of the compiled network, tile {tile}, index {tuple(index)}: expected "
            f"{expected[tile, *index]}, got {given[tile, *index]}; {differing.sum():,} differ"
        )
