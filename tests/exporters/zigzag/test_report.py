"""The file of mapped rivals: a recorded one of real ZigZag, its arithmetic by hand, and damage."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from snn_tool.errors import ArtifactError
from snn_tool.exporters.zigzag.mapping import Accesses
from snn_tool.exporters.zigzag.report import MappingReport, read_mapping, write_mapping
from snn_tool.models.loop_nest import LoopNest
from snn_tool.texts.mapping import mapping_text

RECORDED = Path(__file__).parents[2] / "data" / "mapping.json"
MIDDLE = LoopNest(1, 48, 48, 128, 128, 3, 3, padding=1)


@pytest.fixture
def recorded() -> MappingReport:
    return read_mapping(RECORDED)


def test_a_file_is_read_as_it_was_written(recorded: MappingReport, tmp_path: Path) -> None:
    write_mapping(tmp_path / "m.json", recorded)
    assert read_mapping(tmp_path / "m.json") == recorded
    assert (tmp_path / "m.json").read_bytes() == RECORDED.read_bytes()


def test_one_layer_by_hand(recorded: MappingReport) -> None:
    """48 to 48 channels, 3x3, 128 x 128, int8 on 8 x 8 x 4 x 4 multipliers.

    Input, result and weights all fit their memories, so that the least DRAM traffic is each value once:
    48 * 128 * 128 / 8 words of 64 bits in and out, and 48 * 48 * 9 / 8 of weights. The multipliers divide
    all four loops, so that 48 * 48 * 9 * 128 * 128 / 1024 cycles compute, and the rest waits for DRAM:
    one word a cycle over one port.
    """
    mapped = next(each.mapped for each in recorded.nests if each.nest == MIDDLE)
    words = 48 * 128 * 128 // 8
    assert mapped.accesses["dram"] == Accesses(words + 48 * 48 * 9 // 8, words)
    assert mapped.macs == 48 * 48 * 9 * 128 * 128 and mapped.spatial_utilisation == 1.0
    assert mapped.macs // 1024 <= mapped.computing_cycles <= mapped.cycles
    assert mapped.cycles <= mapped.macs // 1024 + 2 * words + 48 * 48 * 9 // 8
    dram_pj = (words + 2592) * 700 + words * 750
    assert mapped.energy_pj > dram_pj + 0.04 * mapped.macs


def test_no_layer_moves_less_than_each_value_once(recorded: MappingReport) -> None:
    for each in recorded.nests:
        nest, dram = each.nest, each.mapped.accesses["dram"]
        assert dram.reads * 64 >= 8 * (nest.inputs + nest.weights)
        assert dram.writes * 64 >= 8 * nest.outputs


def test_totals_are_sums_over_layers(recorded: MappingReport) -> None:
    """Four of the ten layers share a nest: it counts four times."""
    twin = recorded.networks[0]
    assert len(twin.layers) == 10 and len(recorded.nests) == 6
    totals = recorded.totals(twin)
    cycles = [recorded.nests[number].mapped.cycles for layer in twin.layers for number in layer.nests]
    assert totals.cycles == sum(cycles)
    assert totals.utilisation == pytest.approx(totals.macs / 1024 / sum(cycles))
    parts = sum(recorded.memory_pj(twin).values()) + 0.04 * totals.macs
    assert totals.energy_pj == pytest.approx(parts)
    dram = recorded.bits_moved(twin, "dram") / 64
    assert 700 * dram < totals.dram_pj < 750 * dram


def test_the_text_names_what_is_left_out(recorded: MappingReport) -> None:
    text = mapping_text(recorded)
    assert "edge_tpu_like, 1,024 multipliers" in text and "48 to 48, 3x3, 128x128" in text
    assert "static power" in text and "not mapped" not in text
    assert (
        text.count("different loop nests") == 1 and text.count("each once") == 1
    )  # twin and qann are the same


def changed(change: Callable[[dict[str, Any]], None], path: Path) -> Path:
    document = json.loads(RECORDED.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def energy(document: dict[str, Any]) -> None:
    document["nests"][0]["mapped"]["energy_pj"] *= 0.5


def traffic(document: dict[str, Any]) -> None:
    document["nests"][0]["mapped"]["accesses"]["dram"]["reads"] = 0


def haste(document: dict[str, Any]) -> None:
    document["nests"][0]["mapped"]["cycles"] = 1


def loops(document: dict[str, Any]) -> None:
    document["nests"][0]["nest"]["rows"] = 1


def missing(document: dict[str, Any]) -> None:
    document["networks"][0]["layers"][0]["nests"] = [6]


def twice(document: dict[str, Any]) -> None:
    document["networks"][1]["column"] = "twin"


def total(document: dict[str, Any]) -> None:
    document["totals"]["twin"]["energy_pj"] -= 1


def memory(document: dict[str, Any]) -> None:
    document["nests"][0]["mapped"]["accesses"]["cache"] = {"reads": 1, "writes": 1}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (energy, "not the sum of its multiplications and accesses"),
        (traffic, "not the sum of its multiplications and accesses"),
        (haste, "fewer cycles than its MACs need"),
        (loops, r"nests\[0\] has \d+ MACs and not \d+"),
        (missing, "a nest that is not there"),
        (twice, "one of them twice"),
        (total, "`totals` does not follow"),
        (memory, "a memory that the accelerator does not have"),
        (lambda document: document.pop("clock_mhz"), "clock_mhz"),
        (lambda document: document["nests"][0]["nest"].update(rows=0), "rows"),
        (lambda document: document.update(kind="energy"), "energy"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    change: Callable[[dict[str, Any]], None], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=complaint) as caught:
        read_mapping(changed(change, tmp_path / "m.json"))
    assert "\n" not in str(caught.value)


def test_a_network_without_layers_has_no_utilisation(recorded: MappingReport) -> None:
    empty = replace(recorded.networks[0], layers=())
    totals = recorded.totals(empty)
    assert (totals.macs, totals.cycles, totals.utilisation, totals.energy_pj) == (0, 0, 0.0, 0.0)
