"""`snn-tool energy report` on small integer networks: references, profiles, the quantised twin."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.energy.estimators.constants import Constant
from snn_tool.energy.estimators.excluded import Excluded
from snn_tool.energy.estimators.prices import Precision
from snn_tool.energy.report import document
from snn_tool.energy.report import hardware as report_hardware
from snn_tool.energy.report import mapped as report_mapped
from snn_tool.energy.report import networks as report_layers
from snn_tool.energy.report import networks as report_networks
from snn_tool.energy.report import networks as report_spikes
from snn_tool.energy.report.document import KIND, SCHEMA, EnergyReport, Split, Verdict
from snn_tool.exporters.contract.traces import EXACT, BackendResult
from snn_tool.exporters.sanafe.report import SanafeReport, TileCheck, write_sanafe
from snn_tool.exporters.sanafe.simulation import ChipActivity, ChipEnergy
from snn_tool.files.artifacts import read_json, sha256_file
from snn_tool.models.config import StudentConfig, default_config
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import load_integer_network, save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.student import build_student

Run = Callable[..., tuple[int, str, str]]
NOISE = {"noise": {"task": "denoise", "sigma": [25.0, 25.0]}}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory, photograph: NDArray[np.float32]) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    pixels = (np.clip(photograph, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    for index, top in enumerate((0, 32)):
        Image.fromarray(np.ascontiguousarray(pixels[top : top + 24, :32])).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def students(
    tmp_path_factory: pytest.TempPathFactory,
    make_network: Callable[..., IntegerNetwork],
    photograph: NDArray[np.float32],
) -> dict[str, Path]:
    """Integer students of one wiring: lif, graded, and quantised twins of the lif one, right and wrong."""
    folder = tmp_path_factory.mktemp("students")
    networks = {"lif": make_network("lif"), "graded": make_network("graded")}
    for name, levels, signed, width in (
        ("qann", 4, False, 4),
        ("signed", 4, True, 4),
        ("coarse", 3, False, 4),
        ("wide", 4, False, 8),
    ):
        networks[name] = graded(levels, signed, width, photograph)
    paths = {name: folder / name / "student.int.safetensors" for name in networks}
    for name, network in networks.items():
        paths[name].parent.mkdir()
        save_integer_network(paths[name], network, NOISE)
    return paths


def graded(levels: int, signed: bool, width: int, photograph: NDArray[np.float32]) -> IntegerNetwork:
    config: StudentConfig = dataclasses.replace(
        default_config("graded"), levels=levels, signed=signed, width=width
    )
    torch.manual_seed(1)
    return quantize(build_student(config), config, [photograph])


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], photographs: Path, tmp_path: Path) -> Run:
    def invoke(student: Path, *arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        command = ("-q", "--json", "energy", "report", "--student", student, "--images", photographs)
        out = ("--out", tmp_path / "energy", "--overwrite")
        code = run([str(argument) for argument in (*command, *out, *arguments)])
        printed, err = capsys.readouterr()
        return code, printed, err

    return invoke


def body(printed: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(printed)
    return loaded


# --- references and exit codes


@pytest.mark.slow
def test_the_reference_is_what_is_asked_for(call: Run, students: dict[str, Path]) -> None:
    reports = {}
    for against in ("teacher", "twin", "qann"):
        code, out, _ = call(students["lif"], "--teacher", "restormer", "--against", against)
        assert code == 0
        reports[against] = body(out)
        assert reports[against]["reference"] == against
    teacher = body(call(students["lif"], "--teacher", "restormer")[1])
    assert teacher == reports["teacher"], "the default with a teacher"
    for against, report in reports.items():
        for row in report["ratios"]:
            assert row["ratio"] == row["split"][f"{against}_over_student"]
        judged = [*report["verdict"]["supporting"], *report["verdict"]["refuting"]]
        assert set(judged) == {row["model"] for row in report["ratios"] if row["ratio"] is not None}
    judged = reports["qann"]["verdict"]
    assert {*judged["supporting"], *judged["refuting"]} == {row["model"] for row in teacher["ratios"]}
    assert body(call(students["lif"])[1])["reference"] == "qann"


@pytest.mark.slow
def test_strict_exits_3_unless_every_model_agrees(call: Run, students: dict[str, Path]) -> None:
    outcomes = {}
    for claim in ("0.000001", "1", "1000000"):
        code, out, _ = call(students["lif"], "--claim", claim, "--strict")
        outcomes[body(out)["verdict"]["outcome"]] = code
    assert outcomes == {"holds": 0, "depends": 3, "fails": 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--claim", "0"), "claim = 0.0 is not allowed"),
        (("--claim", "-2"), "claim = -2.0 is not allowed"),
        (("--claim", "nan"), "claim = nan is not allowed"),
        (("--against", "student"), "--against student is unknown; use one of teacher, twin, cnn, qann"),
        (("--against", "cnn"), "--against cnn: no int8 CNN"),
        (("--against", "teacher"), "--against teacher: no teacher was given"),
        (("--profile", "nowhere.toml"), "--profile nowhere.toml: cannot be read"),
    ],
)
def test_wrong_options_are_one_line(
    call: Run, students: dict[str, Path], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = call(students["lif"], *arguments)
    assert (code, out) == (1, "")
    assert message in err and len(err.strip().splitlines()) == 1


# --- profiles


@pytest.mark.slow
def test_a_profile_changes_prices_and_is_named(call: Run, students: dict[str, Path], tmp_path: Path) -> None:
    profile = tmp_path / "own.toml"
    profile.write_text(
        '[constants.mul-fp32]\nvalue = 7.4\nunit = "pJ"\nsource = "twice"\nscope = "per-op"\n'
        'grade = "measured"\n[precisions.ours]\nmultiply = "mul-int8"\naccumulate = "add-int8"\n'
        'state_multiply = "mul-int8"\nbits = 8\nstate_bits = 24\ninteger = true\nnote = "ours"\n'
    )
    plain = body(call(students["lif"])[1])
    code, out, _ = call(students["lif"], "--profile", profile)
    changed = body(out)
    assert code == 0
    assert (plain["profile"], changed["profile"]) == (None, "own.toml")
    assert changed["hashes"]["profile"] == sha256_file(profile)
    assert changed["constants"]["mul-fp32"] == {
        "value": 7.4,
        "unit": "pJ",
        "source": "twice",
        "scope": "per-op",
        "grade": "measured",
        "process_nm": None,
        "voltage_v": None,
        "reading": None,
        "read_in": "",
        "origin": "own.toml",
    }
    energy = {
        name: {
            (c["model"], c["precision"], c["column"]): c["headline"]["energy_pj"]["mean"] for c in r["cells"]
        }
        for name, r in (("plain", plain), ("changed", changed))
    }
    key = ("paper", "fp32", "twin")
    assert energy["changed"][key] == pytest.approx(energy["plain"][key] * 8.3 / 4.6)
    assert energy["changed"]["paper", "ours", "twin"] == energy["plain"]["paper", "int8-narrow", "twin"]
    assert ("exact-ops", "ours", "qann") in energy["changed"]


# --- the quantised twin


@pytest.mark.slow
def test_the_quantised_twin_of_a_graded_student_is_the_student_computed_densely(
    call: Run, students: dict[str, Path]
) -> None:
    code, out, _ = call(students["graded"])
    columns = {column["name"]: column for column in body(out)["columns"]}
    assert code == 0
    assert columns["student"]["quality"]["psnr_db"] > 0
    assert columns["qann"]["quality"] == columns["student"]["quality"]
    assert columns["qann"]["activation_bits"] == 4, "levels -4 to 4"
    assert "so that its quality is the student's, exactly" in columns["qann"]["title"]
    code, _, err = call(students["graded"], "--qann", students["qann"])
    assert code == 1 and "leave the option out" in err


def test_the_claim_of_equal_integers_is_true(
    students: dict[str, Path], photograph: NDArray[np.float32]
) -> None:
    """A dense run with quantised activations, without the engine: the same read-out, bit for bit."""
    network, _ = load_integer_network(students["graded"])
    image = quantize_image(photograph[None, :, :16, :16], network)
    outputs = {"image": torch.from_numpy(image).double()}
    for population in network.populations:
        total = torch.zeros(())
        for name in population.wiring.inputs:
            synapse = network.by_name[name]
            wiring = synapse.wiring
            weight = torch.from_numpy(synapse.mantissa.astype(np.float64)) * 2.0**synapse.exponent
            bias = torch.from_numpy(synapse.bias.astype(np.float64)) if wiring.bias else None
            current = torch.nn.functional.conv2d(
                outputs[wiring.source], weight, bias, wiring.stride, wiring.padding, wiring.dilation
            )
            total = total + torch.nn.functional.pixel_shuffle(current, wiring.upsample)
        if population.threshold:
            levels = torch.floor(total.abs() / population.threshold + 0.5) * total.sign()
            outputs[population.wiring.name] = levels.clamp(-network.levels, network.levels)
    assert torch.equal(total * 64, torch.from_numpy(IntegerEngine(network).run(image).readout).double())


@pytest.mark.slow
def test_a_lif_students_quantised_twin_is_counted_or_measured(call: Run, students: dict[str, Path]) -> None:
    counted = {c["name"]: c for c in body(call(students["lif"])[1])["columns"]}
    assert counted["qann"]["quality"] is None and counted["qann"]["title"].endswith("counted, not trained")
    assert counted["qann"]["activation_bits"] == 3, "0 to 4 spikes"
    code, out, _ = call(students["lif"], "--qann", students["qann"])
    report = body(out)
    measured = {c["name"]: c for c in report["columns"]}
    alone = {c["name"]: c for c in body(call(students["qann"])[1])["columns"]}
    assert code == 0
    assert measured["qann"]["quality"] == alone["student"]["quality"]
    assert measured["student"]["quality"] == counted["student"]["quality"]
    assert report["hashes"]["qann"] == sha256_file(students["qann"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("signed", "unsigned, levels 4"),
        ("coarse", "unsigned, levels 4"),
        ("wide", "not of the student's synapses"),
    ],
)
def test_another_network_is_no_quantised_twin(
    call: Run, students: dict[str, Path], name: str, message: str
) -> None:
    code, _, err = call(students["lif"], "--qann", students[name])
    assert code == 1 and message in err


# --- the sweep, and a check on SANA-FE


@pytest.mark.slow
def test_the_sweep_can_be_left_out_and_ends_at_the_student(call: Run, students: dict[str, Path]) -> None:
    with_sweep, without = body(call(students["lif"])[1]), body(call(students["lif"], "--no-sweep")[1])
    last = with_sweep["sweep"]["points"][-1]
    student = next(c for c in with_sweep["columns"] if c["name"] == "student")
    assert last["setting"] == with_sweep["timesteps"] == 4
    assert last["psnr_db"] == student["quality"]["psnr_db"]
    for key in ("synops_levels", "synops_events", "first_layer_macs", "spikes_per_neuron"):
        assert last[key] == pytest.approx(np.mean([image[key] for image in with_sweep["images"]]))
    assert without.pop("sweep") is None and with_sweep.pop("sweep")
    assert without == with_sweep


def chip_report(student: Path) -> SanafeReport:
    """Two tiles of 100 and 300 synops of 24 pJ; 4 µJ in somas, half of it shared, and 1 µJ in the network."""
    tiles = []
    for synops in (100, 300):
        energy = ChipEnergy(synops * 24e-12 + 5e-6, synops * 24e-12, 0.0, 4e-6, 1e-6)
        tiles.append(TileCheck(ChipActivity(energy, synops, 30, 40, 50, 60, 7e-4), synops, 30, 2e-6))
    return SanafeReport(
        result=BackendResult("sanafe", EXACT, 2, 1000, 0),
        tiles=tuple(tiles),
        height=8,
        width=12,
        timesteps=4,
        steps=13,
        neurons=5000,
        synapses=6000,
        cores=7,
        image_macs=800,
        constants_j={"energy_process_spike": 24e-12},
        architecture="loihi.yaml",
        architecture_sha256="a" * 64,
        versions={"sanafe": "2.2.9"},
        student_sha256=sha256_file(student),
        bundle_sha256="c" * 64,
    )


@pytest.mark.slow
def test_sanafe_stands_beside_our_own_model_per_synop(
    call: Run, students: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "sanafe.json"
    write_sanafe(path, chip_report(students["lif"]))
    code, out, _ = call(students["lif"], "--sanafe", path)
    report = body(out)
    chip = report["sanafe"]
    assert code == 0 and report["hashes"]["sanafe"] == sha256_file(path)
    assert (chip["passed"], chip["tiles"], chip["synops"], chip["spikes"]) == (True, 2, 400, 60)
    energies = {part["name"]: part["energy_pj"] for part in chip["parts"]}
    assert energies == pytest.approx({"synapse": 4800.0, "dendrite": 0.0, "soma": 4e6, "network": 1e6})
    assert chip["energy_pj"] == pytest.approx(sum(energies.values()))
    assert chip["per_synop_pj"] == pytest.approx(5_004_800 / 200)
    assert chip["idle_access_pj"] == pytest.approx(2e6)
    ours = {part["name"]: part["model_per_synop_pj"] for part in chip["parts"]}
    assert ours["synapse"] == pytest.approx(report["constants"]["sanafe-synop"]["value"])
    cell = next(c for c in report["cells"] if (c["model"], c["column"]) == ("loihi1-sanafe", "student"))
    items = cell["headline"]["items_pj"]
    left_out = {"first layer synops"} | {item for item in items if item.startswith("static")}
    synops = sum(row["synops_levels"] for row in report["layers"] + report["relays"])
    assert chip["model_per_synop_pj"] == pytest.approx(
        sum(value for item, value in items.items() if item not in left_out) / synops
    )
    assert sum(ours.values()) == pytest.approx(chip["model_per_synop_pj"])


def test_a_check_of_another_student_is_refused(call: Run, students: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "sanafe.json"
    write_sanafe(path, chip_report(students["wide"]))
    code, out, err = call(students["lif"], "--sanafe", path)
    assert (code, out) == (1, "") and "made with another student" in err
    code, _, err = call(students["lif"], "--sanafe", tmp_path / "none.json")
    assert code == 1 and "no such file" in err


# --- docs/reference/energy-json.md

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "reference" / "energy-json.md"
MODULES = (document, report_hardware, report_layers, report_mapped, report_networks, report_spikes)
TYPES = {cls.__name__: cls for cls in (Constant, Excluded, Precision, Split, Verdict)} | {
    name: kind for module in MODULES for name, kind in vars(module).items() if dataclasses.is_dataclass(kind)
}


def documented() -> dict[str, list[str]]:
    """Keys by section; a section is named after the type that it describes."""
    sections: dict[str, list[str]] = {}
    for part in re.split(r"^## ", DOCUMENTATION.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title = part.splitlines()[0].strip("`")
        first_cells = re.findall(r"^\| (`.*?) \|", part, flags=re.MULTILINE)
        sections[title] = [key for cell in first_cells for key in re.findall(r"`(\w+)`", cell)]
    return sections


def produced(value: Any, annotation: type, found: dict[str, set[str]]) -> None:
    """Collect the keys of every object in a body, guided by the type that made it."""
    names = typed_fields(annotation)
    found.setdefault(annotation.__name__, set()).update(value)
    for key, inner in value.items():
        if (kind := names.get(key)) is not None and inner is not None:
            values = inner if isinstance(inner, list) else inner.values() if key == "constants" else [inner]
            for one in values:
                produced(one, kind, found)


def typed_fields(annotation: type) -> dict[str, type]:
    """Fields that hold objects of the report, alone, in a tuple, or in a mapping."""
    found = {}
    for field in dataclasses.fields(annotation):
        for word in re.findall(r"\w+", str(field.type)):
            if word in TYPES:
                found[field.name] = TYPES[word]
    return found


@pytest.mark.slow
def test_every_key_that_is_written_is_documented_and_the_other_way_round(
    call: Run, students: dict[str, Path], tmp_path: Path, formula_mapper: Callable[..., object]
) -> None:
    found: dict[str, set[str]] = {}
    sections = documented()
    check = tmp_path / "sanafe.json"
    write_sanafe(check, chip_report(students["lif"]))
    formula_mapper()
    rivals = tmp_path / "mapping.json"
    assert run(["-q", "energy", "map", *map(str, ("--student", students["lif"], "--out", rivals))]) == 0
    for name, *extra in (
        ("lif", "--sanafe", check, "--mapping", rivals),
        ("graded", "--lowering", "relay"),
    ):
        assert call(students[name], "--teacher", "restormer", *extra)[0] == 0
        written = read_json(tmp_path / "energy/energy.json", KIND, SCHEMA)
        fields = {field.name for field in dataclasses.fields(EnergyReport)}
        head = {key: value for key, value in written.items() if key not in fields}
        assert list(head) == sections["The file"]
        produced({key: written[key] for key in written if key in fields}, EnergyReport, found)
    assert {name: sorted(keys) for name, keys in found.items()} == {
        name: sorted(keys) for name, keys in sections.items() if name != "The file"
    }
    assert len(found) >= 26


# --- the int8 CNN


@pytest.mark.slow
def test_a_cnn_is_a_network_of_int8_activations(
    call: Run, students: dict[str, Path], tmp_path: Path, photograph: NDArray[np.float32]
) -> None:
    """Priced as a twin of its own wiring would be, at full width, and measured on the same images."""
    cnn = tmp_path / "cnn.int.safetensors"
    save_integer_network(cnn, graded(127, True, 8, photograph), NOISE)
    code, out, _ = call(students["graded"], "--cnn", cnn, "--against", "cnn", "--no-sweep")
    report = body(out)
    assert code == 0
    columns = {column["name"]: column for column in report["columns"]}
    assert columns["cnn"]["quality"]["psnr_db"] is not None
    assert columns["cnn"]["padded_macs"]["mean"] > columns["twin"]["padded_macs"]["mean"]
    assert all(row["ratio"] == row["split"]["cnn_over_student"] for row in report["ratios"])
    assert report["hashes"]["cnn"] == sha256_file(cnn)


@pytest.mark.parametrize(("name", "has"), [("lif", "binary spikes"), ("signed", "4 levels")])
def test_what_spikes_or_has_few_levels_is_no_int8_cnn(
    call: Run, students: dict[str, Path], name: str, has: str
) -> None:
    code, out, err = call(students["graded"], "--cnn", students[name])
    assert (code, out) == (1, "")
    assert f"no int8 CNN, it has {has}" in err and len(err.strip().splitlines()) == 1
