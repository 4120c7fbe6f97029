"""What a card holds of a measurement, by hand, and which students are not filed."""

import argparse
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from snn_tool.degradations.tasks import degradation_from_options
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.models.integer.file import load_integer_network
from snn_tool.networks.shipped import FOLDER, read_card, shipped_names
from snn_tool.texts.cards import card_text, list_text

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import ship_students  # noqa: E402
from shipping.figures import (  # noqa: E402
    Measured,
    check_gain,
    energy_figures,
    figure,
    foreign_figure,
    foreign_sets,
    wanted,
)
from shipping.recipes import check_recipe, commands, stages  # noqa: E402

RECIPES: dict[str, dict[str, Any]] = tomllib.loads((BENCHMARKS / "ship_students.toml").read_text())
NOISE = {"task": "denoise", "sigma": [25.0, 25.0]}


def scored(psnr_db: float) -> dict[str, Any]:
    keys = ("degraded_psnr_db", "degraded_ssim", "psnr_db", "ssim")
    return {
        "task": NOISE,
        "images": [{}, {}, {}],
        "mean": dict(zip(keys, (20.0, 0.25, psnr_db, 0.75), strict=True)),
        "standard_deviation": dict(zip(keys, (2.0, 0.1, psnr_db / 10, 0.2), strict=True)),
    }


def test_a_figure_has_means_and_spreads_of_each_kind() -> None:
    files = {"float": Path("f"), "integer": Path("i")}
    values = {Path("f"): 31.0, Path("i"): 30.0}
    made = figure(files, Measured("Set3", Path("x"), "25"), lambda student, _: scored(values[student]))
    assert made == {
        "set": "Set3",
        "images": 3,
        "task": NOISE,
        **{"degraded_psnr_db": 20.0, "degraded_psnr_std_db": 2.0, "degraded_ssim": 0.25},
        **{"degraded_ssim_std": 0.1, "float_psnr_db": 31.0, "float_psnr_std_db": 3.1, "float_ssim": 0.75},
        **{"float_ssim_std": 0.2, "integer_psnr_db": 30.0, "integer_psnr_std_db": 3.0},
        **{"integer_ssim": 0.75, "integer_ssim_std": 0.2},
    }


def test_synops_are_per_pixel_of_each_image() -> None:
    """20 per pixel on 2 pixels and 40 on 8 are 30 on average, not (40 + 320) / 10."""
    images = [
        {"height": 1, "width": 2, "synops_levels": 40, "synops_events": 4, "spikes_per_neuron": 0.5},
        {"height": 2, "width": 4, "synops_levels": 320, "synops_events": 8, "spikes_per_neuron": 1.0},
    ]
    report = {
        "images": images,
        "headline": {"least": 1.0, "most": 2.0},
        "twin_headline": {"least": 3.0, "most": 4.0},
        "qann_headline": {"least": 0.5, "most": 0.75},
    }
    made = energy_figures(report)
    assert made["synops_per_pixel"] == 30 and made["deliveries_per_pixel"] == 1.5
    assert made["spikes_per_neuron"] == 0.75
    keys = ("least", "most", "twin_least", "twin_most", "qann_least", "qann_most")
    assert [made[key] for key in keys] == [1, 2, 3, 4, 0.5, 0.75]


def row(before: float, after: float, ssim: float = 0.5, **task: str) -> dict[str, Any]:
    figures = {"degraded_psnr_db": before, "integer_psnr_db": after}
    return {"set": "S", "task": task, **figures, "degraded_ssim": 0.5, "integer_ssim": ssim}


def test_a_student_that_is_not_clearly_better_than_its_input_is_not_filed() -> None:
    check_gain("x", [row(20, 21), row(20, 19, 0.4, images="pairs")])
    with pytest.raises(ConfigError, match=r"x is not filed: on S its integers give 20.00 -> 20.99 dB"):
        check_gain("x", [row(20, 30), row(20, 20.99)])
    with pytest.raises(
        ConfigError, match=r"SSIM 0.500 -> 0.490; at least 1 dB must be gained, and no SSIM lost"
    ):
        check_gain("x", [row(20, 30, 0.49)])


