"""Files that were damaged, edited or made by others: one line, with the file and the node."""

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.models.integer.network import IntegerNetwork

MakeNetwork = Callable[..., IntegerNetwork]
Edit = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def files(make_network: MakeNetwork, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file of each neuron kind; `unet`, so that a pixel-shuffle is among the nodes."""
    folder = tmp_path_factory.mktemp("nir")
    contents = {}
    for neuron in ("lif", "graded"):
        path = folder / f"{neuron}.nir"
        write_nir(path, to_nir(make_network(neuron), 8, 12))
        contents[neuron] = path.read_bytes()
    return contents


def refusal(path: Path) -> str:
    with pytest.raises(ArtifactError) as raised:
        read_program(path)
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["lif", "graded"])
@pytest.mark.parametrize("body", ["unet", "flat", "chain"])
def test_a_program_holds_every_integer_of_the_network(
    make_network: MakeNetwork, tmp_path: Path, neuron: str, body: str
) -> None:
    network = make_network(neuron, body)
    write_nir(tmp_path / "student.nir", to_nir(network, 8, 12))
    program = read_program(tmp_path / "student.nir")
    assert (program.height, program.width, program.timesteps) == (8, 12, network.timesteps)
    assert (program.input_low, program.input_high) == network.input_range
    assert program.input_step == network.input_step
    assert {conv.name: conv.source for conv in program.convs} == network.synapse_sources
    assert [p.inputs for p in program.populations] == [p.wiring.inputs for p in network.populations]
    assert [p.name for p in program.populations] == [p.wiring.name for p in network.populations]
    for synapse in network.synapses:
        conv = program.conv[synapse.wiring.name]
        np.testing.assert_array_equal(conv.weight, synapse.mantissa.astype(int) << synapse.exponent)
        np.testing.assert_array_equal(conv.bias, synapse.bias)
        assert conv.mantissa_exponent == synapse.exponent
        assert (conv.stride, conv.padding) == (synapse.wiring.stride, synapse.wiring.padding)
        assert (conv.dilation, conv.upsample) == (synapse.wiring.dilation, synapse.wiring.upsample)
    for population in network.populations[:-1]:
        found = program.population[population.wiring.name]
        assert found.inputs == population.wiring.inputs
        assert getattr(found, "threshold", None) == population.threshold
        assert getattr(found, "decay", network.decay) == network.decay
        assert getattr(found, "levels", network.levels) == network.levels
        assert getattr(found, "signed", network.signed) == network.signed


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_writing_again_gives_the_same_bytes(
    make_network: MakeNetwork, files: dict[str, bytes], tmp_path: Path, neuron: str
) -> None:
    path = tmp_path / "again.nir"
    path.write_bytes(b"an older file")
    write_nir(path, to_nir(make_network(neuron), 8, 12))
    assert path.read_bytes() == files[neuron]
    write_nir(path, nir.read(path))
    assert read_program(path).height == 8
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_files_that_are_no_graph_of_ours(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "student.nir"
    assert "no such file" in refusal(path)
    assert "a folder, not a file" in refusal(tmp_path)
    path.write_text("not binary")
    assert "not an HDF5 file" in refusal(path)
    path.write_bytes(files["lif"][: len(files["lif"]) // 2])
    assert "damaged or truncated" in refusal(path)
    with h5py.File(path, "w") as file:
        file["weights"] = np.zeros(3)
    assert "not a NIR graph" in refusal(path)


def test_graphs_of_other_tools_say_so(tmp_path: Path) -> None:
    path = tmp_path / "other.nir"
    nir.write(path, nir.NIRGraph.from_list(nir.Threshold(np.ones(3))))
    assert "not made by snn-tool" in refusal(path)


NODES, META = "node/nodes", "node/metadata/snn_tool"


def put(key: str, value: object) -> Edit:
    def edit(file: h5py.File) -> None:
        if key in file:
            del file[key]
        file[key] = value

    return edit


def add_to(key: str, amount: float, index: tuple[int, ...] = ()) -> Edit:
    """Change one entry, or a whole dataset if it is a scalar."""

    def edit(file: h5py.File) -> None:
        array = file[key][()]
        array = np.asarray(array)
        array[index] += amount
        del file[key]
        file[key] = array

    return edit


def drop(*keys: str) -> Edit:
    def edit(file: h5py.File) -> None:
        for key in keys:
            del file[key]

    return edit


def edges(change: Callable[[list[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]]) -> Edit:
    def edit(file: h5py.File) -> None:
        changed = change([(a, b) for a, b in file["node/edges"][()]])
        del file["node/edges"]
        file["node/edges"] = np.array(changed, dtype=object)

    return edit


def without(name: bytes) -> Edit:
    """A node and all its edges, so that nir itself finds nothing to complain about."""

    def edit(file: h5py.File) -> None:
        del file[f"{NODES}/{name.decode()}"]
        edges(lambda all_: [edge for edge in all_ if name not in edge])(file)

    return edit


def huge(file: h5py.File) -> None:
    """A petabyte that takes no space, because no chunk was ever written."""
    del file[f"{NODES}/enc_in/r"]
    file.create_dataset(f"{NODES}/enc_in/r", (10**7, 10**7), "f8", chunks=(10, 10))


def loop(file: h5py.File) -> None:
    """An HDF5 group that contains itself."""
    file[f"{META}/itself"] = file[META]


FAULTS: list[tuple[str, str, Edit, str]] = [
    ("newer schema", "lif", put(f"{META}/schema", 3), "schema 3, this version reads schemas 1 and 2"),
    ("text schema", "lif", put(f"{META}/schema", "two"), "no schema version"),
    (
        "NaN weight",
        "lif",
        put(f"{NODES}/tail/weight", np.full((3, 4, 3, 3), np.nan, "f4")),
        "tail: weight: holds NaN",
    ),
    (
        "off the grid",
        "lif",
        add_to(f"{NODES}/tail/weight", 1e-7, (0, 0, 0, 0)),
        "tail: weight: .* no multiple of 2\\^",
    ),
    ("bias off the grid", "graded", add_to(f"{NODES}/head/bias", 1e-7, (1,)), "head: bias: .* no multiple"),
    (
        "finer than its shift",
        "lif",
        put(f"{META}/synapses/tail/mantissa_exponent", 20),
        "tail: weights are not mult",
    ),
    (
        "float threshold",
        "lif",
        add_to(f"{NODES}/enc_in/v_threshold", 1.0, (0, 0, 0)),
        "enc_in: v_threshold .* contradicts",
    ),
    (
        "integer threshold",
        "lif",
        add_to(f"{META}/populations/enc_in/threshold", 1),
        "enc_in: v_threshold .* contradicts",
    ),
    ("tau", "lif", add_to(f"{NODES}/enc_mid/tau", 1e-3, (3, 7, 11)), "enc_mid: tau .* contradicts"),
    ("NaN tau", "lif", add_to(f"{NODES}/enc_mid/tau", np.nan, (3, 7, 11)), "enc_mid: tau nan contradicts"),
    ("decay", "lif", put(f"{META}/populations/enc_in/decay", 65), "enc_in: tau .* contradicts"),
    ("no decay", "lif", put(f"{META}/populations/enc_in/decay", 0), "enc_in: a LIF, but its decay is 0"),
    ("reset", "lif", add_to(f"{NODES}/enc_in/v_reset", 1, (0, 0, 0)), "enc_in: v_reset 1.0 contradicts"),
    ("dt", "lif", put(f"{META}/dt_s", 1e-3), "contradicts"),
    ("integer dt", "lif", put(f"{META}/dt_s", 1), "'dt_s' is 1"),
    ("read-out", "graded", add_to(f"{NODES}/readout/r", 1, (0, 0, 0)), "readout: r 10001.0 contradicts"),
    (
        "kind",
        "lif",
        put(f"{META}/populations/enc_in/kind", "graded"),
        "enc_in: a LIF, but its metadata says graded",
    ),
    ("unknown kind", "lif", put(f"{META}/populations/enc_in/kind", "cuba"), "enc_in: metadata 'kind'"),
    ("two read-outs", "lif", put(f"{META}/populations/enc_in/kind", "readout"), "exactly one read-out"),
    ("lsb", "lif", add_to(f"{META}/populations/enc_in/lsb_exponent", 1), "differ in lsb_exponent"),
    ("residual", "lif", add_to(f"{META}/residual_exponent", 1), "residual_exponent"),
    ("reset rule", "lif", put(f"{META}/reset", "subtract"), "'reset' is .*subtract"),
    ("timesteps", "lif", put(f"{META}/timesteps", 0), "'timesteps' is 0"),
    ("float timesteps", "lif", put(f"{META}/timesteps", 4.0), "'timesteps' is 4.0"),
    ("extension", "lif", put(f"{META}/extensions/attention", 1), "extensions"),
    (
        "shuffle factor",
        "lif",
        put(f"{META}/extensions/pixel_shuffle/up", 4),
        "up: input_shape|up_unshuffled|up_shuffled",
    ),
    ("metadata gone", "lif", drop(f"{META}/populations"), "'populations' is missing"),
    (
        "threshold gone",
        "lif",
        drop(f"{META}/populations/enc_in/threshold"),
        "enc_in: metadata 'threshold' is None",
    ),
    (
        "rung",
        "graded",
        add_to(f"{NODES}/enc_in/nodes/above_2/threshold", 1, (0, 0, 0)),
        "enc_in.above_2: threshold",
    ),
    (
        "negative rung",
        "graded",
        add_to(f"{NODES}/enc_in/nodes/below_1/threshold", 1, (1, 2, 3)),
        "enc_in.below_1",
    ),
    (
        "mirror",
        "graded",
        add_to(f"{NODES}/enc_in/nodes/negated/scale", 2, (0, 0, 0)),
        "enc_in.negated: scale",
    ),
    (
        "levels",
        "graded",
        put(f"{META}/populations/enc_in/levels", 3),
        "enc_in.above_4: the ladder does not fit 3 levels",
    ),
    (
        "sign",
        "graded",
        put(f"{META}/populations/enc_in/signed", 0),
        "enc_in.below_1: the ladder does not fit",
    ),
    (
        "graded threshold",
        "graded",
        add_to(f"{META}/populations/enc_in/threshold", 1),
        "enc_in.above_1: threshold",
    ),
    ("node gone", "lif", drop(f"{NODES}/enc_in"), "enc_in"),
    ("node and edges gone", "lif", without(b"enc_conv2"), "enc_conv2: the node is missing"),
    ("read-out gone", "lif", without(b"readout"), "readout: the node is missing"),
    (
        "edge gone",
        "lif",
        edges(lambda e: [x for x in e if x != (b"enc_conv2", b"down_in")]),
        "down_in: has 1 incoming edges, not 2",
    ),
    ("edge twice", "lif", edges(lambda e: [*e, e[0]]), "Duplicate edge"),
    (
        "cycle",
        "lif",
        edges(lambda e: [(b"enc_conv2", b"enc_in") if x == (b"head", b"enc_in") else x for x in e]),
        "enc_(in|mid): lies on a cycle",
    ),
    (
        "two sources",
        "lif",
        edges(lambda e: [*e, (b"enc_mid", b"enc_conv1")]),
        "enc_conv1: has 2 incoming edges",
    ),
    (
        "conv to conv",
        "lif",
        edges(lambda e: [*e, (b"enc_conv1", b"enc_conv2")]),
        "enc_conv2: an edge from enc_conv1",
    ),
    ("second output", "lif", edges(lambda e: [*e, (b"tail", b"output")]), "output: the edge from tail"),
    ("image shape", "lif", put(f"{NODES}/image/shape", np.array([3, 10, 12])), "head"),
    ("image huge", "lif", put(f"{NODES}/image/shape", np.array([3, 10**9, 10**9])), "head"),
    ("port shape", "lif", put(f"{NODES}/up_unshuffled/shape", np.array([16, 6, 4])), "up"),
    ("shuffled shape", "lif", put(f"{NODES}/up_shuffled/shape", np.array([4, 12, 8])), "up_shuffled"),
    ("array huge", "lif", huge, "GiB, above the limit"),
    ("group cycle", "lif", loop, "nested deeper than"),
    ("unknown type", "lif", put(f"{NODES}/enc_in/type", "Transformer"), "not a consistent NIR graph"),
    ("other type", "lif", put(f"{NODES}/enc_in/type", "CubaLIF"), "not a consistent NIR graph"),
    ("stride 0", "lif", put(f"{NODES}/tail/stride", np.array([0, 0])), "not a consistent NIR graph"),
    ("unequal strides", "lif", put(f"{NODES}/tail/padding", "same"), "tail: padding same is not one number"),
    ("groups", "lif", put(f"{NODES}/enc_conv1/groups", 2), "enc_conv1: groups = 2"),
    ("parameter gone", "lif", drop(f"{NODES}/tail/bias"), "not a consistent NIR graph"),
    ("wrong shape", "lif", put(f"{NODES}/tail/bias", np.zeros(4, "f4")), "tail: bias \\[4\\]"),
    (
        "integer weight",
        "lif",
        put(f"{NODES}/tail/weight", np.zeros((3, 4, 3, 3), "i4")),
        "tail: weight: int32",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "edit", "said"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_damaged_files_are_refused_in_one_line(
    files: dict[str, bytes], tmp_path: Path, neuron: str, edit: Edit, said: str
) -> None:
    path = tmp_path / "student.nir"
    path.write_bytes(files[neuron])
    with h5py.File(path, "r+") as file:
        edit(file)
    message = refusal(path)
    assert re.search(said, message), message
