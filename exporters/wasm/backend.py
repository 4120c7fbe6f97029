"""The backend `wasm`: the export's own snn.js and snn.wasm, run on integer tiles in node."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, UnsupportedLayerError
from snn_tool.exporters.c.backend import run_tiles
from snn_tool.exporters.c.passes import check_chain
from snn_tool.exporters.c.steps import by_steps
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.process import run_group
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import RecordedTrace
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.wasm.target import MODULE, SCRIPT, text_of

REMEDY = "install node 16.4 or newer"
VERSION_S = 20.0
CHECK = "check.mjs"


@dataclass(frozen=True, slots=True)
class Node:
    """A node that answers.

    Attributes:
        program: its path.
        version: what it says of itself.
    """

    program: str
    version: str


def find_node() -> Node | None:
    """The node on the path; None if there is none.

    Raises:
        BackendUnavailableError: it does not run.
    """
    program = shutil.which("node")
    if program is None:
        return None
    finished = run_group([program, "--version"], timeout_s=VERSION_S)
    if finished.code != 0:
        raise BackendUnavailableError(f"{program} --version fails: {finished.last_words}; {REMEDY}")
    return Node(program, finished.stdout.strip())


class WasmBackend:
    """Runs what was exported, compiled once and for all."""

    def __init__(self, name: str) -> None:
        self.name = name

    def versions(self, export: Export, context: Context) -> Mapping[str, str]:
        """Of node.

        Raises:
            BackendUnavailableError: there is none.
        """
        return {"node": _node().version}

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> RecordedTrace:
        """Run tiles [N, C, H, W], or [N, T, C, H, W].

        Raises:
            BackendUnavailableError: there is no node, or it fails or does not end.
            UnsupportedLayerError: the folder holds no WebAssembly.
            VerificationError: the bytes that it gives are not those of its own read-outs.
        """
        for name in (MODULE, SCRIPT):
            if not (export.folder / name).is_file():
                raise UnsupportedLayerError(f"{export.folder}: holds no {name}; export with --target wasm")
        node, taps, program = _node(), bool(record), export.program
        with tempfile.TemporaryDirectory(prefix="snn-tool-wasm-") as scratch:
            folder = Path(scratch)
            (folder / CHECK).write_text(text_of(check_name(program)), encoding="utf-8")

            def run(some: NDArray[np.int16], chained: bool = False) -> RecordedTrace:
                modes = (str(int(taps)), str(int(chained)))
                command: list[str | Path] = [node.program, folder / CHECK, export.folder, *modes]
                return run_tiles(command, folder, taps, some, program, context, chained)

            found = run(tiles)
            if program.passes > 1:
                order = export.order if taps else []
                check_chain(run, lambda images: run(images, True), program, tiles, found, order)
            return found


def check_name(program: Program) -> str:
    """The template that runs a network's form."""
    return f"steps_{CHECK}" if by_steps(program) else CHECK


def _node() -> Node:
    found = find_node()
    if found is None:
        raise BackendUnavailableError(f"no node; {REMEDY}")
    return found
