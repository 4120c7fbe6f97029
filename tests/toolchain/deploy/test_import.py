"""`import`: three libraries' networks against the libraries themselves, integers against numpy loops."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import snntorch
import torch
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import load_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snntorch.export_nir import export_to_nir as export_snntorch
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir as export_spikingjelly
from torch import nn

STEPS, SIDE = 6, 16
Reference = Callable[..., tuple[NDArray[np.int64], NDArray[np.int64]]]


def of_snntorch(path: Path) -> nn.Module:
    """A denoiser's shape: image in, image out; two Leaky populations of unequal decay, one dilated conv."""

    def leaky(channels: int, beta: float, threshold: float) -> nn.Module:
        shape = (channels, SIDE, SIDE)
        made: nn.Module = snntorch.Leaky(
            beta=torch.full(shape, beta),
            threshold=torch.full(shape, threshold),
            reset_mechanism="zero",
            reset_delay=False,
            init_hidden=True,
        )
        return made

    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        leaky(6, 0.9, 0.6),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2),
        leaky(6, 0.75, 0.3),
        nn.Conv2d(6, 3, 3, padding=1),
    )
    nir.write(path, export_snntorch(network, torch.rand(1, 3, SIDE, SIDE), ignore_dims=[0]))
    for part in network:
        if isinstance(part, snntorch.SpikingNeuron):
            part.reset_mem()
    return network


def of_spikingjelly(path: Path) -> nn.Module:
    """A classifier: a reset below rest, a pool, an unpadded conv, Flatten and a spiking read-out."""
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        neuron.LIFNode(tau=4.0, decay_input=False, v_threshold=0.4, v_reset=-0.125),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 12, 3, bias=False),
        neuron.IFNode(v_threshold=0.25),
        nn.Flatten(),
        nn.Linear(12 * 6 * 6, 10),
        neuron.IFNode(v_threshold=0.1),
    )
    nir.write(path, export_spikingjelly(network, torch.rand(1, 3, SIDE, SIDE)))
    for part in network:
        if isinstance(part, neuron.BaseNode):
            part.reset()
    return network


def of_norse(path: Path) -> Any:
    """Image in, image out, through a leaky integrator; for --dt 0.001.

    norse 1.1.0 writes tau as dt times its own time constant, which dt = 1 makes right, and leaves out sizes
    and arrays that NIR's writer needs; they are filled in here.
    """
    import norse.torch as norse

    torch.manual_seed(3)
    neurons = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(250.0), v_th=torch.tensor(0.05))
    readout = norse.LIBoxParameters(tau_mem_inv=torch.tensor(100.0))
    network = norse.SequentialState(
        nn.Conv2d(3, 6, 3, padding=1),
        norse.LIFBoxCell(neurons),
        nn.Conv2d(6, 3, 3, padding=1),
        norse.LIBoxCell(readout),
    )
    graph = norse.to_nir(network, torch.rand(3, SIDE, SIDE), dt=1.0)
    for node in graph.nodes.values():
        if isinstance(node, nir.Conv2d):
            node.input_shape = (SIDE, SIDE)
        for name, value in vars(node).items():
            if isinstance(value, torch.Tensor | np.ndarray):
                setattr(node, name, np.atleast_1d(np.asarray(value)))
    nir.write(path, graph)
    return network


