"""Damaged, contradictory and hostile NIR files of any origin: one line each, and bounded memory."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from snn_tool.errors import ArtifactError
from snn_tool.exporters.nir.reading import read_foreign_nir

Edit = Callable[[h5py.File], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """input(2) -> fc -> lif -> output."""
    lif = nir.LIF(*(np.full(3, value) for value in (2.0, 2.0, 0.0, 1.0)), v_reset=np.zeros(3))
    nodes = {"input": nir.Input(np.array([2])), "fc": nir.Linear(np.ones((3, 2))), "lif": lif}
    nodes["output"] = nir.Output(np.array([3]))
    file = tmp_path / "net.nir"
    nir.write(file, nir.NIRGraph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")]))
    return file


def refusal(path: Path) -> str:
    with pytest.raises(ArtifactError) as raised:
        read_foreign_nir(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert "; " in message or "no such file" in message
    return message


def edit_edges(path: Path, *added: tuple[str, str]) -> None:
    with h5py.File(path, "r+") as file:
        edges = [tuple(edge) for edge in file["node/edges"][()]]
        del file["node/edges"]
        file["node/edges"] = np.array([*edges, *added], dtype=h5py.string_dtype())


def replace(path: Path, key: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        del file[f"node/nodes/{key}"]
        file[f"node/nodes/{key}"] = value


def test_a_good_file_is_read_with_its_values(path: Path) -> None:
    graph = read_foreign_nir(path)
    assert set(graph.nodes) == {"input", "fc", "lif", "output"}
    np.testing.assert_array_equal(graph.nodes["fc"].weight, np.ones((3, 2)))


def test_what_is_no_nir_file(path: Path, tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.nir")
    assert "a folder" in refusal(tmp_path)
    content = path.read_bytes()
    path.write_bytes(b"")
    assert "empty" in refusal(path)
    path.write_bytes(content[: len(content) // 2])
    assert "truncated" in refusal(path)
    with h5py.File(path, "w") as file:
        file["weights"] = np.zeros(3)
    assert "not a NIR graph" in refusal(path)


def test_edges_that_make_no_network(path: Path) -> None:
    content = path.read_bytes()
    for edge, words in (
        (("fc", "lif"), "Duplicate edge"),
        (("fc", "nowhere"), "'nowhere'"),
    ):
        path.write_bytes(content)
        edit_edges(path, edge)
        assert words in refusal(path)


def test_a_loop_without_delay_is_refused_and_one_through_a_neuron_is_not(tmp_path: Path) -> None:
    path = tmp_path / "loop.nir"
    nodes = {"input": nir.Input(np.array([2])), "a": nir.Linear(np.eye(2)), "b": nir.Linear(np.eye(2))}
    nodes["output"] = nir.Output(np.array([2]))
    edges = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")]
    nir.write(path, nir.NIRGraph(nodes, edges))
    assert ": a: lies on a loop" in refusal(path)
    nodes["b"] = nir.IF(np.ones(2), np.ones(2), np.zeros(2))
    nir.write(path, nir.NIRGraph(nodes, edges))
    assert set(read_foreign_nir(path).edges) == set(edges)
    nodes["b"] = nir.Delay(np.ones(2))
    nir.write(path, nir.NIRGraph(nodes, edges))
    assert set(read_foreign_nir(path).edges) == set(edges)


def test_shapes_that_do_not_fit(path: Path) -> None:
    replace(path, "fc/weight", np.ones((4, 2)))
    assert "not a consistent NIR graph" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_name_node_and_key(path: Path, value: float) -> None:
    replace(path, "lif/tau", np.array([2.0, value, 2.0]))
    assert ": lif: 'tau' holds NaN or infinity" in refusal(path)


def test_five_gigabytes_declared_in_a_tiny_file_are_not_allocated(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["node/nodes/fc/weight"]
        file.create_dataset("node/nodes/fc/weight", (5 << 28, 1), "f4", chunks=(1 << 16, 1))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    message = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "fc/weight: its arrays would take 5.0 GiB" in message
    assert peak < 4 << 20


def test_a_port_of_absurd_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "port.nir"
    shape = np.array([1 << 32, 1 << 32])  # the product wraps around to 0 in 64 bits
    nodes = {"input": nir.Input(shape), "output": nir.Output(shape)}
    nir.write(path, nir.NIRGraph(nodes, [("input", "output")]))
    assert "input: declares the shape [4294967296, 4294967296]" in refusal(path)
