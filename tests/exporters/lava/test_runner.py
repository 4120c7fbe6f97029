"""Networks in real Lava (fixed-point models) against the integer engine and against hand computation."""

import contextlib
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, BackendUnavailableError, ConfigError, DataError, VerificationError
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.lava import simulation as lava_simulation
from snn_tool.exporters.lava.environment import RUNNER, LavaEnvironment
from snn_tool.exporters.lava.installation import provision_lava
from snn_tool.exporters.lava.simulation import LavaTrace, run_on_lava
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi.plan_file import npz_bytes, plan_arrays_and_json
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.parse import parse_graph
from snn_tool.exporters.nir.program import ConvNode, GradedNode, LifNode, PopulationNode, Program, ReadoutNode
from snn_tool.files.artifacts import write_json
from snn_tool.models.integer.engine import IntegerEngine, IntegerTrace, quantize_image
from snn_tool.models.integer.network import IntegerNetwork

pytestmark = pytest.mark.slow

MakeNetwork = Callable[..., IntegerNetwork]
Image = NDArray[np.float32]


@pytest.fixture(scope="module")
def lava() -> LavaEnvironment:
    try:
        return provision_lava(print)
    except BackendUnavailableError as error:
        pytest.skip(str(error))


def write_plan(program: Program, folder: Path, lowering: str = "fanout") -> Path:
    folder.mkdir(exist_ok=True)
    document, arrays = plan_arrays_and_json(build_plan(program, lowering))
    write_json(folder / "plan.json", document.pop("kind"), document.pop("schema"), document)
    (folder / "plan.npz").write_bytes(npz_bytes(arrays))
    return folder


def tiles_of(
    photograph: Image, network: IntegerNetwork, height: int, width: int, count: int
) -> NDArray[np.int16]:
    crops = [photograph[:, 20 * i : 20 * i + height, 8 * i : 8 * i + width] for i in range(count)]
    return quantize_image(np.stack(crops), network)


def assert_equal(trace: LavaTrace, expected: IntegerTrace) -> None:
    assert trace.spikes.keys() == trace.membranes.keys() == expected.spikes.keys()
    for name in expected.spikes:
        np.testing.assert_array_equal(trace.membranes[name], expected.membranes[name], err_msg=name)
        np.testing.assert_array_equal(trace.spikes[name], expected.spikes[name], err_msg=name)
    np.testing.assert_array_equal(trace.readout, expected.readout)


@pytest.mark.parametrize(
    ("kind", "body", "conv", "lowering"),
    [
        ("lif", "chain", "stock", "fanout"),
        ("lif", "unet", "stock", "fanout"),
        ("lif", "flat", "stock", "fanout"),
        ("graded", "unet", "stock", "fanout"),
        ("graded", "flat", "stock", "fanout"),
        ("unsigned", "unet", "stock", "fanout"),
        ("lif", "unet", "blas", "fanout"),
        ("graded", "flat", "blas", "fanout"),
        ("lif", "unet", "stock", "relay"),
        ("lif", "flat", "stock", "relay"),
        ("graded", "unet", "stock", "relay"),
        ("grey", "flat", "stock", "relay"),
        ("unsigned", "flat", "blas", "relay"),
        ("lif", "unet", "blas", "relay"),
    ],
)
def test_every_spike_and_membrane_equals_the_reference(
    lava: LavaEnvironment,
    make_network: MakeNetwork,
    photograph: Image,
    tmp_path: Path,
    kind: str,
    body: str,
    conv: str,
    lowering: str,
) -> None:
    """Photographs, biases, unequal skips, pixel-shuffle; three images in one run, which must not mix."""
    channels = 1 if kind == "grey" else 3
    network = make_network("lif" if kind == "lif" else "graded", body, channels=channels)
    network = replace(network, signed=False) if kind == "unsigned" else network
    height, width = (24, 16) if body == "unet" else (16, 16)
    tiles = tiles_of(photograph[:channels], network, height, width, 3)
    expected = IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations])
    plan = write_plan(parse_graph(to_nir(network, height, width), "graph"), tmp_path / "plan", lowering)
    assert_equal(run_on_lava(plan, tiles, lava, context=Context(conv=conv)), expected)
    for population in network.populations[:-1]:
        assert np.abs(expected.spikes[population.wiring.name]).mean() > 0.005, "a silent layer proves nothing"


def single_neuron(
    node: PopulationNode, weight: int, bias: int, timesteps: int, readout_weight: int = 1
) -> Program:
    """Red times `weight` drives one neuron for each pixel of a 1 x 2 image; its spikes are read out."""
    none = np.zeros(3, dtype=np.int64)
    head = np.array([weight, 0, 0]).reshape(1, 3, 1, 1)
    tail = np.full((3, 1, 1, 1), readout_weight)
    return Program(
        convs=(
            ConvNode("head", "image", head, np.array([bias]), 1, 0, 1, 1, 0),
            ConvNode("tail", node.name, tail, none, 1, 0, 1, 1, 0),
        ),
        populations=(node, ReadoutNode("readout", ("tail",), 3, 1, 2)),
        timesteps=timesteps,
        dt_s=1e-4,
        input_low=-256,
        input_high=255,
        input_step=1,
        height=1,
        width=2,
        residual_scale=1.0,
    )


