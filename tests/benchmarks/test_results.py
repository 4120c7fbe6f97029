"""docs/results/quality.md: the program on tiny sets, its figures against evaluation's own, the kept page."""

import argparse
import json
import logging
import math
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from snn_tool.degradations.crops import read_photograph
from snn_tool.degradations.noise import GaussianNoise
from snn_tool.degradations.options import HowOptions
from snn_tool.degradations.pairs import open_pairs
from snn_tool.degradations.tasks import degradation_from_options, strength_text
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.images.files import in_channels, write_image
from snn_tool.images.metrics import psnr_db, to_uint8
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.teachers.registry import build_teacher, save_teacher
from snn_tool.networks.evaluation import Evaluation, EvaluationFiles, run_evaluation
from snn_tool.networks.shipped import FOLDER, Card, read_card, shipped_names

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS.parent / "benchmarks"))
import results  # noqa: E402
from restoration.kept import Kept, Question  # noqa: E402
from restoration.pictures import Row, enlarged, jpeg_below, sheet  # noqa: E402
from restoration.sets import SetScore, degradation_text, gain_db, score_sets  # noqa: E402
from restoration.sheets import CROP, contact_sheet, failure_sheet  # noqa: E402
from restoration.tables import anchors_table, below_sentence, number, smallest_gains_table, trials_table  # noqa: E402
from restoration.teachers import open_teachers, score_teacher, teachers_table  # noqa: E402
from restoration.trials import (  # noqa: E402
    PHOTOGRAPHS,
    Condition,
    Photograph,
    Trial,
    conditions,
    run_trials,
    worst_block,
    worst_by_kind,
)
from shipping.figures import Measured, figure  # noqa: E402

NAME, RAIN = "denoise-25", {"task": "derain", "strength": [0.3, 0.9]}
Arguments = argparse.Namespace


