"""`.net` files: every dataset by hand, what is refused, and the integers that lava-dl computes from them."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.errors import (
    BackendUnavailableError,
    DataError,
    ExportError,
    TargetLimitError,
    UnsupportedLayerError,
    VerificationError,
)
from snn_tool.exporters.contract.export import NetworkFile
from snn_tool.exporters.contract.folder import golden_in_memory
from snn_tool.exporters.contract.targets import DEFAULT, Context
from snn_tool.exporters.contract.traces import BackendResult, Trace
from snn_tool.exporters.lava import backend as lava_backend
from snn_tool.exporters.lava.environment import LavaEnvironment
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.exporters.lava.netx import NetxFolder, NetxRun, largest_readout, write_netx
from snn_tool.exporters.lava.simulation import run_on_netx
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import LifNode, Program
from snn_tool.exporters.verify.report import hold
from snn_tool.exporters.verify.running import Runner
from snn_tool.files.artifacts import write_json
from snn_tool.models.integer.engine import IntegerEngine, IntegerTrace, quantize_image
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.texts.deploy import export_document, export_text

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
HEIGHT, WIDTH = 16, 24
LAYERS = ["layer1_in", "layer2_in", "layer3_in", "layer4_in", "layer5_in", "tail_in", "readout"]


@pytest.fixture(scope="module")
def lava() -> LavaEnvironment:
    try:
        found = provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    if not found.lava_dl:
        pytest.skip(f"{found.python}: {found.netx_fault}")
    return found


def program_of(network: IntegerNetwork, height: int = HEIGHT, width: int = WIDTH) -> Program:
    return parse_graph(to_nir(network, height, width), "student.nir")


def write_folder(program: Program, folder: Path) -> NetxRun:
    """What `export --target netx` leaves for the runner."""
    folder.mkdir()
    run = write_netx(folder / "network.net", program)
    write_json(folder / "export.json", "netx-export", 1, {"netx": asdict(run)})
    return run


class Laid(NetxFolder):
    """A folder of a `.net` file alone, without a NIR file."""

    @property
    def order(self) -> list[str]:
        return list(self.run.populations)


def verify_netx(
    folder: Path, run: NetxRun, tiles: NDArray[Any], trace: Trace, context: Context = DEFAULT
) -> BackendResult:
    manifest: Any = SimpleNamespace(netx=run)
    export = Laid(folder, manifest, golden_in_memory(tiles, trace), NetworkFile(folder / "network.nir"))
    return hold(Runner(export, context), "netx")


def tiles_and_trace(
    network: IntegerNetwork, photograph: Image, count: int = 2
) -> tuple[NDArray[np.int16], IntegerTrace]:
    crops = [photograph[:, 20 * i : 20 * i + HEIGHT, 12 * i : 12 * i + WIDTH] for i in range(count)]
    tiles = quantize_image(np.stack(crops), network)
    return tiles, IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])


def with_distinct_biases(network: IntegerNetwork) -> IntegerNetwork:
    """Biases 1, -2, 3, -4, .. through the whole network: no two alike, none zero."""
    magnitude, synapses = 1, []
    for synapse in network.synapses:
        bias = np.arange(magnitude, magnitude + synapse.bias.size, dtype=np.int32)
        synapses.append(replace(synapse, bias=bias * (-1) ** (bias + 1)))
        magnitude += synapse.bias.size
    return replace(network, synapses=tuple(synapses))


@pytest.mark.slow
@pytest.mark.parametrize("conv", ["stock", "blas"])
def test_lava_dl_computes_every_integer(
    lava: LavaEnvironment, make_network: MakeNetwork, photograph: Image, tmp_path: Path, conv: str
) -> None:
    """Three photographs in one run, which must not mix; every layer fires, T = 4, distinct biases."""
    network = with_distinct_biases(make_network("lif", "chain"))
    tiles, trace = tiles_and_trace(network, photograph, 3)
    run = write_folder(program_of(network), tmp_path / "netx")
    result = verify_netx(tmp_path / "netx", run, tiles, trace, Context(lava, conv))
    per_step = HEIGHT * WIDTH * (6 * 4 + 3)
    assert (result.status, result.first) == ("exact", None), result
    assert result.values_compared == 4 * 3 * (2 * per_step - 3 * HEIGHT * WIDTH)
    assert (result.backend, result.tiles, result.versions["lava-dl"]) == ("netx", 3, "0.6.0")
    for name in LAYERS[:-1]:
        assert trace.spikes[name].mean() > 0.005, "a silent layer proves nothing"
        assert trace.spikes[name].mean() < 0.9


@pytest.mark.slow
def test_a_square_image_and_other_geometry(
    lava: LavaEnvironment, make_network: MakeNetwork, photograph: Image, tmp_path: Path
) -> None:
    """A stride of 2 in the second layer, so that the layers differ in size; against the interpreter."""
    program = program_of(make_network("lif", "chain"), 16, 16)
    convs, populations = list(program.convs), list(program.populations)
    convs[1] = replace(convs[1], stride=2)
    populations[1:] = [replace(node, height=8, width=8) for node in populations[1:]]
    program = replace(program, convs=tuple(convs), populations=tuple(populations))
    image = np.random.default_rng(0).integers(-64, 64, (1, 3, 16, 16))
    run = write_folder(program, tmp_path / "netx")
    result = verify_netx(tmp_path / "netx", run, image, run_program(program, image), Context(lava))
    assert result.status == "exact", result


def change_dataset(file: Path, name: str, index: Any, by: int) -> None:
    with h5py.File(file, "r+") as stored:
        values = np.array(stored[name])
        values[index] += by
        stored[name][...] = values


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "index", "layer", "channel"),
    [
        ("layer/3/weight", (2, 1, 0, 2), "layer3_in", 2),
        ("layer/1/weight", (1, 0, 4, 3), "layer1_in", 1),
        ("layer/5/bias", (3,), "layer5_in", 3),
        ("layer/2/neuron/vDecay", (), "layer2_in", None),
    ],
)
def test_one_integer_off_by_one_is_caught_and_located(
    lava: LavaEnvironment,
    make_network: MakeNetwork,
    photograph: Image,
    tmp_path: Path,
    dataset: str,
    index: tuple[int, ...],
    layer: str,
    channel: int | None,
) -> None:
    network = make_network("lif", "chain")
    tiles, trace = tiles_and_trace(network, photograph)
    run = write_folder(program_of(network), tmp_path / "netx")
    change_dataset(tmp_path / "netx/network.net", dataset, index, 1)
    result = verify_netx(tmp_path / "netx", run, tiles, trace, Context(lava))
    assert result.status == "mismatch" and result.mismatches > 0
    assert result.first is not None and (result.first.layer, result.first.quantity) == (layer, "membranes")
    assert channel is None or result.first.index[0] == channel
    assert channel is not None or result.first.timestep == 1, "nothing has leaked before the second step"


def test_what_lava_dl_refuses_is_an_error_not_an_absence(
    lava: LavaEnvironment, make_network: MakeNetwork, photograph: Image, tmp_path: Path
) -> None:
    network = make_network("lif", "chain")
    tiles, trace = tiles_and_trace(network, photograph)
    run = write_folder(program_of(network), tmp_path / "netx")
    with h5py.File(tmp_path / "netx/network.net", "r+") as stored:
        stored["layer/4/type"][0] = b"pool"
    with pytest.raises(VerificationError, match="Lava refuses the network: .*pool is not implemented"):
        verify_netx(tmp_path / "netx", run, tiles, trace, Context(lava))


def test_the_file_holds_every_integer(make_network: MakeNetwork, tmp_path: Path) -> None:
    network = with_distinct_biases(make_network("lif", "chain"))
    run = write_netx(tmp_path / "a.net", program_of(network))
    write_netx(tmp_path / "b.net", program_of(network))
    assert (tmp_path / "a.net").read_bytes() == (tmp_path / "b.net").read_bytes()
    biases: set[int] = set()
    seen: set[str] = set()
    with h5py.File(tmp_path / "a.net", "r") as file:
        layers = file["layer"]
        assert list(file) == ["layer"] and sorted(layers, key=int) == [str(i) for i in range(8)]
        assert sorted(layers["0"]) == ["shape", "type"]
        assert layers["0/type"][()].tolist() == [b"input"]
        assert layers["0/shape"][()].tolist() == [3, HEIGHT, WIDTH]
        for index, (synapse, population) in enumerate(
            zip(network.synapses, network.populations, strict=True), start=1
        ):
            layer, wiring = layers[str(index)], synapse.wiring
            layer.visititems(lambda name, item: seen.add(name) if isinstance(item, h5py.Dataset) else None)
            is_readout = population is network.populations[-1]
            assert layer["type"][()].tolist() == [b"conv"]
            assert layer["shape"][()].tolist() == [population.wiring.channels, HEIGHT, WIDTH]
            np.testing.assert_array_equal(layer["weight"][()], synapse.mantissa)
            np.testing.assert_array_equal(layer["bias"][()], synapse.bias)
            assert layer["stride"][()].tolist() == [1, 1]
            assert layer["padding"][()].tolist() == [wiring.padding] * 2
            assert layer["dilation"][()].tolist() == [wiring.dilation] * 2
            assert layer["groups"][()] == 1
            neuron = layer["neuron"]
            assert neuron["type"][()].tolist() == [b"CUBA"]
            assert neuron["iDecay"][()] == 4096
            assert neuron["vDecay"][()] == (0 if is_readout else network.decay)
            assert neuron["vThMant"][()] == (131071 if is_readout else population.threshold)
            assert (neuron["refDelay"][()], neuron["gradedSpike"][()]) == (1, False)
            biases |= set(layer["bias"][()].tolist())
    assert biases == {magnitude * (-1) ** (magnitude + 1) for magnitude in range(1, 6 * 4 + 3 + 1)}
    assert seen == {
        *("type", "shape", "weight", "bias", "stride", "padding", "dilation", "groups"),
        *(f"neuron/{name}" for name in ("type", "iDecay", "vDecay", "vThMant", "refDelay", "gradedSpike")),
    }
    assert (run.timesteps, run.depth, run.populations) == (4, 7, tuple(LAYERS))
    assert (run.input_message_bits, run.reset_interval, run.reset_offset) == (7, 4, 1)
    assert run.image == (WIDTH, HEIGHT, 3) and run.shapes[0] == (WIDTH, HEIGHT, 4)


@pytest.mark.parametrize(
    ("neuron", "body", "reason"),
    [
        ("lif", "unet", r"down_in: a skip, it sums head, enc_conv2; netx joins no branches"),
        ("lif", "flat", r"block2_in: a skip, it sums head, block1_conv2"),
        ("graded", "chain", r"layer1_in: graded neurons of 4 levels, netx has binary ones; .*and 3 more"),
        ("graded", "unet", r"enc_in: graded neurons"),
    ],
)
def test_what_is_no_plain_stack_is_refused_by_name(
    make_network: MakeNetwork, tmp_path: Path, neuron: str, body: str, reason: str
) -> None:
    with pytest.raises(UnsupportedLayerError, match=reason) as caught:
        write_netx(tmp_path / "network.net", program_of(make_network(neuron, body)))
    assert "\n" not in str(caught.value) and "--body chain --neuron lif" in str(caught.value)
    assert not list(tmp_path.iterdir())


def chain_program(make_network: MakeNetwork) -> Program:
    return program_of(make_network("lif", "chain"))


def with_conv(program: Program, name: str, **changes: Any) -> Program:
    return replace(
        program, convs=tuple(replace(c, **changes) if c.name == name else c for c in program.convs)
    )


def test_a_pixel_shuffle_and_a_branch_are_refused(make_network: MakeNetwork, tmp_path: Path) -> None:
    program = chain_program(make_network)
    with pytest.raises(UnsupportedLayerError, match="layer2: a pixel-shuffle by 2"):
        write_netx(tmp_path / "a.net", with_conv(program, "layer2", upsample=2))
    with pytest.raises(UnsupportedLayerError, match="layer3: a branch, it reads layer1_in and not layer3_in"):
        write_netx(tmp_path / "a.net", with_conv(program, "layer3", source="layer1_in"))


def test_values_beyond_what_netx_holds_are_refused(make_network: MakeNetwork, tmp_path: Path) -> None:
    """Weights without an exponent of their own, thresholds, and a read-out that some image makes fire."""
    program = chain_program(make_network)
    wide = program.conv["layer2"].weight * 4
    with pytest.raises(TargetLimitError, match=r"layer2: weights -\d+\.\.\d+ outside -128\.\.127"):
        write_netx(tmp_path / "a.net", with_conv(program, "layer2", weight=wide, mantissa_exponent=2))
    first, *rest = program.populations
    assert isinstance(first, LifNode)
    high = replace(program, populations=(replace(first, threshold=1 << 17), *rest))
    with pytest.raises(ExportError, match="layer1_in: vth 131072 outside 0..131071"):
        write_netx(tmp_path / "a.net", high)
    tail = program.conv["tail"]
    bias = tail.bias.copy()
    positive = int(np.maximum(tail.weight[1], 0).sum())
    longer = replace(program, timesteps=32)
    bias[1] = 131071 // 32 - positive
    at_most = with_conv(longer, "tail", bias=bias)
    assert largest_readout(at_most) == 32 * (131071 // 32) <= 131071
    write_netx(tmp_path / "a.net", at_most)
    bias[1] += 1
    with pytest.raises(TargetLimitError, match="readout: some image drives it to 131072 LSB"):
        write_netx(tmp_path / "a.net", with_conv(longer, "tail", bias=bias))


def test_without_lava_dl_it_was_not_run(
    make_network: MakeNetwork, photograph: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network("lif", "chain")
    tiles, trace = tiles_and_trace(network, photograph)
    run = write_folder(program_of(network), tmp_path / "netx")
    bare = LavaEnvironment(
        Path("/nowhere/python"), "0.10.0", "3.10.0", False, "test", netx_fault="lava-dl is not installed"
    )
    result = verify_netx(tmp_path / "netx", run, tiles, trace, Context(bare))
    assert (result.status, result.values_compared) == ("not run", 0)
    command = "/nowhere/python -m pip install --ignore-requires-python --no-deps lava-dl==0.6.0"
    assert result.reason == f"/nowhere/python: lava-dl is not installed; run `{command}`"
    ours = replace(bare, origin="cached environment, uv with Python 3.10")
    result = verify_netx(tmp_path / "netx", run, tiles, trace, Context(ours))
    assert result.reason.endswith("; run `snn-tool backend install lava`")
    monkeypatch.setattr(lava_backend, "find_lava", lambda: None)
    assert "Lava is not installed" in verify_netx(tmp_path / "netx", run, tiles, trace).reason


def test_images_are_checked_before_anything_starts(make_network: MakeNetwork, tmp_path: Path) -> None:
    run = write_folder(chain_program(make_network), tmp_path / "netx")
    never = LavaEnvironment(tmp_path / "python", "0.10.0", "3.10.0", False, "test", "0.6.0", "")
    image = np.zeros((1, 3, HEIGHT, WIDTH), dtype=np.int16)
    with pytest.raises(DataError, match=rf"takes \[N, 3, {HEIGHT}, {WIDTH}\]"):
        run_on_netx(tmp_path / "netx", run, image[:, :, 1:], never)
    with pytest.raises(DataError, match="leave the input range -64..63"):
        run_on_netx(tmp_path / "netx", run, image + 64, never)


@pytest.mark.slow
@pytest.mark.parametrize("installed", [True, False])
def test_an_export_from_end_to_end(
    request: pytest.FixtureRequest,
    make_network: MakeNetwork,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,
) -> None:
    """Two tiles of shipped photographs; from the integers, then again from the NIR file that this gave."""
    if installed:
        request.getfixturevalue("lava")
    else:
        monkeypatch.setattr(lava_backend, "find_lava", lambda: None)
    save_integer_network(tmp_path / "student.int.safetensors", make_network("lif", "chain"), {})
    options = GoldenOptions(size=16, task="denoise", sigma="25")
    exported = export_student(tmp_path / "student.int.safetensors", "netx", tmp_path / "out", options)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["export.json", "golden.npz", "network.net", "network.nir", "verification.json"]
    report = json.loads((tmp_path / "out/verification.json").read_text())
    by_name = {result["backend"]: result for result in report["results"]}
    assert list(by_name) == ["nir", "netx"] and by_name["nir"]["status"] == "exact"
    assert by_name["netx"]["status"] == ("exact" if installed else "not run")
    assert by_name["netx"]["values_compared"] == by_name["nir"]["values_compared"] * installed
    assert report["passed"] is installed
    text = export_text(exported)
    assert "network.net: 7 layers" in text and "input_message_bits=7, reset_interval=4" in text
    assert ("netx: exact, 0 of " if installed else "netx: not run; Lava is not installed") in text
    assert export_document(exported)["netx"]["depth"] == 7
    manifest = json.loads((tmp_path / "out/export.json").read_text())
    assert (manifest["kind"], manifest["target"]) == ("netx-export", "netx")
    assert (
        set(manifest["files"]) == {"golden.npz", "network.net", "network.nir"}
        and "h5py" in manifest["versions"]
    )
    again = export_student(tmp_path / "out/network.nir", "netx", tmp_path / "again", options)
    assert (tmp_path / "again/network.net").read_bytes() == (tmp_path / "out/network.net").read_bytes()
    assert again.verification is not None
    assert [result.backend for result in again.verification.results] == ["netx"]