def red(*values: int) -> NDArray[np.int16]:
    """An image [1, 3, 1, 2] with these red values and other channels that must not matter."""
    image = np.full((1, 3, 1, len(values)), 7, dtype=np.int16)
    image[0, 0, 0] = values
    return image


def test_stock_lif_by_hand(lava: LavaEnvironment, tmp_path: Path) -> None:
    """Half of the membrane leaks in each step; 64 v counts; it fires above, not at, the threshold of 12.

    First pixel: 3 * 2 + 1 = 7 per step: 7, 10.5, 12.25 > 12 fires and resets, 7.
    Second: 3 * -3 + 1 = -8: -8, -12, -14, -15, and -15.5 would be next.
    """
    node = LifNode("lif", ("head",), 1, 1, 2, threshold=12, decay=2048)
    plan = write_plan(single_neuron(node, weight=3, bias=1, timesteps=4, readout_weight=5), tmp_path / "plan")
    trace = run_on_lava(plan, red(2, -3), lava)
    assert trace.membranes["lif"][:, 0, 0, 0].tolist() == [
        [7 * 64, -8 * 64],
        [672, -12 * 64],
        [0, -14 * 64],
        [7 * 64, -15 * 64],
    ]
    assert trace.spikes["lif"][:, 0, 0, 0].tolist() == [[0, 0], [0, 0], [1, 0], [0, 0]]
    assert trace.readout[0, :, 0].tolist() == [[5 * 64, 0]] * 3
    assert trace.membranes["readout"][:, 0, 0, 0].tolist() == [[0, 0], [0, 0], [320, 0], [320, 0]]


@pytest.mark.parametrize(
    ("values", "signed", "levels"),
    [
        ((5, -5), True, [1, -1]),
        ((4, -4), True, [0, 0]),
        ((15, -15), True, [2, -2]),
        ((200, -200), True, [3, -3]),
        ((14, -200), False, [1, 0]),
    ],
)
def test_graded_neurons_by_hand(
    lava: LavaEnvironment, tmp_path: Path, values: tuple[int, int], signed: bool, levels: list[int]
) -> None:
    """Rungs at 5, 15 and 25 for a threshold of 10; halves round away from zero; three levels at most."""
    node = GradedNode("graded", ("head",), 1, 1, 2, threshold=10, levels=3, signed=signed)
    plan = write_plan(single_neuron(node, weight=1, bias=0, timesteps=1), tmp_path / "plan")
    trace = run_on_lava(plan, red(*values), lava)
    assert trace.membranes["graded"][0, 0, 0, 0].tolist() == list(values)
    assert trace.spikes["graded"][0, 0, 0, 0].tolist() == levels
    assert trace.readout[0, 2, 0].tolist() == [64 * level for level in levels]


@pytest.fixture
def small_plan(tmp_path: Path) -> Path:
    node = LifNode("lif", ("head",), 1, 1, 2, threshold=12, decay=2048)
    return write_plan(single_neuron(node, weight=3, bias=1, timesteps=4), tmp_path / "plan")


def test_only_what_is_asked_for_is_recorded(lava: LavaEnvironment, small_plan: Path) -> None:
    lines: list[str] = []
    trace = run_on_lava(small_plan, red(2, -3), lava, ["readout"], Context(log=lines.append))
    assert list(trace.spikes) == list(trace.membranes) == ["readout"]
    assert any("step 6 of 6" in line for line in lines)


