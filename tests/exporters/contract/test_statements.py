"""Exports whose files were forged and whose hashes were mended: what can be derived is not believed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.cli.app import run
from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.errors import ExportError
from snn_tool.exporters.contract.statements import LISTED, compare_arrays, compare_document
from snn_tool.exporters.loihi import deployment as loihi_deployment
from snn_tool.exporters.loihi.bundle import export_bundle, read_bundle
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi.specs import Plan
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.program import Program
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

Capture = pytest.CaptureFixture[str]
Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def exported(
    make_network: Callable[..., IntegerNetwork], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Exports of one golden tile of 16 x 16 pixels; nobody changes what is handed out here."""
    root, made = tmp_path_factory.mktemp("exports"), dict[str, Path]()

    def export(
        target: str, neuron: str = "lif", body: str = "unet", lowering: str = "fanout", seed: int = 0
    ) -> Path:
        name = f"{target}-{neuron}-{body}-{lowering}-{seed}"
        if name not in made:
            source = root / f"{name}.int.safetensors"
            save_integer_network(source, make_network(neuron, body, seed=seed), {})
            options = GoldenOptions(size=16, tiles=1, task="denoise", sigma="25")
            export_student(source, target, root / name, options, lowering=lowering, verify=False)
            made[name] = root / name
        return made[name]

    return export


@pytest.fixture
def forge(tmp_path: Path) -> Callable[..., Path]:
    """A copy in which something was edited, with a manifest whose hashes fit again."""

    def forged(folder: Path, *edits: Edit) -> Path:
        copy = tmp_path / "forged"
        shutil.copytree(folder, copy)
        for edit in edits:
            edit(copy)
        manifest = copy / ("bundle.json" if (copy / "bundle.json").exists() else "export.json")
        document = json.loads(manifest.read_text())
        document["files"] = {name: sha256_file(copy / name) for name in document["files"]}
        manifest.write_text(json.dumps(document))
        return copy

    return forged


def setting(file: str, *keys: str | int, to: Any) -> Edit:
    """Replace one value of a JSON file, or each value under `...`."""

    def edit(folder: Path) -> None:
        document = json.loads((folder / file).read_text())
        place = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to
        (folder / file).write_text(json.dumps(document))

    return edit


def taking(file: str, other: Path) -> Edit:
    return lambda folder: (folder / file).write_bytes((other / file).read_bytes())


def verify(folder: Path, capsys: Capture) -> tuple[int, list[str]]:
    """Exit code and lines of `verify` by the interpreter, which reads network.nir alone."""
    code = run(["-q", "verify", str(folder), "--backend", "nir"])
    out, err = capsys.readouterr()
    assert not err
    return code, out.splitlines()


def quantity(folder: Path, status: str) -> tuple[int, str]:
    """The first quantity of a status in ranges.json: its index, node and name."""
    quantities = json.loads((folder / "ranges.json").read_text())["quantities"]
    index = next(i for i, entry in enumerate(quantities) if entry["status"] == status)
    return index, f"{quantities[index]['node']} {quantities[index]['name']}"


@pytest.mark.slow
def test_an_untouched_bundle_says_what_was_derived_and_what_was_not(
    exported: Callable[..., Path], forge: Callable[..., Path], capsys: Capture
) -> None:
    for export in (exported("loihi"), exported("loihi", "graded", lowering="relay")):
        assert not read_bundle(export).statements().contradictions
    folder = forge(exported("loihi"))
    code, lines = verify(folder, capsys)
    assert code == 0 and lines[0].startswith("nir: exact") and lines[1:] == [
        "derived from network.nir and equal: bundle.json (neuron, timesteps, lowering, resources), "
        "plan.json, plan.npz, golden.npz (shapes, range of tiles), resources.json, ranges.json",
        "stated, not checked: bundle.json (tool_version, student_sha256, golden, versions), "
        "golden.npz (which tiles)",
    ]  # fmt: skip
    written = json.loads((folder / "verification.json").read_text())["statements"]
    assert written["contradictions"] == [] and written["derived"].keys() == {
        "bundle.json", "plan.json", "plan.npz", "golden.npz", "resources.json", "ranges.json",
    }  # fmt: skip
    assert written["unchecked"]["bundle.json"] == ["tool_version", "student_sha256", "golden", "versions"]


