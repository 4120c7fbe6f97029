"""Errors of real allocations that no machine can serve: one line, and what to make smaller."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from snn_tool.cli.app import run
from snn_tool.errors import is_out_of_memory
from snn_tool.models.config import default_config
from snn_tool.models.student import build_student, save_student
from snn_tool.networks import running

TOO_MUCH = 1 << 55  # bytes, beyond any address space


def by_torch() -> None:
    torch.empty(TOO_MUCH, dtype=torch.uint8)


def by_numpy() -> None:
    np.empty(TOO_MUCH, np.uint8)


def by_cuda() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@pytest.mark.parametrize("allocate", [by_torch, by_numpy, by_cuda])
def test_each_library_is_understood(allocate: Callable[[], None]) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()
    assert is_out_of_memory(caught.value)


def test_other_errors_are_not() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for index in range(2):
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{index}.png")
    config = default_config("graded")
    save_student(tmp_path / "student.safetensors", build_student(config), config, {})
    return tmp_path


def commands(work: Path) -> dict[str, list[str]]:
    data, out = ["--data", str(work / "images")], ["--out", str(work / "out")]
    student = ["--student", str(work / "student.safetensors")]
    huge = ["--batch", "1000000000", "--patch", "32", "--device", "cpu"]
    return {
        "train": ["train", *data, *out, *huge],
        "distill": ["distill", *data, *out, *huge],
        "restore": ["restore", str(work / "images"), *student, *out],
        "evaluate": ["evaluate", *student, *data, "--task", "denoise", "--sigma", "25"],
    }


@pytest.mark.parametrize("command", ["restore", "evaluate"])
@pytest.mark.parametrize("allocate", [by_torch, by_numpy, by_cuda])
def test_running_out_while_restoring_is_one_line(
    work: Path,
    command: str,
    allocate: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(running, "restore_tiled", lambda *_, **__: allocate())
    assert run(["-q", *commands(work)[command]]) == 1
    assert capsys.readouterr().err == (
        "error: out of memory; use a smaller --batch, --patch, --tile, --crop or --size\n"
    )


@pytest.mark.parametrize("command", ["train", "distill"])
def test_running_out_while_training_is_one_line(
    work: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The forward pass meets torch's allocator inside of Lightning's loop."""
    from snn_tool.training.module import RestorationModule

    monkeypatch.setattr(RestorationModule, "training_step", lambda *_: by_torch())
    few = ["--batch", "1", "--patch", "16", "--max-steps", "1"]
    assert run(["-q", *commands(work)[command], *few]) == 1
    assert capsys.readouterr().err.startswith("error: out of memory; use a smaller --batch, --patch")


def test_a_bug_keeps_its_traceback(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(running, "restore_tiled", fail)
    with pytest.raises(RuntimeError, match="size mismatch"):
        run(["-q", *commands(work)["restore"]])