def edit(plan: Path, change: Callable[[dict[str, list[dict[str, object]]]], None]) -> Path:
    document = json.loads((plan / "plan.json").read_text(encoding="utf-8"))
    change(document)
    (plan / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    return plan


def test_a_plan_that_lava_does_not_take_is_refused_with_lavas_words(
    lava: LavaEnvironment, small_plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At construction, while processes start, and within a step; in the latter two Lava itself hangs.

    The plan's schema would refuse two of these before Lava sees them, so it is shown the plan as it was.
    """
    original = (small_plan / "plan.json").read_text(encoding="utf-8")
    head = lava_simulation._head_of_plan(small_plan / "plan.json")
    monkeypatch.setattr(lava_simulation, "_head_of_plan", lambda path: head)
    for change, complaint in (
        (lambda plan: plan["convs"][1].update(source="nobody"), "KeyError: 'nobody'"),
        (lambda plan: plan["neurons"][0].update(bias_exp=[1, 2, 3]), "could not broadcast"),
        (lambda plan: plan["neurons"][0].update(dv="much"), "TypeError"),
    ):
        with pytest.raises(VerificationError, match=complaint) as caught:
            run_on_lava(edit(small_plan, change), red(2, -3), lava, context=Context(timeout_s=30))
        assert "\n" not in str(caught.value)
        (small_plan / "plan.json").write_text(original, encoding="utf-8")


def fake(folder: Path, body: str) -> LavaEnvironment:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return LavaEnvironment(path, "0.10.0", "3.10.0", False, "test")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("echo first >&2; echo out of luck >&2; exit 9", r"exit code 9: first \| out of luck"),
        ("kill -9 $$", "exit code -9: no output"),
        ("sleep 60", "did not finish within 1 s"),
        ("exit 0", "no usable result"),
        ('echo garbage > "$5"; exit 0', "no usable result .*(pickle|magic|zip|allow_pickle)"),
    ],
)
def test_death_hang_and_garbage_are_told_apart(
    small_plan: Path, tmp_path: Path, body: str, complaint: str
) -> None:
    with pytest.raises(BackendUnavailableError, match=complaint) as caught:
        run_on_lava(small_plan, red(2, -3), fake(tmp_path, body), context=Context(timeout_s=1))
    assert "\n" not in str(caught.value)


def test_a_stall_is_tried_again_and_in_the_end_told(small_plan: Path, tmp_path: Path) -> None:
    said: list[str] = []
    body = f"echo once >> {tmp_path / 'starts'}; echo no process of Lava did anything >&2; exit 6"
    with pytest.raises(BackendUnavailableError, match="exit code 6: no process of Lava did anything"):
        run_on_lava(small_plan, red(2, -3), fake(tmp_path, body), context=Context(log=said.append))
    assert (tmp_path / "starts").read_text().count("once") == lava_simulation.ATTEMPTS == 3
    assert sum("starting it again" in line for line in said) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_processes_that_wait_for_each_other_are_noticed(
    lava: LavaEnvironment,
    make_network: MakeNetwork,
    photograph: Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of Lava's processes is stopped amid a run, so that all wait; the next run is exact."""
    monkeypatch.setattr(lava_simulation, "STALL_S", 4.0)
    network = make_network("graded", "chain")
    tiles = tiles_of(photograph, network, 16, 16, 1)
    plan = write_plan(parse_graph(to_nir(network, 16, 16), "graph"), tmp_path / "plan")
    said: list[str] = []

    def stop_one(line: str) -> None:
        said.append(line)
        if "step 1 of" in line and not any("starting it again" in old for old in said):
            os.kill(max(workers(plan)), signal.SIGSTOP)

    trace = run_on_lava(plan, tiles, lava, context=Context(log=stop_one, timeout_s=120))
    assert sum("starting it again" in line for line in said) == 1
    assert any("did anything for 4 s" in line for line in said)
    assert_equal(trace, IntegerEngine(network).run(tiles, [p.wiring.name for p in network.populations]))
    assert not workers(plan)


def workers(plan: Path) -> list[int]:
    """Running processes of the runner that has this plan, its own children among them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(plan).encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def test_lavas_processes_are_watched_without_reaping_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else Lava may miss the end of one, and stop with `Cannot close a process while it is still running`."""
    monkeypatch.syspath_prepend(str(RUNNER.parent))
    spec = importlib.util.spec_from_file_location("lava_runner_program", RUNNER)
    assert spec
    assert spec.loader
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    fork = multiprocessing.get_context("fork")
    sleeps, ends = fork.Process(target=time.sleep, args=(60,)), fork.Process(target=int)
    runtime = SimpleNamespace(_messaging_infrastructure=SimpleNamespace(actors=[sleeps, ends]))
    assert runner._dead_actors(None) == []
    try:
        sleeps.start()
        ends.start()
        assert connection.wait([ends.sentinel], timeout=30)
        assert runner._dead_actors(runtime) == [ends]
        assert os.waitid(os.P_PID, ends.pid, os.WEXITED | os.WNOWAIT), "it was reaped"
    finally:
        sleeps.kill()
        sleeps.join()
        ends.join()
    ends.close()
    assert runner._dead_actors(runtime) == []


def test_inputs_are_checked_before_anything_starts(small_plan: Path, tmp_path: Path) -> None:
    never = fake(tmp_path, "exit 99")
    with pytest.raises(DataError, match=r"takes \[N, 3, 1, 2\]"):
        run_on_lava(small_plan, red(1, 2, 3), never)
    with pytest.raises(DataError, match="leave the input range -256..255"):
        run_on_lava(small_plan, red(2, 256), never)
    with pytest.raises(DataError, match="takes integers"):
        run_on_lava(small_plan, red(1, 2).astype(np.float32), never)
    with pytest.raises(ConfigError, match="stock, blas"):
        run_on_lava(small_plan, red(1, 2), never, context=Context(conv="fft"))
    with pytest.raises(ConfigError, match="no population nobody"):
        run_on_lava(small_plan, red(1, 2), never, record=["nobody"])
    with pytest.raises(ArtifactError, match="neurons is missing; it is a list of tables"):
        run_on_lava(edit(small_plan, lambda plan: plan.pop("neurons")), red(1, 2), never)
