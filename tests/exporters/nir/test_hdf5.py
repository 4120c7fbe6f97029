"""The door for HDF5 files: what comes through it, and that nothing gets past it, hangs it or outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir import hdf5, hdf5_program
from snn_tool.exporters.nir.hdf5 import read_hdf5
from snn_tool.exporters.nir.reading import read_foreign_nir

Edit = Callable[[h5py.File], None]
MIB = 1 << 20


def refusal(path: Path, most_bytes: int = 64 * MIB, cpu_s: int = 1) -> str:
    """What is said of the file, without its name in front and what to do behind."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ArtifactError) as raised:
        patch.setattr(hdf5, "CPU_S", cpu_s)
        read_hdf5(path, "write it again", most_bytes)
    message = str(raised.value)
    assert message.startswith(f"{path}: ") and message.endswith("; write it again") and "\n" not in message
    said = message.removeprefix(f"{path}: ").removesuffix("; write it again")
    assert len(said) <= 220
    return said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A NIR file of three nodes."""
    nodes = {"input": nir.Input(np.array([2])), "fc": nir.Linear(np.ones((3, 2), np.float32))}
    nodes["output"] = nir.Output(np.array([3]))
    file = tmp_path / "net.nir"
    nir.write(file, nir.NIRGraph(nodes, [("input", "fc"), ("fc", "output")]))
    return file


def edit(path: Path, change: Edit) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


# --- What comes through.


def test_values_come_as_h5py_gives_them(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    arrays = {
        "float": np.linspace(0, 1, 7, dtype=np.float32).reshape(7, 1),
        "half": np.array([1.5, -2], np.float16),
        "big": np.array([1, -2, 3], ">i4"),
        "truth": np.array([True, False]),
        "none": np.zeros((0, 3)),
        "fixed": np.array([b"abc", b"d"], "S5"),
        "one": np.float64(2.5),
        "bytes": np.uint8(255),
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[f"group/{name}"] = array
        file.create_dataset("group/packed", data=np.arange(1000), compression="gzip", chunks=(300,))
        file["group/größe"] = "Wörter"
        file["group/edges"] = np.array([["a", "b"], ["b", "größer"]], h5py.string_dtype())
        file.create_group("group/empty/inner")
    group = read_hdf5(path, "", MIB)["group"]
    for name, array in arrays.items():
        assert group[name].dtype == array.dtype and group[name].shape == array.shape
        np.testing.assert_array_equal(group[name], array)
    assert group["none"].flags.writeable
    np.testing.assert_array_equal(group["packed"], np.arange(1000))
    assert group["größe"] == "Wörter"
    assert group["edges"].tolist() == [[b"a", b"b"], [b"b", "größer".encode()]]
    assert group["empty"] == {"inner": {}}
    with h5py.File(path) as file:
        assert list(group) == list(file["group"]), "the order is HDF5's"


@pytest.mark.slow
def test_the_program_starts_once_and_starts_again_after_a_file_that_ended_it(path: Path) -> None:
    read_hdf5(path, "", MIB)
    first = hdf5._program
    read_hdf5(path, "", MIB)
    assert hdf5._program is first
    damaged = path.with_name("damaged.nir")
    damaged.write_bytes(path.read_bytes())
    zero_heap_object(damaged, 0)
    refusal(damaged)
    assert read_hdf5(path, "", MIB)["node"]["type"] == "NIRGraph"
    assert hdf5._program is not first


# --- What reaches outside the file.


def test_what_is_stored_elsewhere_is_refused_by_name(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"12345678" * 2)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(4)
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", (4,))

    def put(item: object) -> Edit:
        return lambda file: file.__setitem__("node/nodes/fc/bias", item)

    def external(file: h5py.File) -> None:
        file.create_dataset(
            "node/nodes/fc/bias", (2,), "f8", external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        )

    content = path.read_bytes()
    for change, words in (
        (put(h5py.SoftLink("/node/nodes/fc/weight")), "a soft link"),
        (put(h5py.SoftLink("/nowhere")), "a soft link"),
        (put(h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")), "an external link"),
        (lambda file: file.create_virtual_dataset("node/nodes/fc/bias", layout), "a virtual array"),
        (external, "its values are in another file"),
    ):
        path.write_bytes(content)
        said = refusal(edit(path, change))
        assert said.startswith("node/nodes/fc/bias: ") and words in said


def test_types_that_are_no_numbers_or_texts_are_refused(path: Path) -> None:
    content = path.read_bytes()
    for value in (
        np.zeros(2, [("a", "f4"), ("b", "i4")]),
        np.zeros(2, np.complex64),
        np.zeros(2, np.longdouble),
        np.zeros(2, "V3"),
        np.dtype("f4"),
        h5py.Empty("f4"),
    ):
        path.write_bytes(content)
        said = refusal(edit(path, lambda file, value=value: file.__setitem__("node/odd", value)))  # type: ignore[misc]
        assert said.startswith("node/odd: ")
    path.write_bytes(content)
    refusal(edit(path, lambda f: f.__setitem__("node/odd", f["node"].ref)))
    path.write_bytes(content)
    ragged = h5py.vlen_dtype(np.int32)
    refusal(edit(path, lambda file: file.create_dataset("node/odd", (2,), ragged) and None))


@pytest.mark.slow
def test_a_refusal_amid_a_reply_leaves_nothing_for_the_next_file(path: Path, tmp_path: Path) -> None:
    """A text that is not UTF-8 is found here, when arrays behind it are on their way."""
    other = tmp_path / "other.nir"
    with h5py.File(other, "w") as file:
        file["a"] = np.bytes_(b"x")
        file.create_dataset("b", data=b"\xff\xfe", dtype=h5py.string_dtype())
        file["c"] = np.arange(100_000)
    assert refusal(other) == "b: its text is not UTF-8"
    assert sorted(read_hdf5(path, "", MIB)) == ["node", "version"]


# --- What is too much.


def test_bytes_count_for_each_path_that_leads_to_them(path: Path) -> None:
    """Twenty hard links to 4 MiB that take no space: 84 MiB."""

    def twenty(file: h5py.File) -> None:
        group = file.create_group("node/metadata")
        group.create_dataset("a", (MIB,), "f4", chunks=(MIB,), compression="gzip")
        for index in range(20):
            group[f"b{index:02}"] = group["a"]

    edit(path, twenty)
    assert "b14: its arrays would take 0.1 GiB, above the limit of 0.0625 GiB" in refusal(path)
    assert len(read_hdf5(path, "", 85 * MIB)["node"]["metadata"]) == 21


def test_a_chunk_larger_than_its_array_counts_whole(path: Path) -> None:
    change: Edit = lambda file: (  # noqa: E731
        file.create_dataset("node/a", (2,), "f4", maxshape=(None,), chunks=(32 * MIB,)) and None
    )
    assert "node/a: its arrays would take 0.1 GiB" in refusal(edit(path, change))


@pytest.mark.slow
def test_depth_and_number_are_bounded_before_they_cost_time(path: Path) -> None:
    content = path.read_bytes()
    start = time.process_time()
    assert "nested deeper than 32" in refusal(
        edit(path, lambda f: f.create_group("node" + "/g" * 3000) and None)
    )
    path.write_bytes(content)
    assert "nested deeper than 32" in refusal(edit(path, lambda f: f.__setitem__("node/again", f["node"])))
    path.write_bytes(content)

    def doubling(file: h5py.File) -> None:
        for level in range(20):
            group = file.require_group("all").create_group(f"{level:02}")
            if level:
                group["a"] = group["b"] = file[f"all/{level - 1:02}"]

    assert "more than 30,000 groups and arrays" in refusal(edit(path, doubling), cpu_s=10)
    assert time.process_time() - start < 5


@pytest.mark.slow
def test_many_objects_are_granted_their_time(tmp_path: Path) -> None:
    """29,000 of them take 2.1 s on a machine of 2024, so more than the one second that a small file has."""
    path = tmp_path / "many.h5"
    with h5py.File(path, "w") as file:
        for index in range(14_500):
            file.create_group(f"g{index}").create_dataset("w", data=np.float32(index))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5, "CPU_S", 1)
        tree = read_hdf5(path, "", 64 * MIB)
    assert len(tree) == 14_500 and tree["g14499"]["w"] == 14_499


@pytest.mark.slow
@pytest.mark.parametrize("length", [65_537, 60_000_000])
def test_long_texts_are_refused_and_not_repeated(path: Path, length: int) -> None:
    content = path.read_bytes()
    text = "x" * length

    def retype(file: h5py.File) -> None:
        del file["node/nodes/fc/type"]
        file["node/nodes/fc/type"] = text

    assert f"a text of {length:,} bytes, above the limit of 65,536" in refusal(edit(path, retype), 256 * MIB)
    path.write_bytes(content)
    fixed = np.array([text.encode()], f"S{length}")
    assert f"a text of {length:,} bytes" in refusal(
        edit(path, lambda f: f.__setitem__("node/a", fixed)), 256 * MIB
    )


def test_names_are_bounded_and_utf8(path: Path) -> None:
    content = path.read_bytes()
    assert "a name of 5,000 bytes" in refusal(
        edit(path, lambda f: f.create_group("node/" + "n" * 5000) and None)
    )
    path.write_bytes(content)
    said = refusal(edit(path, lambda file: file["node"].create_group(b"\xff\xfe") and None))
    assert "a name in it is not UTF-8" in said


@pytest.mark.slow
def test_memory_is_limited_whatever_the_file_says(tmp_path: Path) -> None:
    """The limit itself, for no file is known whose reading needs more than its arrays explain."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, str(Path(sys.argv[1]).parent)); "
        "import hdf5_program as p, numpy as np; p.limit_memory(64 << 20, 512 << 20)\n"
        "np.ones(32 << 20, np.uint8)\n"
        "try: np.ones(80 << 20, np.uint8)\n"
        "except MemoryError: p.limit_memory(256 << 20); np.ones(80 << 20, np.uint8); print('held')\n"
    )
    command = [sys.executable, "-c", script, hdf5_program.__file__]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "held\n"


