"""Networks in real SANA-FE against the golden integers, the audit's counts, and computation by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.auditing.sanafe import check_on_chip
from snn_tool.cli.app import run
from snn_tool.errors import BackendUnavailableError, ConfigError, VerificationError
from snn_tool.exporters.contract.folder import Golden
from snn_tool.exporters.contract.traces import compare
from snn_tool.exporters.loihi.bundle import Bundle, export_bundle, read_bundle
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.program import ConvNode, LifNode, Program, ReadoutNode
from snn_tool.exporters.sanafe import environment as sanafe_environment
from snn_tool.exporters.sanafe.environment import SanafeEnvironment, provision_sanafe
from snn_tool.exporters.sanafe.layout import ChipNetwork, chip_network
from snn_tool.exporters.sanafe.report import SanafeReport, read_sanafe
from snn_tool.exporters.sanafe.simulation import run_on_sanafe
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.texts.audit import chip_check_text

pytestmark = pytest.mark.slow

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]
SIDE = 8


@pytest.fixture(scope="module")
def sanafe() -> SanafeEnvironment:
    try:
        return provision_sanafe(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def make_bundle(
    make_network: MakeNetwork, photograph: Image, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Bundle]:
    """Two tiles of 8 x 8 pixels with different spikes."""

    def build(body: str, decay: int | None = None, lowering: str = "fanout", neuron: str = "lif") -> Bundle:
        network = make_network(neuron, body)
        network = network if decay is None else replace(network, decay=decay)
        crops = np.stack([photograph[:, :SIDE, :SIDE], photograph[:, 40:48, 8:16]])
        tiles = quantize_image(crops, network)
        trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
        folder = tmp_path_factory.mktemp(body)
        write_nir(folder / "student.nir", to_nir(network, SIDE, SIDE))
        return export_bundle(
            folder / "student.nir",
            folder / "bundle",
            tiles,
            trace,
            student_sha256="5" * 64,
            lowering=lowering,
        )

    return build


@pytest.fixture(scope="module")
def unet(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle("unet")


@pytest.fixture(scope="module")
def report(sanafe: SanafeEnvironment, unet: Bundle) -> SanafeReport:
    return check_on_chip(unet, sanafe)


def network_of(bundle: Bundle) -> ChipNetwork:
    return chip_network(read_program(bundle.folder / "network.nir"))


@pytest.mark.parametrize(("body", "decay"), [("flat", None), ("unet", 1365), ("chain", 0)])
def test_every_integer_and_every_synop_is_ours(
    sanafe: SanafeEnvironment, make_bundle: Callable[..., Bundle], body: str, decay: int | None
) -> None:
    """A decay of 1365 leaves 2731 / 4096 of a membrane, hence remainders at almost every step."""
    bundle = make_bundle(body, decay)
    checked = check_on_chip(bundle, sanafe)
    assert checked.result.first is None and checked.result.status == "exact"
    golden = bundle.golden
    values = sum(z.size + golden.membranes[name].size for name, z in golden.spikes.items())
    values -= golden.membranes[bundle.program.readout.name].size  # The read-out has no spikes.
    assert (checked.result.values_compared, checked.result.tiles) == (values, 2)
    assert checked.passed and all(tile.counts_agree for tile in checked.tiles)
    for name, spikes in golden.spikes.items():
        assert name == "readout" or np.abs(spikes).mean() > 0.005, "a silent layer proves nothing"
    assert checked.tiles[0] != checked.tiles[1]


def fired(network: ChipNetwork, bundle: Bundle, tile: int) -> dict[str, NDArray[np.int64]]:
    """How often each neuron fires; a relay as often as the population whose spikes it holds."""
    counts = {}
    for group in network.groups:
        spikes = bundle.golden.spikes[group.name.split("_relay")[0]][:, tile].astype(np.int64)
        counts[group.name] = spikes.sum(axis=0).transpose(2, 1, 0).ravel()
    return counts


def test_synops_and_spikes_by_brute_force(report: SanafeReport, unet: Bundle) -> None:
    """Connection by connection, without the audit's formula."""
    network = network_of(unet)
    for tile, found in enumerate(report.tiles):
        counts = fired(network, unet, tile)
        synops = sum(int(counts[c.source][c.sources].sum()) for c in network.connections)
        spikes = sum(int(count.sum()) for count in counts.values())
        assert (found.activity.synaptic_events, found.exact_synops) == (synops, synops)
        assert (found.activity.neurons_fired, found.exact_spikes) == (spikes, spikes)


