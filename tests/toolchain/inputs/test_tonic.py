"""Recordings through tonic, where it is installed: the extra `events`."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from snn_tool.errors import BackendUnavailableError, DataError
from snn_tool.inputs.events import read_recording
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import read_samples


@pytest.fixture
def tonic_io() -> object:
    return pytest.importorskip("tonic.io", reason="pip install 'snn-tool[events]'")


EVENTS = [(10, 3, 5, 1), (250, 0, 127, 0), (999, 127, 0, 1), (1000, 64, 64, 0)]
"""t in microseconds, x, y, p."""


def dvs128(path: Path) -> Path:
    """AEDAT 2.0: a header of comments, then address and time, four bytes each, the largest first.

    Of the address bit 0 is the polarity, 1 to 7 the row, 8 to 14 the column, as tonic reads a DVS128's.
    """
    words = [struct.pack(">II", x << 8 | y << 1 | p, t) for t, x, y, p in EVENTS]
    path.write_bytes(b"#!AER-DAT2.0\r\n# made by a test\r\n" + b"".join(words))
    return path


def test_an_aedat_file_is_read_and_binned(tonic_io: object, tmp_path: Path) -> None:
    found = read_recording(dvs128(tmp_path / "a.aedat"))
    for name, values in zip("txyp", zip(*EVENTS, strict=True), strict=True):
        assert getattr(found, name).tolist() == list(values)
    options = InputOptions(tmp_path / "a.aedat", window_us=500)
    shown = read_samples(options, (2, 128, 128), 2, 10)
    assert shown.values.shape == (2, 1, 2, 128, 128) and int(shown.values.sum()) == len(EVENTS)
    assert shown.values[0, 0, 1, 5, 3] == shown.values[0, 0, 0, 127, 0] == 1
    assert shown.values[1, 0, 1, 0, 127] == shown.values[1, 0, 0, 64, 64] == 1


def test_tonic_reads_n_mnist_s_files_as_we_do(tonic_io: object, tmp_path: Path) -> None:
    """Random events, clock overflows among them."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 34, (200, 5)).astype(np.uint8)
    rows[:, 2] = rng.integers(0, 2, 200) << 7
    rows[::50, 1] = 240
    (tmp_path / "a.bin").write_bytes(rows.tobytes())
    kind = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
    theirs = tonic_io.read_mnist_file(str(tmp_path / "a.bin"), kind)  # type: ignore[attr-defined]
    ours = read_recording(tmp_path / "a.bin")
    for name in "txyp":
        np.testing.assert_array_equal(getattr(ours, name), theirs[name], err_msg=name)


def test_a_damaged_aedat4_file_is_refused(tonic_io: object, tmp_path: Path) -> None:
    pytest.importorskip("aedat", reason="pip install 'snn-tool[events]'")
    (tmp_path / "a.aedat4").write_bytes(b"#!AER-DAT4.0\r\n and nothing else")
    with pytest.raises(DataError, match=r"a.aedat4: tonic cannot read it"):
        read_recording(tmp_path / "a.aedat4")


def test_tonic_without_what_it_reads_aedat4_by_is_told(
    tonic_io: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aedat", None)
    (tmp_path / "a.aedat4").write_bytes(b"x")
    with pytest.raises(BackendUnavailableError, match=r"needs a package.*snn-tool\[events\]"):
        read_recording(tmp_path / "a.aedat4")
