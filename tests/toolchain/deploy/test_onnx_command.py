"""`snn-tool export --target onnx`: one file or none, and one line for each fault."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from skimage import data
from snn_tool.cli.app import run
from snn_tool.deploy import onnx_networks as onnx_integer_students
from snn_tool.exporters.onnx.graph import PREFIX
from snn_tool.exporters.onnx.run import FileRun
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

Run = Callable[..., tuple[int, str, str]]
SMALL = ("--size", 16, "--tiles", 1)
NOISE = {"noise": {"task": "denoise", "sigma": [25.0, 25.0]}}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Run:
    def invoke(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["-q", *(str(argument) for argument in arguments)])
        return code, *capsys.readouterr()

    return invoke


@pytest.fixture
def integers(make_network: Callable[..., IntegerNetwork], tmp_path: Path) -> dict[str, Path]:
    """An integer student of each neuron."""
    paths = {neuron: tmp_path / f"{neuron}.int.safetensors" for neuron in ("graded", "lif")}
    for neuron, path in paths.items():
        save_integer_network(path, make_network(neuron), NOISE)
    return paths


def export(call: Run, source: object, out: Path, *options: object) -> tuple[int, str, str]:
    return call("export", source, "--target", "onnx", "--out", out, *SMALL, *options)


@pytest.mark.slow
def test_the_same_export_gives_the_same_bytes(call: Run, integers: dict[str, Path], tmp_path: Path) -> None:
    outs = tmp_path / "a.onnx", tmp_path / "folder" / "b.onnx"
    for out in outs:
        code, text, err = export(call, integers["graded"], out)
        assert (code, err) == (0, "")
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert (
        "onnx-integer-student, opset 20" in text and "integers of all populations equal the engine's" in text
    )
    assert "restored images equal as well, also those of 11x13 pixels" in text
    model = onnx.load(outs[0])
    props = {entry.key.removeprefix("snn_tool."): entry.value for entry in model.metadata_props}
    assert props["source_sha256"] == sha256_file(integers["graded"])
    assert json.loads(props["trained_for"]) == NOISE["noise"]
    assert str(tmp_path).encode() not in outs[0].read_bytes()


def test_json_of_a_step_with_taps(call: Run, integers: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "step.onnx"
    options = ("--target", "onnx", "--out", out, *SMALL, "--stateful", "--taps")
    code, text, _ = call("--json", "export", integers["lif"], *options)
    document = json.loads(text)
    assert code == 0 and document["path"] == str(out) and document["size"] == out.stat().st_size
    states = [line for line in document["inputs"] if line.startswith("state.")]
    spikes = [line for line in document["outputs"] if line.startswith("spikes.")]
    assert len(states) == len(spikes) + 1 and document["inputs"][0].startswith("image float32 [batch, 3")
    assert document["outputs"][0] == "restored uint8 [batch, 3, height, width]"
    assert any(line.startswith("next.") for line in document["outputs"])


@pytest.mark.slow
def test_the_file_restores_what_restore_writes(call: Run, integers: dict[str, Path], tmp_path: Path) -> None:
    """An image of another size than the export's, through PNG files and `snn-tool restore`."""
    from PIL import Image

    image = data.astronaut()[:45, 100:171]
    Image.fromarray(image).save(tmp_path / "a.png")
    for neuron, student in integers.items():
        out = tmp_path / f"{neuron}.onnx"
        assert export(call, student, out, "--no-verify")[0] == 0
        folder = tmp_path / neuron
        assert call("restore", tmp_path / "a.png", "--student", student, "--out", folder)[0] == 0
        shown = (image.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)[None]
        restored = FileRun(onnx.load(out), out)({"image": np.ascontiguousarray(shown)})["restored"]
        with Image.open(folder / "a.png") as expected:
            np.testing.assert_array_equal(restored[0].transpose(1, 2, 0), np.asarray(expected))


def test_a_file_that_computes_something_else_is_not_written(
    call: Run, integers: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = onnx_integer_students.integer_model

    def tampered(*arguments: Any) -> Any:
        model = made(*arguments)
        (held,) = [c for c in model.graph.initializer if c.name == "tail.weight"]
        weight = onnx.numpy_helper.to_array(held).copy()
        weight[0, 0, 1, 1] ^= 1
        held.CopyFrom(onnx.numpy_helper.from_array(weight, held.name))
        return model

    monkeypatch.setattr(onnx_integer_students, "integer_model", tampered)
    out = tmp_path / "a.onnx"
    out.write_bytes(b"thesis")
    code, _, err = export(call, integers["graded"], out, "--overwrite")
    assert code == 1 and f"{out}: is no ONNX export of snn-tool, hence not replaced" in err
    before = onnx.helper.make_model(
        onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [], [])
    )
    onnx.helper.set_model_props(before, {f"{PREFIX}kind": "student"})
    onnx.save(before, out)
    written = out.read_bytes()
    code, text, err = export(call, integers["graded"], out, "--overwrite")
    assert (code, text, err.count("\n"), out.read_bytes()) == (3, "", 1, written)
    assert "not written" in err and "first: readout membranes, timestep 0, tile 0, index (0, " in err
    assert sorted(path.suffix for path in tmp_path.iterdir()).count(".part") == 0


def spoiled(path: Path, how: str) -> Path:
    if how == "bytes":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "sidecar":
        path.with_suffix(".json").unlink()
    elif how == "json":
        path.with_suffix(".json").write_text("[]")
    else:
        path.with_suffix(".json").write_text('{"kind": "something"}')
    return path


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("bytes", "does not match the hash in graded.int.json; copy both files again"),
        ("sidecar", "graded.int.json: cannot be read (No such file or directory)"),
        ("json", "graded.int.json: is not the sidecar of graded.int.safetensors; copy both files again"),
        ("kind", "expected a file of kind 'integer-network' or 'student' or 'teacher', found 'som"),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_one_line(
    call: Run, integers: dict[str, Path], tmp_path: Path, how: str, message: str
) -> None:
    out = tmp_path / "a.onnx"
    code, text, err = export(call, spoiled(integers["graded"], how), out)
    assert (code, text, err.count("\n"), out.exists()) == (1, "", 1, False)
    assert message in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stateful",), "--stateful: graded neurons keep nothing from step to step"),
        (("--lowering", "relay"), "an onnx file is not lowered"),
        (("--size", 13), "--size 13: use a multiple of"),
        (("--out", "folder"), "let its name end in .onnx"),
        (("--target", "nir", "--taps"), "--taps and --stateful belong to --target onnx, not to nir"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    call: Run, integers: dict[str, Path], tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    out = tmp_path / "a.onnx"
    code, text, err = export(call, integers["graded"], out, *options)
    assert (code, text, err.count("\n"), out.exists()) == (1, "", 1, False)
    assert message in err


def test_what_is_there_is_kept(call: Run, integers: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "a.onnx"
    out.write_bytes(b"mine")
    code, _, err = export(call, integers["graded"], out)
    assert code == 1 and "exists; choose another --out or pass --overwrite" in err
    assert out.read_bytes() == b"mine"
    code, _, err = export(call, shutil.copy(out, tmp_path / "x.nir"), tmp_path / "b.onnx")
    assert code == 1 and "takes a .safetensors file of this tool" in err
