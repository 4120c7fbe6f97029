"""Exports of a network that runs twice on an image: every pass in every implementation, and their chain."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture
from snn_tool.degradations.noise import GaussianNoise
from snn_tool.deploy.export import Exported, export_student
from snn_tool.deploy.onnx_networks import check_integer_student, check_network
from snn_tool.deploy.options import GoldenOptions
from snn_tool.deploy.photographs import PhotographOptions, verify_photographs
from snn_tool.deploy.verify import open_export
from snn_tool.errors import ArtifactError, BackendUnavailableError, ExportDiffersError
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.exporters.loihi.bundle import MANIFEST, Bundle
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.nir.passes import first_tiles, next_tiles
from snn_tool.exporters.onnx.float import STUDENT, float_model
from snn_tool.exporters.onnx.integer import integer_model
from snn_tool.exporters.onnx.student import Form
from snn_tool.exporters.verify.report import verify_golden
from snn_tool.exporters.verify.running import Runner
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import IntegerEngine, quantize_image, run_passes
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network

MakeNetwork = Callable[..., IntegerNetwork]
MakeStudent = Callable[..., tuple[Network, StudentConfig]]
Image = NDArray[np.float32]
PATH = Path("student.onnx")
TASK = {"task": {"task": "denoise", "sigma": [25.0, 25.0]}}
CHAIN = "tiles that are not what the pass before gives"


@pytest.fixture
def export(make_network: MakeNetwork, tmp_path: Path) -> Callable[..., Exported]:
    """The files of an untrained student of two passes, one tile a pass."""

    def make(neuron: str, target: str = "loihi", size: int = 16, body: str = "unet") -> Exported:
        source = tmp_path / f"{neuron}.int.safetensors"
        save_integer_network(source, make_network(neuron, body, passes=2), {"training": TASK})
        options = GoldenOptions(tiles=1, size=size)
        return export_student(source, target, tmp_path / f"{neuron}-{target}", options, verify=False)

    return make


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_the_interpreter_chains_passes_as_the_engine_does(
    make_network: MakeNetwork, photograph: Image, tmp_path: Path, neuron: str
) -> None:
    network = make_network(neuron, passes=2)
    write_nir(tmp_path / "network.nir", to_nir(network, 16, 24))
    program = read_program(tmp_path / "network.nir")
    back = integer_network(program)
    assert (program.passes, program.channels, program.image_channels, back.passes) == (2, 6, 3, 2)
    image = quantize_image(np.stack([photograph[:, :16, :24], photograph[:, 40:56, 8:32]]), network)
    tiles = first_tiles(program, image).astype(np.int64)
    for inputs, trace in run_passes(IntegerEngine(network), image):
        np.testing.assert_array_equal(tiles, inputs)
        found = run_program(program, tiles)
        np.testing.assert_array_equal(found.readout, trace.readout)
        tiles = next_tiles(program, tiles, found.readout)


@pytest.mark.slow
def test_a_bundle_has_tiles_of_every_pass_and_says_how_they_chain(export: Callable[..., Exported]) -> None:
    folder = export("graded").folder
    bundle = open_export(folder)
    assert isinstance(bundle, Bundle) and bundle.golden.tiles.shape == (2, 6, 16, 16)
    stated = json.loads((folder / MANIFEST).read_text())["passes"]
    assert (stated["count"], stated["step"], stated["offset"]) == (2, 1, 128)
    report = verify_golden(bundle, ["nir", "integer"])
    assert report.passed and [r.tiles for r in report.results] == [2, 2]
    tiles = bundle.golden.tiles.copy()
    tiles[1, 4, 5, 6] += 1
    golden = replace(bundle.golden, tiles=tiles)
    (wrong,) = replace(bundle, golden=golden).statements().contradictions
    assert (wrong.key, wrong.stated, wrong.derived) == (CHAIN, "1", "0")
    document = json.loads((folder / MANIFEST).read_text())
    document["passes"]["step"] = 2
    (folder / MANIFEST).write_text(json.dumps(document))
    assert [c.key for c in open_export(folder).statements().contradictions] == ["passes.step"]  # type: ignore[union-attr]
    document["passes"]["count"] = 1
    (folder / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=r"passes.count"):
        open_export(folder)


@pytest.mark.slow
def test_lava_runs_both_passes(export: Callable[..., Exported]) -> None:
    try:
        lava = provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    report = verify_golden(open_export(export("lif").folder), ["lava"], Context(lava))
    assert report.passed and report.results[0].tiles == 2


@pytest.mark.slow
def test_a_nir_export_holds_its_chain_against_the_file(make_network: MakeNetwork, tmp_path: Path) -> None:
    source = tmp_path / "student.int.safetensors"
    save_integer_network(source, make_network("lif", "chain", passes=2), {"training": TASK})
    exported = export_student(source, "nir", tmp_path / "out", GoldenOptions(tiles=1, size=16))
    assert exported.verification and exported.verification.passed and exported.verification.statements
    again = export_student(
        tmp_path / "out/network.nir",
        "loihi",
        tmp_path / "again",
        GoldenOptions(tiles=1, size=16),
        verify=False,
    )
    assert again.bundle and not again.bundle.statements().contradictions


@pytest.mark.slow
def test_photographs_go_through_every_pass(export: Callable[..., Exported], tmp_path: Path) -> None:
    runner = Runner(open_export(export("graded", size=32, body="chain").folder))
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (36, 40, 3)).astype(np.uint8)
    Picture.fromarray(noise).save(tmp_path / "images/noise.png")
    options = PhotographOptions(tmp_path / "images", 1, 1, GaussianNoise(25, 25))
    found = verify_photographs(runner, ["nir"], options)
    assert [(result.status, result.tiles) for result in found.tiles] == [("exact", 2)]
    assert [item.name for item in found.whole_images] == ["noise.png, pass 1", "noise.png, pass 2"]
    assert [item.result.status for item in found.whole_images] == ["exact", "exact"]
    # A margin of 13 leaves 6 in the middle: rows 0-19 and 19-36, columns 0-19, 19-25 and 25-40.
    assert found.whole_images[0].windows == 6


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_an_onnx_file_holds_all_passes(
    make_student: MakeStudent, make_network: MakeNetwork, photograph: Image, neuron: str
) -> None:
    images = photograph[None, :, :16, :24]
    network = make_network(neuron, passes=2)
    form = Form(network.timesteps)
    check_integer_student(integer_model(network, form, {}), PATH, network, form, images)
    student = make_student(neuron, passes=2)[0].eval()
    check_network(float_model(student, form, STUDENT, {}), PATH, student, form, images)
    # The file of another network differs from the second pass on, where the scale of a result counts.
    last = replace(network.populations[-1], lsb_exponent=network.populations[-1].lsb_exponent + 1)
    other = replace(network, populations=(*network.populations[:-1], last))
    with pytest.raises(ExportDiffersError, match=f"timestep {network.timesteps}"):
        check_integer_student(integer_model(other, form, {}), PATH, network, form, images)
