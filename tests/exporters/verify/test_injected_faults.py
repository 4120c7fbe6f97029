"""Three faults in every deployment: a weight, a delay, a threshold off by one. Verification must say where.

What it says is held against a prediction that knows nothing of Lava, of the plan or of the interpreter: from
the golden spikes in front of the faulty place, torch's convolution in float64 and the neuron's equation below
give every value of the first layer that can see the fault. The first of them that differs from the golden
ones, in the order of time, tile and index, must be the mismatch that is reported, both values included.
"""

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.degradations.crops import draw_tiles
from snn_tool.degradations.tasks import degradation_from_options
from snn_tool.errors import BackendUnavailableError, VerificationError
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import Mismatch
from snn_tool.exporters.lava.environment import LavaEnvironment
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.exporters.loihi.bundle import Bundle, export_bundle, read_bundle
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.program import ConvNode, GradedNode, PopulationNode, Program
from snn_tool.exporters.verify.report import verify_golden
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork

pytestmark = pytest.mark.slow

Array = NDArray[np.int64]
Document, Arrays = dict[str, Any], dict[str, NDArray[Any]]
Change = Callable[[Document, Arrays], None]
MakeNetwork = Callable[..., IntegerNetwork]

SIDE = 8
COMBINATIONS = [
    ("lif", "unet", "fanout"),
    ("graded", "unet", "fanout"),
    ("lif", "flat", "fanout"),
    ("graded", "flat", "fanout"),
]
LIF_BY_RELAY, GRADED_BY_RELAY = ("lif", "unet", "relay"), ("graded", "unet", "relay")


@dataclass(frozen=True)
class Deployed:
    """A bundle of two tiles, the network that it was made from, and what its file says."""

    bundle: Bundle
    network: IntegerNetwork
    program: Program


@pytest.fixture(scope="module")
def lava() -> LavaEnvironment:
    try:
        return provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def exported(
    make_network: MakeNetwork, photograph: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Deployed]:
    """Each combination is exported once; nobody changes what is handed out here."""
    made: dict[tuple[str, str, str], Deployed] = {}

    def build(neuron: str, body: str = "unet", lowering: str = "fanout") -> Deployed:
        key = (neuron, body, lowering)
        if key not in made:
            folder, network = tmp_path_factory.mktemp("-".join(key)), make_network(neuron, body)
            crops = np.stack([photograph[:, :SIDE, :SIDE], photograph[:, 40:48, 8:16]])
            tiles = quantize_image(crops, network)
            trace = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
            write_nir(folder / "student.nir", to_nir(network, SIDE, SIDE))
            bundle = export_bundle(
                folder / "student.nir", folder / "bundle", tiles, trace,
                student_sha256="5" * 64, lowering=lowering,
            )  # fmt: skip
            made[key] = Deployed(bundle, network, read_program(folder / "student.nir"))
        return made[key]

    return build


# --- Tampering: every hash fits again afterwards.


