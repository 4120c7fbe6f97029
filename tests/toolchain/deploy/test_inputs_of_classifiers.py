"""`--inputs` and `--labels` of import, evaluate, export, verify, conformance, check and energy nir."""

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.cli.app import run
from snn_tool.deploy.classify import score_outputs
from snn_tool.deploy.compare_floats import Comparison, SpikeDifference
from snn_tool.texts.compare import _rates

T, N, FEATURES, HIDDEN, CLASSES = 5, 12, 6, 7, 3
RNG = np.random.default_rng(3)
FIRST, LAST = RNG.normal(size=(HIDDEN, FEATURES)), RNG.normal(size=(CLASSES, HIDDEN))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of vectors, spikes for it, and labels: what it finds itself, but for two."""
    made = tmp_path_factory.mktemp("classifier")
    full = np.ones(HIDDEN)
    nodes = {
        "in": nir.Input(np.array([FEATURES])),
        "first": nir.Affine(FIRST, np.zeros(HIDDEN)),
        "lif": nir.LIF(full * 2, full * 2, full * 0, full * 0.8),
        "last": nir.Affine(LAST, np.zeros(CLASSES)),
        "out": nir.Output(np.array([CLASSES])),
    }
    names = list(nodes)
    nir.write(made / "net.nir", nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False))))
    inputs = RNG.integers(0, 2, (N, FEATURES)).astype(np.uint8)
    labels = np.array([by_hand(one)[0].argmax() for one in inputs])
    labels[:2] = (labels[:2] + 1) % CLASSES
    np.savez(made / "data.npz", inputs=inputs, labels=labels)
    np.save(made / "labels.npy", labels)
    return made


def by_hand(inputs: NDArray[Any]) -> tuple[NDArray[np.float64], int]:
    """Mean output over time and the spikes of the hidden neurons: v loses half of itself and takes x."""
    v, total, fired = np.zeros(HIDDEN), np.zeros(CLASSES), 0
    for _ in range(T):
        v = v / 2 + FIRST @ inputs
        spikes = v > 0.8
        v[spikes] = 0
        fired += int(spikes.sum())
        total += LAST @ spikes
    return total / T, fired


def told(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["--json", "-q", *map(str, words)]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_first_population_whose_rates_differ_and_the_one_where_they_differ_most() -> None:
    """Of equal rates at different places none; 4 of 100 neuron-steps come first, 9 of 100 are most."""
    rows = [("a", 20, 20), ("b", 20, 24), ("c", 30, 21), ("d", 5, 6)]
    spikes = [SpikeDifference(f"node {name}", name, 1, 100, one, other, 12) for name, one, other in rows]
    found = Comparison([], spikes)
    assert found.first_different is spikes[1] and found.most_different is spikes[2]
    assert _rates(found, {name: name.upper() for name, *_ in rows}) == [
        "rates differ first in B: 20 spikes, in integers 24; most in C: 30 spikes, in integers 21"
    ]
    assert _rates(Comparison([], spikes[1:2]), {"b": "b"}) == [
        "rates differ first and most in b: 20 spikes, in integers 24"
    ]
    assert _rates(Comparison([], spikes[:1]), {"a": "a"}) == []


@pytest.mark.slow
def test_a_classifier_of_spikes_from_import_to_conformance(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, integers = ("--inputs", folder / "data.npz"), tmp_path / "net.int.safetensors"
    command = ("import", folder / "net.nir", "--dt", 1, "--timesteps", T, "--out", integers)
    made = told(capsys, *command, *data)
    inputs = np.load(folder / "data.npz")["inputs"]
    fired = sum(by_hand(one)[1] for one in inputs)
    assert made["populations"][0]["float_spikes"] == fired > 0
    assert made["inputs"]["kind"] == "spikes" and made["inputs"]["layout"] == "NF"
    grid = {"kind": "spikes", "low": 0, "high": 1, "exponent": 0, "over_time": False}
    assert made["input_grid"] == grid
    assert made["classes"]["original"]["accuracy"] == (N - 2) / N
    chosen = ("--student", integers, "--inputs", folder / "data.npz", "--original", folder / "net.nir")
    scored = told(
        capsys, "evaluate", *chosen, "--labels", folder / "labels.npy", "--out", tmp_path / "s.json"
    )
    assert scored["original"] == made["classes"]["original"]
    assert scored["integers"] == made["classes"]["integers"]
    assert np.array(scored["original"]["confusion"]).sum() == N
    assert json.loads((tmp_path / "s.json").read_text())["changed"] == scored["changed"]
    export = ("export", integers, "--target", "loihi", "--out", tmp_path / "b", "--no-verify", "--tiles", 3)
    assert told(capsys, *export, *data)["golden_tiles"] == [3, FEATURES, 1, 1]
    verified = told(capsys, "verify", tmp_path / "b", "--backend", "nir", *data, "--tiles", N)
    assert [one["status"] for one in verified["photographs"]["tiles"]] == ["exact"]
    # membranes and spikes of the hidden neurons, membranes of the read-out
    assert verified["photographs"]["tiles"][0]["values_compared"] == N * T * (2 * HIDDEN + CLASSES)
    matrix = told(capsys, "conformance", tmp_path / "b", *data, "--tiles", N)
    exact = [row for row in matrix["rows"] if row["runs"] and row["membrane"] != "float"]
    assert len(exact) > 1 and all(row["differing"] == 0 for row in exact)
    assert {row["accuracy"] for row in exact} == {scored["integers"]["accuracy"]}
    assert matrix["reference_psnr_db"] is None


def test_spikes_are_accumulated_and_reals_multiplied(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("energy", "nir", folder / "net.nir", "--inputs", folder / "data.npz", "--dt", 1)
    spikes = told(capsys, *command, "--timesteps", T)
    inputs = np.load(folder / "data.npz")["inputs"]
    hidden = [by_hand(one)[1] for one in inputs]
    synops = inputs.sum(axis=1) * T * HIDDEN + np.array(hidden) * CLASSES
    assert spikes["totals"]["synops_levels"]["mean"] == pytest.approx(synops.mean())
    assert spikes["totals"]["exact_macs"]["mean"] == 0 and spikes["inputs"]["kind"] == "spikes"
    reals = told(capsys, *command, "--timesteps", T, "--values", "reals")
    assert reals["totals"]["exact_macs"]["mean"] == T * HIDDEN * FEATURES
    assert reals["totals"]["synops_levels"]["mean"] == np.mean(hidden) * CLASSES


def test_over_time_every_step_has_its_own_input(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    steps = RNG.integers(0, 2, (4, 2, FEATURES))
    np.save(tmp_path / "steps.npy", steps)
    command = ("energy", "nir", folder / "net.nir", "--dt", 1, "--inputs", tmp_path / "steps.npy")
    found = told(capsys, *command, "--layout", "TNF")
    v, fired = np.zeros((2, HIDDEN)), 0
    for step in steps:
        v = v / 2 + step @ FIRST.T
        fired += int((v > 0.8).sum())
        v[v > 0.8] = 0
    assert found["timesteps"] == 4 and found["totals"]["spikes"]["mean"] == fired / 2


@pytest.mark.slow
def test_spikes_over_time_are_exact_in_the_file_that_is_exported(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    steps = RNG.integers(0, 3, (T, 4, FEATURES))
    np.savez(tmp_path / "steps.npz", inputs=steps, labels=np.array([0, 1, 2, 0]))
    data, integers = ("--inputs", tmp_path / "steps.npz"), tmp_path / "net.int.safetensors"
    made = told(capsys, "import", folder / "net.nir", "--dt", 1, *data, "--out", integers)
    assert made["timesteps"] == T and made["input_grid"]["over_time"] and made["input_grid"]["high"] == 2
    command = ("export", integers, "--target", "loihi", "--out", tmp_path / "b", "--no-verify", "--tiles", 2)
    assert told(capsys, *command, *data)["golden_tiles"] == [2, T, FEATURES, 1, 1]
    verified = told(capsys, "verify", tmp_path / "b", "--backend", "nir", *data)
    assert verified["passed"] and verified["photographs"]["tiles"][0]["tiles"] == 4
    scored = told(capsys, "evaluate", "--student", integers, *data, "--original", folder / "net.nir")
    assert scored["original"] == made["classes"]["original"] and scored["samples"] == 4


def test_what_does_not_go_together_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refused(words: str, *command: object) -> None:
        capsys.readouterr()
        assert run(["-q", *map(str, command)]) in (1, 2)
        assert words in capsys.readouterr().err

    data, file = ("--inputs", folder / "data.npz"), folder / "net.nir"
    refused("give either --images DIR or --inputs FILE", "energy", "nir", file)
    refused("inputs; give one", "import", file, *data, "--images", folder)
    np.savez(tmp_path / "far.npz", inputs=np.load(folder / "data.npz")["inputs"], labels=np.full(N, CLASSES))
    out = ("--dt", 1, "--out", tmp_path / "a.int.safetensors")
    refused("has 3 outputs, 0 to 2", "import", file, "--inputs", tmp_path / "far.npz", *out)
    refused("does not go with --inputs", "evaluate", "--data", folder, *data)
    np.save(tmp_path / "none.npy", np.zeros((2, FEATURES + 1)))
    refused("not [N, 6] or [T, N, 6]", "check", file, "--inputs", tmp_path / "none.npy")


def test_confusions_and_ties_by_hand() -> None:
    outputs = np.array([[1.0, 2.0], [3.0, 3.0], [0.0, 1.0], [5.0, 4.0]])
    scored = score_outputs(outputs, np.array([1, 1, 0, 0]))
    assert scored.confusion.tolist() == [[1, 1], [1, 1]]  # the tie goes to the first, 0
    assert (scored.accuracy, scored.ties, scored.by_class) == (0.5, 1, [0.5, 0.5])