@pytest.fixture(scope="module", autouse=True)
def smaller_photographs() -> Iterator[None]:
    """Of every photograph a corner that just holds a crop of the contact sheet, with an odd side: quick."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            Photograph,
            "read",
            lambda self, channels=3: in_channels(
                read_photograph("skimage.data", self.file)[:200, :193], channels
            ),
        )
        yield


def untracked(paths: list[Path], _: str) -> Iterable[Path]:
    return paths


def evaluated(student: Path, folder: Path, strength: str | None) -> Evaluation:
    pairs = open_pairs(folder) if strength is None else None
    clean = pairs.clean if pairs else folder
    return run_evaluation(student, clean, (None, strength, 0), 64, EvaluationFiles(), untracked, pairs)


@pytest.fixture(scope="module")
def arguments(
    tmp_path_factory: pytest.TempPathFactory, make_network: Callable[..., IntegerNetwork]
) -> Arguments:
    """A shipped denoiser and `rain`, untrained, with a card for the sets: three windows, and pairs of two."""
    base = tmp_path_factory.mktemp("results")
    for index, name in enumerate(("coffee", "chelsea", "astronaut")):
        clean = getattr(data, name)()[60 : 92 + 8 * index, 100:148]
        write_image(base / "tiny" / f"{name}.png", np.ascontiguousarray(clean))
        if index < 2:
            write_image(base / "pairs" / "clean" / f"{index}.png", np.ascontiguousarray(clean))
            write_image(base / "pairs" / "rainy" / f"{index}.png", np.ascontiguousarray(clean // 2 + 100))
    students = base / "students"
    students.mkdir()
    for path in FOLDER.glob(f"{NAME}.*"):
        shutil.copy(path, students)
    student = students / "rain.int.safetensors"
    save_integer_network(student, make_network("graded", "unet"), {"training": {"task": RAIN}})
    sets = [Measured("tiny", base / "tiny", "0.3-0.9"), Measured("pairs", base / "pairs", None)]
    card = json.loads((students / f"{NAME}.card.json").read_text())
    card["figures"] = [
        figure(
            {"float": student, "integer": student},
            each,
            lambda path, at: evaluated(path, at.folder, at.strength).document(),
        )
        for each in sets
    ]
    card["training"]["task"] = RAIN
    (students / "rain.card.json").write_text(json.dumps(card))
    return Arguments(
        names=[],
        test=[("tiny", base / "tiny")],
        pairs=[("pairs", base / "pairs")],
        teacher=[],
        cache=base / "kept",
        students=students,
        out=base / "docs",
        quiet=True,
    )


@pytest.fixture(scope="module")
def written(arguments: Arguments) -> str:
    """The page, written over one with a picture of a student that is gone."""
    stale, other = (arguments.out / "pictures" / name for name in ("gone.jpg", "kept.txt"))
    stale.parent.mkdir(parents=True)
    stale.touch()
    (stale.parent / "holiday.jpg").touch()
    (arguments.out / "quality.md").write_text(f"{results.HEAD}\n\n![](pictures/gone.jpg)\n")
    other.touch()
    results.write_results(arguments)
    assert not stale.exists() and other.exists() and (stale.parent / "holiday.jpg").exists()
    (stale.parent / "holiday.jpg").unlink()
    return (arguments.out / "quality.md").read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.slow
def test_the_tables_have_evaluations_own_figures(arguments: Arguments, written: str) -> None:
    """Mean, spread and gain from each image's PSNR, of both students on the set and of one on the pairs."""
    pairs = dict(arguments.pairs)["pairs"]
    tiny = dict(arguments.test)["tiny"]
    for name, label, folder, strength, shown in (
        (NAME, "tiny", tiny, "25", "sigma 25"),
        ("rain", "tiny", tiny, "0.3-0.9", "opacity 0.3 to 0.9"),
        ("rain", "pairs", pairs, None, "pairs"),
    ):
        scores = evaluated(arguments.students / f"{name}.int.safetensors", folder, strength).scores
        row = next(
            line for line in section(written, name).splitlines() if line.startswith(f"| {label} | {shown} |")
        )
        cells = row.strip("| ").split(" | ")
        before, after = (
            np.array([getattr(s, key) for s in scores]) for key in ("degraded_psnr_db", "psnr_db")
        )
        assert cells[2] == str(len(scores))
        for cell, values in ((cells[3], before), (cells[5].strip("*"), after), (cells[6], after - before)):
            assert cell.replace("−", "-") == f"{values.mean():.2f} ± {values.std():.2f}"
        if name == NAME:
            assert cells[4] == cells[8] == "not measured"
        else:
            assert cells[4] == cells[5].strip("*"), "this card's float student is the integer one"
        similarity = np.array([s.ssim for s in scores])
        assert cells[9] == f"{similarity.mean():.3f} ± {similarity.std():.3f}"


@pytest.mark.slow
def test_luma_is_shown_for_rain_alone(arguments: Arguments, written: str) -> None:
    scored = evaluated(arguments.students / "rain.int.safetensors", dict(arguments.test)["tiny"], "0.3-0.9")
    assert f"**{scored.mean('psnr_y_db'):.2f} ± {scored.spread('psnr_y_db'):.2f}**" in section(
        written, "rain"
    )
    assert "luma dB" in section(written, "rain") and "luma dB" not in section(written, NAME)


@pytest.mark.slow
def test_a_student_that_makes_images_worse_is_told_so(arguments: Arguments, written: str) -> None:
    gains = {}
    for label, folder, strength in (
        ("tiny", dict(arguments.test)["tiny"], "0.3-0.9"),
        ("pairs", dict(arguments.pairs)["pairs"], None),
    ):
        scores = evaluated(arguments.students / "rain.int.safetensors", folder, strength).scores
        gains |= {(label, each.name): each.psnr_db - each.degraded_psnr_db for each in scores}
    below = sum(gain < 0 for gain in gains.values())
    assert below > 1, "an untrained student fails"
    assert f"Of 5 restored test images {below} are worse than their inputs." in section(written, "rain")
    assert "Of 3 restored test images none is worse than its input." in section(written, NAME)
    worst = min((gain, name) for (label, name), gain in gains.items() if label == "tiny")[1]
    row = next(line for line in section(written, "rain").splitlines() if " of 3 | " in line)
    assert row.split(" | ")[3].startswith(f"`{worst}` ")