def test_what_a_recipe_is_measured_on() -> None:
    recipe = {"distill": {}, "strengths": ["1", "2-3"], "pairs": ["P"]}
    clean, pairs = [("A", Path("a")), ("B", Path("b"))], [("Q", Path("q")), ("P", Path("p"))]
    assert wanted("x", recipe, clean, pairs) == [
        Measured("A", Path("a"), "1", in_colour=True),
        Measured("A", Path("a"), "2-3", in_colour=True),
        Measured("B", Path("b"), "1", in_colour=True),
        Measured("B", Path("b"), "2-3", in_colour=True),
        Measured("P", Path("p"), None),
    ]
    grey = {"distill": {"channels": 1}, "strengths": ["1"]}
    assert wanted("x", grey, clean[:1], []) == [Measured("A", Path("a"), "1")]
    with pytest.raises(ConfigError, match="x is measured on pairs, too; give --pairs P=FOLDER"):
        wanted("x", recipe, clean, pairs[:1])


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_can_be_trained_and_measured(name: str) -> None:
    """Options that `distill` has, and strengths that its task has."""
    recipe = RECIPES[name]
    task = recipe["distill"].get("task", "denoise")
    for strength in recipe["strengths"]:
        low, high = bounds = _bounds(degradation_from_options(task, strength).describe())
        trained = recipe["distill"].get("strength", recipe["distill"].get("sigma"))
        least, most = _bounds(degradation_from_options(task, trained).describe())
        assert least <= low <= high <= most, bounds
    assert recipe["summary"] and recipe["limits"]
    least = 2000 if "start" in recipe else 4000  # steps of weights trained before, or of fresh ones
    assert recipe["distill"]["patch"] % 8 == 0 and recipe["distill"]["max-steps"] >= least


def _bounds(described: dict[str, Any]) -> tuple[float, float]:
    low, high = described.get("sigma", described.get("strength"))
    return low, high


def test_each_run_starts_from_the_one_before_and_the_teacher_teaches_the_later_ones() -> None:
    finish = [{"qat": 1, "loss-hints": 0.0}, {"batch": 4, "from-integers": True}]
    recipe = {"distill": {"batch": 8}, "teacher": {"arch": "unet"}, "finish": finish}
    teacher, first, second, between, third, integers = commands("x", recipe)
    assert first == "snn-tool distill --data IMAGES --batch 8 --out x"
    assert teacher == "snn-tool train --data IMAGES --arch unet --out x-teacher"
    assert second == (
        "snn-tool distill --data IMAGES --batch 8 --qat 1 --loss-hints 0.0 --init x/student.safetensors "
        "--teacher x-teacher/teacher.safetensors --out x-finished"
    )
    assert between == "snn-tool quantize x-finished/student.safetensors --data IMAGES"
    assert third == (
        "snn-tool distill --data IMAGES --batch 4 --init x-finished/student.int.safetensors "
        "--teacher x-teacher/teacher.safetensors --out x-finished-2"
    )
    assert integers == "snn-tool quantize x-finished-2/student.safetensors --data IMAGES"


@pytest.mark.parametrize("name", shipped_names())
def test_cards_show_the_commands_of_their_recipe(name: str) -> None:
    """A recipe that was changed afterwards, or a card that was not made by the program, would differ."""
    assert list(read_card(name).recipe) == commands(name, RECIPES[name])


