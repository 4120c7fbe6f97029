"""Bundles on photographs: tiles layer by layer, whole images by windows, faults that must be seen there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.errors import ArtifactError, BackendUnavailableError, ConfigError, DataError
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.exporters.loihi.bundle import export_bundle, read_bundle
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.verify.images import verify_tiles, verify_whole_image
from snn_tool.exporters.verify.running import Runner
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork

MakeNetwork = Callable[..., IntegerNetwork]
Picture = NDArray[np.float32]
COMBINATIONS = [(neuron, body) for neuron in ("lif", "graded") for body in ("unet", "flat")]


@pytest.fixture(scope="module")
def lava() -> None:
    try:
        provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def make_bundle(make_network: MakeNetwork, photograph: Picture, tmp_path: Path) -> Callable[..., Path]:
    """A bundle for one size, with one golden tile."""

    def build(neuron: str, body: str = "unet", side: int = 16) -> Path:
        network = make_network(neuron, body)
        tiles = quantize_image(photograph[None, :, :side, :side], network)
        trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
        write_nir(tmp_path / "network.nir", to_nir(network, side, side))
        out = tmp_path / f"{neuron}-{body}"
        export_bundle(tmp_path / "network.nir", out, tiles, trace, student_sha256="5" * 64)
        return out

    return build


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), COMBINATIONS)
def test_a_file_gives_its_network_back(
    make_network: MakeNetwork, photograph: Picture, tmp_path: Path, neuron: str, body: str
) -> None:
    """Every integer and every wire; and the scale of the read-out, the only LSB that a run needs."""
    network = make_network(neuron, body)
    write_nir(tmp_path / "network.nir", to_nir(network, 16, 24))
    back = integer_network(read_program(tmp_path / "network.nir"))
    assert {s.wiring.name for s in back.synapses} == {s.wiring.name for s in network.synapses}
    for name, synapse in network.by_name.items():
        np.testing.assert_array_equal(back.by_name[name].mantissa, synapse.mantissa)
        assert back.by_name[name].exponent == synapse.exponent
    assert [p.wiring for p in back.populations] == [p.wiring for p in network.populations]
    assert [p.threshold for p in back.populations] == [p.threshold for p in network.populations]
    assert back.residual_scale == network.residual_scale
    image = quantize_image(photograph[None, :, :16, :24], network)
    first, second = (IntegerEngine(one).run(image, ["tail_in"]) for one in (network, back))
    np.testing.assert_array_equal(first.readout, second.readout)
    np.testing.assert_array_equal(first.spikes["tail_in"], second.spikes["tail_in"])


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), COMBINATIONS)
@pytest.mark.usefixtures("lava")
def test_tiles_are_exact_in_every_combination(
    make_bundle: Callable[..., Path], photograph: Picture, neuron: str, body: str
) -> None:
    """Tiles that are not the golden one; all membranes are counted, and all spikes but the read-out's."""
    runner = Runner(read_bundle(make_bundle(neuron, body)))
    tiles = np.stack([photograph[:, y : y + 16, y : y + 16] for y in (7, 20, 48)])
    integers = quantize_image(tiles, runner.engine.network)
    neurons = sum(p.channels * p.height * p.width for p in runner.program.populations)
    expected = 3 * runner.program.timesteps * (2 * neurons - 3 * 16 * 16)
    for backend in ("nir", "lava"):
        result = verify_tiles(runner, integers, backend)
        assert (result.status, result.tiles, result.values_compared) == ("exact", 3, expected), result


@pytest.mark.slow
@pytest.mark.parametrize("body", ["unet", "flat"])
@pytest.mark.usefixtures("lava")
def test_a_whole_image_is_put_together_from_windows(
    make_bundle: Callable[..., Path], photograph: Picture, body: str
) -> None:
    """64 x 56 pixels from windows that are smaller; the middle of a window sees all that it depends on."""
    side = 48 if body == "unet" else 52
    runner = Runner(read_bundle(make_bundle("graded", body, side)), Context(conv="blas"))
    assert side > 2 * runner.engine.network.topology.receptive_radius
    image = quantize_image(photograph[:, :, :56], runner.engine.network)
    for backend in ("nir", "lava"):
        found = verify_whole_image(runner, "photograph", image, backend)
        assert found.windows > 1
        assert (found.result.status, found.result.values_compared) == ("exact", 3 * 64 * 56), found


@pytest.mark.slow
def test_windows_without_a_middle_are_refused(make_bundle: Callable[..., Path], photograph: Picture) -> None:
    runner = Runner(read_bundle(make_bundle("graded")))
    image = quantize_image(photograph, runner.engine.network)
    with pytest.raises(ConfigError, match="windows of 16 pixels have no middle beyond .*--size"):
        verify_whole_image(runner, "p", image, "nir")
    with pytest.raises(DataError, match="side of 12 pixels is smaller than the network's 16"):
        verify_whole_image(runner, "p", image[:, :12], "nir")


@pytest.mark.slow
def test_photographs_on_the_command_line(
    make_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from skimage import data

    bundle, folder = make_bundle("graded", "unet", 48), tmp_path / "photographs"
    folder.mkdir()
    Image.fromarray(np.ascontiguousarray(data.coffee()[100:163, 100:171])).save(folder / "coffee.png")
    arguments = ["-q", "verify", str(bundle), "--backend", "nir", "--backend", "integer"]
    assert run([*arguments, "--images", str(folder), "--tiles", "2", "--whole", "1"]) == 0
    text = capsys.readouterr().out
    assert "integer: exact, 0 of" in text
    assert "on 2 tiles of photographs, all layers and steps" in text
    assert "of 13,824 integers differ on the whole coffee.png, 72x64 in" in text
    assert run([*arguments, "--images", str(folder), "--tiles", "-1"]) == 1


@pytest.mark.slow
def test_a_file_whose_kernels_the_engine_cannot_run_is_named(
    make_bundle: Callable[..., Path],
) -> None:
    from dataclasses import replace

    program = read_program(make_bundle("graded") / "network.nir")
    odd = replace(program.convs[1], weight=program.convs[1].weight[..., :2])
    with pytest.raises(ArtifactError, match="enc_conv1: a kernel of 3x2; the engine runs square ones"):
        integer_network(replace(program, convs=(program.convs[0], odd, *program.convs[2:])))