@pytest.mark.slow
def test_another_exports_ranges(
    exported: Callable[..., Path], forge: Callable[..., Path], capsys: Capture
) -> None:
    """Both networks have the same layers; their weights, hence their bounds, are others."""
    code, lines = verify(forge(exported("loihi"), taking("ranges.json", exported("loihi", seed=1))), capsys)
    assert code == 3 and lines[0].startswith("nir: exact")
    found = [line for line in lines if line.startswith("ranges.json: quantities[")]
    assert len(found) == LISTED and all(": stated " in line and ", derived " in line for line in found)
    assert any(line.startswith("ranges.json: ") and "further contradictions" in line for line in lines)
    assert "what the files state is not what network.nir gives; export the network again" in lines


@pytest.fixture
def observed(make_network: Callable[..., IntegerNetwork], tmp_path: Path) -> Path:
    """A head of 2^6 times the weight, on black tiles: images exist whose currents wrap, these do not."""
    network = make_network("lif")
    synapses = tuple(
        replace(synapse, exponent=synapse.exponent + 6) if synapse.wiring.name == "head" else synapse
        for synapse in network.synapses
    )
    network = replace(network, synapses=synapses)
    tiles = np.zeros((1, 3, 16, 16), dtype=np.int16)
    write_nir(tmp_path / "s.nir", to_nir(network, 16, 16))
    program = read_program(tmp_path / "s.nir")
    trace = run_program(program, tiles.astype(np.int64))
    return export_bundle(tmp_path / "s.nir", tmp_path / "out", tiles, trace, student_sha256="5" * 64).folder


@pytest.mark.slow
@pytest.mark.parametrize("status", ["proved", "saturates"])
def test_observed_edited_to_more(
    status: str, observed: Path, forge: Callable[..., Path], capsys: Capture
) -> None:
    index, where = quantity(observed, "observed")
    edit = setting("ranges.json", "quantities", index, "status", to=status)
    code, lines = verify(forge(observed, edit), capsys)
    assert (code, lines[1:-2]) == (
        3,
        [f"ranges.json: quantities[{where}].status: stated '{status}', derived 'observed'"],
    )


@pytest.mark.slow
def test_observed_edited_to_proved_with_a_bound_that_fits(
    observed: Path, forge: Callable[..., Path], capsys: Capture
) -> None:
    """The file alone is in agreement with itself: each bound lies inside its limit."""
    index, where = quantity(observed, "observed")
    place = ("ranges.json", "quantities", index)
    entry = json.loads((observed / "ranges.json").read_text())["quantities"][index]
    none = [0] * len(entry["channel_low"])
    folder = forge(
        observed,
        setting(*place, "status", to="proved"),
        setting(*place, "channel_low", to=none),
        setting(*place, "channel_high", to=none),
        setting(*place, "bound", to=[0, 0]),
        setting(*place, "headroom_bits", to=None),
    )
    code, lines = verify(folder, capsys)
    assert code == 3
    (low, high), start = entry["bound"], f"ranges.json: quantities[{where}]"
    assert low < 0 < high and any(line.startswith(f"{start}.channel_low[") for line in lines)
    assert len([line for line in lines if line.startswith(start)]) == LISTED
    further = 2 * len(none) + 2 + 1 + 1 - LISTED  # both ends of all channels, of the bound; headroom, status
    assert f"ranges.json: {further} further contradictions" in lines


