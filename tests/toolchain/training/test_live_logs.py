"""Loggers: what they are told, what is refused, and TensorBoard's files of a run that starts over."""

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snn_tool as st
from lightning.pytorch.loggers import Logger
from snn_tool.cli.app import run
from snn_tool.errors import BackendUnavailableError, ConfigError
from snn_tool.training import live_logs
from snn_tool.training.live_logs import EVERY_STEPS, check_logger, logger_of

EVENTS = "events.out.tfevents.1.host"
TINY = {"width": 4, "batch": 2, "patch": 16, "device": "cpu", "max_steps": 24, "validate_every": 12}


class Told(Logger):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[int | None, dict[str, float]]] = []

    @property
    def name(self) -> str:
        return "told"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.said.append((step, dict(metrics)))


def images() -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8) for seed in range(4)]


@pytest.mark.slow
def test_a_lightning_logger_hears_what_the_log_says(tmp_path: Path) -> None:
    told = Told()
    st.distill(images(), out=tmp_path / "run", logger=told, **TINY)
    with (tmp_path / "run/metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    heard = [said["val_psnr_db"] for _, said in told.said if "val_psnr_db" in said]
    np.testing.assert_allclose(heard, [float(row["val_psnr_db"]) for row in rows], atol=1e-3)
    steps = [step for step, said in told.said if "loss" in said]
    assert steps == [9, 19], f"every {EVERY_STEPS} steps, counted from 0"
    assert (tmp_path / "run/curves.svg").read_text().count("</svg>") == 1


@pytest.mark.slow
def test_a_logger_changes_no_weight(tmp_path: Path) -> None:
    for name, logger in (("plain", "csv"), ("told", Told())):
        st.distill(images(), out=tmp_path / name, logger=logger, **TINY)
    for file in ("student.safetensors", "student.json", "metrics.csv", "curves.svg", "settings.json"):
        assert (tmp_path / "plain" / file).read_bytes() == (tmp_path / "told" / file).read_bytes(), file


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(find_spec, live_logs.PACKAGES)),
    reason="TensorBoard is not installed: pip install tensorboard",
)
def test_tensorboard_has_a_file_of_events(tmp_path: Path) -> None:
    for _ in range(2):
        st.distill(images(), out=tmp_path / "run", logger="tensorboard", overwrite=True, **TINY)
    (events,) = (tmp_path / "run/tensorboard").glob("events.out.tfevents.*")
    assert live_logs.is_event_file(events) and b"val_psnr_db" in events.read_bytes()


def test_without_tensorboard_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live_logs, "find_spec", lambda name: None)
    options = ["--data", str(tmp_path), "--out", str(tmp_path / "run"), "--logger", "tensorboard"]
    assert run(["distill", *options]) == 1
    said = capsys.readouterr().err
    assert said == "error: --logger tensorboard: it is not installed; run `pip install tensorboard`\n"
    assert not (tmp_path / "run").exists()
    with pytest.raises(BackendUnavailableError, match="pip install tensorboard"):
        st.train_teacher(images(), logger="tensorboard")


def test_another_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="--logger wandb: use csv or tensorboard"):
        check_logger("wandb")


def test_what_bears_the_name_of_events_and_is_none_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_logs, "check_logger", lambda chosen: None)
    folder = tmp_path / "tensorboard"
    folder.mkdir()
    (folder / EVENTS).write_text("mine")
    with pytest.raises(ConfigError, match="not written by snn-tool"):
        logger_of("tensorboard", tmp_path, resume=False)
    assert (folder / EVENTS).read_text() == "mine"