def corrupted(bundle: Bundle, folder: Path, change: Change) -> Bundle:
    """A copy whose plan, which is what Lava loads, was changed."""
    shutil.copytree(bundle.folder, folder)
    document = json.loads((folder / "plan.json").read_text())
    with np.load(folder / "plan.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    change(document, arrays)
    (folder / "plan.json").write_text(json.dumps(document))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (folder / "plan.npz").write_bytes(buffer.getvalue())
    return with_fitting_hashes(folder)


def with_fitting_hashes(folder: Path) -> Bundle:
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"] = {name: sha256_file(folder / name) for name in manifest["files"]}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return read_bundle(folder)


def named(entries: list[Document], name: str) -> Document:
    return next(entry for entry in entries if entry["name"] == name)


def located(bundle: Bundle, backend: str, lava: LavaEnvironment | None = None) -> Mismatch:
    """What a backend reports; the report as a whole must fail."""
    report = verify_golden(bundle, [backend], context=Context(lava))
    (result,) = report.results
    assert (report.passed, report.failed) == (False, True)
    assert report.statements and report.statements.contradictions
    assert not report.statements.contradicted("golden.npz")
    assert result.status == "mismatch" and result.mismatches > 0 and result.first is not None
    return result.first


# --- The prediction.


def current(conv: ConvNode, source: NDArray[Any]) -> Array:
    """What a convolution makes of [M, Ci, H, W], by torch in float64, exact below 2^53; nothing wraps."""
    values = torch.nn.functional.conv2d(
        torch.tensor(source, dtype=torch.float64),
        torch.tensor(conv.weight, dtype=torch.float64),
        None, conv.stride, conv.padding, conv.dilation,
    )  # fmt: skip
    return torch.nn.functional.pixel_shuffle(values, conv.upsample).numpy().astype(np.int64)


def arriving(deployed: Deployed, name: str) -> Array:
    """A convolution's current [T, N, C, H, W] on the golden tiles; the image repeats at every step."""
    program, golden = deployed.program, deployed.bundle.golden
    conv, steps, count = program.conv[name], program.timesteps, len(golden.tiles)
    emitted = np.stack([golden.tiles] * steps) if conv.source == "image" else golden.spikes[conv.source]
    flat = current(conv, emitted.reshape(steps * count, *emitted.shape[2:]))
    return flat.reshape(steps, count, *flat.shape[1:])


def total(deployed: Deployed, node: PopulationNode) -> Array:
    return np.sum([arriving(deployed, name) for name in node.inputs], axis=0)


def respond(deployed: Deployed, node: PopulationNode, currents: Array) -> tuple[Array, Array]:
    """Membranes and spikes [T, N, C, H, W] for currents of the same shape."""
    bias = deployed.program.bias(node)[:, None, None]
    if isinstance(node, GradedNode):
        v = currents + bias
        rungs = np.minimum((2 * np.abs(v) + node.threshold) // (2 * node.threshold), node.levels)
        return v, np.sign(v) * rungs if node.signed else np.where(v > 0, rungs, 0)
    membranes, spikes, v = np.zeros_like(currents), np.zeros_like(currents), np.zeros_like(currents[0])
    for t in range(len(currents)):
        v = np.sign(v) * (np.abs(v) * (4096 - node.decay) // 4096) + 64 * (currents[t] + bias)
        spikes[t] = v > 64 * node.threshold
        v = membranes[t] = np.where(spikes[t], 0, v)
    return membranes, spikes


def predicted(
    deployed: Deployed, node: PopulationNode, currents: Array, *, threshold: int = 0
) -> Mismatch | None:
    """The first value of a layer that other currents, or a threshold of `threshold` more, change; or None."""
    golden = deployed.bundle.golden
    for mine, theirs in zip(
        respond(deployed, node, total(deployed, node)),
        (golden.membranes[node.name], golden.spikes[node.name]),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs, err_msg="without a fault the equations must be golden")
    changed = respond(deployed, replace(node, threshold=node.threshold + threshold), currents)
    for step in range(len(currents)):
        for quantity, other in zip(("membranes", "spikes"), changed, strict=True):
            expected = getattr(golden, quantity)[node.name][step]
            if (other[step] != expected).any():
                tile, *index = (int(i) for i in np.argwhere(other[step] != expected)[0])
                at = (tile, *index)
                return Mismatch(
                    node.name, quantity, step, tile, (index[0], index[1], index[2]),
                    int(expected[at]), int(other[step][at]),
                )  # fmt: skip
    return None


# --- One weight.


@dataclass(frozen=True)
class WeightFault:
    """One tap [o, i, y, x], one more; and the layer that sees it first."""

    conv: ConvNode
    tap: tuple[int, int, int, int]
    reader: PopulationNode


def weight_fault(deployed: Deployed) -> WeightFault:
    """Of the first synapse that several populations read spikes through: its earliest reader must be named.

    The centre tap lies on every source neuron, the input channel is the busiest: spikes do meet the weight.
    """
    program = deployed.program

    def readers(conv: ConvNode) -> list[PopulationNode]:
        return [p for p in program.populations if conv.name in p.inputs]

    conv = next(c for c in program.convs if c.source != "image" and c.upsample == 1 and len(readers(c)) > 1)
    busiest = int(np.abs(deployed.bundle.golden.spikes[conv.source]).sum(axis=(0, 1, 3, 4)).argmax())
    centre = conv.weight.shape[2] // 2
    return WeightFault(conv, (len(conv.weight) - 1, busiest, centre, centre), readers(conv)[0])


def currents_of(deployed: Deployed, fault: WeightFault, by: int) -> Array:
    """The reader's currents where the tap is `by` more: `by` spikes of that source channel are added."""
    tap = np.zeros_like(fault.conv.weight)
    tap[fault.tap] = by
    source = deployed.bundle.golden.spikes[fault.conv.source]
    extra = current(replace(fault.conv, weight=tap), source.reshape(-1, *source.shape[2:]))
    return total(deployed, fault.reader) + extra.reshape(*source.shape[:2], *extra.shape[1:])


@pytest.mark.parametrize(("neuron", "body", "lowering"), [*COMBINATIONS, GRADED_BY_RELAY])
def test_one_weight_off_by_one(
    exported: Callable[..., Deployed], lava: LavaEnvironment, tmp_path: Path,
    neuron: str, body: str, lowering: str,
) -> None:  # fmt: skip
    """A plan's kernels are flipped (Co, kx, ky, Ci), and the centre is its own mirror image."""
    deployed = exported(neuron, body, lowering)
    fault = weight_fault(deployed)
    out, channel, y, x = fault.tap

    def change(document: Document, arrays: Arrays) -> None:
        arrays[f"weight.{fault.conv.name}"][out, x, y, channel] += 1

    first = located(corrupted(deployed.bundle, tmp_path / "b", change), "lava", lava)
    assert first == predicted(deployed, fault.reader, currents_of(deployed, fault, 1))
    assert (first.layer, first.quantity, first.index[0]) == (fault.reader.name, "membranes", out)
    if neuron == "graded":
        # Stride 1 and the centre tap: the presynaptic neuron stands where the mismatch is.
        spike = deployed.bundle.golden.spikes[fault.conv.source][0, first.tile, channel, *first.index[1:]]
        assert first.actual - first.expected == spike != 0


# --- One delay.


def shifted(currents: Array, by: int) -> Array:
    """Currents [T, N, ..] of images in a row, read `by` steps later; nothing before and after."""
    stream = np.swapaxes(currents, 0, 1).reshape(-1, *currents.shape[2:])
    moved = np.zeros_like(stream)
    if by > 0:
        moved[by:] = stream[:-by]
    else:
        moved[:by] = stream[-by:]
    return np.swapaxes(moved.reshape(currents.shape[1], currents.shape[0], *currents.shape[2:]), 0, 1)


def carried(deployed: Deployed, connection: Document) -> tuple[PopulationNode, Array]:
    """The layer that sees first what a connection of the plan carries, and those currents.

    An accumulator `<population>_stream` holds the sum of that population's inputs and is compared through it.
    """
    by_name = deployed.program.population
    reader = by_name[connection["target"].removesuffix("_stream")]
    held = re.sub(r"_stream.*", "", connection["source"])
    if "_stream" in connection["source"]:
        return reader, total(deployed, by_name[held])
    return reader, arriving(deployed, connection["synapse"])


@pytest.mark.parametrize(("neuron", "body", "lowering"), [*COMBINATIONS[:3], LIF_BY_RELAY])
def test_one_delay_a_step_too_early(
    exported: Callable[..., Deployed], lava: LavaEnvironment, tmp_path: Path,
    neuron: str, body: str, lowering: str,
) -> None:  # fmt: skip
    """The first connection that reads a chain of relays reads it one relay too soon."""
    deployed, chosen = exported(neuron, body, lowering), {}

    def change(document: Document, arrays: Arrays) -> None:
        delayed = (c for c in document["convs"] if "_relay" in c["source"] and "_relay" not in c["target"])
        chosen.update(next(delayed))
        name, _, stage = chosen["source"].rpartition("_relay")
        sooner = f"{name}_relay{int(stage) - 1}" if int(stage) > 1 else name
        named(document["convs"], chosen["name"])["source"] = sooner

    first = located(corrupted(deployed.bundle, tmp_path / "b", change), "lava", lava)
    reader, currents = carried(deployed, chosen)
    assert first == predicted(deployed, reader, total(deployed, reader) - currents + shifted(currents, -1))
    if lowering == "relay":
        assert first.timestep == 3, "the image's current repeats: only the last step sees the next image"
    # What comes after the last image is not known for spikes, and not needed.
    assert (first.timestep, first.tile) != (deployed.program.timesteps - 1, 1)


@pytest.mark.parametrize(
    ("neuron", "body", "lowering"), [*COMBINATIONS[:2], COMBINATIONS[3], GRADED_BY_RELAY]
)
def test_one_delay_a_step_too_late(
    exported: Callable[..., Deployed], lava: LavaEnvironment, tmp_path: Path,
    neuron: str, body: str, lowering: str,
) -> None:  # fmt: skip
    """By fan-out the image's last presentation comes late; by relay an accumulator is read behind a relay.

    Before the first image both are silent, so that the first step of the first tile lacks the current.
    """
    deployed, chosen = exported(neuron, body, lowering), {}

    def change(document: Document, arrays: Arrays) -> None:
        if lowering == "relay":
            connection = named(document["convs"], "enc_in_stream__enc_in")
            connection["source"] = "enc_in_stream_relay1"
        else:
            last = max(document["sources"], key=lambda source: source["offset"])
            last["offset"] += 1
            connection = next(conv for conv in document["convs"] if conv["source"] == last["name"])
        chosen.update(connection)

    first = located(corrupted(deployed.bundle, tmp_path / "b", change), "lava", lava)
    reader, currents = carried(deployed, chosen)
    assert first == predicted(deployed, reader, total(deployed, reader) - currents + shifted(currents, 1))
    assert (first.layer, first.timestep, first.tile) == (chosen["target"], 0, 0)


# --- One threshold.


def threshold_fault(deployed: Deployed) -> tuple[PopulationNode, int, Mismatch]:
    """The first layer, and sign, for which a golden membrane lies between the old threshold and the new.

    Any other off by one is no fault that these tiles, or anybody who sees them alone, could know of.
    """
    for node in deployed.program.populations[:-1]:
        for by in (1, -1):
            found = predicted(deployed, node, total(deployed, node), threshold=by)
            if found is not None:
                return node, by, found
    raise AssertionError("no golden membrane lies at a threshold; take larger tiles")


@pytest.mark.parametrize(("neuron", "body", "lowering"), COMBINATIONS)
def test_one_threshold_off_by_one(
    exported: Callable[..., Deployed], lava: LavaEnvironment, tmp_path: Path,
    neuron: str, body: str, lowering: str,
) -> None:  # fmt: skip
    """Exactly the neurons that stand between the two thresholds change; the earliest of them is named."""
    deployed = exported(neuron, body, lowering)
    node, by, expected = threshold_fault(deployed)

    def change(document: Document, arrays: Arrays) -> None:
        named(document["neurons"], node.name)["threshold" if neuron == "graded" else "vth"] += by

    first = located(corrupted(deployed.bundle, tmp_path / "b", change), "lava", lava)
    assert first == expected and first.layer == node.name
    if neuron == "graded":
        assert first.quantity == "spikes" and abs(first.actual - first.expected) == 1
    else:
        # Fired and was reset, or keeps its membrane; which lies between the thresholds.
        held = first.actual if by > 0 else first.expected
        between = sorted((64 * node.threshold, 64 * (node.threshold + by)))
        assert first.quantity == "membranes" and 0 in (first.expected, first.actual)
        assert between[0] < held <= between[1]


# --- The same faults in the NIR file; it has no delays, a deployment derives them.


def rewritten(deployed: Deployed, network: IntegerNetwork, folder: Path) -> Bundle:
    """A copy whose network.nir says another network."""
    shutil.copytree(deployed.bundle.folder, folder)
    write_nir(folder / "network.nir", to_nir(network, SIDE, SIDE))
    return with_fitting_hashes(folder)


def file_faults(deployed: Deployed) -> Iterator[tuple[IntegerNetwork, Mismatch | None]]:
    """A mantissa one more, which weighs 2^exponent; a threshold one more or less."""
    network, fault = deployed.network, weight_fault(deployed)
    synapse = network.by_name[fault.conv.name]
    mantissa = synapse.mantissa.copy()
    by = 1 if mantissa[fault.tap] < 127 else -1
    mantissa[fault.tap] += by
    synapses = tuple(replace(s, mantissa=mantissa) if s is synapse else s for s in network.synapses)
    currents = currents_of(deployed, fault, by << synapse.exponent)
    yield replace(network, synapses=synapses), predicted(deployed, fault.reader, currents)
    node, by, expected = threshold_fault(deployed)
    populations = tuple(
        replace(p, threshold=p.threshold + by) if p.wiring.name == node.name else p
        for p in network.populations
    )
    yield replace(network, populations=populations), expected


@pytest.mark.parametrize(("neuron", "body", "lowering"), COMBINATIONS)
def test_faults_in_the_nir_file(
    exported: Callable[..., Deployed], tmp_path: Path, neuron: str, body: str, lowering: str
) -> None:
    """The interpreter and the engine both run what the file says now, against the golden integers."""
    deployed = exported(neuron, body, lowering)
    for index, (network, expected) in enumerate(file_faults(deployed)):
        bundle = rewritten(deployed, network, tmp_path / str(index))
        assert located(bundle, "nir") == located(bundle, "integer") == expected


# --- Further faults, and those that are no mismatch.


def test_an_accumulator_that_saturates(
    exported: Callable[..., Deployed], lava: LavaEnvironment, tmp_path: Path
) -> None:
    """Cut to one level the sum is its sign; seen by the first reader of the stream."""
    deployed = exported("graded", "unet", "relay")
    node = deployed.program.population["mid_in"]
    assert np.abs(total(deployed, node)).max() > 1

    def change(document: Document, arrays: Arrays) -> None:
        named(document["neurons"], "mid_in_stream")["levels"] = 1

    first = located(corrupted(deployed.bundle, tmp_path / "b", change), "lava", lava)
    assert first == predicted(deployed, node, np.sign(total(deployed, node)))


def test_a_decay(exported: Callable[..., Deployed], lava: LavaEnvironment, tmp_path: Path) -> None:
    def change(document: Document, arrays: Arrays) -> None:
        named(document["neurons"], "up_in")["dv"] += 1

    first = located(corrupted(exported("lif").bundle, tmp_path / "b", change), "lava", lava)
    assert (first.layer, first.timestep) == ("up_in", 1), "nothing has leaked before the second step"


def test_a_plan_that_cannot_run_is_an_error_not_an_absence(
    exported: Callable[..., Deployed], lava: LavaEnvironment, tmp_path: Path
) -> None:
    def change(document: Document, arrays: Arrays) -> None:
        del arrays["weight.tail"]

    bundle = corrupted(exported("graded").bundle, tmp_path / "b", change)
    with pytest.raises(VerificationError, match=r"Lava refuses the network.*weight\.tail"):
        verify_golden(bundle, ["lava"], context=Context(lava))


@pytest.mark.usefixtures("lava")
def test_the_command_line_says_where_and_what_it_costs(
    exported: Callable[..., Deployed], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, one line with the place; on photographs the PSNR between both restorations.

    That PSNR is computed here from the engine, run on the network that has the same weight one more.
    """
    from skimage import data

    deployed = exported("graded")
    fault, network = weight_fault(deployed), deployed.network
    out, channel, y, x = fault.tap
    by = 1 << network.by_name[fault.conv.name].exponent

    def change(document: Document, arrays: Arrays) -> None:
        arrays[f"weight.{fault.conv.name}"][out, x, y, channel] += by

    bundle, photographs = corrupted(deployed.bundle, tmp_path / "b", change), tmp_path / "photographs"
    photographs.mkdir()
    Image.fromarray(data.coffee()[100:140, 100:150]).save(photographs / "coffee.png")
    assert run(["-q", "verify", str(bundle.folder), "--images", str(photographs), "--tiles", "2"]) == 3
    text = capsys.readouterr().out
    expected = predicted(deployed, fault.reader, currents_of(deployed, fault, by))
    assert expected is not None
    line = next(line for line in text.splitlines() if line.startswith("lava:"))
    assert line.startswith("lava: mismatch, ") and line.endswith(f"; first: {expected}")
    place = f"{fault.reader.name} membranes, timestep 0, tile {expected.tile}, index {expected.index}"
    assert f"first: {place}: expected {expected.expected}, got {expected.actual}" in line
    assert "lava: mismatch, " in text.partition(line)[2] and " on 2 tiles of photographs" in text
    assert json.loads((bundle.folder / "verification.json").read_text())["passed"] is False
    degraded = draw_tiles(photographs, 2, (SIDE, SIDE), degradation_from_options("denoise", "25"), 0)
    faulty = next(iter(file_faults(deployed)))[0]
    restored = [restore(one, degraded) for one in (network, faulty)]
    psnr = 10 * np.log10(255**2 / np.mean((restored[0] - restored[1]) ** 2))
    assert f"restored tiles differ, lava: {psnr:.1f} dB" in text


def restore(network: IntegerNetwork, degraded: NDArray[np.float32]) -> NDArray[np.float64]:
    """Tiles as 8-bit images: what the network saw plus its residual, rounded and clamped."""
    inputs = quantize_image(degraded, network)
    residual = IntegerEngine(network).run(inputs, []).readout * network.residual_scale
    return np.clip(np.rint(inputs * float(network.input_step) + 128 + 255 * residual), 0, 255)
