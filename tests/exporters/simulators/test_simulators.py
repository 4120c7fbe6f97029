"""Students in independent simulators, every spike and membrane; six awkward graphs against plain numpy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.cli.app import run
from snn_tool.errors import (
    BackendUnavailableError,
    ConfigError,
    SnnToolError,
    UnsupportedLayerError,
    VerificationError,
)
from snn_tool.exporters.loihi.bundle import Bundle, export_bundle
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.simulators import load as simulator_import
from snn_tool.exporters.simulators.encoding import encode
from snn_tool.exporters.simulators.load import check_nodes, find_simulator, in_order, load
from snn_tool.exporters.simulators.run import integrate, run_steps
from snn_tool.exporters.simulators.semantics import SIMULATORS
from snn_tool.exporters.verify.report import verify_golden
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork

pytestmark = pytest.mark.slow

Floats = NDArray[np.float64]
NAMES = tuple(SIMULATORS)
DT_S = 1e-3


@pytest.fixture(params=NAMES)
def simulator(request: pytest.FixtureRequest) -> str:
    """Each simulator that is installed."""
    try:
        return find_simulator(request.param).name
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def make_bundle(
    make_network: Callable[..., IntegerNetwork], photograph: NDArray[np.float32], tmp_path: Path
) -> Callable[..., Bundle]:
    """Two tiles of 16 x 24 pixels through an untrained student."""

    def build(neuron: str, body: str = "flat") -> Bundle:
        network = make_network(neuron, body)
        tiles = quantize_image(np.stack([photograph[:, :16, :24], photograph[:, 40:56, 8:32]]), network)
        trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
        write_nir(tmp_path / "student.nir", to_nir(network, 16, 24))
        return export_bundle(
            tmp_path / "student.nir", tmp_path / f"{neuron}-{body}", tiles, trace, student_sha256="5" * 64
        )

    return build


@pytest.mark.parametrize("neuron", ["lif", "graded"])
def test_a_flat_student_is_exact(make_bundle: Callable[..., Bundle], simulator: str, neuron: str) -> None:
    bundle = make_bundle(neuron)
    golden = bundle.golden
    result = verify_golden(bundle, [simulator]).results[0]
    values = sum(a.size for side in (golden.spikes, golden.membranes) for a in side.values())
    assert (result.status, result.first, result.mismatches) == ("exact", None, 0)
    assert result.values_compared == values - golden.membranes[bundle.program.readout.name].size
    assert any(spikes.any() for spikes in golden.spikes.values()), "silence proves nothing"
    assert result.versions[simulator] == simulator_import.version(simulator)


def test_a_wrong_golden_spike_is_located(make_bundle: Callable[..., Bundle], simulator: str) -> None:
    bundle = make_bundle("lif")
    bundle.golden.spikes["tail_in"][2, 1, 3, 5, 7] ^= 1
    first = verify_golden(bundle, [simulator]).results[0].first
    assert first is not None
    assert (first.layer, first.quantity, first.timestep, first.tile, first.index) == (
        "tail_in",
        "spikes",
        2,
        1,
        (3, 5, 7),
    )


def test_a_pixel_shuffle_is_refused_by_name(make_bundle: Callable[..., Bundle], simulator: str) -> None:
    result = verify_golden(make_bundle("lif", "unet"), [simulator]).results[0]
    assert result.status == "not run" and result.reason.startswith("up: pixel-shuffle by 2")


def test_an_absent_simulator_names_the_command(
    make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator_import.importlib.util, "find_spec", lambda name: None)
    report = verify_golden(make_bundle("lif"), ["norse"])
    assert report.results[0].status == "not run" and not report.passed
    assert report.results[0].reason == "norse is not installed; run `pip install 'snn-tool[simulators]'`"
    with pytest.raises(ConfigError, match="simulator brian"):
        find_simulator("brian")


def test_the_matrix_is_written_and_passes(
    make_bundle: Callable[..., Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, out = make_bundle("lif"), tmp_path / "matrix"
    assert run(["conformance", str(bundle.folder), "--tiles", "2", "--out", str(out)]) == 0
    document = json.loads((out / "conformance.json").read_text())
    assert (document["kind"], document["schema"], document["passed"]) == ("conformance", 1, True)
    rows = {(row["backend"], row["membrane"]): row for row in document["rows"]}
    assert len(rows) == 1 + 2 * len(NAMES)
    neurons = sum(spikes[:, :1].size for name, spikes in bundle.golden.spikes.items() if name != "readout")
    for (backend, membrane), row in rows.items():
        if row["runs"] and membrane != "float":
            assert (row["differing"], row["readout_difference_levels"]) == (0, 0), backend
            assert row["spikes_compared"] == 2 * neurons
            assert row["psnr_db"] == document["reference_psnr_db"]
    assert (out / "conformance.html").read_text().count("<tr") == len(rows) + 1
    assert "nirtorch" in capsys.readouterr().out


def test_a_network_that_differs_fails_the_matrix(
    make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = simulator_import._IMPORTERS["nirtorch"]

    def shifted(graph: nir.NIRGraph) -> Any:
        graph.nodes["head"].bias = graph.nodes["head"].bias + 1000.0
        return plain(graph)

    monkeypatch.setitem(simulator_import._IMPORTERS, "nirtorch", shifted)
    assert run(["conformance", str(make_bundle("lif").folder), "--tiles", "1"]) == 3


def test_a_dropped_node_is_an_error() -> None:
    """Norse's own importer drops an LI in the middle; nothing but the comparison of node sets says so."""
    norse = pytest.importorskip("norse.torch")
    graph = awkward_graph(lif(1, 1.0))
    graph.nodes["middle"] = nir.LI(tau=full(2 * DT_S), r=full(1.0), v_leak=full(0.0))
    graph.edges = [("image", "conv"), ("conv", "middle"), ("middle", "cell"), ("cell", "output")]
    module = norse.from_nir(graph, ignore_warnings=True)
    with pytest.raises(VerificationError, match="middle: LI: norse's importer dropped the node"):
        check_nodes(graph, module, "norse")
    assert (
        check_nodes(awkward_graph(lif(1, 1.0)), norse.from_nir(awkward_graph(lif(1, 1.0))), "norse") is None
    )
    for name in NAMES:
        with pytest.raises(UnsupportedLayerError, match="middle: LI on"):
            encode(graph, DT_S, SIMULATORS[name])