LIBRARIES = {"snntorch": of_snntorch, "spikingjelly": of_spikingjelly, "norse": of_norse}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two smooth images a little larger than the networks."""
    folder = tmp_path_factory.mktemp("images")
    y, x = np.mgrid[0:20, 0:22]
    for index, phase in enumerate((0.0, 1.3)):
        planes = [127 + 120 * np.sin(x / (3 + c) + y / 5 + phase) for c in range(3)]
        Image.fromarray(np.stack(planes, -1).astype(np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def imported(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """The library's module, the integer network, its provenance and path, by the library's name."""
    made: dict[str, dict[str, Any]] = {}

    def make(library: str) -> dict[str, Any]:
        if library not in made:
            folder = tmp_path_factory.mktemp(library)
            module = LIBRARIES[library](folder / "net.nir")
            out = folder / "net.int.safetensors"
            command = ["-q", "import", str(folder / "net.nir"), "--out", str(out), "--images", str(images)]
            dt = "0.001" if library == "norse" else "0.0001"
            assert run([*command, "--timesteps", str(STEPS), "--dt", dt]) == 0
            network, provenance = load_integer_network(out)
            made[library] = {"module": module, "network": network, "path": out, "provenance": provenance}
        return made[library]

    return make


def shown(images: Path) -> list[NDArray[np.float32]]:
    """The centres [1, 3, 16, 16]: rows 2 to 17, columns 3 to 18."""
    paths = sorted(images.iterdir())
    whole = [np.asarray(Image.open(path)).astype(np.float32) / np.float32(255) for path in paths]
    return [image[2:18, 3:19].transpose(2, 0, 1)[None].copy() for image in whole]


def by_library(library: str, module: Any, image: NDArray[np.float32]) -> tuple[list[Any], NDArray[Any]]:
    """Spikes [T, ...] of each population and the output, computed by the library that wrote the file."""
    seen: dict[int, list[torch.Tensor]] = {}
    parts = [m for m in module.modules() if type(m).__name__ in ("Leaky", "LIFNode", "IFNode", "LIFBoxCell")]
    hooks = [
        part.register_forward_hook(
            lambda _module, _given, out, at=at: seen.setdefault(at, []).append(
                out[0] if isinstance(out, tuple) else out
            )
        )
        for at, part in enumerate(parts)
    ]
    for part in parts:
        if hasattr(part, "reset_mem"):
            part.reset_mem()
        elif hasattr(part, "reset"):
            part.reset()
    outputs, state = [], None
    with torch.no_grad():
        for _ in range(STEPS):
            if library == "norse":
                out, state = module(torch.from_numpy(image), state)
            else:
                out = module(torch.from_numpy(image))
            outputs.append(out[0].double().numpy())
    for hook in hooks:
        hook.remove()
    spikes = [torch.stack([one[0] for one in seen[at]]).numpy() > 0 for at in range(len(parts))]
    return spikes, outputs[-1] if library == "norse" else np.mean(outputs, axis=0)


def by_loops(
    network: IntegerNetwork, image: NDArray[np.int16], lif_reference: Reference
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
    """Spikes [T, C, H, W] and the read-out in numpy int64, one product per tap; knows no engine."""
    emitted = {"image": np.repeat(image[None, 0].astype(np.int64), network.timesteps, 0)}
    for population in network.populations:
        total: Any = 0
        bias = np.zeros(population.wiring.channels, dtype=np.int64)
        for name in population.wiring.inputs:
            synapse = network.by_name[name]
            total = total + convolve(synapse, emitted[synapse.wiring.source])
            bias += synapse.bias
        threshold = None if population is network.populations[-1] else population.threshold
        decay = population.decay
        spikes, membranes = lif_reference(total[:, None], bias, threshold, decay)
        emitted[population.wiring.name] = spikes[:, 0]
    return emitted, membranes[-1, 0]


def convolve(synapse: Any, source: NDArray[np.int64]) -> NDArray[np.int64]:
    wiring = synapse.wiring
    weight = synapse.mantissa.astype(np.int64) * 2**synapse.exponent
    kernel, stride, dilation = wiring.kernel, wiring.stride, wiring.dilation
    padding = dilation * (kernel // 2) if wiring.given_padding is None else wiring.given_padding
    padded = np.pad(source, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    rows, columns = ((side - dilation * (kernel - 1) - 1) // stride + 1 for side in padded.shape[2:])
    out = np.zeros((len(source), len(weight), rows, columns), dtype=np.int64)
    for y, x in np.ndindex(rows, columns):
        taken = padded[:, :, y * stride :, x * stride :][
            :, :, : dilation * (kernel - 1) + 1 : dilation, : dilation * (kernel - 1) + 1 : dilation
        ]
        out[:, :, y, x] = np.einsum("tcij,ocij->to", taken, weight)
    return out


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_reported_loss_is_that_against_the_library_itself(
    imported: Callable[[str], dict[str, Any]], images: Path, lif_reference: Reference, library: str
) -> None:
    """Library on one side, numpy loops on the other; the report's counts follow, spike by spike."""
    made = imported(library)
    network, report = made["network"], made["provenance"]["comparison"]
    keys = ("float_spikes", "integer_spikes", "differing")
    counted = [dict.fromkeys(keys, 0) for _ in report["populations"]]
    squared, outputs = 0.0, 0
    for image in shown(images):
        expected, output = by_library(library, made["module"], image)
        grid = np.floor(image.astype(np.float64) * 255 / 4 + 0.5).astype(np.int16)
        found, readout = by_loops(network, grid, lif_reference)
        for count, theirs, population in zip(counted, expected, report["populations"], strict=True):
            mine = found[population["population"]].reshape(theirs.shape) > 0
            count["float_spikes"] += int(theirs.sum())
            count["integer_spikes"] += int(mine.sum())
            count["differing"] += int((mine != theirs).sum())
            assert 0 < theirs.sum() < theirs.size, "a silent layer proves nothing"
        scaled = readout * 2.0 ** network.populations[-1].lsb_exponent / 64 / STEPS
        squared += float(((scaled.ravel() - output.ravel()) ** 2).sum())
        outputs += output.size
    for count, population in zip(counted, report["populations"], strict=True):
        assert {key: population[key] for key in count} == count
        assert population["differing"] < 0.1 * population["neuron_steps"]
    # The library computes in float32, the report in float64.
    assert report["output_rms_difference"] == pytest.approx(np.sqrt(squared / outputs), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_engine_and_the_interpreter_of_the_exported_file_give_the_loops_integers(
    imported: Callable[[str], dict[str, Any]],
    images: Path,
    lif_reference: Reference,
    tmp_path: Path,
    library: str,
) -> None:
    made = imported(library)
    network, image = made["network"], shown(images)[1]
    tile = quantize_image(image, network)
    expected, readout = by_loops(network, tile, lif_reference)
    names = [p.wiring.name for p in network.populations]
    trace = IntegerEngine(network).run(tile, names)
    command = ["-q", "export", str(made["path"]), "--target", "nir", "--out", str(tmp_path / "out")]
    assert run([*command, "--images", str(images), "--size", str(SIDE)]) == 0
    interpreted = run_program(read_program(tmp_path / "out" / "network.nir"), tile.astype(np.int64))
    for name in names[:-1]:
        np.testing.assert_array_equal(trace.spikes[name][:, 0], expected[name])
        np.testing.assert_array_equal(interpreted.spikes[name][:, 0], expected[name])
    np.testing.assert_array_equal(trace.readout[0], readout)
    np.testing.assert_array_equal(interpreted.readout[0], readout)
    report = json.loads((tmp_path / "out" / "verification.json").read_text(encoding="utf-8"))
    assert report["passed"] is True


def test_what_the_networks_are(imported: Callable[[str], dict[str, Any]]) -> None:
    """Sizes, decays and paddings follow from the libraries' own parameters."""
    denoiser: IntegerNetwork = imported("snntorch")["network"]
    assert denoiser.topology.restores and not denoiser.adds_image
    # beta 0.9 and 0.75 keep that much of the membrane: 4096 times 0.1 and 0.25 are lost.
    assert [p.decay for p in denoiser.populations] == [410, 1024, 0]
    classifier: IntegerNetwork = imported("spikingjelly")["network"]
    assert classifier.image_size == (SIDE, SIDE) and not classifier.topology.restores
    # 16 -> 16 -> (pool 2, conv 3 without padding) 6 -> 1; the pooled kernel spans 2 (3 - 1) + 2 pixels.
    sides = [rows for rows, _ in classifier.topology.sizes(SIDE, SIDE).values()]
    assert sides == [16, 16, 6, 1, 1]
    assert [s.wiring.kernel for s in classifier.synapses] == [3, 6, 6, 1]
    assert [s.wiring.padding for s in classifier.synapses] == [1, 0, 0, 0]
    # tau = 1 / 100 s at a step of 1 ms: a tenth leaks from the read-out.
    assert [p.decay for p in imported("norse")["network"].populations] == [1024, 410]


@pytest.mark.slow
def test_a_pool_before_a_padded_convolution_is_imported_and_verified(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usual CNN, conv - IF - pool - padded conv - IF, of half the size at its output, for any image."""
    rng = np.random.default_rng(0)

    def conv(out: int, given: int, side: int) -> nir.Conv2d:
        weight = rng.normal(0, 0.4, (out, given, 3, 3)).astype(np.float32)
        return nir.Conv2d((side, side), weight, 1, 1, 1, 1, np.full(out, 0.1, np.float32))

    fires = [nir.IF(np.full(1, 1e4), np.full(1, 0.5), np.zeros(1)) for _ in range(2)]
    pool = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.zeros(2, int))
    made = {"c1": conv(4, 3, SIDE), "n1": fires[0], "pool": pool, "c2": conv(3, 4, SIDE // 2), "n2": fires[1]}
    ends = nir.Input(np.array([3, SIDE, SIDE])), nir.Output(np.array([3, SIDE // 2, SIDE // 2]))
    nodes = {"input": ends[0], **made, "output": ends[1]}
    names = list(nodes)
    edges = list(zip(names, names[1:], strict=False))
    nir.write(tmp_path / "cnn.nir", nir.NIRGraph(nodes, edges, type_check=False))
    path = tmp_path / "cnn.int.safetensors"
    command = ["-q", "import", str(tmp_path / "cnn.nir"), "--images", str(images), "--out", str(path)]
    assert run(command) == 0
    network, _ = load_integer_network(path)
    pooled = network.by_name["pool_c2"].wiring
    # A 3x3 kernel of 2x2 means: 6x6 pixels, strided by 2, padded by 2 of them.
    assert (pooled.kernel, pooled.stride, pooled.padding, network.image_size) == (6, 2, 2, None)
    assert not network.topology.restores
    out = tmp_path / "bundle"
    export = ["export", str(path), "--target", "loihi", "--images", str(images), "--no-verify"]
    assert run(["-q", *export, "--size", "16", "--out", str(out)]) == 0
    assert run(["-q", "verify", str(out), "--backend", "integer", "--backend", "nir"]) == 0
    again = ["-q", "import", str(out / "network.nir"), "--images", str(images), "--out", str(path)]
    capsys.readouterr()
    assert run([*again, "--overwrite"]) == 1
    assert "network.nir: made by snn-tool" in capsys.readouterr().err


def test_what_needs_an_output_image_says_so(
    imported: Callable[[str], dict[str, Any]],
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    classifier = str(imported("spikingjelly")["path"])
    for command in (
        ["restore", str(images), "--student", classifier, "--out", str(tmp_path / "a")],
        ["energy", "report", "--student", classifier, "--images", str(images), "--out", str(tmp_path / "b")],
    ):
        assert run(["-q", *command]) == 1
        assert "restores no image of any size" in capsys.readouterr().err
    denoiser = str(imported("snntorch")["path"])
    assert run(["-q", "restore", str(images), "--student", denoiser, "--out", str(tmp_path / "a")]) == 0
    assert Image.open(tmp_path / "a" / "0.png").size == (22, 20)


@pytest.mark.slow
def test_bad_options_are_one_line(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_snntorch(tmp_path / "a.nir")
    head = ["-q", "import", str(tmp_path / "a.nir"), "--images", str(images)]
    out = ["--out", str(tmp_path / "a.int.safetensors")]
    for options, message in (
        (["--out", str(tmp_path / "a.nir")], "ends in .int.safetensors"),
        ([*out, "--timesteps", "65"], "--timesteps 65: use 1 to 64"),
        ([*out, "--input-step", "0"], "--input-step 0: use 1 to 16"),
        ([*out, "--limit", "-1"], "--limit -1"),
        ([*out, "--dt", "0.01"], "is below the timestep of 0.01 s"),
    ):
        assert run([*head, *options]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and message in lines[0]
    Image.new("RGB", (15, 40)).save(tmp_path / "small.png")
    assert run([*head[:4], str(tmp_path / "small.png"), *out]) == 1
    assert "15x40 pixels, but the network takes 16x16" in capsys.readouterr().err
    assert not (tmp_path / "a.int.safetensors").exists()