@pytest.mark.slow
def test_the_same_inputs_give_the_same_page_and_pictures_and_measure_one_image_a_question(
    arguments: Arguments, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`written` began with an empty folder; now one image of each question is, no photograph."""
    folder, asked = arguments.out / "pictures", []
    before = {path.name: path.read_bytes() for path in folder.glob("*.jpg")}

    def counted(network: Path, images: Path, *rest: Any) -> Evaluation:
        asked.append((network.name.partition(".")[0], images.name))
        return run_evaluation(network, images, *rest)

    monkeypatch.setattr("restoration.kept.run_evaluation", counted)
    idle = Arguments(restore_8_bits=lambda *_, **__: pytest.fail("a photograph was restored again"))
    monkeypatch.setattr(results, "RestoringStudent", Arguments(of=lambda _: idle))
    results.write_results(arguments)
    assert asked == [(NAME, "astronaut.png"), ("rain", "astronaut.png"), ("rain", "0.png")]
    assert (arguments.out / "quality.md").read_text(encoding="utf-8") == written
    assert {path.name: path.read_bytes() for path in folder.glob("*.jpg")} == before


@pytest.mark.slow
def test_what_is_kept_is_found_by_content_and_not_believed_if_it_is_not_so_today(
    arguments: Arguments, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the set elsewhere is the same question; a changed pixel, strength or network is another.

    One image equals its restoration at strength zero, so that an infinite PSNR is kept, too.
    """
    # A command of an earlier test may have left the tool's own log in its place, and a quiet one.
    monkeypatch.setattr(logging.getLogger("snn_tool"), "propagate", True)
    caplog.set_level(logging.WARNING, logger="snn_tool")
    network, folder = arguments.students / "rain.int.safetensors", tmp_path / "set"
    shutil.copytree(dict(arguments.test)["tiny"], folder)
    asked = Question(network, folder, "derain", "0")
    kept = Kept(tmp_path / "kept")
    first = kept.scores(asked, untracked)
    assert first.scores[0].degraded_psnr_db == math.inf and len(first.scores) == 3
    (stored,) = (tmp_path / "kept" / "scores").glob("*.json")
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert replace(asked, folder=tmp_path / "elsewhere").key() == asked.key() == stored.stem
    assert kept.scores(asked, untracked) == first
    others = [
        replace(asked, strength="0.1"),
        replace(asked, how=HowOptions(kind="drops")),
        replace(asked, network=arguments.students / f"{NAME}.int.safetensors"),
    ]
    assert len({each.key() for each in [asked, *others]}) == 4
    document = json.loads(stored.read_text())
    document["evaluation"]["scores"][0]["psnr_db"] += 0.5
    stored.write_text(json.dumps(document))
    assert kept.scores(asked, untracked) == first and "measured again" in caplog.text
    assert json.loads(stored.read_text())["evaluation"]["scores"][0]["psnr_db"] == first.scores[0].psnr_db
    document["evaluation"]["scores"][0]["psnr_db"] = "much"
    stored.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=f"{stored.name}: .*psnr_db.*delete the file"):
        kept.scores(asked, untracked)
    write_image(folder / "chelsea.png", np.zeros((32, 48, 3), np.uint8))
    assert asked.key() != stored.stem


