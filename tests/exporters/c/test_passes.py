"""Networks of several passes in C: they stream side by side, and give what one after the other gives."""

import ctypes
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.deploy.verify import open_export, verify_export
from snn_tool.errors import VerificationError
from snn_tool.exporters.c.backend import CBackend
from snn_tool.exporters.c.plan import make_plan
from snn_tool.exporters.c.source import network_files
from snn_tool.exporters.c.target import expected_bytes, footprint
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.nir.program import Program
from snn_tool.files.artifacts import sha256_file
from snn_tool.images.tiling import pad_to_multiple
from snn_tool.models.integer.engine import IntegerEngine, quantize_image, run_passes
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

MakeNetwork, ProgramOf, Image = Callable[..., IntegerNetwork], Callable[..., Program], NDArray[np.float32]
SMALL = Context(cc="cc -O1 -DSNN_SMALL")
OPTIONS = GoldenOptions(size=8, tiles=1, task="denoise", sigma="25")
GUARD = 64


@pytest.mark.slow
def test_both_passes_are_compared_and_a_wrong_hand_over_is_found(
    make_network: MakeNetwork, tmp_path: Path
) -> None:
    source, out = tmp_path / "twice.int.safetensors", tmp_path / "out"
    save_integer_network(source, make_network("graded", "flat", passes=2), {})
    export_student(source, "c", out, OPTIONS, verify=False)
    report = verify_export(open_export(out), ["c"], None, SMALL)
    assert report.passed and report.results[0].tiles == 2
    subprocess.run(["make", "-s", "test", "CFLAGS=-O1 -DSNN_SMALL -Werror"], cwd=out, check=True)

    text = (out / "snn.c").read_text()
    handed = "byte_of(membranes[x * 3 + channel], grey)"
    assert text.count(handed) == 1
    (out / "snn.c").write_text(text.replace(handed, f"{handed} ^ (x == 5 && at == 6 ? 64 : 0)"))
    manifest = json.loads((out / "export.json").read_text())
    manifest["files"]["snn.c"] = sha256_file(out / "snn.c")
    (out / "export.json").write_text(json.dumps(manifest))
    export = open_export(out)
    with pytest.raises(VerificationError, match="side by side, pass 2: "):
        CBackend("c").trace(export, export.golden.tiles, export.order, SMALL)


class Library:
    """A network of several passes as a shared library."""

    def __init__(self, program: Program, folder: Path) -> None:
        for name, text in network_files(make_plan(program, {}), "net").items():
            (folder / name).write_text(text)
        words = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-DSNN_SMALL", "-shared", "-fPIC"]
        subprocess.run([*words, "-o", folder / "net.so", folder / "snn.c"], check=True)
        self.c = ctypes.CDLL(str(folder / "net.so"))
        self.c.net_buffer_bytes.restype = ctypes.c_size_t
        delay = [line for line in (folder / "snn.h").read_text().splitlines() if "_DELAY_ROWS " in line]
        self.delay = int(delay[0].split()[2])

    def buffer(self, width: int) -> NDArray[np.uint8]:
        """As many bytes as it asks for, and behind them some that must stay."""
        return np.full(self.c.net_buffer_bytes(width) + GUARD, 7, np.uint8)

    def run(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`net_run` of [H, W, C] bytes."""
        height, width, _ = image.shape
        out, buffer = np.zeros_like(image), self.buffer(width)
        sizes = (ctypes.c_int32(width), ctypes.c_int32(height))
        given = (image.ctypes.data_as(ctypes.c_void_p), *sizes, out.ctypes.data_as(ctypes.c_void_p))
        room = (buffer.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(buffer) - GUARD))
        assert self.c.net_run(*given, *room) == 0
        assert (buffer[-GUARD:] == 7).all()
        short = (room[0], ctypes.c_size_t(len(buffer) - GUARD - 1))
        assert self.c.net_run(*given, *short) == -2
        return out

    def rows_before_first(self, image: NDArray[np.uint8]) -> int:
        """Rows that are pushed until one comes out."""
        state, buffer = (ctypes.c_uint8 * 4096)(), self.buffer(image.shape[1])
        out = np.zeros(image.shape[1:], np.uint8)
        room = (buffer.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(buffer) - GUARD))
        assert self.c.net_init(state, *room, ctypes.c_int32(image.shape[1])) == 0
        for count, row in enumerate(image, start=1):
            assert self.c.net_push_row(state, row.ctypes.data_as(ctypes.c_void_p)) == 0
            if self.c.net_pop_row(state, out.ctypes.data_as(ctypes.c_void_p)):
                return count
        raise AssertionError("no row came out")


def restored(network: IntegerNetwork, program: Program, image: NDArray[np.uint8]) -> Any:
    """The engine's passes on [H, W, C] bytes, one after the other, as `restore` pads them."""
    tiles = quantize_image(image.transpose(2, 0, 1)[None].astype(np.float32) / 255, network)
    whole = pad_to_multiple(tiles, network.topology.multiple)
    *_, (inputs, trace) = run_passes(IntegerEngine(network), whole)
    made = expected_bytes(program, trace.readout, inputs)[0].transpose(1, 2, 0)
    return made[: image.shape[0], : image.shape[1]]


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body", "passes"), [("graded", "unet", 2), ("lif", "flat", 3)])
def test_run_of_any_size(
    make_network: MakeNetwork,
    program_of: ProgramOf,
    photograph: Image,
    tmp_path: Path,
    neuron: str,
    body: str,
    passes: int,
) -> None:
    """Mirrored up before the first pass, and cut after the last: in between all passes see the same rows."""
    network = make_network(neuron, body, passes=passes)
    program = program_of(network, 8, 8)
    library = Library(program, tmp_path)
    bytes_ = np.round(np.clip(photograph.transpose(1, 2, 0), 0, 1) * 255).astype(np.uint8)
    taken = footprint(make_plan(program, {}))
    for height, width in ((7, 9), (1, 4), (8, 8), (45, 6)):
        image = np.ascontiguousarray(bytes_[:height, :width])
        found = library.run(image)
        np.testing.assert_array_equal(found, restored(network, program, image), f"{height}x{width}")
        assert (found != image).any()
        assert library.c.net_buffer_bytes(width) == taken.ram(width)
    tall = np.ascontiguousarray(np.concatenate([bytes_[:, :4]] * 2))
    assert library.rows_before_first(tall) == library.delay > 8
