"""`snn-tool energy map` and `energy report --mapping`, with a mapper by formula in place of ZigZag."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.energy.report.columns import twin_load
from snn_tool.exporters.zigzag import environment
from snn_tool.exporters.zigzag.report import read_mapping
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.file import load_integer_network, save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

Call = Callable[..., tuple[int, str, str]]
PutMapper = Callable[..., list[Any]]
NOISE = {"noise": {"task": "denoise", "sigma": [25.0, 25.0]}}
SIDE = 32


@pytest.fixture(scope="module")
def students(
    tmp_path_factory: pytest.TempPathFactory, make_network: Callable[..., IntegerNetwork]
) -> dict[str, Path]:
    paths = {}
    for name, network in {"unet": make_network("graded"), "chain": make_network("graded", "chain")}.items():
        paths[name] = tmp_path_factory.mktemp(name) / "student.int.safetensors"
        save_integer_network(paths[name], network, NOISE)
    return paths


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def invoke(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["-q", *map(str, arguments)])
        printed, err = capsys.readouterr()
        return code, printed, err

    return invoke


def test_layers_of_one_shape_are_mapped_once(
    call: Call, students: dict[str, Path], formula_mapper: PutMapper, tmp_path: Path
) -> None:
    asked, out = formula_mapper(), tmp_path / "m.json"
    code, printed, _ = call("energy", "map", "--student", students["unet"], "--size", SIDE, "--out", out)
    assert code == 0 and str(out) in printed
    report = read_mapping(out)
    load = twin_load(load_integer_network(students["unet"])[0].topology, SIDE, SIDE)
    nests = [nest for layer in load.layers for nest in layer.nests]
    assert list(asked[0].nests) == list(dict.fromkeys(nests)) and len(set(nests)) < len(nests)
    assert [network.column for network in report.networks] == ["twin", "qann"]
    for network in report.networks:
        totals = report.totals(network)
        assert (totals.macs, totals.unmapped_macs) == (load.padded_macs, 0)
        assert network.elementwise_ops == load.elementwise_ops
        moved = sum(nest.inputs + nest.weights for nest in nests) / 8 * 700
        moved += sum(nest.outputs for nest in nests) / 8 * 750
        assert totals.dram_pj == pytest.approx(moved)
        assert totals.energy_pj == pytest.approx(moved + 0.04 * load.padded_macs)
    assert report.hashes == {"student": sha256_file(students["unet"])}


def test_what_has_no_mapping_is_named(
    call: Call, students: dict[str, Path], formula_mapper: PutMapper, tmp_path: Path
) -> None:
    formula_mapper(lambda nest: "" if nest.kernel_rows > 1 else "ValueError: no mapping fits")
    out = tmp_path / "m.json"
    code, printed, _ = call("energy", "map", "--student", students["unet"], "--size", SIDE, "--out", out)
    report = read_mapping(out)
    totals = report.totals(report.networks[0])
    load = twin_load(load_integer_network(students["unet"])[0].topology, SIDE, SIDE)
    assert code == 0 and totals.unmapped_macs > 0
    assert totals.macs + totals.unmapped_macs == load.padded_macs
    assert "not mapped in twin" in printed and "no mapping fits" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "31"), "--size 31: the student reads multiples of"),
        (("--clock", "0"), "--clock must be above 0 MHz"),
        (("--teacher", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    call: Call,
    students: dict[str, Path],
    formula_mapper: PutMapper,
    tmp_path: Path,
) -> None:
    formula_mapper()
    out = tmp_path / "m.json"
    code, printed, err = call("energy", "map", "--student", students["unet"], "--out", out, *arguments)
    assert (code, printed) == (1, "") and message in err and err.count("\n") == 1 and not out.exists()


def test_without_zigzag_the_remedy_is_named(
    call: Call, students: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "find_zigzag", lambda: None)
    code, _, err = call("energy", "map", "--student", students["unet"], "--out", tmp_path / "m.json")
    assert code == 1 and err == "error: ZigZag is not installed; run `snn-tool backend install zigzag`\n"
    (tmp_path / "m.json").write_text("mine")
    code, _, err = call("energy", "map", "--student", students["unet"], "--out", tmp_path / "m.json")
    assert code == 1 and "--overwrite" in err


@pytest.fixture
def photographs(tmp_path: Path, photograph: NDArray[np.float32]) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    pixels = (np.clip(photograph, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    for index, side in enumerate((SIDE, 2 * SIDE)):
        Image.fromarray(np.ascontiguousarray(pixels[:SIDE, :side])).save(folder / f"{index}.png")
    return folder


@pytest.mark.slow
def test_mapped_rivals_stand_beside_the_student(
    call: Call, students: dict[str, Path], formula_mapper: PutMapper, photographs: Path, tmp_path: Path
) -> None:
    """Images of one and of two mapped sizes: 1.5 times the mapped energy on average.

    At half of the peak's operations the vendor's 1 pJ is 2 pJ per MAC, where 25 % makes 4.
    """
    formula_mapper()
    rivals, student = tmp_path / "m.json", students["unet"]
    made = ("energy", "map", "--student", student, "--teacher", "restormer", "--size", SIDE)
    assert call(*made, "--out", rivals)[0] == 0
    asked = ("energy", "report", "--student", student, "--images", photographs, "--no-sweep", "--crop", 0)
    written = ("--out", tmp_path / "energy", "--overwrite")
    code, out, _ = call("--json", *asked, *written, "--teacher", "restormer", "--mapping", rivals)
    report = json.loads(out)
    assert code == 0 and report["hashes"]["mapping"] == sha256_file(rivals)
    section = report["mapping"]
    assert [column["name"] for column in section["columns"]] == ["teacher", "twin", "qann"]
    assert (section["assumed_utilisation"], section["tool"]) == (0.25, "ZigZag")
    cells = {(cell["column"], f"{cell['model']}/{cell['precision']}"): cell for cell in report["cells"]}
    mapped = {column["name"]: column for column in section["columns"]}
    rows = [row for row in section["rows"] if row["model"] == "loihi1-davies/int8"]
    assert [row["column"] for row in rows] == ["teacher", "twin", "qann"]
    for row in rows:
        cell, base = cells[row["column"], row["model"]], cells["student", row["model"]]["headline"]
        macs = next(c["padded_macs"]["mean"] for c in report["columns"] if c["name"] == row["column"])
        assert row["image_pj"] == pytest.approx(1.5 * mapped[row["column"]]["energy_pj"], rel=1e-3)
        assert row["peak_pj"] == pytest.approx(macs / mapped[row["column"]]["utilisation"])
        assert row["assumed_pj"] == pytest.approx(4 * macs)
        assert row["over_student"] == pytest.approx(row["image_pj"] / base["energy_pj"]["mean"])
        named = {reading["name"]: reading for reading in cell["alternatives"]}
        assert named["int8 mapped by ZigZag"]["energy_pj"]["mean"] == pytest.approx(row["image_pj"])
        assert named["int8 at the mapped utilisation"]["energy_pj"]["mean"] == pytest.approx(row["peak_pj"])
        on_chip = 0.04 * mapped[row["column"]]["macs"] * 1.5
        assert row["image_on_chip_pj"] == pytest.approx(on_chip, rel=1e-3)
    twin = mapped["twin"]
    nests = read_mapping(rivals).networks[1].layers
    words = sum(
        accesses.reads + accesses.writes
        for layer in nests
        for number in layer.nests
        for accesses in read_mapping(rivals).nests[number].mapped.accesses.values()
    )
    assert twin["at_45_nm_pj"] == pytest.approx((0.2 + 0.03) * twin["macs"] + 1300 * words)
    assert twin["time_ms"] == pytest.approx(twin["cycles"] / 500e3)
    page = (tmp_path / "energy" / "energy.html").read_text(encoding="utf-8")
    assert 'id="mapped"' in page and "edge_tpu_like" in page and "static power of the accelerator" in page
    text = call(*asked, *written, "--teacher", "restormer", "--mapping", rivals, "--tables")[1]
    assert "Mapped by ZigZag 3.9.1" in text and "Mapped rival / student" in text

    code, out, err = call(*asked, *written, "--teacher", "nafnet", "--mapping", rivals)
    assert (code, out) == (1, "") and "--mapping: made with another teacher (restormer" in err
    assert call(*asked, *written, "--mapping", rivals)[0] == 0, "a report without the teacher needs none"


def test_a_mapping_of_another_student_is_refused(
    call: Call, students: dict[str, Path], formula_mapper: PutMapper, photographs: Path, tmp_path: Path
) -> None:
    formula_mapper()
    rivals = tmp_path / "m.json"
    made = ("energy", "map", "--student", students["chain"], "--size", SIDE, "--out", rivals)
    assert call(*made)[0] == 0
    asked = ("energy", "report", "--student", students["unet"], "--images", photographs)
    code, _, err = call(*asked, "--out", tmp_path / "energy", "--mapping", rivals)
    assert code == 1 and "made with another student" in err and "snn-tool energy map" in err
    assert err.count("\n") == 1
    code, _, err = call(*asked, "--out", tmp_path / "energy", "--mapping", tmp_path / "none.json")
    assert code == 1 and "no such file" in err
    code, _, err = call(*asked, "--out", tmp_path / "energy", "--mapping", students["unet"])
    assert code == 1 and err.count("\n") == 1