@pytest.mark.slow
def test_a_student_is_measured_by_the_kind_that_its_card_says(
    make_network: Callable[..., IntegerNetwork], arguments: Arguments, tmp_path: Path
) -> None:
    """Trained on the mixture, measured on white noise: the task of the scores has no kind."""
    mixture = {"task": "denoise", "sigma": [0.0, 50.0], "kind": "real"}
    student = tmp_path / "real.int.safetensors"
    save_integer_network(student, make_network("graded", "unet"), {"training": {"task": mixture}})
    white = {"task": "denoise", "sigma": [25.0, 25.0]}
    card = Card("real", "", 0, ({"set": "elsewhere", "task": white},), (), {"task": mixture}, {}, ())
    (scored,) = score_sets(card, student, dict(arguments.test), {}, untracked, Kept(None))
    assert scored.scored.task == white and scored.figure is None
    assert degradation_text(mixture) == "sigma 0 to 50, real"
    assert (
        anchors_table(
            [{"name": "old", "set": "tiny", "psnr_db": {"25": 28.5}, "source": "s"}],
            [card],
            {"real": [scored]},
        ).count("real")
        == 1
    )
    mixed = replace(scored, scored=replace(scored.scored, task={**white, "kind": "real"}))
    assert anchors_table([], [card], {"real": [mixed]}) == "", "other noise is not what was published"


def check_page(page: str, folder: Path) -> None:
    """Links resolve, every picture is shown and small, and nothing tells of a place on a machine."""
    links = re.findall(r"\]\(([^)]+)\)", page)
    headings = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    for link in (link for link in links if not link.startswith("https://")):
        if link.startswith("#"):
            assert link[1:] in headings
        else:
            assert (folder / link).is_file(), link
    pictures = list((folder / "pictures").glob("*.jpg"))
    assert sorted(f"pictures/{path.name}" for path in pictures) == sorted(
        re.findall(r"pictures/[\w-]+\.jpg", page)
    )
    sizes = [path.stat().st_size for path in pictures]
    assert max(sizes) < 150_000 and sum(sizes) < 1_700_000
    for path in pictures:
        with Image.open(path) as image:
            image.load()
            assert image.format == "JPEG" and image.width < 1000
    assert not re.search(r"(?<![\w/:])/(work|tmp|home|root)\b", page)


@pytest.mark.slow
def test_links_resolve_and_pictures_are_small(arguments: Arguments, written: str) -> None:
    check_page(written, arguments.out)
    assert "python benchmarks/results.py --test tiny=DIR --pairs pairs=DIR --out docs/results" in written


@pytest.mark.slow
def test_a_card_that_says_otherwise_is_an_error(arguments: Arguments, tmp_path: Path) -> None:
    shutil.copytree(arguments.students, tmp_path / "students")
    path = tmp_path / "students" / "rain.card.json"
    card = json.loads(path.read_text())
    card["figures"][1]["integer_psnr_db"] += 0.01
    path.write_text(json.dumps(card))
    asked = Arguments(
        **{**vars(arguments), "students": tmp_path / "students", "out": tmp_path, "names": ["rain"]}
    )
    with pytest.raises(
        ArtifactError, match="rain: its card says .* dB for 2 images of pairs, pairs, but 2 gave"
    ):
        results.write_results(asked)
    assert not (tmp_path / "quality.md").exists()


@pytest.mark.skipif(not (DOCS / "results" / "quality.md").exists(), reason="installed without its documents")
def test_the_page_that_is_kept_has_every_student_as_its_card_has_it() -> None:
    page = (DOCS / "results" / "quality.md").read_text(encoding="utf-8")
    check_page(page, DOCS / "results")
    for name in shipped_names():
        own, card = section(page, name), read_card(name)
        assert card.summary in own and all(line in own for line in (*card.recipe, *card.limits))
        for each in card.foreign:
            assert f"**{number(each['integer_psnr_db'])}** | {number(each['gain_db'])} |" in own
        for each in card.figures:
            row = f"| {each['set']} | {degradation_text(each['task'])} | {each['images']} | "
            shown = next(line for line in own.splitlines() if line.startswith(row))
            for kind in ("degraded", "float", "integer"):
                mean, deviation = each[f"{kind}_psnr_db"], each[f"{kind}_psnr_std_db"]
                assert f"{mean:.2f} ± {deviation:.2f}" in shown


