"""What cannot be written, and compilers that are of no use: one line each, and nothing half-written."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.deploy.verify import open_export, verify_export
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.wasm.compiler import REMEDY, find_wasm_compiler
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.playground.build import build_playground

MakeNetwork = Callable[..., IntegerNetwork]
OPTIONS = GoldenOptions(size=8, tiles=1, task="denoise", sigma="25")
WRITE_EVERYWHERE = 1 << 1
"""CAP_DAC_OVERRIDE"""
needs_wasm = pytest.mark.skipif(find_wasm_compiler() is None, reason=REMEDY)


@pytest.fixture
def student(make_network: MakeNetwork, tmp_path: Path) -> Path:
    """A small student in a folder of its own."""
    (tmp_path / "held").mkdir()
    save_integer_network(tmp_path / "held" / "a.int.safetensors", make_network("graded", "flat"), {})
    return tmp_path / "held" / "a.int.safetensors"


class Capabilities(ctypes.Structure):
    """Of linux/capability.h, version 3: a header, then two times effective, permitted, inheritable bits."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int), ("bits", ctypes.c_uint32 * 6))

    def call(self, name: str) -> None:
        """`capget` or `capset` of this thread."""
        if getattr(ctypes.CDLL(None, use_errno=True), name)(ctypes.byref(self), ctypes.byref(self, 8)):
            pytest.skip(
                f"root cannot give up its right to write everywhere: {os.strerror(ctypes.get_errno())}"
            )


def forbid(folder: Path) -> None:
    """Take the right to write in a folder; root gives up its capability to write everywhere till `allow`."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        held = Capabilities(0x20080522, 0)
        held.call("capget")
        held.bits[0] &= ~WRITE_EVERYWHERE
        held.call("capset")


@pytest.fixture
def allow() -> Iterator[None]:
    """Give root back what `forbid` takes."""
    yield
    if os.geteuid() == 0 and sys.platform == "linux":
        held = Capabilities(0x20080522, 0)
        held.call("capget")
        held.bits[0] |= held.bits[1] & WRITE_EVERYWHERE
        held.call("capset")


@pytest.mark.slow
@pytest.mark.usefixtures("allow")
@pytest.mark.parametrize("target", ["c", pytest.param("wasm", marks=needs_wasm)])
def test_export_to_a_folder_that_cannot_be_written(student: Path, target: str) -> None:
    before = set(student.parent.iterdir())
    forbid(student.parent)
    for out in (student.parent / "out", student.parent):
        with pytest.raises((ArtifactError, ConfigError), match=r"cannot be written|not empty") as told:
            export_student(student, target, out, OPTIONS, verify=False)
        assert "\n" not in str(told.value) and str(student.parent) in str(told.value)
    assert set(student.parent.iterdir()) == before


@pytest.mark.slow
@pytest.mark.usefixtures("allow")
def test_verify_in_a_folder_that_cannot_be_written(student: Path, tmp_path: Path) -> None:
    """Its program is built elsewhere; only the report has no place, which --out changes."""
    out = student.parent / "out"
    export_student(student, "c", out, OPTIONS, verify=False)
    forbid(student.parent)
    context = Context(cc="cc -O1 -DSNN_SMALL")
    with pytest.raises(ArtifactError, match=r"verification\.json: cannot be written \(Permission denied\)"):
        verify_export(open_export(out), ["c"], None, context)
    assert not (out / "verification.json").exists()
    assert verify_export(open_export(out), ["c"], None, context, tmp_path / "report.json").passed


@needs_wasm
@pytest.mark.usefixtures("allow")
def test_a_page_that_cannot_be_written_is_told_before_anything_is_compiled(student: Path) -> None:
    forbid(student.parent)
    with pytest.raises(ArtifactError, match=r"play: cannot be written \(Permission denied\)"):
        build_playground(
            student.parent / "play", ["denoise-25"], False, lambda items, label: pytest.fail(label)
        )


def test_a_compiler_of_no_use_is_refused(student: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--cc gcc belongs to --target c; leave it out for wasm"):
        export_student(student, "wasm", tmp_path / "out", OPTIONS, context=Context(cc="gcc"))
    export_student(student, "nir", tmp_path / "out", OPTIONS, verify=False)
    assert not list(tmp_path.glob("*/verification.json"))


@pytest.mark.slow
def test_a_compiler_for_another_backend_is_refused(student: Path, tmp_path: Path) -> None:
    export_student(student, "c", tmp_path / "out", OPTIONS, verify=False)
    with pytest.raises(ConfigError, match="--cc gcc belongs to backend c; leave it out for nir"):
        verify_export(open_export(tmp_path / "out"), ["nir"], None, Context(cc="gcc"))
