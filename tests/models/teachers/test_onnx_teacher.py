"""Graphs built node by node, so that every tensor's value is known without running anything else."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from snn_tool.errors import ArtifactError, SnnToolError, TeacherError
from snn_tool.models.teachers.onnx import OnnxTeacher

DYNAMIC = ("n", 3, "h", "w")


def graph(shape: tuple[Any, ...] = DYNAMIC, kind: int = TensorProto.FLOAT, operator: str = "Mul") -> Any:
    """restored = 0.5 x + 0.5 x = x, by way of `halved` [N, 3, H, W]; `pooled` [N, 3, H/2, W/2] beside it."""
    half = np.full((1,), 0.5, helper.tensor_dtype_to_np_dtype(kind))
    nodes = [
        helper.make_node(operator, ["image", "half"], ["halved"]),
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ReduceMean", ["pooled"], ["grey"], keepdims=0),
        helper.make_node("Add", ["halved", "halved"], ["restored"]),
    ]
    image, restored = (helper.make_tensor_value_info(name, kind, shape) for name in ("image", "restored"))
    if len(shape) != 4 or kind != TensorProto.FLOAT:
        nodes = [nodes[0], nodes[3]]  # pooling takes neither
    made = helper.make_graph(nodes, "g", [image], [restored], [onnx.numpy_helper.from_array(half, "half")])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def written(tmp_path: Path, model: Any) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_the_output_and_the_tapped_tensors_by_hand(tmp_path: Path) -> None:
    teacher = OnnxTeacher(written(tmp_path, graph()), ("pooled", "halved"))
    image = torch.rand(2, 3, 4, 6)
    restored, features = teacher.forward_features(image.to(memory_format=torch.channels_last))
    torch.testing.assert_close(restored, image, rtol=0, atol=0)
    torch.testing.assert_close(features["halved"], image / 2, rtol=0, atol=0)
    blocks = image.unflatten(3, (3, 2)).unflatten(2, (2, 2)).mean((3, 5))
    torch.testing.assert_close(features["pooled"], blocks)
    assert list(features) == ["pooled", "halved"] and not restored.requires_grad


def test_a_fixed_batch_is_served_in_parts_and_a_fixed_size_names_the_patch(tmp_path: Path) -> None:
    teacher = OnnxTeacher(written(tmp_path, graph((2, 3, 16, 16))), ("pooled",))
    images = torch.rand(4, 3, 16, 16)
    restored, features = teacher.forward_features(images)
    torch.testing.assert_close(restored, images, rtol=0, atol=0)
    assert features["pooled"].shape == (4, 3, 8, 8)
    with pytest.raises(TeacherError, match="takes 2 images at once; use a --batch that is a multiple of 2"):
        teacher(images[:3])
    with pytest.raises(
        TeacherError, match="takes images of 16x16 alone, not 24x24; use --patch 16, or export"
    ):
        teacher(torch.rand(2, 3, 24, 24))


@pytest.mark.parametrize("sides", [(16, 24), (20, 20)])
def test_a_fixed_size_that_no_patch_has_must_be_exported_anew(tmp_path: Path, sides: tuple[int, int]) -> None:
    """Patches are squares of a multiple of 8."""
    teacher = OnnxTeacher(written(tmp_path, graph((1, 3, *sides))))
    size = f"{sides[0]}x{sides[1]}"
    with pytest.raises(
        TeacherError, match=f"takes images of {size} alone, not 48x48; export it with dynamic"
    ):
        teacher(torch.rand(1, 3, 48, 48))


def test_a_teacher_can_be_copied_and_pickled_without_its_session(tmp_path: Path) -> None:
    teacher = OnnxTeacher(written(tmp_path, graph()))
    image = torch.rand(1, 3, 4, 4)
    assert torch.equal(teacher(image), image)
    for other in (copy.deepcopy(teacher), pickle.loads(pickle.dumps(teacher))):
        assert other.__getstate__()["_session"] is None
        assert torch.equal(other(image), image)


def test_a_wrong_name_lists_the_tensors_that_fit(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="has no tensor 'decoder'; tensors that fit: ") as refused:
        OnnxTeacher(written(tmp_path, graph()), ("decoder",))
    listed = str(refused.value).partition("fit: ")[2]
    assert "halved [3, h, w]" in listed and "pooled [3," in listed and "restored [3, h, w]" in listed
    assert "grey" not in listed, "it has no dimensions"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (graph(("n", 4, "h", "w")), r"takes image tensor\(float\) \['n', 4.*a teacher takes RGB"),
        (graph(("n", 3, "h")), r"a teacher takes one float32 image tensor \[N, 3, H, W\]"),
        (graph(kind=TensorProto.DOUBLE), r"image tensor\(double\)"),
        (graph(operator="Teleport"), "onnxruntime cannot run it"),
        (onnx.ModelProto(ir_version=10), "holds no graph"),
    ],
)
def test_graphs_that_are_no_restorer_are_refused(tmp_path: Path, model: Any, message: str) -> None:
    with pytest.raises(ArtifactError, match=message) as refused:
        OnnxTeacher(written(tmp_path, model))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kept", [0, 1, 40, 0.5, 0.98])
def test_a_truncated_file_is_refused_in_one_line(tmp_path: Path, kept: float) -> None:
    data = graph().SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    with pytest.raises(ArtifactError, match="model.onnx: ") as refused:
        OnnxTeacher(path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="absent.onnx: cannot be read"):
        OnnxTeacher(tmp_path / "absent.onnx")


def external(tmp_path: Path) -> Path:
    """A model whose constant lies in `data.bin` beside it."""
    path = tmp_path / "model.onnx"
    onnx.save_model(graph(), path, save_as_external_data=True, location="data.bin", size_threshold=0)
    assert (tmp_path / "data.bin").stat().st_size >= 4
    return path


def test_external_data_beside_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, image = external(tmp_path), torch.rand(1, 3, 4, 4)
    monkeypatch.chdir("/")
    assert torch.equal(OnnxTeacher(path)(image), image)


@pytest.mark.parametrize("where", ["../data.bin", "absolute", "link", "gone"])
def test_external_data_elsewhere_is_refused(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    path = external(folder)
    moved = (folder / "data.bin").rename(tmp_path / "data.bin")
    if where == "link":
        (folder / "data.bin").symlink_to(moved)
    model = onnx.load(path, load_external_data=False)
    if where not in ("link", "gone"):
        (entry,) = (e for e in model.graph.initializer[0].external_data if e.key == "location")
        entry.value = str(moved) if where == "absolute" else where
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SnnToolError, match="external data must lie beside it") as refused:
        OnnxTeacher(path)
    assert "\n" not in str(refused.value)
