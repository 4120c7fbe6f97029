"""A netx folder checked after its export: exact, faults that are located, damage, and photographs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import Mismatch
from snn_tool.exporters.lava.environment import LavaEnvironment
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.exporters.lava.netx import NetxFolder, read_netx_folder
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.program import ConvNode, LifNode
from snn_tool.exporters.verify.report import verify_golden
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

Array = NDArray[np.int64]
Capture = pytest.CaptureFixture[str]
SIDE = 16


@pytest.fixture(scope="module")
def lava() -> LavaEnvironment:
    try:
        found = provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    if not found.lava_dl:
        pytest.skip(f"{found.python}: {found.netx_fault}")
    return found


@pytest.fixture(scope="module")
def exported(
    make_network: Callable[..., IntegerNetwork], tmp_path_factory: pytest.TempPathFactory
) -> NetxFolder:
    """Two tiles of shipped photographs; nobody changes what is handed out here."""
    folder = tmp_path_factory.mktemp("netx")
    save_integer_network(folder / "student.int.safetensors", make_network("lif", "chain"), {})
    options = GoldenOptions(size=SIDE, task="denoise", sigma="25")
    export_student(folder / "student.int.safetensors", "netx", folder / "out", options, verify=False)
    return read_netx_folder(folder / "out")


def copy_of(exported: NetxFolder, folder: Path) -> Path:
    shutil.copytree(exported.folder, folder)
    return folder


def refit_hashes(folder: Path) -> Path:
    manifest = json.loads((folder / "export.json").read_text())
    manifest["files"] = {name: sha256_file(folder / name) for name in manifest["files"]}
    (folder / "export.json").write_text(json.dumps(manifest))
    return folder


def faulty(exported: NetxFolder, folder: Path, dataset: str, index: Any, by: int) -> NetxFolder:
    """A copy whose `.net` file holds one integer more or less; every hash fits again."""
    copy_of(exported, folder)
    with h5py.File(folder / "network.net", "r+") as stored:
        values = np.array(stored[dataset])
        values[index] += by
        stored[dataset][...] = values
    return read_netx_folder(refit_hashes(folder))


# --- The prediction: torch's convolution in float64 and the equation of Lava's stock LIF.


def currents(exported: NetxFolder, conv: ConvNode, weight: Array, bias: Array) -> Array:
    """Currents [T, N, C, H, W] on the golden spikes in front of a convolution."""
    source = exported.golden.spikes[conv.source].astype(np.float64)
    folded = torch.nn.functional.conv2d(
        torch.from_numpy(source).flatten(0, 1), torch.from_numpy(weight).double(),
        torch.from_numpy(bias).double(), conv.stride, conv.padding, conv.dilation,
    )  # fmt: skip
    return folded.unflatten(0, source.shape[:2]).numpy().astype(np.int64)


def first_difference(exported: NetxFolder, node: LifNode, arriving: Array, threshold: int) -> Mismatch | None:
    """What a layer with these currents and this threshold gives otherwise than the golden one."""
    golden, v = exported.golden, np.zeros_like(arriving[0])
    for t, current in enumerate(arriving):
        v = np.sign(v) * (np.abs(v) * (4096 - node.decay) // 4096) + 64 * current
        spikes = v > 64 * threshold
        v = np.where(spikes, 0, v)
        for quantity, found in (("membranes", v), ("spikes", spikes.astype(np.int64))):
            expected = getattr(golden, quantity)[node.name][t]
            if (found != expected).any():
                tile, *index = (int(i) for i in np.argwhere(found != expected)[0])
                at = (tile, *index)
                place = (index[0], index[1], index[2])
                return Mismatch(node.name, quantity, t, tile, place, int(expected[at]), int(found[at]))
    return None


def layer(exported: NetxFolder, index: int) -> tuple[ConvNode, LifNode]:
    """The convolution and the neurons of `layer/<index>`."""
    program = read_program(exported.folder / "network.nir")
    node = program.populations[index - 1]
    assert isinstance(node, LifNode)
    return program.conv[node.inputs[0]], node


def located(folder: NetxFolder, lava: LavaEnvironment) -> Mismatch | None:
    report = verify_golden(folder, ["netx"], Context(lava))
    assert (report.passed, report.failed) == (False, True)
    assert report.statements and report.statements.contradicted("network.net")
    return report.results[0].first


@pytest.mark.slow
def test_one_weight_off_by_one(exported: NetxFolder, lava: LavaEnvironment, tmp_path: Path) -> None:
    conv, node = layer(exported, 3)
    busiest = int(exported.golden.spikes[conv.source].sum(axis=(0, 1, 3, 4)).argmax())
    weight = conv.weight.astype(np.int64)
    tap = (1, busiest, 1, 1)
    by = -1 if weight[tap] > 0 else 1
    wrong = faulty(exported, tmp_path / "wrong", "layer/3/weight", tap, by)
    right = currents(exported, conv, weight, conv.bias)
    assert first_difference(exported, node, right, node.threshold) is None, "the equations must be golden"
    weight[tap] += by
    expected = first_difference(exported, node, currents(exported, conv, weight, conv.bias), node.threshold)
    assert expected is not None and expected.index[0] == 1
    assert located(wrong, lava) == expected


@pytest.mark.slow
def test_one_bias_off_by_one(exported: NetxFolder, lava: LavaEnvironment, tmp_path: Path) -> None:
    conv, node = layer(exported, 5)
    wrong = faulty(exported, tmp_path / "wrong", "layer/5/bias", (2,), 1)
    bias = conv.bias.astype(np.int64).copy()
    bias[2] += 1
    arriving = currents(exported, conv, conv.weight.astype(np.int64), bias)
    expected = first_difference(exported, node, arriving, node.threshold)
    assert expected is not None and (expected.timestep, expected.tile, expected.index) == (0, 0, (2, 0, 0))
    assert located(wrong, lava) == expected


@pytest.mark.slow
def test_one_threshold_off_by_one(exported: NetxFolder, lava: LavaEnvironment, tmp_path: Path) -> None:
    """The first layer with a golden membrane between the two thresholds; otherwise it would be no fault."""
    for index in range(2, 7):
        conv, node = layer(exported, index)
        arriving = currents(exported, conv, conv.weight.astype(np.int64), conv.bias)
        for by in (1, -1):
            if expected := first_difference(exported, node, arriving, node.threshold + by):
                folder = tmp_path / "wrong"
                wrong = faulty(exported, folder, f"layer/{index}/neuron/vThMant", (), by)
                assert located(wrong, lava) == expected
                return
    raise AssertionError("no golden membrane lies at a threshold; take larger tiles")


@pytest.mark.slow
def test_the_command_line_verifies_a_folder(
    exported: NetxFolder, lava: LavaEnvironment, tmp_path: Path, capsys: Capture
) -> None:
    """On golden tiles and on photographs; then a folder that is wrong, with what it costs in dB."""
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    Image.fromarray(read_photograph("skimage.data", "chelsea.png")[:64, :80]).save(photographs / "a.png")
    folder = str(copy_of(exported, tmp_path / "netx"))
    assert run(["-q", "verify", folder, "--images", str(photographs), "--tiles", "3"]) == 0
    out = capsys.readouterr().out
    assert out.count(": exact, 0 of ") == 4 and "netx: exact" in out
    assert "3 tiles of photographs, all layers and steps" in out
    assert json.loads((Path(folder) / "verification.json").read_text())["passed"] is True
    wrong = faulty(exported, tmp_path / "wrong", "layer/7/bias", (0,), 40)
    arguments = ["--backend", "netx", "--images", str(photographs), "--tiles", "1"]
    assert run(["-q", "verify", str(wrong.folder), *arguments]) == 3
    out = capsys.readouterr().out
    assert "first: readout membranes, timestep 0, tile 0, index (0, 0, 0)" in out
    assert "restored tiles differ, netx: " in out and "not what network.nir gives" in out


@pytest.mark.slow
def test_the_engine_and_the_interpreter_agree_without_lava(exported: NetxFolder, tmp_path: Path) -> None:
    folder = read_netx_folder(copy_of(exported, tmp_path / "netx"))
    report = verify_golden(folder, ["integer", "nir"])
    assert report.passed and [result.backend for result in report.results] == ["integer", "nir"]
    assert len({result.values_compared for result in report.results}) == 1


@pytest.mark.slow
def test_a_run_that_the_network_does_not_ask_for_is_seen(exported: NetxFolder, tmp_path: Path) -> None:
    """The reset's interval stands in export.json, outside the `.net` file."""
    folder = copy_of(exported, tmp_path / "netx")
    assert not read_netx_folder(folder).statements().contradictions
    manifest = json.loads((folder / "export.json").read_text())
    manifest["netx"]["reset_interval"] += 1
    (folder / "export.json").write_text(json.dumps(manifest))
    assert [str(found) for found in read_netx_folder(folder).statements().contradictions] == [
        "export.json: netx.reset_interval: stated 5, derived 4"
    ]


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda f: (f / "golden.npz").unlink(), "golden.npz: no such file; export the network again"),
        (lambda f: (f / "network.net").unlink(), "network.net: no such file; export the network again"),
        (
            lambda f: (f / "network.net").write_bytes((f / "network.net").read_bytes()[:2000]),
            "network.net: does not match its hash in export.json; export the network again",
        ),
        (lambda f: edit(f, "schema", 99), "export.json: "),
        (lambda f: edit(f, "netx", {}), "export.json: netx.input_message_bits is missing"),
        (lambda f: (f / "export.json").unlink(), "export.json: "),
    ],
)
def test_a_damaged_folder_is_one_line(
    exported: NetxFolder, tmp_path: Path, capsys: Capture, damage: Callable[[Path], object], complaint: str
) -> None:
    folder = copy_of(exported, tmp_path / "netx")
    damage(folder)
    assert run(["-q", "verify", str(folder)]) == 1
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1
    assert not (folder / "verification.json").exists()