@pytest.mark.slow
def test_an_observed_extreme_is_read_off_the_golden_tiles_again(
    exported: Callable[..., Path], forge: Callable[..., Path], capsys: Capture
) -> None:
    folder = exported("loihi")
    index, where = quantity(folder, "proved")
    stated = json.loads((folder / "ranges.json").read_text())["quantities"][index]["observed"]
    edit = setting("ranges.json", "quantities", index, "observed", 1, to=stated[1] + 1)
    code, lines = verify(forge(folder, edit), capsys)
    assert code == 3
    there = f"ranges.json: quantities[{where}].observed[1]"
    assert f"{there}: stated {stated[1] + 1}, derived {stated[1]}" in lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (setting("bundle.json", "timesteps", to=63), "bundle.json: timesteps: stated 63, derived 4"),
        (
            setting("bundle.json", "neuron", to="graded"),
            "bundle.json: neuron: stated 'graded', derived 'lif'",
        ),
        (
            setting("bundle.json", "lowering", to="relay"),
            "bundle.json: lowering: stated 'relay', derived 'fanout'",
        ),
        (
            setting("bundle.json", "resources", "accumulator_neurons", to=1),
            "bundle.json: resources.accumulator_neurons: stated 1, derived 0",
        ),
        (
            setting("resources.json", "label", to="fits one chip"),
            "resources.json: label: stated 'fits one chip', "
            "derived 'model-feasible, physical fit unverified'",
        ),
        (
            setting("resources.json", "chips", "Loihi 2", "chips", "low", to=0),
            "resources.json: chips.Loihi 2.chips.low: stated 0, derived 1",
        ),
        (
            setting("resources.json", "chips", "Loihi 2", "capacities", "neurons", to=9000),
            "resources.json: chips.Loihi 2.capacities.neurons: stated 9000, derived 8192",
        ),
        (
            setting("resources.json", "layers", 0, "neurons", to=1),
            "resources.json: layers[enc_in].neurons: stated 1, derived 1024",  # 4 channels of 16 x 16
        ),
        (
            setting("resources.json", "image_size", to=[16, 16, 1]),
            "resources.json: image_size: stated 3 entries, derived 2 entries",
        ),
        (
            setting("resources.json", "total", "relay_neurons", to=True),
            "resources.json: total.relay_neurons: stated true, derived 9216",
        ),
        (
            setting("plan.json", "steps", to=4.5),
            "plan.json: steps: stated 4.5, derived 14",  # 4 timesteps and a hop for each of 10 populations,
        ),
        (
            setting("ranges.json", "inputs", "enc_in", to=[]),
            "ranges.json: inputs.enc_in: stated 0 entries, derived 1 entries",
        ),
        (
            setting("ranges.json", "tool_version", to="9.9.9"),
            "ranges.json: tool_version: stated '9.9.9', derived '0.1.0'",
        ),
    ],
)
def test_one_forged_value(
    edit: Edit,
    complaint: str,
    exported: Callable[..., Path],
    forge: Callable[..., Path],
    capsys: Capture,
) -> None:
    code, lines = verify(forge(exported("loihi"), edit), capsys)
    assert (code, lines[1:-2]) == (3, [complaint])


@pytest.mark.slow
def test_several_forgeries_are_listed_at_once(
    exported: Callable[..., Path], forge: Callable[..., Path], capsys: Capture
) -> None:
    folder = forge(
        exported("loihi"),
        setting("bundle.json", "timesteps", to=1),
        setting("resources.json", "depth", to=0),
        setting("ranges.json", "timesteps", to=1),
    )
    code, lines = verify(folder, capsys)
    assert code == 3 and [line.partition(":")[0] for line in lines[1:-2]] == [
        "bundle.json",
        "resources.json",
        "ranges.json",
    ]
    written = json.loads((folder / "verification.json").read_text())
    assert written["passed"] is False and written["statements"]["contradictions"][0] == {
        "file": "bundle.json",
        "key": "timesteps",
        "stated": "1",
        "derived": "4",
    }


@pytest.mark.slow
def test_a_students_hash_cannot_be_derived_and_is_called_unchecked(
    exported: Callable[..., Path], forge: Callable[..., Path], capsys: Capture
) -> None:
    folder = forge(exported("loihi"), setting("bundle.json", "student_sha256", to="0" * 64))
    code, lines = verify(folder, capsys)
    assert code == 0 and lines[-1].startswith(
        "stated, not checked: bundle.json (tool_version, student_sha256,"
    )


