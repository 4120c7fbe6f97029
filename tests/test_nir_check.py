"""What `check` says of a node, against what the simulator does with it when it runs."""

import json
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from snn_tool.cli import run
from snn_tool.errors import ConfigError
from snn_tool.exporters.nir_check import check_graph


def chain(*nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir.NIRGraph.from_list(*nodes)


def verdict(graph: nir.NIRGraph, target: str, kind: str) -> str:
    (found,) = [f for f in check_graph(graph, target) if f.kind == kind]
    return found.verdict


def test_norse_drops_a_scale_and_computes_without_it() -> None:
    norse = pytest.importorskip("norse.torch")
    graph = chain(nir.Affine(np.eye(2, dtype="f4"), np.zeros(2, "f4")), nir.Scale(np.full(2, 3.0, "f4")))
    assert verdict(graph, "norse", "Scale") == "dropped"
    result = norse.from_nir(graph)(torch.ones(1, 2))
    value = result[0] if isinstance(result, tuple) else result
    assert value.flatten().tolist() == [1.0, 1.0]  # 3.0 with the Scale


def test_snntorch_refuses_a_leaky_integrator() -> None:
    importer = pytest.importorskip("snntorch.import_nir")
    graph = chain(nir.Affine(np.eye(2), np.zeros(2)), nir.LI(np.ones(2), np.ones(2), np.zeros(2)))
    assert verdict(graph, "snntorch", "LI") == "refused"
    with pytest.raises(Exception, match="LI|parse|node"):
        importer.import_from_nir(graph)


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