@pytest.mark.slow
def test_what_was_read_is_not_kept(tmp_path: Path) -> None:
    """HDF5's cache of one chunk for each open array once added up to more than the limit."""
    count, length = 60, 8 * MIB
    with h5py.File(tmp_path / "many.nir", "w") as file:
        for number in range(count):
            file.create_dataset(str(number), (length,), np.uint8, chunks=(length,), compression="gzip")
            file[str(number)][0] = number
    tree = read_hdf5(tmp_path / "many.nir", "write it again", 1 << 30)
    assert [int(tree[str(number)][0]) for number in range(count)] == list(range(count))


# --- What never returns.


def zero_heap_object(path: Path, which: int) -> bool:
    """Zero the header of one object in the first global heap; False if there are no more."""
    data = bytearray(path.read_bytes())
    start = data.find(b"GCOL")
    end, offset = start + int.from_bytes(data[start + 8 : start + 16], "little"), start + 16
    for _ in range(which):
        offset += 16 + (int.from_bytes(data[offset + 8 : offset + 16], "little") + 7) // 8 * 8
    if offset + 16 > end or not int.from_bytes(data[offset : offset + 2], "little"):
        return False
    data[offset : offset + 16] = bytes(16)
    path.write_bytes(data)
    return True


@pytest.mark.slow
def test_a_damaged_heap_ends_at_the_limit_wherever_it_is_damaged(path: Path) -> None:
    """HDF5 2.0 walks the heap for ever, since an object of size 0 leads to itself."""
    content, objects = path.read_bytes(), 0
    while zero_heap_object(path, objects):
        path.write_bytes(content)
        objects += 1
    assert objects >= 9, "version, four types, two edges of two names"
    for which in (0, objects // 2, objects - 1):
        zero_heap_object(path, which)
        assert refusal(path) == "damaged HDF5: reading it takes far longer than its size explains"
        path.write_bytes(content)


def readers(of: int) -> list[int]:
    """Processes below a process that still run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == of and fields[0] != "Z":
            found += [int(status.parent.name), *readers(int(status.parent.name))]
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_reader_of_a_hanging_file_ends_with_its_caller(path: Path, number: signal.Signals) -> None:
    zero_heap_object(path, 0)
    script = (
        "import sys; from pathlib import Path; from snn_tool.exporters.nir import hdf5; hdf5.CPU_S = 60\n"
        "hdf5.read_hdf5(Path(sys.argv[1]), '', 1 << 20)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stderr=subprocess.PIPE) as caller:
        deadline = time.monotonic() + 120
        while len(below := readers(caller.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.2)
        os.kill(caller.pid, number)
        caller.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in below):
        assert time.monotonic() < deadline, "the reader outlives its caller"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "HDF5 crashes on it"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "perhaps for lack of memory"),
        ("os._exit(3)", "its reader ended with code 3"),
    ],
)
def test_a_reader_that_dies_within_its_reply_is_said_to_have(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, words: str
) -> None:
    """The real program, whose reader dies after its first frame."""
    broken = tmp_path / "broken.py"
    source = Path(hdf5_program.__file__).read_text(encoding="utf-8")
    marker = "        values = np.asarray(item.dataset[()]"
    assert marker in source
    broken.write_text(
        source.replace(marker, f"        replies.flush(); {ending}\n{marker}"), encoding="utf-8"
    )
    monkeypatch.setattr(hdf5, "PROGRAM", broken)
    monkeypatch.setattr(hdf5, "_program", None)
    assert words in refusal(path)


@pytest.mark.slow
def test_a_file_that_takes_too_long_to_arrive_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "WALL_S", 1)
    zero_heap_object(path, 0)
    assert refusal(path, cpu_s=60) == "reading it did not end within 1 s"


# --- Every reader of NIR files.


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, words in (("none", "no such file"), ("", "a folder, not a file"), ("fifo", "neither a file")):
        with pytest.raises(ArtifactError, match=words):
            read_hdf5(tmp_path / name, "", MIB)


@pytest.mark.slow
def test_random_damage_is_one_line_each(path: Path) -> None:
    """Bytes set at random, in a file of which most bytes are structure."""
    content, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        data = bytearray(content)
        for place in random.integers(0, len(data), 4):
            data[place] = random.integers(0, 256)
        path.write_bytes(data)
        try:
            read_foreign_nir(path)
        except ArtifactError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < len(str(path)) + 300
    assert refused > 20


@pytest.mark.slow
def test_a_request_right_after_a_reply_is_no_end_of_all_requests(path: Path) -> None:
    for _ in range(200):
        assert list(read_hdf5(path, "", MIB)) == ["node", "version"]