def edit(folder: Path, key: str, value: object) -> None:
    manifest = json.loads((folder / "export.json").read_text())
    manifest[key] = value
    (folder / "export.json").write_text(json.dumps(manifest))


def test_a_truncated_net_file_whose_hash_fits_is_one_line(
    exported: NetxFolder, tmp_path: Path, capsys: Capture
) -> None:
    folder = copy_of(exported, tmp_path / "netx")
    (folder / "network.net").write_bytes((folder / "network.net").read_bytes()[:2000])
    refit_hashes(folder)
    assert run(["-q", "verify", str(folder), "--backend", "integer"]) == 1
    error = capsys.readouterr().err
    assert "network.net: damaged or truncated HDF5" in error and error.count("\n") == 1


def test_a_net_file_that_reaches_outside_itself_is_refused_before_lava_dl_sees_it(
    exported: NetxFolder, tmp_path: Path, capsys: Capture
) -> None:
    folder = copy_of(exported, tmp_path / "netx")
    with h5py.File(folder / "network.net", "r+") as stored:
        del stored["layer/1/weight"]
        stored["layer/1/weight"] = h5py.ExternalLink(str(exported.folder / "network.net"), "layer/1/weight")
    refit_hashes(folder)
    assert run(["-q", "verify", str(folder), "--backend", "integer"]) == 1
    error = capsys.readouterr().err
    assert "network.net: layer/1/weight: an external link, which is not followed" in error
    assert error.count("\n") == 1


def test_an_unknown_backend_is_a_usage_error(exported: NetxFolder, tmp_path: Path, capsys: Capture) -> None:
    folder = copy_of(exported, tmp_path / "netx")
    assert run(["-q", "verify", str(folder), "--backend", "lava"]) == 2
    error = capsys.readouterr().err
    assert "--backend" in error and "lava is not one of integer, nir, netx" in error


def test_a_folder_of_something_else_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    assert run(["-q", "verify", str(tmp_path)]) == 1
    assert "neither a Loihi-style bundle (bundle.json) nor a netx folder" in capsys.readouterr().err
