"""An export reads its NIR file once and builds its plan once."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snn_tool.deploy.export import Exported, export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.errors import ArtifactError
from snn_tool.exporters.contract import export as contract
from snn_tool.exporters.contract.export import NetworkFile
from snn_tool.exporters.lava import backend as lava_backend
from snn_tool.exporters.loihi import deployment as loihi_deployment
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

MakeNetwork = Callable[..., IntegerNetwork]
OPTIONS = GoldenOptions(size=16, tiles=1, task="denoise", sigma="25")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often NIR files are read and plans are built; Lava, which reads neither, is left out."""
    found: Counter[str] = Counter()

    def counted(module: Any, name: str, key: Callable[..., str]) -> None:
        original = getattr(module, name)

        def counting(*arguments: Any) -> Any:
            found[key(*arguments)] += 1
            return original(*arguments)

        monkeypatch.setattr(module, name, counting)

    counted(contract, "read_program", lambda path: "read")
    counted(loihi_deployment, "build_plan", lambda program, lowering: f"plan by {lowering}")
    monkeypatch.setattr(lava_backend, "find_lava", lambda: None)
    return found


def student(make_network: MakeNetwork, folder: Path, body: str = "unet") -> Path:
    path = folder / "student.int.safetensors"
    save_integer_network(path, make_network("lif", body), {})
    return path


@pytest.mark.slow
@pytest.mark.parametrize("lowering", ["fanout", "relay"])
def test_a_bundle(make_network: MakeNetwork, tmp_path: Path, calls: Counter[str], lowering: str) -> None:
    """Written, counted at many sizes, derived again, verified: one plan of each lowering."""
    source = student(make_network, tmp_path)
    exported = export_student(source, "loihi", tmp_path / "out", OPTIONS, lowering=lowering)
    assert calls == {"read": 1, "plan by fanout": 1, "plan by relay": 1}
    assert [result.status for result in results(exported)] == ["exact", "not run"]


@pytest.mark.slow
@pytest.mark.parametrize(("target", "body"), [("nir", "unet"), ("netx", "chain")])
def test_other_targets(
    make_network: MakeNetwork, tmp_path: Path, calls: Counter[str], target: str, body: str
) -> None:
    exported = export_student(student(make_network, tmp_path, body), target, tmp_path / "out", OPTIONS)
    assert calls == {"read": 1}
    assert results(exported)[0].status == "exact"


@pytest.mark.slow
def test_a_nir_file_is_read_once_for_its_tiles_and_its_bundle(
    make_network: MakeNetwork, tmp_path: Path, calls: Counter[str]
) -> None:
    write_nir(tmp_path / "a.nir", to_nir(make_network("graded"), 16, 16))
    exported = export_student(tmp_path / "a.nir", "loihi", tmp_path / "out", OPTIONS)
    assert calls["read"] == calls["plan by fanout"] == 1
    assert exported.bundle is not None
    assert exported.bundle.manifest.student_sha256 == sha256_file(tmp_path / "a.nir")


def results(exported: Exported) -> tuple[Any, ...]:
    assert exported.verification is not None
    return exported.verification.results


@pytest.mark.slow
def test_a_file_that_changes_meanwhile_is_not_exported(make_network: MakeNetwork, tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    write_nir(path, to_nir(make_network("lif"), 16, 16))
    network = NetworkFile(path)
    assert network.program.height == 16
    write_nir(path, to_nir(make_network("lif"), 16, 24))
    (tmp_path / "copy").mkdir()
    with pytest.raises(ArtifactError, match=r"a\.nir: was changed while it was exported; export it again"):
        network.copied(tmp_path / "copy")


@pytest.mark.slow
def test_what_is_kept_in_memory_is_what_the_file_says(make_network: MakeNetwork, tmp_path: Path) -> None:
    """The bundle that an export hands back holds the program and the plan of the folder that it left."""
    exported = export_student(student(make_network, tmp_path), "loihi", tmp_path / "out", OPTIONS)
    bundle = exported.bundle
    assert bundle is not None and bundle.folder == tmp_path / "out"
    fresh = read_program(tmp_path / "out/network.nir")
    for kept, read in zip(bundle.program.convs, fresh.convs, strict=True):
        assert (kept.name, kept.source) == (read.name, read.source)
        assert (kept.weight == read.weight).all() and (kept.bias == read.bias).all()
    assert bundle.program.populations == fresh.populations
    assert (
        bundle.network.sha256
        == json.loads((tmp_path / "out/bundle.json").read_text())["files"]["network.nir"]
    )
    assert bundle.deployment.plan.depth == json.loads((tmp_path / "out/plan.json").read_text())["depth"]
