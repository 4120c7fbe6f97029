"""Files that version 0.1.0 wrote before there were schemas still open, and give the numbers that they gave.

`data/b2f24c7.tar.xz` was made by the code of that commit; the hashes below were computed by it. Widths are 4
and images 8 pixels wide, so that all of it is small.
"""

import hashlib
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from snn_tool.cli.app import run
from snn_tool.exporters.lava.netx import read_netx_folder
from snn_tool.exporters.loihi.bundle import read_bundle
from snn_tool.exporters.loihi.plan_file import read_plan
from snn_tool.exporters.loihi.ranges import read_ranges
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.sanafe.report import read_sanafe
from snn_tool.exporters.verify.report import verify_golden
from snn_tool.models.config import default_config
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import load_integer_network
from snn_tool.models.integer.training import load_dequantized
from snn_tool.models.student import load_student
from snn_tool.models.teachers.registry import load_teacher
from snn_tool.training.run_folder import require_same

ARCHIVE = Path(__file__).parents[2] / "data" / "b2f24c7.tar.xz"
READOUTS = {
    "foreign": "e1abc0e4e72f6a2ad3dd0f34cdfe56e0a8e173a622abbca0bc36ea277e1a7d2e",
    "graded-unet": "de7e98dece8bc1bdaa7057fa03ab851e7458836c8c3085f0e62f21d7ce24bfc5",
    "lif-chain": "fd053ae1436ecad78bbaf7d57022f3755a26a2c8914f28c778bb826204bbbbd5",
}
"""SHA-256 of the read-out's membranes, as little-endian int64, on an image of seed 7."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("name", READOUTS)
def test_integer_networks_give_the_same_integers(old: Path, name: str) -> None:
    network, provenance = load_integer_network(old / f"{name}.int.safetensors")
    height, width = network.image_size or (16, 16)
    image = np.random.default_rng(7).random((1, 3, height, width)).astype(np.float32)
    readout = IntegerEngine(network).run(quantize_image(image, network)).readout
    assert hashlib.sha256(readout.astype("<i8").tobytes()).hexdigest() == READOUTS[name]
    assert provenance["noise"]["task"] == "denoise"


@pytest.mark.parametrize(("name", "body"), [("lif-chain", "chain"), ("graded-unet", "unet")])
def test_float_students_open_and_agree_with_their_integers(old: Path, name: str, body: str) -> None:
    student, config, training = load_student(old / f"{name}.safetensors")
    assert config == replace(default_config(name.split("-")[0], body), width=4)
    assert training["task"] == {"task": "denoise", "sigma": [25.0, 25.0]}
    network, _ = load_integer_network(old / f"{name}.int.safetensors")
    assert network.topology == replace(student.topology, hints=())


def test_a_teacher_opens(old: Path) -> None:
    teacher, description = load_teacher(old / "teacher.safetensors")
    assert (description["architecture"], description["options"]) == ("unet", {"width": 4})
    with torch.no_grad():
        assert teacher(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_a_run_folder_is_known_again_and_its_students_start_others(old: Path) -> None:
    run = old / "run"
    require_same(
        run / "settings.json", {"teacher": "none", "task": {"task": "denoise", "sigma": [25.0, 25.0]}}
    )
    _, config, training = load_student(run / "student.safetensors")
    assert (training["steps"], training["best_step"], training["validation_psnr_db"]) == (2, 1, 20.3709)
    assert load_dequantized(run / "student.int.safetensors")[1] == config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "neuron", "lowering", "neurons"),
    [
        ("b-lif-fanout", "lif", "fanout", 1728),
        ("b-graded-fanout", "graded", "fanout", 4416),
        ("b-graded-relay", "graded", "relay", 5568),
    ],
)
def test_bundles_open_and_are_still_exact(
    old: Path, name: str, neuron: str, lowering: str, neurons: int
) -> None:
    bundle = read_bundle(old / name)
    assert (bundle.neuron, bundle.lowering, bundle.resources.neurons) == (neuron, lowering, neurons)
    assert not bundle.statements().contradictions
    plan, proof = read_plan(old / name / "plan.json"), read_ranges(old / name / "ranges.json")
    assert plan.timesteps == proof.timesteps == bundle.timesteps
    report = verify_golden(bundle, ("nir", "integer"))
    assert [result.status for result in report.results] == ["exact", "exact"]


@pytest.mark.slow
def test_a_netx_folder_opens_and_follows_its_network(old: Path) -> None:
    folder = read_netx_folder(old / "netx")
    assert (folder.run.depth, folder.run.shapes[-1], folder.run.timesteps) == (7, (8, 8, 3), 4)
    assert not folder.statements().contradictions


def test_a_nir_file_opens(old: Path) -> None:
    program = read_program(old / "network.nir")
    assert (program.timesteps, program.height, program.width, program.channels) == (4, 8, 8, 3)


def test_a_check_on_sanafe_opens(old: Path) -> None:
    report = read_sanafe(old / "sanafe.json")
    assert report.passed and (report.neurons, report.tiles[0].exact_synops) == (1728, 29819)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b-lif-fanout", "b-graded-fanout", "b-graded-relay", "netx"])
def test_the_command_verifies_old_exports(old: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-q", "verify", str(old / name), "--backend", "nir"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("nir: exact, 0 of ") and not err