def test_energy_by_hand(report: SanafeReport, unet: Bundle) -> None:
    """SANA-FE's Loihi: 24 pJ a synop of a convolution, 51.2 an access, 21.6 an update, 69.3 a spike, 111 a
    packet, 3.0 a hop east or west and 4.2 one north or south; four cores a tile, four tiles a column."""
    network = network_of(unet)
    groups = {group.name: group for group in network.groups}
    assert report.neurons == network.neurons and report.steps == 13
    for index, tile in enumerate(report.tiles):
        found, counts = tile.activity, fired(network, unet, index)
        packets = east = north = 0
        for name, group in groups.items():
            reached = set()
            for c in (c for c in network.connections if c.source == name):
                cores = groups[c.target].first_core + c.targets // 1024
                reached |= set(zip(c.sources.tolist(), cores.tolist(), strict=True))
            for neuron, core in reached:
                here, there, times = (group.first_core + neuron // 1024) // 4, core // 4, counts[name][neuron]
                packets += times
                east += times * abs(here // 4 - there // 4)
                north += times * abs(here % 4 - there % 4)
        assert (found.packets, found.hops) == (packets, east + north) and packets > 0 < north
        soma = 51.2 * report.neurons * 13 + 21.6 * found.neuron_updates + 69.3 * tile.exact_spikes
        assert found.energy_j.synapse == pytest.approx(24e-12 * tile.exact_synops, rel=1e-9)
        assert found.energy_j.dendrite == 0
        assert found.energy_j.soma == pytest.approx(soma * 1e-12, rel=1e-9)
        network_j = (111 * packets + 3.0 * east + 4.2 * north) * 1e-12
        assert found.energy_j.network == pytest.approx(network_j, rel=1e-9)
        parts = found.energy_j.synapse + found.energy_j.soma + network_j
        assert found.energy_j.total == pytest.approx(parts, rel=1e-9)
        assert tile.idle_access_j == pytest.approx(51.2e-12 * report.neurons * (13 - 4), rel=1e-9)


def lif(weight: int, bias: int, threshold: int, decay: int, readout_weight: int, exponent: int) -> Program:
    """Red times `weight` drives one neuron for each pixel of a 1 x 2 image; its spikes are read out."""
    none, head = np.zeros(3, dtype=np.int64), np.array([weight, 0, 0]).reshape(1, 3, 1, 1)
    tail = np.full((3, 1, 1, 1), readout_weight << exponent)
    return Program(
        convs=(
            ConvNode("head", "image", head, np.array([bias]), 1, 0, 1, 1, 0),
            ConvNode("tail", "lif", tail, none, 1, 0, 1, 1, exponent),
        ),
        populations=(
            LifNode("lif", ("head",), 1, 1, 2, threshold=threshold, decay=decay),
            ReadoutNode("readout", ("tail",), 3, 1, 2),
        ),
        timesteps=4,
        dt_s=1e-4,
        input_low=-256,
        input_high=255,
        input_step=1,
        height=1,
        width=2,
        residual_scale=1.0,
    )


def red(*values: int) -> NDArray[np.int16]:
    image = np.full((1, 3, 1, len(values)), 7, dtype=np.int16)
    image[0, 0, 0] = values
    return image


def test_lif_by_hand(sanafe: SanafeEnvironment) -> None:
    """Half of the membrane leaks in each step; 64 v counts; it fires above, not at, the threshold.

    First tile, 3 * 2 + 1 = 7 per step: 7, 10.5, 12.25 > 12 fires and resets, 7; 3 * -3 + 1 = -8: -8, -12,
    -14, -15. Second tile, 13 > 12 fires at each step; 12 > 12 does not, 18 does: 12, 18, 12, 18.
    """
    network = chip_network(lif(3, 1, 12, 2048, 5, 0))
    lines: list[str] = []
    first = run_on_sanafe(network, red(2, -3), sanafe, log=lines.append).trace
    assert first.membranes["lif"][:, 0, 0, 0].tolist() == [
        [7 * 64, -8 * 64],
        [672, -12 * 64],
        [0, -14 * 64],
        [7 * 64, -15 * 64],
    ]
    assert first.spikes["lif"][:, 0, 0, 0].tolist() == [[0, 0], [0, 0], [1, 0], [0, 0]]
    assert first.membranes["readout"][:, 0, 0, 0].tolist() == [[0, 0], [0, 0], [320, 0], [320, 0]]
    assert first.readout[0, :, 0].tolist() == [[320, 0]] * 3
    assert "sanafe: step 1 of 1" in lines
    strict = chip_network(lif(1, 0, 12, 2048, 5, 0))
    both = run_on_sanafe(strict, np.concatenate([red(0, 0), red(13, 12)]), sanafe)
    assert both.trace.spikes["lif"][:, 1, 0, 0].tolist() == [[1, 0], [1, 1], [1, 0], [1, 1]]
    assert not both.trace.spikes["lif"][:, 0].any()
    assert [activity.neurons_fired for activity in both.activity] == [0, 6]
    assert [activity.synaptic_events for activity in both.activity] == [0, 18], "three read-outs each"


def test_a_membrane_truncates_toward_zero(sanafe: SanafeEnvironment) -> None:
    """Of 64 v = +-64, 4095 / 4096 is +-63.98: 63 in magnitude on both sides, and so on."""
    network = chip_network(lif(1, 0, 1000, 1, 1, 0))
    trace = run_on_sanafe(network, red(1, -1), sanafe).trace
    assert trace.membranes["lif"][:, 0, 0, 0].tolist() == [[64, -64], [127, -127], [190, -190], [253, -253]]


def test_what_saturates_differs_and_is_found(sanafe: SanafeEnvironment) -> None:
    """Three spikes of 127 << 9 are 195072 LSB; 24 bits end at 8388607 / 64, where SANA-FE goes on."""
    program, image = lif(1, 0, 12, 0, 127, 9), red(13, 0)
    trace = run_on_sanafe(chip_network(program), image, sanafe).trace
    assert trace.membranes["readout"][:, 0, 0, 0, 0].tolist() == [k * 65024 * 64 for k in (1, 2, 3, 4)]
    result = compare(run_program(program, image.astype(np.int64)), trace, ["lif", "readout"], "sanafe")
    first = result.first
    assert first is not None and (first.layer, first.quantity, first.timestep) == ("readout", "membranes", 2)
    assert (first.index, first.expected, first.actual) == ((0, 0, 0), 8388607, 3 * 65024 * 64)


def test_a_mismatch_is_located(sanafe: SanafeEnvironment, unet: Bundle) -> None:
    """One golden spike turned over: its population, timestep and neuron, and a failure."""
    spikes = {name: values.copy() for name, values in unet.golden.spikes.items()}
    spikes["dec_mid"][2, 1, 3, 5, 6] ^= 1
    golden = Golden(unet.golden.tiles, unet.golden.readout, spikes, unet.golden.membranes)
    checked = check_on_chip(replace(unet, golden=golden), sanafe)
    first = checked.result.first
    assert first is not None and not checked.passed
    assert (first.layer, first.quantity, first.timestep, first.tile, first.index) == (
        *("dec_mid", "spikes", 2, 1),
        (3, 5, 6),
    )
    assert checked.result.mismatches == 1 and str(first) in chip_check_text(checked)


def test_the_command_says_writes_and_fails(
    sanafe: SanafeEnvironment,
    make_bundle: Callable[..., Bundle],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = make_bundle("chain").folder, tmp_path / "sanafe.json"
    command = ["-q", "energy", "sanafe", str(folder), "--out", str(out)]
    assert run([*command, "--tiles", "1"]) == 0
    text = capsys.readouterr().out
    assert "sanafe: exact, 0 of " in text and "24 pJ in the synapse" in text and text.count("(exact)") == 2
    once, written = out.read_bytes(), read_sanafe(out)
    assert written.passed and len(written.tiles) == 1 and written.student_sha256 == "5" * 64
    assert written.bundle_sha256 == sha256_file(folder / "bundle.json")
    assert run([*command, "--tiles", "1"]) == 1 and "--overwrite" in capsys.readouterr().err
    assert run([*command, "--tiles", "1", "--overwrite"]) == 0 and out.read_bytes() == once
    spoil(folder)
    assert run([*command, "--overwrite"]) == 3
    assert "readout readout, timestep 3, tile 0, index (0, 0, 0)" in capsys.readouterr().out
    assert read_sanafe(out).passed is False


def spoil(folder: Path) -> None:
    """Add 1 to a golden read-out, and make the manifest's hash agree."""
    with np.load(folder / "golden.npz") as stored:
        arrays = dict(stored)
    arrays["readout"][0, 0, 0, 0] += 1
    np.savez(folder / "golden.npz", **arrays)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["golden.npz"] = sha256_file(folder / "golden.npz")
    (folder / "bundle.json").write_text(json.dumps(manifest))


def test_refusals(
    sanafe: SanafeEnvironment, make_bundle: Callable[..., Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    chain = make_bundle("chain")
    with pytest.raises(ConfigError, match="--tiles must not be negative"):
        check_on_chip(chain, sanafe, -1)
    graded = make_bundle("chain", neuron="graded").folder
    assert run(["-q", "energy", "sanafe", str(graded), "--out", str(graded / "sanafe.json")]) == 1
    assert "carries no payload" in capsys.readouterr().err
    other = chain.folder / "plan.json"
    other.write_text(other.read_text().replace('"vth": ', '"vth": 1'))
    with pytest.raises(VerificationError, match=r"plan\.json: neurons\[.*\]\.vth: stated 1\d+, derived \d+"):
        check_on_chip(chain, sanafe)


def test_without_sanafe_the_remedy_is_named(
    make_bundle: Callable[..., Bundle],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sanafe_environment, "find_sanafe", lambda: None)
    folder = make_bundle("chain").folder
    assert run(["-q", "energy", "sanafe", str(folder), "--out", str(tmp_path / "s.json")]) == 1
    assert "run `snn-tool backend install sanafe`" in capsys.readouterr().err
    assert read_bundle(folder).neuron == "lif" and not (tmp_path / "s.json").exists()


def fake(folder: Path, body: str) -> SanafeEnvironment:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return SanafeEnvironment(path, "2.2.9", "3.11.0", "loihi.yaml", "0" * 64, "test")


@pytest.mark.parametrize(
    ("body", "error", "complaint"),
    [
        ("echo out of luck >&2; exit 9", BackendUnavailableError, "exit code 9: out of luck"),
        ("kill -9 $$", BackendUnavailableError, "exit code -9.*free memory"),
        ("sleep 60", BackendUnavailableError, "did not finish within 1 s"),
        ("exit 0", BackendUnavailableError, "no usable result"),
        ('echo garbage > "$4/result.json"; exit 0', BackendUnavailableError, "no usable result"),
        ("echo too many neurons >&2; exit 4", VerificationError, "refuses the network: too many neurons"),
    ],
)
def test_death_hang_and_garbage_are_told_apart(
    tmp_path: Path, body: str, error: type[Exception], complaint: str
) -> None:
    network = chip_network(lif(3, 1, 12, 2048, 5, 0))
    with pytest.raises(error, match=complaint) as caught:
        run_on_sanafe(network, red(2, -3), fake(tmp_path, body), timeout_s=1)
    assert "\n" not in str(caught.value)


def test_sanafe_itself_refuses_what_it_cannot_map(sanafe: SanafeEnvironment) -> None:
    """A core beyond the chip's 128 comes back as one line with SANA-FE's words."""
    network = chip_network(lif(3, 1, 12, 2048, 5, 0))
    beyond = replace(network, groups=(replace(network.groups[0], first_core=128), network.groups[1]))
    with pytest.raises(VerificationError, match="refuses the network: the network cannot be run: IndexError"):
        run_on_sanafe(beyond, red(2, -3), sanafe)
