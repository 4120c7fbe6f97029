"""The students that come with the package: their files, their cards, what they do, and how they are named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from snn_tool.cli import use
from snn_tool.cli.app import run
from snn_tool.degradations.crops import read_photograph
from snn_tool.degradations.tasks import TrainedFor, bounds_of, degradation_for, image_rng, task_text
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import sha256_file
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.models.integer.file import load_integer_network
from snn_tool.networks import shipped
from snn_tool.networks.shipped import (
    DEFAULT,
    FOLDER,
    card_of,
    read_card,
    shipped_for,
    shipped_names,
)
from snn_tool.texts.cards import card_text, list_text

Capture = pytest.CaptureFixture[str]
NAMES = shipped_names()
MOST_PARAMETERS = 87_000


def noisy_photograph(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """A shipped photograph of an odd size, clean and with 8-bit noise."""
    clean = read_photograph("skimage.data", "coffee.png")[100:263, 150:351]
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    return clean, np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def test_the_default_is_among_them() -> None:
    assert DEFAULT in NAMES and len(NAMES) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_files_and_card_belong_together(name: str) -> None:
    card = read_card(name)
    network, provenance = load_integer_network(card.path)
    assert card.parameters == network.topology.parameters <= MOST_PARAMETERS
    size = sum(path.stat().st_size for path in FOLDER.glob(f"{name}.*"))
    assert size < 1_000_000
    trained = provenance["training"]
    for key in ("steps", "best_step", "seed", "validation_psnr_db", "task", "data"):
        assert card.training[key] == trained[key]
    *_, last_run, quantised = card.recipe
    assert last_run.startswith("snn-tool distill ") and f"--max-steps {trained['steps']}" in last_run
    assert quantised.startswith("snn-tool quantize ")
    own = "CBSD68" if card.channels == 3 else "BSD68"  # the same photographs, in grey
    assert card.limits and card.figures[0]["set"] == own and card.figures[0]["images"] == 68
    for figure in card.figures:
        if "images" not in figure["task"]:
            assert figure["integer_psnr_db"] > figure["degraded_psnr_db"] + (
                3 if card.task == "denoise" else 1
            )
        for kind in ("degraded", "float", "integer"):
            assert 0 < figure[f"{kind}_psnr_std_db"] < 10 and 0 < figure[f"{kind}_ssim_std"] < 0.5
        assert figure["float_psnr_db"] - figure["integer_psnr_db"] <= 0.05
    energy = card.energy
    assert 0 < energy["least"] < energy["most"] and 0 < energy["twin_least"] < energy["twin_most"]
    # A spike of level n is n synops and one delivery, and no spike has more levels than the network.
    assert 1 <= energy["synops_per_pixel"] / energy["deliveries_per_pixel"] <= network.levels
    assert 0 < energy["spikes_per_neuron"] < network.timesteps * network.levels


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_restores_a_photograph(name: str, tmp_path: Path) -> None:
    """From the command line, by name; degraded in 8 bits as its card says that it was measured."""
    card = read_card(name)
    task = [figure["task"] for figure in card.figures if "images" not in figure["task"]][-1]
    clean, _ = noisy_photograph(0)
    degradation = degradation_for(None, None, TrainedFor.of(task))
    degraded = to_uint8(degradation.apply(clean.astype(np.float32) / 255, image_rng(0, name)))
    Image.fromarray(degraded).save(tmp_path / "degraded.png")
    out = tmp_path / "out"
    assert run(["-q", "restore", str(tmp_path / "degraded.png"), "--student", name, "--out", str(out)]) == 0
    restored = np.asarray(Image.open(out / "degraded.png"))
    assert restored.shape == clean.shape
    assert psnr_db(restored, clean) > psnr_db(degraded, clean) + (6 if card.task == "denoise" else 0)


def test_restore_needs_no_student(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which one it takes, writes beside the caller, and never over a file."""
    monkeypatch.chdir(tmp_path)
    clean, noisy = noisy_photograph(25)
    Image.fromarray(noisy).save("photo.png")
    assert run(["--json", "restore", "photo.png"]) == 0
    captured = capsys.readouterr()
    assert f"student: {DEFAULT}, " in captured.err and "snn-tool models" in captured.err
    document = json.loads(captured.out)
    assert document["student_sha256"] == sha256_file(read_card(DEFAULT).path)
    assert document["images"] == {"photo.png": str(Path("restored/photo.png"))}
    restored = np.asarray(Image.open("restored/photo.png"))
    assert psnr_db(restored, clean) > psnr_db(noisy, clean) + 6
    before = Path("restored/photo.png").read_bytes()
    assert run(["-q", "restore", "photo.png"]) == 1
    assert "restored/photo.png: exists" in capsys.readouterr().err
    assert Path("restored/photo.png").read_bytes() == before


