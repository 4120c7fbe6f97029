"""The command line as users meet it: one pipeline on small photographs, and every kind of bad input."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.exporters.lava.environment import find_lava
from snn_tool.files.artifacts import sha256_file

pytestmark = pytest.mark.slow

SMALL = ["--batch", "2", "--patch", "16", "--max-steps", "8", "--validate-every", "4", "--device", "cpu"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four crops of 48 x 64 pixels."""
    folder = tmp_path_factory.mktemp("photographs")
    for index, name in enumerate(("chelsea.png", "coffee.png")):
        image = read_photograph("skimage.data", name)
        for half, top in enumerate((0, 120)):
            crop = np.ascontiguousarray(image[top : top + 48, 100:164])
            Image.fromarray(crop).save(folder / f"{index}{half}.png")
    return folder


@pytest.fixture(scope="module")
def pipeline(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, a student and its integers, made by the commands of the README."""
    out = tmp_path_factory.mktemp("pipeline")
    data = ["--data", str(photographs)]
    teacher = ["-q", "train", *data, "--out", f"{out}/teacher", "--option", "width=4", *SMALL]
    student = ["-q", "distill", *data, "--task", "denoise", "--sigma", "25", "--width", "4", *SMALL]
    assert run(teacher) == 0
    assert run([*student, "--teacher", f"{out}/teacher/teacher.safetensors", "--out", f"{out}/student"]) == 0
    assert run(["-q", "quantize", f"{out}/student/student.safetensors", *data]) == 0
    return out


@pytest.fixture
def integers(pipeline: Path, tmp_path: Path) -> Path:
    """A copy of the integer student that a test may damage."""
    for suffix in ("safetensors", "json"):
        shutil.copy(pipeline / f"student/student.int.{suffix}", tmp_path)
    return tmp_path / "student.int.safetensors"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Run:
    def invoke(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


def document(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_the_student_keeps_its_promises(pipeline: Path) -> None:
    sidecar = document((pipeline / "student/student.json").read_text())
    assert sidecar["training"]["task"] == {"task": "denoise", "sigma": [25.0, 25.0]}
    assert sidecar["training"]["teacher"] == sha256_file(pipeline / "teacher/teacher.safetensors")
    integers = document((pipeline / "student/student.int.json").read_text())["provenance"]
    assert set(integers["calibration_images"]).isdisjoint(integers["measured_images"])


def test_export_to_nir_is_verified(call: Run, integers: Path, photographs: Path) -> None:
    out = integers.parent / "nir"
    code, text, _ = call("-q", "--json", "export", integers, "--target", "nir", "--out", out, "--size", 16)
    assert code == 0
    result = document(text)["verification"]["results"][0]
    assert (result["backend"], result["status"], result["mismatches"]) == ("nir", "exact", 0)
    assert result["values_compared"] > 10_000
    files = sorted(path.name for path in out.iterdir())
    assert files == ["export.json", "network.nir", "verification.json"]
    assert document((out / "verification.json").read_text())["passed"] is True
    again = integers.parent / "again"
    assert call("-q", "export", integers, "--target", "nir", "--out", again, "--size", 16)[0] == 0
    assert all((out / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_what_netx_cannot_hold_is_refused_by_name(call: Run, integers: Path) -> None:
    out = integers.parent / "netx"
    code, text, err = call("-q", "export", integers, "--target", "netx", "--out", out, "--size", 16)
    assert (code, text, out.exists()) == (1, "", False)
    assert "enc_in: graded neurons" in err and "--body chain --neuron lif" in err


def test_a_bundle_is_built_from_the_network_or_from_its_nir_file(call: Run, integers: Path) -> None:
    """Both have the same plan; the second leaves the interpreter out, which gave its golden integers."""
    folder = integers.parent
    small = ("--size", 16, "--tiles", 1)
    code, text, _ = call("-q", "export", integers, "--target", "loihi", "--out", folder / "a", *small)
    assert code == 0
    assert "nir: exact" in text
    assert "Range proof, T = 1" in text and "largest square tile" in text
    statuses = {r["backend"]: r for r in document((folder / "a/verification.json").read_text())["results"]}
    assert list(statuses) == ["nir", "lava"]
    assert statuses["lava"]["status"] == ("exact" if find_lava() else "not run")
    nir = folder / "a/network.nir"
    assert call("-q", "export", nir, "--target", "loihi", "--out", folder / "b", *small)[0] == 0
    assert (folder / "a/plan.npz").read_bytes() == (folder / "b/plan.npz").read_bytes()
    second = document((folder / "b/verification.json").read_text())
    assert [result["backend"] for result in second["results"]] == ["lava"]
    with np.load(folder / "a/golden.npz") as first, np.load(folder / "b/golden.npz") as other:
        np.testing.assert_array_equal(first["readout"], other["readout"])


def test_the_lowering_is_chosen_recorded_and_priced(call: Run, integers: Path) -> None:
    """Whichever is exported, both are printed, and the other one's counts stay the same."""
    folder, printed = integers.parent, []
    for lowering in ("fanout", "relay"):
        chosen = (*("--size", 16, "--tiles", 1, "--out", folder / lowering), "--lowering", lowering)
        code, out, _ = call("-q", "--json", "export", integers, "--target", "loihi", "--no-verify", *chosen)
        assert code == 0
        printed.append(document(out))
        assert document((folder / lowering / "bundle.json").read_text())["lowering"] == lowering
        assert call("-q", "verify", folder / lowering, "--backend", "nir")[0] == 0
    assert [result["lowering"] for result in printed] == ["fanout", "relay"]
    assert printed[0]["lowerings"] == printed[1]["lowerings"]
    fanout, relay = printed[0]["lowerings"]
    assert (fanout["depth"], relay["depth"]) == (10, 14)
    assert fanout["image_macs"] == 4 * relay["image_macs"], "the head has four readers"
    assert 0 < relay["synops_events"] and 0 < fanout["synops_events"]
    assert (fanout["accumulators"], relay["accumulators"]) == (0, 3 * 16 * 16 * 4 + 8 * 8 * 8)
    again = ("--lowering", "relay", "--size", 16, "--tiles", 1, "--no-verify", "--overwrite")
    code, out, _ = call("-q", "export", integers, "--target", "loihi", "--out", folder / "relay", *again)
    assert "lowering fanout: 10 hops" in out and "lowering relay (exported): 14 hops" in out


@pytest.mark.parametrize(
    ("target", "lowering", "message"),
    [
        ("loihi", "copy", "--lowering copy is unknown; use one of fanout, relay"),
        ("nir", "relay", "--lowering relay belongs to --target loihi; a nir file is not lowered"),
    ],
)
def test_a_lowering_that_does_not_exist_is_refused(
    call: Run, integers: Path, target: str, lowering: str, message: str
) -> None:
    out = integers.parent / "out"
    code, _, err = call("export", integers, "--target", target, "--out", out, "--lowering", lowering)
    assert code == 1 and message in err and not out.exists()


def test_a_bundle_that_changed_is_refused_and_a_wrong_one_exits_3(call: Run, integers: Path) -> None:
    bundle = integers.parent / "bundle"
    call(
        "-q",
        "export",
        integers,
        "--target",
        "loihi",
        "--out",
        bundle,
        "--size",
        16,
        "--tiles",
        1,
        "--no-verify",
    )
    assert not (bundle / "verification.json").exists()
    assert call("-q", "verify", bundle, "--backend", "nir")[0] == 0
    with np.load(bundle / "golden.npz") as stored:
        golden = dict(stored)
    golden["readout"][0, 1, 2, 3] += 1
    np.savez(bundle / "golden.npz", **golden)
    code, _, err = call("-q", "verify", bundle, "--backend", "nir")
    assert (code, err.count("\n")) == (1, 1)
    assert "golden.npz: does not match its hash in bundle.json" in err
    manifest = document((bundle / "bundle.json").read_text())
    manifest["files"]["golden.npz"] = sha256_file(bundle / "golden.npz")
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    code, out, _ = call("-q", "verify", bundle, "--backend", "nir")
    assert code == 3
    assert "readout, timestep 0, tile 0, index (1, 2, 3)" in out


def test_an_absent_lava_is_not_run_and_named_alone_it_fails(
    call: Run, integers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNN_TOOL_LAVA_PYTHON", "/nowhere/python")
    bundle = integers.parent / "bundle"
    code, out, _ = call("-q", "export", integers, "--target", "loihi", "--out", bundle, "--size", 16)
    assert code == 0
    assert "lava: not run; SNN_TOOL_LAVA_PYTHON=/nowhere/python" in out
    assert document((bundle / "verification.json").read_text())["passed"] is False
    assert call("-q", "verify", bundle, "--backend", "lava")[0] == 3


def test_evaluate_and_restore_agree(call: Run, pipeline: Path, photographs: Path, tmp_path: Path) -> None:
    student = pipeline / "student/student.int.safetensors"
    scores, saved = tmp_path / "evaluation.json", tmp_path / "saved"
    code, out, _ = call(
        "-q", "evaluate", "--student", student, "--data", photographs, "--out", scores, "--save", saved
    )
    assert code == 0 and "4 images, integer student" in out
    written = document(scores.read_text())
    assert len(written["images"]) == len(list(saved.glob("*.png"))) == 4
    assert written["mean"]["degraded_psnr_db"] == pytest.approx(20.2, abs=1.0)
    code, out, _ = call("-q", "restore", photographs, "--student", student, "--out", tmp_path / "restored")
    assert code == 0
    assert [Path(line).name for line in out.split()] == ["00.png", "01.png", "10.png", "11.png"]
    with Image.open(tmp_path / "restored/00.png") as image:
        assert image.size == (64, 48)


def test_the_energy_report_has_every_column(
    call: Run, pipeline: Path, photographs: Path, tmp_path: Path
) -> None:
    student = pipeline / "student/student.int.safetensors"
    code, out, _ = call(
        "-q", "energy", "report", "--student", student, "--images", photographs, "--out", tmp_path / "energy",
        "--teacher", pipeline / "teacher/teacher.safetensors", "--claim", "50", "--strict",
    )  # fmt: skip
    assert code == 3, "a teacher of the student's own size cannot need 50 times as much"
    assert "The claim of 50× less energy than the teacher fails in every model" in " ".join(out.split())
    report = document((tmp_path / "energy/energy.json").read_text())
    assert {cell["column"] for cell in report["cells"]} == {"teacher", "twin", "qann", "student"}
    assert {cell["model"] for cell in report["cells"]} == set(MODELS)
    assert report["verdict"]["outcome"] == "fails"
    assert report["hashes"]["student"] == sha256_file(student)
    assert "<svg" in (tmp_path / "energy/energy.html").read_text()
    code, out, _ = call(
        "-q", "--json", "energy", "report", "--student", student, "--images", photographs, "--limit", "1",
        "--teacher", "restormer", "--out", tmp_path / "published",
    )  # fmt: skip
    assert code == 0
    assert document(out)["columns"][0]["parameters"] == 26_111_668
    common = ("energy", "report", "--student", student, "--images", photographs, "--limit", "1")
    code, out, _ = call("-q", "--json", *common, "--lowering", "relay", "--out", tmp_path / "relayed")
    assert code == 0 and document(out)["lowering"] == "relay"
    assert [row["readers"] for row in document(out)["accumulators"]] == [2, 2, 2, 2]
    code, _, err = call("-q", *common, "--lowering", "copy", "--out", tmp_path / "copied")
    assert code == 1 and "--lowering copy is unknown" in err


@pytest.mark.parametrize("existing", ["energy.json", "energy.html"])
def test_a_report_is_not_overwritten(
    call: Run, pipeline: Path, photographs: Path, tmp_path: Path, existing: str
) -> None:
    (tmp_path / existing).write_text("mine")
    student = pipeline / "student/student.int.safetensors"
    code, _, err = call("energy", "report", "--student", student, "--images", photographs, "--out", tmp_path)
    assert code == 1 and f"{existing}: exists; choose another --out or pass --overwrite" in err
    assert (tmp_path / existing).read_text() == "mine"


def test_overwrite_never_deletes_what_is_not_ours(call: Run, integers: Path, tmp_path: Path) -> None:
    """Neither beside a manifest that only has the name of one, nor beside a real one."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years")
    (mine / "bundle.json").write_text("{}")
    arguments = ("export", integers, "--out", mine, "--size", 16, "--tiles", 1, "--no-verify", "--overwrite")
    code, out, err = call("-q", *arguments, "--target", "loihi")
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert f"{mine}/bundle.json: not written by snn-tool, or changed since, hence not replaced" in err
    assert sorted(path.name for path in mine.iterdir()) == ["bundle.json", "thesis.tex"]
    (mine / "bundle.json").unlink()
    assert call("-q", *arguments, "--target", "loihi")[0] == 0
    assert call("-q", *arguments, "--target", "nir")[0] == 0, "an export of ours gives way to another"
    found = {path.name for path in mine.iterdir()}
    assert found == {"export.json", "network.nir", "thesis.tex"}
    (mine / "network.nir").write_text("my notes")
    code, _, err = call("-q", *arguments, "--target", "nir")
    assert code == 1 and f"{mine}/network.nir: not written by snn-tool, or changed since" in err
    assert (mine / "thesis.tex").read_text() == "years" and (mine / "network.nir").read_text() == "my notes"


def broken_png(folder: Path) -> None:
    whole = (folder / "0.png").read_bytes()
    (folder / "0.png").write_bytes(whole[: len(whole) // 2])


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda folder: shutil.rmtree(folder), "no such file or folder"),
    "empty": (lambda folder: [path.unlink() for path in folder.iterdir()], "holds no images"),
    "text": (
        lambda folder: (folder / "0.png").write_text("not an image"),
        "0.png: not a PNG, JPEG, WebP, TIFF or BMP file",
    ),
    "truncated": (broken_png, "0.png: corrupt or truncated"),
}


@pytest.mark.parametrize("case", FOLDERS)
@pytest.mark.parametrize(
    "command", ["distill", "train", "quantize", "evaluate", "energy", "restore", "export"]
)
def test_a_bad_folder_is_one_line_and_leaves_nothing(
    call: Run, pipeline: Path, tmp_path: Path, command: str, case: str
) -> None:
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    for index in range(2):
        Image.fromarray(np.full((32, 32, 3), 40 * index, np.uint8)).save(folder / f"{index}.png")
    spoil, message = FOLDERS[case]
    spoil(folder)
    student, floats = (pipeline / f"student/student{kind}.safetensors" for kind in (".int", ""))
    arguments: dict[str, list[object]] = {
        "distill": ["--data", folder, "--out", out, *SMALL],
        "train": ["--data", folder, "--out", out, *SMALL],
        "quantize": [
            pipeline / "student/student.safetensors",
            "--data",
            folder,
            "--out",
            out / "s.int.safetensors",
        ],
        "evaluate": ["--student", student, "--data", folder, "--out", out / "e.json"],
        "energy": ["report", "--student", student, "--images", folder, "--out", out],
        "restore": [folder, "--student", student, "--out", out],
        "export": [student, "--target", "loihi", "--images", folder, "--out", out, "--size", 16],
    }
    code, stdout, err = call("-q", command, *arguments[command])
    assert (code, stdout, err.count("\n")) == (1, "", 1), err
    assert err.startswith("error: ") and message in err
    made = {path.name for path in out.iterdir()} if out.exists() else set()
    # Damage inside of a picture shows when its turn comes; the others are restored (decision 29).
    others_restored = {"1.png", ".snn-tool.jsonl"}
    assert made == (others_restored if (command, case) == ("restore", "truncated") else set())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5)])
def test_tiny_images_are_restored_or_refused_in_one_line(
    call: Run, pipeline: Path, tmp_path: Path, height: int, width: int
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(folder / "a.png")
    Image.fromarray(np.full((height, width, 3), 60, np.uint8)).save(folder / "b.png")
    student = pipeline / "student/student.int.safetensors"
    assert call("-q", "restore", folder, "--student", student, "--out", tmp_path / "out")[0] == 0
    with Image.open(tmp_path / "out/a.png") as image:
        assert image.size == (width, height)
    code, _, err = call("-q", "distill", "--data", folder, "--out", tmp_path / "run", *SMALL)
    assert code == 1 and "no image of at least 16x16 pixels" in err.splitlines()[-1]
    assert not (tmp_path / "run").exists()
    code, _, err = call(
        "-q", "export", student, "--target", "loihi", "--images", folder, "--out", tmp_path / "b"
    )
    assert code == 1 and "no image of at least 64x64 pixels" in err
    assert call("-q", "evaluate", "--student", student, "--data", folder)[0] == 0


def edit_sidecar(path: Path, **values: object) -> None:
    sidecar = path.with_suffix(".json")
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **values}))


def poison(path: Path) -> None:
    """NaN in one weight of a float network, with hashes that fit, as one of earlier versions has."""
    tensors = load_file(path)
    name = sorted(tensors)[0]
    tensors[name] = np.full_like(tensors[name], np.nan)
    save_file(tensors, path)
    edit_sidecar(path, sha256=sha256_file(path), function_sha256=None)


CHECKPOINTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "schema": (lambda path: edit_sidecar(path, schema=99), "schema 99, but snn-tool .* reads schema 1"),
    "kind": (
        lambda path: edit_sidecar(path, kind="teacher"),
        "expected a file of kind 'student', found 'teacher'",
    ),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:200]), "does not match the hash"),
    "nan": (poison, "holds NaN or infinity"),
    "absent": (lambda path: path.unlink(), "no such file|cannot be read"),
    "alone": (
        lambda path: path.with_suffix(".json").unlink(),
        r"student.json: cannot be read \(No such file or directory\); it belongs beside student.safetensors",
    ),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_bad_checkpoint_is_one_line(
    call: Run, pipeline: Path, photographs: Path, tmp_path: Path, case: str
) -> None:
    for suffix in ("safetensors", "json"):
        shutil.copy(pipeline / f"student/student.{suffix}", tmp_path)
    spoil, message = CHECKPOINTS[case]
    path = tmp_path / "student.safetensors"
    spoil(path)
    code, out, err = call("-q", "quantize", path, "--data", photographs)
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert re.search(message, err), err
    assert not (tmp_path / "student.int.safetensors").exists()


def test_a_pickle_is_never_loaded(call: Run, photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "student.pt").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    code, _, err = call("quantize", tmp_path / "student.pt", "--data", photographs)
    assert code == 1 and "pickled checkpoints are never loaded" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "damaged or truncated HDF5"),
        (b"hello", "not an HDF5 file"),
        (b"", "not an HDF5 file"),
    ],
)
def test_a_damaged_nir_file_is_one_line(call: Run, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "network.nir").write_bytes(content)
    code, out, err = call(
        "-q", "export", tmp_path / "network.nir", "--target", "loihi", "--out", tmp_path / "b"
    )
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert message in err and not (tmp_path / "b").exists()


def test_a_foreign_nir_file_is_one_line(call: Run, tmp_path: Path) -> None:
    import nir

    graph = nir.NIRGraph.from_list(nir.Affine(np.ones((2, 3)), np.ones(2)))
    nir.write(tmp_path / "network.nir", graph)
    code, _, err = call(
        "-q", "export", tmp_path / "network.nir", "--target", "loihi", "--out", tmp_path / "b"
    )
    assert code == 1 and "NIR, but not made by snn-tool" in err and err.count("\n") == 1
    assert "snn-tool import" in err and "--target nir" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "{tmp}/c.toml"], "training.learning_rate is unknown; use balance, batch, clip"),
        (["--sigma", "loud"], "use a number like 25 or a range like 5-50"),
        (["--task", "snow"], "--task snow is unknown; use one of denoise, derain, dehaze, deblur, defocus"),
        (["--neuron", "spiky"], "student.neuron = 'spiky' is not allowed; use one of graded, lif"),
        (["--teacher", "{tmp}/absent.safetensors"], "absent.safetensors: cannot be read|no such file"),
        (["--hints", "decoder1"], "--hints needs --teacher"),
        (["--max-steps", "0"], "training.max_steps = 0 is not allowed"),
        (["--loss-fft", "-1"], "loss.fft = -1.0 is not allowed"),
        (["--device", "tpu"], "training.device = 'tpu' is not allowed"),
    ],
)
def test_wrong_options_say_what_is_allowed(
    call: Run, photographs: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "c.toml").write_text("[training]\nlearning_rate = 1\n")
    given = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    fixed = [a for a in SMALL if "--max-steps" not in given or a not in ("--max-steps", "8")]
    code, _, err = call("-q", "distill", "--data", photographs, "--out", tmp_path / "run", *fixed, *given)
    assert code == 1 and re.search(re.escape(message).replace(r"\|", "|"), err), err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_hints_that_do_not_exist_list_those_that_do(
    call: Run, pipeline: Path, photographs: Path, tmp_path: Path
) -> None:
    teacher = pipeline / "teacher/teacher.safetensors"
    code, _, err = call(
        "-q", "distill", "--data", photographs, "--out", tmp_path / "run", "--teacher", teacher, "--hints",
        "decoder9,tail_in", *SMALL,
    )  # fmt: skip
    assert code == 1
    assert "the network has no population 'decoder9'; use some of enc_in, enc_mid, down_in" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["polish"],
        ["distill"],
        ["distill", "--speed", "9"],
        ["export", "a", "--target"],
        ["train", "--max-steps", "x"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(call: Run, arguments: list[str]) -> None:
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("usage: ") and err.rstrip().endswith("--help'")


def test_an_unwritable_place_is_one_line(call: Run, integers: Path) -> None:
    blocked = integers.parent / "file"
    blocked.write_text("")
    code, _, err = call("-q", "export", integers, "--target", "nir", "--out", blocked / "below", "--size", 16)
    assert (code, err.count("\n")) == (1, 1), err


def test_json_is_the_only_thing_on_stdout(call: Run, pipeline: Path, photographs: Path) -> None:
    student = pipeline / "student/student.int.safetensors"
    code, out, _ = call("--json", "evaluate", "--student", student, "--data", photographs)
    assert code == 0 and len(document(out)["images"]) == 4
    assert out.count("\n") == 1


def test_doctor_finds_what_the_tests_use(call: Run) -> None:
    code, out, _ = call("--json", "doctor")
    findings = {finding["name"]: finding for finding in document(out)["findings"]}
    assert findings["torch"]["works"] and findings["backend nir"]["works"]
    assert code == (0 if all(finding["works"] is not False for finding in findings.values()) else 1)
