"""The file of a cross-check: read as written, and refused where it contradicts itself."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from snn_tool.errors import ArtifactError
from snn_tool.exporters.contract.traces import EXACT, MISMATCH, BackendResult, Mismatch
from snn_tool.exporters.sanafe.report import EXCLUDED, SanafeReport, TileCheck, read_sanafe, write_sanafe
from snn_tool.exporters.sanafe.simulation import ChipActivity, ChipEnergy
from snn_tool.texts.audit import chip_check_text

FIRST = Mismatch("enc_in", "spikes", 1, 0, (2, 3, 4), 0, 1)


def tile(synops: int, synapse_j: float) -> TileCheck:
    energy = ChipEnergy(synapse_j + 5e-6, synapse_j, 0.0, 4e-6, 1e-6)
    return TileCheck(ChipActivity(energy, synops, 30, 40, 50, 60, 7e-4), synops, 30, 2e-6)


def a_report(*tiles: TileCheck) -> SanafeReport:
    return SanafeReport(
        result=BackendResult("sanafe", EXACT, len(tiles), 100, 0),
        tiles=tiles,
        height=8,
        width=12,
        timesteps=4,
        steps=13,
        neurons=5000,
        synapses=6000,
        cores=7,
        image_macs=800,
        constants_j={"energy_process_spike": 24e-12},
        architecture="loihi.yaml",
        architecture_sha256="a" * 64,
        versions={"sanafe": "2.2.9"},
        student_sha256="b" * 64,
        bundle_sha256="c" * 64,
    )


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    for report in (
        a_report(tile(100_000, 2.4e-6), tile(300_000, 7.2e-6)),
        replace(a_report(tile(1, 0.0)), result=BackendResult("sanafe", MISMATCH, 1, 100, 9, FIRST)),
    ):
        write_sanafe(tmp_path / "s.json", report)
        assert read_sanafe(tmp_path / "s.json") == report
        assert json.loads((tmp_path / "s.json").read_text())["passed"] is report.passed
        assert report.excluded == EXCLUDED
    assert report.passed is False


def test_means_by_hand() -> None:
    """(2.4 + 7.2) / 2 = 4.8 µJ for 200,000 synops; 9.8 in all, 2 of it outside the windows."""
    report = a_report(tile(100_000, 2.4e-6), tile(300_000, 7.2e-6))
    mean = report.mean_energy_j
    assert (mean.synapse, mean.total) == (pytest.approx(4.8e-6), pytest.approx(9.8e-6))
    assert (mean.soma, mean.network, mean.dendrite) == (pytest.approx(4e-6), pytest.approx(1e-6), 0.0)
    text = chip_check_text(report)
    assert "24 pJ in the synapse, 39 pJ all-in for images in a row, 49 pJ for a single one" in text
    assert "energy per tile by loihi.yaml: 9.8 µJ (synapse 4.8, dendrite 0, soma 4, network 1); 2 µJ" in text


def test_counts_that_differ_fail_though_every_integer_agrees() -> None:
    fewer, more = replace(tile(100, 1e-9), exact_synops=99), replace(tile(100, 1e-9), exact_spikes=31)
    assert a_report(tile(100, 1e-9)).passed
    assert not a_report(tile(100, 1e-9), fewer).passed and not a_report(more).passed
    assert "100 synaptic events (the engine counts 99), 30 spikes (exact)" in chip_check_text(a_report(fewer))
    assert "30 spikes (the engine counts 31)" in chip_check_text(a_report(more))


def test_a_silent_network_has_no_energy_per_synop() -> None:
    assert "per synop" not in chip_check_text(a_report(tile(0, 0.0)))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("kind", "verification", "expected a file of kind 'sanafe-check'"),
        ("schema", 2, "schema 2, but snn-tool"),
        ("passed", False, "`passed` does not follow"),
        ("tiles", [], "`passed` does not follow"),
        ("tiles", [{"activity": {}}], "tiles\\[0\\].activity.energy_j is missing.*energy sanafe"),
        ("result", {"backend": "sanafe"}, "result.status is missing"),
        ("neurons", None, "neurons = null is not allowed; use a whole number"),
        ("constants_j", [], "constants_j = .* is not allowed; use a table"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, key: str, value: Any, complaint: str) -> None:
    path = tmp_path / "s.json"
    write_sanafe(path, a_report(tile(100, 1e-9)))
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ArtifactError, match=complaint) as caught:
        read_sanafe(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "complaint"),
    [
        ("1" + "0" * 400, "more than 64 bits"),
        ("1e999", "inf is no finite number"),
        ("1e7", "= 10000000.0 is not allowed; use a number from 0 to 1000000.0"),
        ("-1e-9", "= -1e-09 is not allowed; use a number from 0 to 1000000.0"),
        ("NaN", "NaN is not JSON"),
        ("true", "= true is not allowed; use a number"),
        ('"1"', "= '1' is not allowed; use a number"),
    ],
)
@pytest.mark.parametrize("key", ["synapse", "total", "idle_access_j", "energy_process_spike"])
def test_energies_are_finite_and_not_negative(tmp_path: Path, key: str, number: str, complaint: str) -> None:
    path = tmp_path / "s.json"
    write_sanafe(path, a_report(tile(100, 1e-9)))
    text, changes = re.subn(rf'"{key}": [^,\n]+', f'"{key}": {number}', path.read_text())
    assert changes == 1
    path.write_text(text)
    with pytest.raises(ArtifactError, match=re.escape(complaint)) as caught:
        read_sanafe(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("number", [str(2**63), "-1", "1.5", "1e3"])
@pytest.mark.parametrize("key", ["neuron_updates", "exact_synops", "steps", "values_compared", "hops"])
def test_counts_are_whole_and_not_negative(tmp_path: Path, key: str, number: str) -> None:
    path = tmp_path / "s.json"
    write_sanafe(path, a_report(tile(100, 1e-9)))
    text, changes = re.subn(rf'"{key}": \d+', f'"{key}": {number}', path.read_text())
    assert changes == 1
    path.write_text(text)
    with pytest.raises(ArtifactError, match=rf"{key} = .* is not allowed"):
        read_sanafe(path)