def test_restore_says_once_where_a_student_hardly_helps_on_data_of_others(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gain of 0.5 dB on data of others is told once for two photographs; one of exactly 1 dB is not."""
    card = read_card(DEFAULT)
    assert card_of(card.path) == card and card_of(tmp_path / card.path.name) is None
    entry = {"set": "Elsewhere", "degraded_psnr_db": 20.0, "integer_psnr_db": 20.5, "gain_db": 0.5}
    for name in ("a", "b"):
        Image.fromarray(noisy_photograph(25)[1][:16, :24]).save(tmp_path / f"{name}.png")
    pictures = [str(tmp_path / f"{name}.png") for name in ("a", "b")]
    for gain, times in ((0.5, 1), (1.0, 0)):
        weak = replace(card, foreign=({**entry, "gain_db": gain},))
        monkeypatch.setattr(use, "card_of", lambda path, known=weak: known)
        assert run(["restore", *pictures, "--student", DEFAULT, "--out", str(tmp_path / str(gain))]) == 0
        line = f"{DEFAULT} gains less than 1 dB on data of others: Elsewhere 20.00 -> 20.50 dB"
        assert " ".join(capsys.readouterr().err.split()).count(line) == times, "lines end at 80 columns"


def test_models_lists_them_and_shows_a_card(capsys: Capture) -> None:
    assert run(["models"]) == 0
    listed = capsys.readouterr().out
    assert all(f" {name} " in listed for name in NAMES) and DEFAULT in listed
    assert max(map(len, listed.splitlines())) <= 80
    name = NAMES[0]
    assert run(["models", name]) == 0
    shown, card = capsys.readouterr().out, read_card(name)
    for text in (card.summary, *card.recipe, *card.limits, str(card.path)):
        assert text in shown
    for figure in card.figures:
        for kind in ("degraded", "float", "integer"):
            mean, spread = figure[f"{kind}_psnr_db"], figure[f"{kind}_psnr_std_db"]
            assert f"{mean:.2f} ± {spread:.2f}" in shown
    assert f"trained for {task_text(card.training['task'])}: seed {card.training['seed']}, " in shown
    assert max(map(len, shown.partition("Full images")[2].splitlines())) <= 80
    assert run(["--json", "models"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)["students"]] == list(NAMES)


def test_a_name_that_does_not_exist_is_told_what_does(capsys: Capture) -> None:
    for arguments in (["models", "denoise-99"], ["restore", "x.png", "--student", "denoise-99"]):
        assert run(["-q", *arguments]) == 1
        error = capsys.readouterr().err
        assert f"no student 'denoise-99' comes with snn-tool; there are {', '.join(NAMES)}" in error


def another_task(folder: Path, task: dict[str, object]) -> None:
    """`rain`, a copy of the default student that says it was made for another task, beside the default."""
    for name in (DEFAULT, "rain"):
        for path in FOLDER.glob(f"{DEFAULT}.*"):
            (folder / path.name.replace(DEFAULT, name)).write_bytes(path.read_bytes())
    card = json.loads((folder / "rain.card.json").read_text())
    card["training"]["task"] = task
    card["figures"] = [{**card["figures"][0], "task": task}]
    (folder / "rain.card.json").write_text(json.dumps(card))


def test_a_student_of_another_task_is_found_by_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_task(tmp_path, {"task": "derain", "strength": [0.3, 0.9]})
    assert read_card("rain", tmp_path).task == "derain"
    assert shipped_for("denoise", tmp_path).name == DEFAULT
    assert shipped_for("derain", tmp_path).name == "rain"
    for path in tmp_path.glob("rain.*"):
        path.with_name(path.name.replace("rain", "rain-2")).write_bytes(path.read_bytes())
    assert shipped_for("derain", tmp_path).name == "rain", "the first by name"
    monkeypatch.setattr(shipped, "PREFERRED", ("rain-2",))
    assert shipped_for("derain", tmp_path).name == "rain-2"
    with pytest.raises(ConfigError, match="--task deblur: .* are for denoise, derain"):
        shipped_for("deblur", tmp_path)
    with pytest.raises(ConfigError, match="are for no task"):
        shipped_for("denoise", tmp_path / "absent")


def test_cards_of_another_task_say_what_degraded_the_images(tmp_path: Path) -> None:
    for task, shown in (
        ({"task": "derain", "strength": [0.3, 0.9]}, "opacity 0.3 to 0.9"),
        ({"task": "derain", "images": "pairs"}, "pairs"),
    ):
        another_task(tmp_path, task)
        assert bounds_of(task) == ((0.3, 0.9) if shown != "pairs" else None)
        card = read_card("rain", tmp_path)
        listed, whole = list_text([read_card(DEFAULT, tmp_path), card]), card_text(card)
        assert shown in listed and shown in whole and "sigma 15" in listed
        assert max(map(len, listed.splitlines())) <= 80


def test_restore_by_task_uses_what_comes_along(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noisy_photograph(25)[1]).save("photo.png")
    assert run(["--json", "restore", "photo.png", "--task", "denoise"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["student_sha256"] == sha256_file(read_card(DEFAULT).path)
    assert document["trained_for"]["task"] == "denoise"
    assert run(["-q", "restore", "photo.png", "--task", "defog", "--out", "x"]) == 1
    assert "error: --task defog: the students that come with snn-tool are for " in capsys.readouterr().err
    both = ["--task", "denoise", "--student", DEFAULT]
    assert run(["-q", "restore", "photo.png", *both, "--out", "x"]) == 2 and not Path("x").exists()


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    card = json.loads((FOLDER / f"{DEFAULT}.card.json").read_text())
    del card["limits"]
    (tmp_path / "mine.card.json").write_text(json.dumps(card))
    with pytest.raises(
        ArtifactError,
        match=r"mine.card.json: limits is missing; .* install snn-tool again",
    ):
        read_card("mine", tmp_path)
    with pytest.raises(ConfigError, match="there are mine"):
        read_card("absent", tmp_path)