def test_conditions_are_those_of_the_training_and_beyond() -> None:
    def named(task: dict[str, Any], *measured: dict[str, Any]) -> list[tuple[str, str]]:
        figures = tuple({"task": each} for each in measured)
        card = Card("x", "", 0, figures, (), {"task": task}, {}, ())
        return [(condition.kind, condition.name) for condition in conditions(card)]

    noise = {"task": "denoise", "sigma": [25.0, 25.0]}
    assert named(noise, noise, noise) == [
        ("as trained", "sigma 25"),
        ("none", "sigma 0"),
        ("weaker", "sigma 12.5"),
        ("stronger", "sigma 37.5"),
        ("JPEG", "sigma 25, then JPEG of quality 50"),
    ]
    pairs = {"task": "derain", "images": "pairs"}
    assert named(pairs, pairs)[0] == ("as trained", "opacity 0.3 to 0.9"), "the usual strength stands in"
    assert ("stronger", "opacity 1") in named(RAIN, RAIN), "a streak cannot be more than opaque"
    assert [kind for kind, _ in named({"task": "denoise", "sigma": [0, 100]}, noise)] == [
        "as trained",
        "none",
        "JPEG",
    ]


def test_jpeg_is_what_pillow_stores(tmp_path: Path) -> None:
    clean = PHOTOGRAPHS[2].read()[:64, :80]
    stored = Condition("JPEG", "", GaussianNoise(0, 0), jpeg=50).degrade(clean, "x")
    Image.fromarray(clean).save(tmp_path / "x.jpg", quality=50)
    with Image.open(tmp_path / "x.jpg") as image:
        np.testing.assert_array_equal(to_uint8(stored), np.asarray(image))
    assert 20 < psnr_db(to_uint8(stored), clean) < 45


def trial(photograph: int, kind: str, before_db: float, after_db: float) -> Trial:
    blank = np.zeros((8, 8, 3), np.uint8)
    condition = Condition(kind, kind, degradation_from_options("denoise"))
    return Trial(PHOTOGRAPHS[photograph], condition, blank, blank, blank, before_db, after_db)


def test_every_kind_shows_the_photograph_that_gains_least_and_was_not_shown() -> None:
    trials = [
        trial(0, "a", 20, 30),
        trial(1, "a", 25, 30),
        trial(1, "b", 30, 29),
        trial(0, "b", 30, 31),
        trial(0, "none", math.inf, 33),
        trial(1, "none", math.inf, 35),
    ]
    assert worst_by_kind(trials) == [trials[1], trials[3], trials[4]], "all were shown: the worst again"
    table = trials_table(trials).splitlines()
    assert table[3] == "| b | b | 30.00 | 30.00 | 1 of 2 | coffee 30.00 → 29.00 |"
    assert table[4] == "| none | none | ∞ | 34.00 | 2 of 2 | astronaut ∞ → 33.00 |"


def test_the_worst_block_by_hand() -> None:
    """Errors of one pixel: 10 before and 2 after at the left, 2 before and 2 after at the right."""
    clean = np.full((4, 8, 3), 100, np.uint8)
    degraded, restored = clean.copy(), clean.copy()
    degraded[1, 1], restored[1, 1] = 110, 102
    degraded[2, 6], restored[2, 6] = 102, 102
    made = Trial(PHOTOGRAPHS[0], conditions(read_card(NAME))[0], clean, degraded, restored, 0.0, 0.0)
    assert worst_block(made, 4, 4) == (slice(0, 4), slice(4, 8))
    degraded[2, 6] = restored[1, 1] = 100
    assert worst_block(made, 4, 4) == (slice(0, 4), slice(4, 8)), "an error where there was none"


def test_gains_and_signs() -> None:
    assert gain_db(20, 19) == -1 and gain_db(math.inf, 30) == -math.inf and gain_db(math.inf, math.inf) == 0
    assert [number(value) for value in (None, math.nan, math.inf, -math.inf, -1.005, 2.0)] == [
        "-",
        "-",
        "∞",
        "−∞",
        "−1.00",
        "2.00",
    ]
    assert "Of 0 restored" in below_sentence([])
    assert len(smallest_gains_table([]).splitlines()) == 2


