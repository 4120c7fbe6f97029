"""C of small networks, compiled as users do and run on integer tiles."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.exporters.c.backend import check_text
from snn_tool.exporters.c.plan import make_plan
from snn_tool.exporters.c.source import network_files
from snn_tool.exporters.c.steps import by_steps, make_step_plan
from snn_tool.exporters.c.steps_source import step_network_files
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.program import Program
from snn_tool.models.integer.network import IntegerNetwork

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror")
Trace = tuple[NDArray[np.int32], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class Built:
    """A program that runs tiles of a network, with taps or without."""

    folder: Path
    program: Program
    taps: bool

    def __call__(self, tiles: NDArray[np.int16]) -> Trace:
        """Read-out [N, C, H, W], and of each population spikes and membranes [T, N, C, H, W]."""
        count, height, width = len(tiles), *tiles.shape[-2:]
        (self.folder / "tiles").write_bytes(np.ascontiguousarray(np.moveaxis(tiles, -3, -1)).tobytes())
        words = [self.folder / "check", str(count), str(width), str(height), self.folder]
        subprocess.run(words, check=True, capture_output=True, text=True)
        last = self.program.readout
        rows, columns = last.height * height // self.program.height, last.width * width // self.program.width
        readout = self._read("readout", np.int32, (count, rows, columns, last.channels))
        spikes, membranes = {}, {}
        for place, node in enumerate(self.program.populations if self.taps else ()):
            shape = (self.program.timesteps, count, node.height, node.width, node.channels)
            membranes[node.name] = self._read(f"membranes.{place}", np.int32, shape)
            if node is not last:
                spikes[node.name] = self._read(f"spikes.{place}", np.int8, shape)
        return readout, spikes, membranes

    def _read(self, name: str, kind: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        return np.moveaxis(np.fromfile(self.folder / name, kind).reshape(shape), -1, -3)


Build = Callable[..., Built]


@pytest.fixture
def program_of(tmp_path: Path) -> Callable[..., Program]:
    """The content of a network's NIR file."""

    def read(network: IntegerNetwork, height: int, width: int) -> Program:
        write_nir(tmp_path / "network.nir", to_nir(network, height, width))
        return read_program(tmp_path / "network.nir")

    return read


@pytest.fixture
def build_c(tmp_path: Path) -> Build:
    """Compile a program's C; skips without a compiler."""

    def build(
        program: Program,
        flags: Sequence[str] = ("-O1", "-DSNN_SMALL"),
        compiler: str = "cc",
        prefix: str = "net",
        taps: bool = True,
    ) -> Built:
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
        folder = tmp_path / "built"
        folder.mkdir(exist_ok=True)
        stepping = by_steps(program)
        files = step_network_files(make_step_plan(program), prefix) if stepping else {}
        for name, text in (files or network_files(make_plan(program, {}), prefix)).items():
            (folder / name).write_text(text)
        (folder / "check.c").write_text(check_text(program, prefix))
        tapped = ("-DSNN_TAPS",) if taps else ()
        words = [
            compiler,
            *STRICT,
            *flags,
            *tapped,
            "-o",
            folder / "check",
            folder / "snn.c",
            folder / "check.c",
        ]
        made = subprocess.run(words, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr[-2000:]
        return Built(folder, program, taps)

    return build
