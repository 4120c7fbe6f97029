"""What `check` says of a node, against what the simulator does with it when it runs."""

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from snn_tool.cli.app import run
from snn_tool.errors import ConfigError
from snn_tool.exporters.nir_foreign.check import check_graph


def chain(*nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir.NIRGraph.from_list(*nodes)


def verdict(graph: nir.NIRGraph, target: str, kind: str) -> str:
    (found,) = [f for f in check_graph(graph, target) if f.kind == kind]
    return found.verdict


ONE, ZERO = np.ones(2, "f4"), np.zeros(2, "f4")
UNPARSED = {
    "Scale": lambda: nir.Scale(3 * ONE),
    "Threshold": lambda: nir.Threshold(2 * ONE),
    "LI": lambda: nir.LI(2 * ONE, ONE, ZERO),
    "I": lambda: nir.I(3 * ONE),
    "CubaLI": lambda: nir.CubaLI(ONE, 2 * ONE, ONE, ZERO, w_in=ONE),
    "Delay": lambda: nir.Delay(ONE),
}


def behind_identity(node: nir.NIRNode) -> nir.NIRGraph:
    return chain(nir.Affine(np.eye(2, dtype="f4"), ZERO), node)


def output(module: Any) -> list[float]:
    """The module's answer to a frame of ones."""
    result = module(torch.ones(1, 2))
    return (result[0] if isinstance(result, tuple) else result).flatten().tolist()


@pytest.mark.parametrize("kind", UNPARSED)
def test_norse_drops_the_node_and_computes_without_it(kind: str) -> None:
    norse = pytest.importorskip("norse.torch")
    graph = behind_identity(UNPARSED[kind]())
    assert verdict(graph, "norse", kind) == "dropped"
    assert output(norse.from_nir(graph)) == [1.0, 1.0]  # what the identity alone gives


@pytest.mark.parametrize("kind", [kind for kind in UNPARSED if kind != "LI"])
def test_sinabs_drops_the_node_and_computes_without_it(kind: str) -> None:
    sinabs = pytest.importorskip("sinabs.nir")
    graph = behind_identity(UNPARSED[kind]())
    assert verdict(graph, "sinabs", kind) == "dropped"
    module = sinabs.from_nir(graph, batch_size=1)
    assert output(module) == [1.0, 1.0]  # what the identity alone gives


@pytest.mark.parametrize("kind", [*UNPARSED, "LIF", "IF", "CubaLIF"])
def test_nirtorch_without_maps_refuses_the_node(kind: str) -> None:
    nirtorch = pytest.importorskip("nirtorch")
    neurons = {
        "LIF": lambda: nir.LIF(2 * ONE, ONE, ZERO, ONE, v_reset=ZERO),
        "IF": lambda: nir.IF(ONE, ONE, v_reset=ZERO),
        "CubaLIF": lambda: nir.CubaLIF(ONE, 2 * ONE, ONE, ZERO, ONE, v_reset=ZERO, w_in=ONE),
    }
    graph = behind_identity({**UNPARSED, **neurons}[kind]())
    assert verdict(graph, "nirtorch", kind) == "refused"
    with pytest.raises(ValueError, match=rf"Unknown node type .*\.{kind}'"):
        nirtorch.nir_to_torch(graph, {})


@pytest.mark.parametrize("kind", UNPARSED)
@pytest.mark.parametrize(
    ("target", "module"),
    [
        ("snntorch", "snntorch.import_nir"),
        ("spikingjelly", "spikingjelly.activation_based.nir_exchange"),
    ],
)
def test_importers_that_refuse_the_node(target: str, module: str, kind: str) -> None:
    importer = pytest.importorskip(module)
    graph = behind_identity(UNPARSED[kind]())
    assert verdict(graph, target, kind) == "refused"
    with pytest.raises(ValueError, match=rf"Unknown node type .*\.{kind}'"):
        importer.import_from_nir(graph)


def test_a_membrane_at_the_threshold_fires_in_spikingjelly_and_not_in_norse() -> None:
    norse = pytest.importorskip("norse.torch")
    jelly = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
    # tau = 2, dt = 1, x = 1: v = 1/2 after one step, exactly the threshold
    graph = behind_identity(nir.LIF(2 * ONE, ONE, ZERO, ONE / 2, v_reset=ZERO))
    assert output(norse.from_nir(graph, dt=1.0)) == [0.0, 0.0]
    assert output(jelly.import_from_nir(graph, dt=1.0)) == [1.0, 1.0]
    why = {f.target: f.why for f in check_graph(graph, None) if f.kind == "LIF"}
    assert "fires where v >= 0.5, NIR where v > 0.5" in why["spikingjelly"]
    assert "v >= 0.5" not in why["norse"]


def test_unknown_targets_name_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="use one of norse, snntorch"):
        check_graph(chain(nir.Scale(np.ones(2))), "brian")


def test_the_command_exits_3_if_a_node_would_be_lost_and_0_if_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.nir"
    nir.write(path, chain(nir.Affine(np.eye(2), np.zeros(2)), nir.Scale(np.ones(2))))
    assert run(["--json", "check", str(path), "--target", "norse"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert [(f["kind"], f["verdict"]) for f in document["findings"]] == [
        ("Affine", "held"),
        ("Scale", "dropped"),
    ]
    nir.write(path, chain(nir.Affine(np.eye(2), np.zeros(2))))
    assert run(["check", str(path), "--target", "norse"]) == 0
    assert run(["check", str(tmp_path / "none.nir")]) == 1


def test_the_page_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs/guides/check.md").read_text(encoding="utf-8")
    lif = nir.LIF(4e-3 * ONE, ONE, ZERO, ONE / 2, v_reset=-ONE / 2)
    nodes = {"affine": nir.Affine(np.eye(2), np.zeros(2)), "lif": lif, "li": nir.LI(4e-3 * ONE, ONE, ZERO)}
    nodes |= {"input": nir.Input(np.array([2])), "output": nir.Output(np.array([2]))}
    edges = [("input", "affine"), ("affine", "lif"), ("lif", "li"), ("li", "output")]
    nir.write(tmp_path / "net.nir", nir.NIRGraph(nodes, edges))
    monkeypatch.chdir(tmp_path)
    blocks = [block for block in page.split("    $ snn-tool ")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        command, *lines = block.split("\n\n")[0].splitlines()
        assert run(command.split()) == 3
        assert capsys.readouterr().out.splitlines() == [line.strip() for line in lines]