def test_a_sheet_shows_pixels_as_they_are() -> None:
    first, second = (np.full((6, 8, 3), value, np.uint8) for value in (40, 200))
    page = np.asarray(sheet([Row("t", [(first, "a"), (second, "b")]), Row("u", [(second, "c")])]))
    assert page.shape == (2 * (6 + 36 + 6), 2 * (8 + 6) + 6, 3)
    assert (page[18:24, 6:14] == 40).all() and (page[18:24, 20:28] == 200).all()
    assert (page[48 + 18 : 48 + 24, 6:14] == 200).all()
    np.testing.assert_array_equal(enlarged(np.arange(6, dtype=np.uint8).reshape(1, 2, 3), 2)[1, 2], [3, 4, 5])


def test_a_picture_takes_the_best_quality_that_fits() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    large, small = jpeg_below(noise, 10**6), jpeg_below(noise, 5000)
    assert len(small) < 5000 < len(large)
    with pytest.raises(
        ConfigError, match="a sheet of 64x64 pixels needs more than 100 bytes; show fewer rows"
    ):
        jpeg_below(noise, 100)


@pytest.mark.slow
def test_a_teacher_has_a_column_beside_the_students_of_its_task(tmp_path: Path) -> None:
    """Untrained and of another size than the photograph's multiple; its PSNR is its own."""
    torch.manual_seed(0)
    teacher = build_teacher("unet", {"width": 4})
    card = read_card(NAME)
    for name, task in (("noise", GaussianNoise(5, 50).describe()), ("rain", RAIN)):
        training = {"task": task}
        save_teacher(tmp_path / f"{name}.safetensors", teacher, "unet", {"width": 4}, training)
    with pytest.raises(
        ConfigError, match="rain.safetensors: no student is measured at what it was trained for"
    ):
        open_teachers([tmp_path / "rain.safetensors"], [card], Kept(None))
    column = open_teachers([tmp_path / "noise.safetensors"], [card], Kept(None))[0]
    photograph = read_photograph("skimage.data", "chelsea.png").astype(np.float32) / 255
    restored = column.teacher.restore(photograph, 64)
    assert restored.shape == photograph.shape == (300, 451, 3)
    inside = torch.from_numpy(photograph[:300, :448].transpose(2, 0, 1)[None].copy())
    with torch.inference_mode():
        alone = teacher(inside)[0].numpy().transpose(1, 2, 0)
    np.testing.assert_allclose(restored[:, :400], alone[:, :400], atol=1e-5)
    trials = run_trials(to_uint8, conditions(card)[:2], PHOTOGRAPHS[:4])
    without, beside = (contact_sheet(trials, some) for some in ([], [column]))
    assert beside.width - without.width == CROP + 6 and beside.height == without.height
    assert failure_sheet(trials, [column]).width == beside.width
    with_teacher, plain = np.asarray(beside), np.asarray(without)
    np.testing.assert_array_equal(
        with_teacher[:, -CROP - 6 :][18 : 18 + CROP], plain[:, -CROP - 6 :][18 : 18 + CROP]
    )


@pytest.mark.slow
def test_a_teacher_is_measured_where_the_students_beside_it_are(arguments: Arguments, tmp_path: Path) -> None:
    """At sigma 25, as the student's card is; the derained sets are not for it.

    Parameters of width 4: head 304, two pairs of 296, down 296, deep pair 1168, up 128, tail 111.
    """
    torch.manual_seed(0)
    teacher, sigmas = build_teacher("unet", {"width": 4}), GaussianNoise(5, 50).describe()
    training = {
        "task": sigmas,
        "training": {"batch": 3, "patch": 32},
        "steps": 1200,
        "seed": 7,
        "validation_psnr_db": 20.5,
    }
    save_teacher(tmp_path / "noise.safetensors", teacher, "unet", {"width": 4}, training)
    cards = [read_card(name, arguments.students) for name in (NAME, "rain")]
    column = open_teachers([tmp_path / "noise.safetensors"], cards, Kept(None))[0]
    scores = score_teacher(column, cards, dict(arguments.test), untracked, Kept(None))
    assert [(each.label, strength_text(each.scored.task)) for each in scores] == [("tiny", "sigma 25")]
    line = teachers_table([(column, scores)]).splitlines()[-1]
    assert line.startswith(
        "| unet, width 4 | 2,599 | 1,200 steps of 3 patches 32x32, seed 7, validation 20.50 dB |"
    )
    assert f"**{number(scores[0].scored.mean('psnr_db'))} ±" in line


