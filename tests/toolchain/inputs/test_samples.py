"""Arrays, recordings and labels: which axis is which, what values are, and one line for bad ones."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from snn_tool.errors import BackendUnavailableError, ConfigError, DataError
from snn_tool.inputs.encoding import grid_for
from snn_tool.inputs.events import OVERFLOW_ROW
from snn_tool.inputs.labels import read_labels
from snn_tool.inputs.layout import arranged
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import REALS, SPIKES, Samples, read_samples

SHAPE = (2, 4, 6)


def numbered(*shape: int) -> NDArray[np.int64]:
    return np.arange(np.prod(shape)).reshape(shape)


def read(path: Path, shape: tuple[int, ...] = SHAPE, timesteps: int | None = None, **options: Any) -> Samples:
    labels = options.pop("labels", None)
    return read_samples(InputOptions(path, **options), shape, timesteps, 10, 0, labels)


@pytest.mark.parametrize(
    ("own", "given", "letters", "axes"),
    [
        ((2, 4, 6), (5, 2, 4, 6), "NCHW", (1, 2, 3, 4)),
        ((2, 4, 6), (5, 4, 6, 2), "NHWC", (1, 2, 3, 4)),
        ((1, 4, 6), (5, 4, 6), "NHW", (1, 3, 4)),
        ((7,), (5, 7), "NF", (1, 2)),
        ((2, 9), (5, 2, 9), "NCL", (1, 2, 3)),
    ],
)
def test_what_does_not_change_is_told_by_its_lengths(
    own: tuple[int, ...], given: tuple[int, ...], letters: str, axes: tuple[int, ...]
) -> None:
    values, told = arranged(numbered(*given), own, "a.npy")
    assert (told, values.shape) == (letters, (1, 5, *own))
    for index in np.ndindex(*given):
        place = dict(zip(letters, index, strict=True))
        full = tuple(place.get(letter, 0) for letter in "TN" + {1: "F", 2: "CL", 3: "CHW"}[len(own)])
        assert values[full] == numbered(*given)[index]


def test_time_stands_first_or_second_and_ambiguity_is_refused() -> None:
    given = numbered(3, 5, 7)
    assert arranged(given, (7,), "a.npy", timesteps=3)[1] == "TNF"
    values, letters = arranged(given, (7,), "a.npy", timesteps=5)
    assert letters == "NTF" and (values == given.transpose(1, 0, 2)).all()
    assert arranged(given, (7,), "a.npy", samples=3)[1] == "NTF"
    assert (arranged(given, (7,), "a.npy", layout="ntf")[0] == values).all()
    assert arranged(numbered(3, 7), (7,), "a.npy", layout="TF")[0].shape == (3, 1, 7)
    with pytest.raises(DataError, match=r"^a.npy: .*TNF or NTF; .*--layout TNF or --layout NTF$"):
        arranged(given, (7,), "a.npy")
    with pytest.raises(DataError, match=r"shape \[3, 5, 7\], not \[N, 8\] or \[T, N, 8\]"):
        arranged(given, (8,), "a.npy")
    with pytest.raises(DataError, match=r"is not \[T, N, 8\]; --layout TNF says so"):
        arranged(given, (8,), "a.npy", layout="TNF")
    for wrong in ("NCHW", "NNF", "T", "NFX"):
        with pytest.raises(ConfigError, match="--layout"):
            arranged(given, (7,), "a.npy", layout=wrong)


def test_values_are_spikes_or_reals_by_what_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for values, kind in (
        (rng.integers(0, 2, (3, *SHAPE)).astype(np.float32), SPIKES),
        (rng.integers(-1, 2, (3, *SHAPE)), SPIKES),
        (rng.integers(0, 256, (3, *SHAPE)).astype(np.uint8), REALS),
        (rng.random((3, *SHAPE)), REALS),
    ):
        np.save(tmp_path / "a.npy", values)
        assert read(tmp_path / "a.npy").kind == kind
    np.save(tmp_path / "a.npy", rng.integers(0, 16, (3, *SHAPE)))
    assert read(tmp_path / "a.npy", values=REALS).kind == REALS
    np.save(tmp_path / "a.npy", rng.random((3, *SHAPE)))
    with pytest.raises(DataError, match="no whole numbers"):
        read(tmp_path / "a.npy", values=SPIKES)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 7), (0, 15), (-1, 1), (-6, 3)])
def test_the_grid_holds_spikes_as_they_are(tmp_path: Path, low: int, high: int) -> None:
    values = np.random.default_rng(1).integers(low, high + 1, (9, *SHAPE))
    values[0, 0, 0, 0], values[0, 0, 0, 1] = low, high
    np.save(tmp_path / "a.npy", values)
    samples = read(tmp_path / "a.npy")
    grid = grid_for(samples)
    assert (grid.kind, grid.exponent) == ("spikes" if low == 0 else "real", 0)
    np.testing.assert_array_equal(grid.integers(samples.values)[0], values)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 40.0), (-2.5, 1.0)])
def test_reals_are_rounded_to_a_power_of_two(tmp_path: Path, low: float, high: float) -> None:
    values = np.random.default_rng(2).uniform(low, high, (50, *SHAPE))
    values[0, 0, 0, :2] = low, high
    np.save(tmp_path / "a.npy", values)
    samples = read(tmp_path / "a.npy")
    grid = grid_for(samples)
    assert grid.kind == "real" and grid.low == (-127 if low < 0 else 0)
    unit = 2.0**grid.exponent
    assert max(-low, high) / 127 <= unit < max(-low, high) / 63
    assert np.abs(grid.integers(samples.values)[0] * unit - values).max() <= unit / 2 + 1e-9


def test_bad_arrays_are_one_line_with_the_file_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"

    def refused(words: str) -> None:
        with pytest.raises(DataError) as found:
            read(path)
        assert str(path) in str(found.value) and words in str(found.value) and "\n" not in str(found.value)

    refused("no such file or folder; check the path")
    np.save(path, np.full((2, *SHAPE), np.nan))
    refused("NaN or infinity; replace them first")
    np.save(path, np.zeros((0, *SHAPE)))
    refused("is empty")
    np.save(path, np.array([{"a": 1}, 2], dtype=object), allow_pickle=True)
    refused("never unpickled")
    np.save(path, np.array(["a", "b"]))
    refused("write it again with numpy.save")
    np.save(path, np.zeros((2, *SHAPE)))
    path.write_bytes(path.read_bytes()[:-40])
    refused("write it again")
    path.write_bytes(b"no array")
    refused("write it again")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
    )
    path.write_bytes(header.getvalue())
    refused("should take")
    path = tmp_path / "a.npz"
    np.savez(path, one=np.zeros(3), two=np.zeros(3))
    refused("name the array 'inputs'")
    with zipfile.ZipFile(path, "w") as stored:
        stored.writestr("x.txt", "words")
    refused("no .npy array")
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    refused("inputs are files that end in")
    path = tmp_path / "folder"
    path.mkdir()
    refused("holds no inputs")


def test_a_label_that_no_class_can_have_is_refused_before_memory_is(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("1\n999999999\n")
    with pytest.raises(DataError, match="holds a class 999999999; number the classes from 0"):
        read_labels(tmp_path / "l.csv")
    np.save(tmp_path / "l.npy", np.zeros(0, np.int64))
    with pytest.raises(DataError, match="which is empty; give at least one sample"):
        read_labels(tmp_path / "l.npy")


def test_labels_of_files_and_of_folders(tmp_path: Path) -> None:
    values = np.zeros((4, *SHAPE), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", inputs=values, labels=[2, 0, 1, 2])
    found = read(tmp_path / "a.npz").labels
    assert found and found.index.tolist() == [2, 0, 1, 2] and found.names == ("0", "1", "2")
    np.save(tmp_path / "l.npy", np.array([[1], [0], [0], [1]]))
    (tmp_path / "l.csv").write_text("file,label\na,1\nb,0\nc,0\nd,1\n", encoding="utf-8")
    for name in ("l.npy", "l.csv"):
        given = read(tmp_path / "a.npz", labels=tmp_path / name).labels
        assert given and given.index.tolist() == [1, 0, 0, 1]
    (tmp_path / "l.csv").write_text("dog\ncat\ndog\n", encoding="utf-8")
    words = read_labels(tmp_path / "l.csv")
    assert (words.index.tolist(), words.names) == ([1, 0, 1], ("cat", "dog"))
    with pytest.raises(DataError, match=r"3 labels for 4 samples of .*a.npz"):
        read(tmp_path / "a.npz", labels=tmp_path / "l.csv")
    np.save(tmp_path / "l.npy", np.eye(4))
    with pytest.raises(DataError, match="argmax"):
        read_labels(tmp_path / "l.npy")
    for name in ("3", "10", "3"):
        folder = tmp_path / "classes" / name
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((4, 6, 3), int(name), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{len(list(folder.iterdir()))}.png")
    shown = read(tmp_path / "classes", (3, 4, 6))
    assert shown.labels and shown.labels.index.tolist() == [10, 3, 3] and shown.kind == REALS
    assert shown.values[0, :, 0, 0, 0] * 255 == pytest.approx([10, 3, 3])


def n_mnist(events: list[tuple[int, int, int, int]]) -> bytes:
    """Five bytes each of (t, x, y, p), a time of 23 bits."""
    return b"".join(bytes([x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255]) for t, x, y, p in events)


def test_recordings_are_counted_in_windows(tmp_path: Path) -> None:
    events = [(100, 0, 0, 1), (101, 5, 3, 0), (159, 0, 0, 1), (160, 0, 0, 1), (199, 2, 1, 0)]
    (tmp_path / "a.bin").write_bytes(n_mnist(events))
    fields = np.array(events, dtype=[("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    np.save(tmp_path / "a.npy", fields)
    columns = dict(zip("txyp", np.array(events).T, strict=True))
    np.savez(tmp_path / "a.npz", **columns)
    for name in ("a.bin", "a.npy", "a.npz"):
        samples = read(tmp_path / name, timesteps=5, window_us=20)
        expected = np.zeros((5, *SHAPE), dtype=int)
        for t, x, y, p in events:
            expected[(t - 100) // 20, p, y, x] += 1
        np.testing.assert_array_equal(samples.values[:, 0], expected)
        assert samples.kind == SPIKES and "windows of 20 microseconds" in samples.text()
        halves = read(tmp_path / name, (1, 4, 6), timesteps=2).values[:, 0, 0]
        assert halves[0].tolist() == [[1, 0, 0, 0, 0, 0], [0] * 6, [0] * 6, [0, 0, 0, 0, 0, 1]]
        assert halves.sum() == len(events)
    late = [(8000, 0, 0, 1), (0, 0, OVERFLOW_ROW, 0), (5, 1, 0, 1)]
    (tmp_path / "a.bin").write_bytes(n_mnist(late))
    shown = read(tmp_path / "a.bin", timesteps=1, window_us=1 << 14).values[0, 0, 1]
    assert shown[0].tolist() == [1, 1, 0, 0, 0, 0]  # 8192 + 5 lies 197 after 8000


def test_bad_recordings_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"a.bin: holds no event; remove it"):
        read(tmp_path / "a.bin")
    (tmp_path / "a.bin").write_bytes(b"1234")
    with pytest.raises(DataError, match="5 for each event"):
        read(tmp_path / "a.bin")
    (tmp_path / "a.bin").write_bytes(n_mnist([(1, 7, 0, 0)]))
    with pytest.raises(DataError, match="x from 7 to 7, but the network takes 6x4"):
        read(tmp_path / "a.bin")
    with pytest.raises(DataError, match="2 polarities, but the network takes 3 channels"):
        read(tmp_path / "a.bin", (3, 9, 9))
    np.save(tmp_path / "a.npy", np.zeros(3, dtype=[("t", "i8"), ("x", "i2")]))
    with pytest.raises(DataError, match="no 'y'"):
        read(tmp_path / "a.npy")
    (tmp_path / "a.aedat4").write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "tonic.io", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'snn-tool\[events\]'"):
        read(tmp_path / "a.aedat4")