@pytest.mark.parametrize("name", shipped_names())
def test_a_recipe_that_was_changed_afterwards_is_noticed(name: str) -> None:
    _, provenance = load_integer_network(read_card(name).path)
    taught = provenance["training"]["teacher"]
    assert (taught == "none") == ("teacher" not in RECIPES[name])
    check_recipe(name, RECIPES[name], provenance["training"], taught)
    with pytest.raises(
        ConfigError, match=f"{name}: trained with teacher = {taught}, but its recipe says other"
    ):
        check_recipe(name, RECIPES[name], provenance["training"], "other")
    last = [*stages(name, RECIPES[name]).values()][-1].options
    strength = "sigma" if "sigma" in last else "strength"
    another = "dehaze" if last.get("task") == "derain" else "derain"
    for key, value in (
        ("max-steps", 7),
        ("levels", 3),
        ("loss-mse", 0.5),
        (strength, "0.5"),
        ("task", another),
    ):
        other = {"distill": {**last, key: value}}
        if key == "task":  # a strength and a kind of degradation belong to their own task
            del other["distill"][strength]
            other["distill"].pop("kind", None)
        field = {"max-steps": "max_steps", "loss-mse": "loss_mse", strength: "task"}.get(key, key)
        with pytest.raises(ConfigError, match=f"{name}: trained with {field} = .*, but its recipe says "):
            check_recipe(name, other, provenance["training"], taught)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--test", "A"], "'A' is not NAME=FOLDER"),
        (["--test", "A=b"], "--data unless --measure"),
        (["--test", "A=b", "--data", "c", "nobody"], "has no nobody; it has denoise-25"),
        (["--test", "A=b", "--data", "c", "derain"], "give --pairs DDN20=FOLDER"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    program = [sys.executable, str(BENCHMARKS / "ship_students.py"), "--runs", str(tmp_path)]
    ran = subprocess.run([*program, *arguments], text=True, capture_output=True)
    assert ran.returncode in (1, 2) and said in ran.stderr and "Traceback" not in ran.stderr


def test_a_recipe_may_start_from_a_student_that_ships() -> None:
    recipe = {"start": "denoise-blind", "distill": {"batch": 8}, "finish": [{"from-integers": True}]}
    first, between, second, _ = commands("x", recipe)
    assert first == "snn-tool distill --data IMAGES --batch 8 --init denoise-blind --out x"
    assert between == "snn-tool quantize x/student.safetensors --data IMAGES"
    assert second.endswith("--init x/student.int.safetensors --out x-finished")


def test_foreign_data_are_pairs_or_another_kind_and_the_gain_is_of_integers() -> None:
    sets = [{"set": "L", "register": 5}, {"set": "C", "kind": "drops", "strength": "0.5"}]
    recipe = {"distill": {}, "foreign": sets}
    found = foreign_sets("x", recipe, [("C", Path("c"))], [("L", Path("l"))])
    assert found == [
        Measured("L", Path("l"), None, None, 5),
        Measured("C", Path("c"), "0.5", "drops", 0, True),
    ]
    with pytest.raises(ConfigError, match="x is measured on L, too; give --pairs L=FOLDER"):
        foreign_sets("x", recipe, [("C", Path("c"))], [])
    with pytest.raises(ConfigError, match="give --test C=FOLDER"):
        foreign_sets("x", recipe, [], [("L", Path("l"))])
    made = foreign_figure(Path("s"), found[0], lambda student, _: scored(20.5))
    assert made["gain_db"] == 0.5 and made["images"] == 3 and made["register"] == 5
    card = read_card("derain")
    weak = replace(card, foreign=(made, {**made, "gain_db": 1.0}))
    assert weak.weakness == "derain gains less than 1 dB on data of others: L 20.00 -> 20.50 dB"
    assert replace(card, foreign=({**made, "gain_db": 1.0},)).weakness == ""
    assert weak.weakness in list_text([weak])
    assert (
        "L, 3 images, denoise sigma 25, best shift within 5 pixels: 20.00 -> 20.50 dB (+0.50)"
        in card_text(weak)
    )


def test_a_set_may_be_measured_again_and_the_card_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set14 anew and a set that the card did not have; of 30 dB in float and 29.99 in integers."""
    name = "denoise-25"
    for path in FOLDER.glob(f"{name}.*"):
        shutil.copy(path, tmp_path)
    trained = tmp_path / "runs" / "denoise-25-finished-2" / "student.safetensors"
    trained.parent.mkdir(parents=True)
    trained.write_bytes(b"float")
    asked = []

    def evaluated(student: Path, measured: Measured) -> dict[str, Any]:
        asked.append((student.name, measured.label))
        return scored(29.99 if student.name.startswith(name) else 30.0)

    monkeypatch.setattr(ship_students, "evaluate", evaluated)
    recipe = RECIPES[name]
    arguments = argparse.Namespace(
        test=[("Set14", Path("a")), ("New", Path("b"))], runs=tmp_path / "runs", out=tmp_path
    )
    with pytest.raises(ArtifactError, match="was not made from"):
        ship_students.measure_again(name, recipe, arguments)
    monkeypatch.setattr(ship_students, "_filed", lambda filed, trained: filed)
    before = read_card(name, tmp_path).figures
    ship_students.measure_again(name, recipe, arguments)
    after = read_card(name, tmp_path).figures
    assert [each["set"] for each in after] == [*(each["set"] for each in before), "New"]
    assert asked[0] == ("student.safetensors", "Set14") and len(asked) == 4
    for old, new in zip(before, after, strict=False):
        assert (new == old) == (new["set"] != "Set14")
    assert (after[1]["float_psnr_db"], after[1]["integer_psnr_db"]) == (30.0, 29.99)