@pytest.mark.slow
def test_sets_without_figures_have_a_sentence_of_their_own(arguments: Arguments) -> None:
    scored = evaluated(arguments.students / f"{NAME}.int.safetensors", dict(arguments.test)["tiny"], "25")
    each = SetScore("tiny", scored, None)
    assert set(each.gains_db) == {"astronaut.png", "chelsea.png", "coffee.png"}
    assert "0 of 3" in smallest_gains_table([each])


@pytest.mark.slow
def test_published_figures_stand_beside_those_of_the_same_set_and_noise(arguments: Arguments) -> None:
    anchors = [
        {"name": "old", "set": "tiny", "psnr_db": {"15": 30.0, "25": 28.5}, "source": "[s](https://x)"},
        {"name": "other", "set": "elsewhere", "psnr_db": {"25": 27.0}, "source": "t"},
    ]
    card = read_card(NAME)
    scored = evaluated(arguments.students / f"{NAME}.int.safetensors", dict(arguments.test)["tiny"], "25")
    table = anchors_table(anchors, [card], {NAME: [SetScore("tiny", scored, None)]}).splitlines()
    assert table[0] == "| network | set | parameters | sigma 15, dB | sigma 25, dB | source |"
    mean = f"**{scored.mean('psnr_db'):.2f}**"
    assert table[2:] == [
        f"| `{NAME}`, integers | tiny | 79,908 |  | {mean} | measured here |",
        "| old | tiny |  | 30.00 | 28.50 | [s](https://x) |",
    ]
    assert anchors_table(anchors[1:], [card], {NAME: [SetScore("tiny", scored, None)]}) == ""


def test_every_anchor_has_a_source_and_plausible_figures() -> None:
    """PSNR falls with sigma, by 2 to 4 dB a step; more would be a slip of the pen."""
    for anchor in tomllib.loads(results.ANCHORS.read_text(encoding="utf-8"))["anchor"]:
        assert re.search(r"\]\(https://[^)]+\)", anchor["source"]), anchor["name"]
        assert set(anchor["psnr_db"]) <= {"15", "25", "50"}
        figures = [anchor["psnr_db"][sigma] for sigma in sorted(anchor["psnr_db"], key=float)]
        assert all(2 < first - second < 4 for first, second in pairwise(figures))


def test_a_teacher_that_comes_along_is_known_by_its_name() -> None:
    file = results.teacher_file("denoise-25-nafnet")
    assert file.is_file() and results.shown_teacher(file) == "denoise-25-nafnet"
    assert results.teacher_file("runs/t.safetensors") == Path("runs/t.safetensors")
    assert results.shown_teacher(Path("runs/t.safetensors")) == "FILE"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "--test is needed"),
        (["--test", "A"], "'A' is not NAME=FOLDER"),
        (["--test", "A=b", "nobody"], "error: no student 'nobody' comes with snn-tool"),
        (["--test", "A=b", "--students", "nowhere"], "error: nowhere: holds no students with cards"),
        (["--test", "A=nowhere", NAME], "error: nowhere: no such file or folder"),
    ],
)
def test_wrong_arguments_are_one_line(
    given: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["results.py", "--quiet", *given])
    with pytest.raises(SystemExit) as ended:
        results.main()
    assert said in (ended.value.code if isinstance(ended.value.code, str) else capsys.readouterr().err)