def test_a_reader_before_its_source_is_seen() -> None:
    graph = awkward_graph(lif(1, 1.0))
    assert in_order(graph, ["image", "conv", "cell", "output"])
    assert not in_order(graph, ["image", "cell", "conv", "output"])


SHAPE = (4, 6, 6)


def full(value: float) -> Floats:
    return np.full(SHAPE, value)


def lif(threshold: float, r: float, v_reset: float = 0.0) -> nir.LIF:
    """Tau is two steps, so that every value of the awkward graphs is a dyadic fraction."""
    return nir.LIF(
        tau=full(2 * DT_S), r=full(r), v_leak=full(0), v_threshold=full(threshold), v_reset=full(v_reset)
    )


def awkward_graph(cell: nir.NIRNode, groups: int = 1, bias: bool = False, li: bool = False) -> nir.NIRGraph:
    rng = np.random.default_rng(groups)
    weight = rng.integers(-3, 4, (4, 4 // groups, 3, 3)).astype(np.float64)
    shift = np.array([1.0, -2.0, 3.0, 5.0]) if bias else np.zeros(4)
    # nir infers the output of a grouped convolution wrongly, hence no type check.
    nodes: dict[str, nir.NIRNode] = {
        "image": nir.Input({"input": np.array(SHAPE)}),
        "conv": nir.Conv2d((6, 6), weight, 1, 1, 1, groups, shift),
        "cell": cell,
        "output": nir.Output({"output": np.array(SHAPE)}),
    }
    edges = [("image", "conv"), ("conv", "cell"), ("cell", "output")]
    if li:
        nodes["read"] = nir.LI(tau=full(4 * DT_S), r=full(3.0), v_leak=full(0.5))
        edges = [*edges[:2], ("cell", "read"), ("read", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def reference(graph: nir.NIRGraph, frames: Floats) -> tuple[Floats, Floats]:
    """NIR's equations in numpy, Euler steps of DT_S: the population's spikes and what the graph gives."""
    conv, cell = graph.nodes["conv"], graph.nodes["cell"]
    v, w = np.zeros(frames[0].shape), np.zeros(frames[0].shape)
    spikes, output = np.zeros_like(frames), np.zeros_like(frames)
    for step, frame in enumerate(frames):
        x = torch.nn.functional.conv2d(
            torch.from_numpy(frame),
            torch.from_numpy(conv.weight),
            torch.from_numpy(conv.bias),
            padding=1,
            groups=conv.groups,
        ).numpy()
        v = v + DT_S / cell.tau * (cell.v_leak - v + cell.r * x)
        spikes[step] = v > cell.v_threshold
        v = np.where(spikes[step] > 0, cell.v_reset, v)
        output[step] = spikes[step]
        if "read" in graph.nodes:
            read = graph.nodes["read"]
            w = w + DT_S / read.tau * (read.v_leak - w + read.r * spikes[step])
            output[step] = w
    return spikes, output


AWKWARD = {
    "ties": lambda: awkward_graph(lif(2.0, 1.0)),
    "biases": lambda: awkward_graph(lif(3.25, 1.0), bias=True),
    "gain": lambda: awkward_graph(lif(2.0, 0.25)),
    "v_reset": lambda: awkward_graph(lif(2.0, 1.0, v_reset=-1.0)),
    "groups": lambda: awkward_graph(lif(2.5, 1.0), groups=2),
    "li": lambda: awkward_graph(lif(2.0, 1.0), li=True),
}
REFUSED = {("v_reset", name) for name in ("norse", "snntorch", "spikingjelly", "sinabs")}


@pytest.mark.parametrize("case", AWKWARD)
def test_an_awkward_graph_is_exact_or_refused(case: str, simulator: str) -> None:
    graph = AWKWARD[case]()
    frames = np.random.default_rng(7).integers(-2, 3, (6, 2, *SHAPE)).astype(np.float64)
    if (case, simulator) in REFUSED:
        with pytest.raises(SnnToolError, match=f"cell: LIF on {simulator}: v_reset is -1"):
            encode(graph, DT_S, SIMULATORS[simulator])
        return
    encoded = encode(graph, DT_S, SIMULATORS[simulator])
    recording = run_steps(load(encoded, SIMULATORS[simulator]), frames)
    spikes, output = reference(graph, frames)
    assert 0.05 < spikes.mean() < 0.95
    assert (recording.spikes["cell"] == spikes).all()
    assert np.allclose(integrate(encoded.readout, recording.output), output, rtol=0, atol=1e-12)


def test_the_ties_are_there() -> None:
    """Without the threshold's next larger float, >= would fire where > does not."""
    graph = AWKWARD["ties"]()
    frames = np.random.default_rng(7).integers(-2, 3, (6, 2, *SHAPE)).astype(np.float64)
    spikes, _ = reference(graph, frames)
    graph.nodes["cell"].v_threshold = np.nextafter(graph.nodes["cell"].v_threshold, -np.inf)
    assert (reference(graph, frames)[0] != spikes).sum() > 10
