"""The int8 rivals that come with the package: their files, their cards, and whose they are."""

import json
import shutil
from pathlib import Path

import pytest
from snn_tool.errors import ArtifactError
from snn_tool.models.integer.file import load_integer_network
from snn_tool.networks.rivals import CNN, RIVALS, TWIN, Rival, rivals_of, shipped_rivals
from snn_tool.networks.shipped import read_card, student_path

KNOWN = list(shipped_rivals())


@pytest.mark.parametrize("rival", KNOWN, ids=lambda rival: rival.name)
def test_files_and_card_belong_together(rival: Rival) -> None:
    network, provenance = load_integer_network(rival.path)
    assert rival.parameters == network.topology.parameters
    assert (network.neuron, network.levels, network.timesteps) == ("graded", 127, 1)
    assert sum(path.stat().st_size for path in RIVALS.glob(f"{rival.name}.*")) < 150_000
    for key in ("steps", "seed", "validation_psnr_db"):
        assert rival.training[key] == provenance["training"][key]
    assert rival.recipe[0].startswith("python benchmarks/ship_rivals.py")
    (figure,) = rival.figures
    assert (figure["set"], figure["images"]) == ("CBSD68", 68)


@pytest.mark.parametrize("name", ["denoise-25", "denoise-25-lif"])
def test_a_student_has_a_twin_of_its_wiring_and_a_cnn_of_its_quality(name: str) -> None:
    """Equal quality: within 0.1 dB of the student's integers on CBSD68, both by the cards."""
    found = rivals_of(student_path(name))
    assert set(found) == {TWIN, CNN}
    student, _ = load_integer_network(student_path(name))
    twin, _ = load_integer_network(found[TWIN].path)
    assert twin.topology.synapses == student.topology.synapses
    (figure,) = [f for f in read_card(name).figures if f["set"] == "CBSD68"]
    gap = found[CNN].figures[0]["integer_psnr_db"] - figure["integer_psnr_db"]
    assert abs(gap) <= 0.1
    assert found[CNN].parameters < student.topology.parameters


def test_other_students_have_none() -> None:
    assert rivals_of(student_path("derain")) == {}


def test_a_copy_of_a_student_has_its_rivals(tmp_path: Path) -> None:
    copy = tmp_path / "mine.int.safetensors"
    shutil.copyfile(student_path("denoise-25"), copy)
    assert rivals_of(copy) == rivals_of(student_path("denoise-25")) != {}


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    card = json.loads((RIVALS / f"{KNOWN[0].name}.card.json").read_text())
    (tmp_path / "odd.card.json").write_text(json.dumps({**card, "role": "teacher"}))
    with pytest.raises(ArtifactError, match=r"odd\.card\.json: role"):
        rivals_of(student_path("denoise-25"), tmp_path)
