"""What verification reports and what it must not claim; test_injected_faults.py corrupts deployments."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, ConfigError, VerificationError
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import BackendResult, Mismatch, compare
from snn_tool.exporters.lava import backend as lava_backend
from snn_tool.exporters.lava.environment import LavaEnvironment
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.exporters.loihi.bundle import Bundle, export_bundle, read_bundle
from snn_tool.exporters.nir.file import write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.verify.report import verify_golden, write_verification
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.engine import IntegerEngine, IntegerTrace, quantize_image
from snn_tool.models.integer.network import IntegerNetwork

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
Change = Callable[[dict[str, Any], dict[str, NDArray[Any]]], None]


@pytest.fixture(scope="module")
def lava() -> LavaEnvironment:
    try:
        return provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def make_bundle(make_network: MakeNetwork, photograph: Image, tmp_path: Path) -> Callable[..., Bundle]:
    """Two tiles of 16 x 24 pixels through an untrained student."""

    def build(neuron: str, lowering: str = "fanout") -> Bundle:
        network = make_network(neuron)
        tiles = quantize_image(np.stack([photograph[:, :16, :24], photograph[:, 40:56, 8:32]]), network)
        trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
        write_nir(tmp_path / "student.nir", to_nir(network, 16, 24))
        return export_bundle(
            tmp_path / "student.nir",
            tmp_path / neuron,
            tiles,
            trace,
            student_sha256="5" * 64,
            lowering=lowering,
        )

    return build


@pytest.mark.slow
def test_an_untouched_bundle_is_exact_everywhere(
    make_bundle: Callable[[str], Bundle], lava: LavaEnvironment, tmp_path: Path
) -> None:
    bundle = make_bundle("lif")
    report = verify_golden(bundle, context=Context(lava))
    pixels = 16 * 24
    full_resolution, half_resolution = 6 * 4 + 3, 3 * 8
    # Of the read-out, 3 neurons a pixel, only the membranes of its 4 timesteps: it has no spikes.
    values = 2 * 2 * 4 * (pixels * full_resolution + pixels // 4 * half_resolution) - 2 * 4 * 3 * pixels
    assert [(r.backend, r.status, r.tiles, r.values_compared) for r in report.results] == [
        ("nir", "exact", 2, values),
        ("lava", "exact", 2, values),
    ]
    assert report.passed and report.statements and not report.statements.contradictions
    write_verification(tmp_path / "verification.json", report)
    document = json.loads((tmp_path / "verification.json").read_text())
    assert (document["kind"], document["schema"], document["passed"]) == ("verification", 2, True)
    assert document["manifest_sha256"] == sha256_file(bundle.folder / "bundle.json")
    assert document["results"][1]["versions"]["lava"] == lava.version
    assert document["results"][1]["versions"]["conv"] == "stock"
    assert document["results"][1]["first"] is None


@pytest.mark.slow
def test_a_plan_of_the_other_lowering_is_not_the_networks(make_bundle: Callable[..., Bundle]) -> None:
    bundle = make_bundle("graded", "relay")
    assert verify_golden(bundle, ["nir"]).passed
    manifest = json.loads((bundle.folder / "bundle.json").read_text())
    assert manifest["lowering"] == bundle.lowering == "relay"
    (bundle.folder / "bundle.json").write_text(json.dumps({**manifest, "lowering": "fanout"}))
    report = verify_golden(read_bundle(bundle.folder), ["nir"])
    assert report.failed and report.statements
    assert [str(found) for found in report.statements.contradictions] == [
        "bundle.json: lowering: stated 'fanout', derived 'relay'"
    ]


@pytest.mark.slow
def test_a_golden_value_that_nothing_computes_is_located(make_bundle: Callable[[str], Bundle]) -> None:
    bundle = make_bundle("graded")
    golden = bundle.golden
    golden.membranes["up_in"][0, 1, 5, 3, 7] += 1
    golden.spikes["tail_in"][0, 0, 0, 0, 0] ^= 1
    golden.readout[0, 2, 4, 6] += 9
    report = verify_golden(bundle, ["nir"])
    assert not report.passed and report.statements
    result = report.results[0]
    assert (result.status, result.mismatches) == ("mismatch", 3)
    assert result.first is not None
    assert (result.first.layer, result.first.quantity, result.first.tile, result.first.index) == (
        "up_in",
        "membranes",
        1,
        (5, 3, 7),
    )
    assert result.first.actual == result.first.expected - 1
    assert str(result.first).startswith("up_in membranes, timestep 0, tile 1, index (5, 3, 7): expected ")


@pytest.mark.slow
def test_absent_lava_is_not_run_and_never_exact(
    make_bundle: Callable[[str], Bundle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = make_bundle("graded")
    monkeypatch.setattr(lava_backend, "find_lava", lambda: None)
    report = verify_golden(bundle)
    assert [(r.backend, r.status, r.values_compared) for r in report.results][1] == ("lava", "not run", 0)
    assert "snn-tool backend install lava" in report.results[1].reason
    assert not report.passed and not report.failed, "nothing differs, and not everything asked for was seen"
    assert not verify_golden(bundle, ["lava"]).passed
    dead = tmp_path / "dead"
    dead.write_text("#!/bin/sh\nexit 5\n")
    dead.chmod(0o755)
    report = verify_golden(
        bundle, ["lava"], context=Context(LavaEnvironment(dead, "0.10.0", "3.10.0", False, "test"))
    )
    assert report.results[0].status == "not run"
    assert "exit code 5" in report.results[0].reason
    assert not report.passed


@pytest.mark.slow
def test_unknown_backends_are_named(make_bundle: Callable[[str], Bundle]) -> None:
    bundle = make_bundle("graded")
    with pytest.raises(ConfigError, match="brian is not allowed; use one or more of integer, nir, lava"):
        verify_golden(bundle, ["nir", "brian"])
    with pytest.raises(ConfigError, match="backend none"):
        verify_golden(bundle, [])


def trace_of(membranes: NDArray[Any], spikes: NDArray[Any]) -> IntegerTrace:
    return IntegerTrace(membranes[-1], {"readout": spikes}, {"readout": membranes})


def test_the_first_mismatch_is_the_earliest(make_bundle: Callable[[str], Bundle]) -> None:
    zeros = np.zeros((3, 1, 2, 2, 2), dtype=np.int64)
    spikes, membranes = zeros.copy(), zeros.copy()
    membranes[2, 0, 0, 0, 0] = 5
    spikes[1, 0, 1, 1, 0] = 1
    result = compare(trace_of(zeros, zeros), trace_of(membranes, spikes), ["readout"], "other")
    assert result.first == Mismatch("readout", "spikes", 1, 0, (1, 1, 0), 0, 1)
    assert (result.values_compared, result.mismatches) == (24, 2)
    membranes[1, 0, 1, 1, 1] = 7
    result = compare(trace_of(zeros, zeros), trace_of(membranes, spikes), ["readout"], "other")
    assert result.first == Mismatch("readout", "membranes", 1, 0, (1, 1, 1), 0, 7)


def test_every_value_is_counted_once() -> None:
    """Two steps of 8 neurons: their membranes and spikes, and of the read-out as many membranes.

    The read-out's second copy and the spikes that it must not have are looked at, and counted where only they
    are wrong.
    """
    zeros = np.zeros((2, 1, 2, 2, 2), dtype=np.int64)
    wrong = zeros.copy()
    wrong[1, 0, 0, 0, 0] = 1

    def trace(membranes: NDArray[Any], spikes: NDArray[Any], readout: NDArray[Any]) -> IntegerTrace:
        return IntegerTrace(readout[-1], {"a": zeros, "readout": spikes}, {"a": zeros, "readout": membranes})

    for held, mismatches in (
        ((zeros, zeros, zeros), 0),
        ((wrong, zeros, zeros), 1),
        ((wrong, zeros, wrong), 1),
        ((wrong, wrong, wrong), 1),
        ((zeros, zeros, wrong), 1),
        ((zeros, wrong, wrong), 1),
        ((wrong, wrong[::-1], zeros), 2),
    ):
        result = compare(trace(zeros, zeros, zeros), trace(*held), ["a", "readout"], "other")
        assert (result.values_compared, result.mismatches) == (3 * 16, mismatches)
        assert result.status == ("mismatch" if mismatches else "exact")


def test_only_the_readout_differs() -> None:
    zeros = np.zeros((3, 1, 2, 2, 2), dtype=np.int64)
    other = replace(trace_of(zeros, zeros), readout=zeros[0] + np.eye(2, dtype=np.int64))
    result = compare(trace_of(zeros, zeros), other, ["readout"], "other")
    assert result.first == Mismatch("readout", "readout", 2, 0, (0, 0, 0), 0, 1)


def test_nothing_compared_is_never_exact() -> None:
    empty = np.zeros((4, 0, 3, 8, 8), dtype=np.int64)
    result = compare(trace_of(empty, empty), trace_of(empty, empty), ["readout"], "other")
    assert (result.status, result.values_compared) == ("not run", 0)
    assert "no tile" in result.reason
    with pytest.raises(AssertionError):
        BackendResult("other", "exact", tiles=1, values_compared=0)


def test_traces_of_other_shapes_are_an_error() -> None:
    zeros = np.zeros((3, 1, 2, 2, 2), dtype=np.int64)
    with pytest.raises(
        VerificationError, match=r"readout: other gives membranes \[3, 1, 1, 2, 2\] instead of"
    ):
        compare(trace_of(zeros, zeros), trace_of(zeros[:, :, :1], zeros), ["readout"], "other")
    with pytest.raises(VerificationError, match="enc_in: the golden trace has no membranes"):
        compare(trace_of(zeros, zeros), trace_of(zeros, zeros), ["enc_in", "readout"], "other")