@pytest.mark.slow
def test_golden_integers_of_another_size_are_not_run(
    exported: Callable[..., Path], forge: Callable[..., Path], capsys: Capture
) -> None:
    def without_a_step(folder: Path) -> None:
        with np.load(folder / "golden.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
        arrays["spikes.enc_in"] = arrays["spikes.enc_in"][:3]
        arrays["spikes.other"] = arrays["spikes.enc_in"]
        np.savez_compressed(folder / "golden.npz", **arrays)

    code, lines = verify(forge(exported("loihi"), without_a_step), capsys)
    assert (code, lines[:3]) == (
        3,
        [
            "nir: not run; golden.npz does not belong to network.nir",
            "golden.npz: shapes.spikes.enc_in[0]: stated 3, derived 4",
            "golden.npz: shapes.spikes.other: stated [3, 1, 4, 16, 16], derived nothing",
        ],
    )
    assert "ranges.json (" not in lines[-1] and "ranges.json" in lines[-1], "its observations cannot be seen"


@pytest.mark.slow
def test_tiles_outside_the_input_range_are_not_run(
    exported: Callable[..., Path], forge: Callable[..., Path], capsys: Capture
) -> None:
    """The bounds hold for images of the range alone: of a lif student -64 to 63."""

    def brighter(folder: Path) -> None:
        with np.load(folder / "golden.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
        arrays["tiles"][0, 0, 0, 0] = 300
        np.savez_compressed(folder / "golden.npz", **arrays)

    code, lines = verify(forge(exported("loihi"), brighter), capsys)
    assert code == 3 and "golden.npz: range of tiles[1]: stated 300, derived 63" in lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (setting("export.json", "image_size", to=[8, 8]), "export.json: image_size[0]: stated 8, derived 16"),
        (
            setting("export.json", "netx", "timesteps", to=63),
            "export.json: netx.timesteps: stated 63, derived 4",
        ),
        (
            setting("export.json", "netx", "residual_scale", to=1.0),
            "export.json: netx.residual_scale: stated 1.0, derived ",
        ),
        (setting("export.json", "target", to="nir"), "export.json: target: stated 'nir', derived 'netx'"),
    ],
)
def test_a_netx_folder(
    edit: Edit, complaint: str, exported: Callable[..., Path], forge: Callable[..., Path], capsys: Capture
) -> None:
    code, lines = verify(forge(exported("netx", "lif", "chain"), edit), capsys)
    assert code == 3 and any(line.startswith(complaint) for line in lines)


def test_values_of_documents_by_hand() -> None:
    """Python's 1 == 1.0 == True, and a key on one side alone, are contradictions in a file."""
    found = compare_document(
        "f.json",
        {"kind": "k", "a": 1, "b": {"x": 1.0, "z": 0}, "c": [1, 2], "e": None, "note\x1b": 1},
        {"a": True, "b": {"x": 1, "y": 2}, "c": (1, 3), "d": 0, "e": None},
    )
    assert [(c.key, c.stated, c.derived) for c in found.contradictions] == [
        ("a", "1", "true"),
        ("b.x", "1.0", "1"),
        ("b.y", "nothing", "2"),
        ("b.z", "0", "nothing"),
        ("c[1]", "2", "3"),
        ("d", "nothing", "0"),
    ]
    assert found.unchecked == {"f.json": ("'note\\x1b'",)}
    assert not found.further and found.contradicted("f.json") and not found.contradicted("g.json")


def test_values_of_arrays_by_hand() -> None:
    eight: NDArray[np.int8] = np.arange(8, dtype=np.int8).reshape(2, 4)
    other = eight.copy()
    other[1, 2], other[1, 3] = 0, 0
    derived = {"same": eight, "value": eight, "type": eight, "shape": eight, "absent": eight}
    stated = {
        "same": eight.copy(),
        "value": other,
        "type": eight.astype(np.int32),
        "shape": eight.T,
        "more": eight,
    }
    found = compare_arrays("a.npz", stated, derived)
    assert [(c.key, c.stated, c.derived) for c in found.contradictions] == [
        ("value", "0 at [1, 2]", "6 (2 values differ)"),
        ("type", "int32 [2, 4]", "int8 [2, 4]"),
        ("shape", "int8 [4, 2]", "int8 [2, 4]"),
        ("absent", "nothing", "int8 [2, 4]"),
        ("more", "int8 [2, 4]", "nothing"),
    ]


def test_only_the_first_of_many_are_listed() -> None:
    found = compare_document("f.json", {"a": [0] * 30}, {"a": [1] * 30})
    assert len(found.contradictions) == LISTED and found.further == {"f.json": 30 - LISTED}
    assert f"f.json: {30 - LISTED} further contradictions" in found.lines()


@pytest.mark.slow
def test_a_forged_plan_of_a_network_without_a_relay_lowering_is_listed(
    exported: Callable[..., Path],
    forge: Callable[..., Path],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No other lowering explains the plan; that one cannot be built is no fault of the check."""

    def without_relay(program: Program, lowering: str = "fanout") -> Plan:
        if lowering == "relay":
            raise ExportError("no relay here")
        return build_plan(program, lowering)

    monkeypatch.setattr(loihi_deployment, "build_plan", without_relay)
    code, lines = verify(forge(exported("loihi"), setting("plan.json", "depth", to=9)), capsys)
    assert (code, lines[1]) == (3, "plan.json: depth: stated 9, derived 10")
