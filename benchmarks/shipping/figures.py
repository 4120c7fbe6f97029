"""The figures of a student's card: what is measured, on which sets, and whether it is good enough to ship."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from snn_tool.errors import ConfigError
from snn_tool.models.topology import COLOUR

LEAST_GAIN_DB = 1.0
"""What a student must gain in integers on every synthetic set that it is measured on."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A test set at one strength.

    Attributes:
        label: name of the set.
        folder: of its clean images, or of `clean` and `degraded` (rainy, hazy, ...).
        strength: of the synthetic degradation, as `--strength` takes it; None for recorded pairs.
        kind: of the synthetic degradation, as `--kind` takes it; None is as trained.
        register: largest shift in pixels that is undone before scoring.
        in_colour: grey files of a clean set for colour get three channels before they are degraded.
    """

    label: str
    folder: Path
    strength: str | None
    kind: str | None = None
    register: int = 0
    in_colour: bool = False


Evaluate = Callable[[Path, Measured], Mapping[str, Any]]


def wanted(
    name: str,
    recipe: Mapping[str, Any],
    clean: Sequence[tuple[str, Path]],
    pairs: Sequence[tuple[str, Path]],
) -> list[Measured]:
    """Every clean set at every strength of the recipe, then the pairs that it names.

    Raises:
        ConfigError: pairs that the recipe names were not given.
    """
    given = dict(pairs)
    if missing := [label for label in recipe.get("pairs", []) if label not in given]:
        raise ConfigError(f"{name} is measured on pairs, too; give --pairs {missing[0]}=FOLDER")
    kind = recipe.get("measured-kind")
    colour = for_colour(recipe)
    synthetic = [
        Measured(*each, str(strength), kind, in_colour=colour)
        for each in clean
        for strength in recipe["strengths"]
    ]
    return synthetic + [Measured(label, given[label], None) for label in recipe.get("pairs", [])]


def for_colour(recipe: Mapping[str, Any]) -> bool:
    """Whether the student of a recipe takes images of colour."""
    return bool(recipe["distill"].get("channels", COLOUR) == COLOUR)


def figure(files: Mapping[str, Path], measured: Measured, evaluate: Evaluate) -> dict[str, Any]:
    """Means and standard deviations of PSNR and SSIM of the float and the integer student on one set.

    Args:
        files: of the students, by `float` and `integer`.
        measured: the set.
        evaluate: gives the JSON of `snn-tool evaluate`.
    """
    scored = {kind: evaluate(file, measured) for kind, file in files.items()}
    found: dict[str, Any] = {
        "set": measured.label,
        "images": len(scored["integer"]["images"]),
        "task": scored["integer"]["task"],
        **_four("degraded", scored["integer"], "degraded_psnr_db", "degraded_ssim"),
    }
    for kind, document in scored.items():
        found |= _four(kind, document, "psnr_db", "ssim")
    return found


def foreign_sets(
    name: str, recipe: Mapping[str, Any], clean: Sequence[tuple[str, Path]], pairs: Sequence[tuple[str, Path]]
) -> list[Measured]:
    """What the recipe's `foreign` names: pairs, or a kind of degradation that was not trained on.

    Raises:
        ConfigError: a set was not given.
    """
    found = []
    for each in recipe.get("foreign", []):
        options, given = dict(each), dict(clean if "kind" in each else pairs)
        label = options.pop("set")
        if label not in given:
            option = "--test" if "kind" in each else "--pairs"
            raise ConfigError(f"{name} is measured on {label}, too; give {option} {label}=FOLDER")
        in_colour = "kind" in each and for_colour(recipe)
        strength = options.pop("strength", None)
        found.append(Measured(label, given[label], strength, **options, in_colour=in_colour))
    return found


def foreign_figure(student: Path, measured: Measured, evaluate: Evaluate) -> dict[str, Any]:
    """One entry of a card's `foreign`: means of PSNR before and after, in integers."""
    scored = evaluate(student, measured)
    before, after = (scored["mean"][key] for key in ("degraded_psnr_db", "psnr_db"))
    return {
        "set": measured.label,
        "images": len(scored["images"]),
        "task": scored["task"],
        "degraded_psnr_db": before,
        "integer_psnr_db": after,
        "gain_db": round(after - before, 4),
        "register": measured.register,
    }


def _four(kind: str, document: Mapping[str, Any], psnr: str, ssim: str) -> dict[str, float | None]:
    mean, spread = document["mean"], document["standard_deviation"]
    return {
        f"{kind}_psnr_db": mean[psnr],
        f"{kind}_psnr_std_db": spread[psnr],
        f"{kind}_ssim": mean[ssim],
        f"{kind}_ssim_std": spread[ssim],
    }


def check_gain(name: str, figures: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a student that is not clearly better than its input where the degradation is as in its training.

    PSNR alone would let a student pass that takes a mean veil off and draws halos for it; so SSIM must not
    fall. Recorded pairs are degraded in a way of their own; what a student does to them its card says.

    Raises:
        ConfigError: it gains less than LEAST_GAIN_DB in integers on a synthetic set, or loses SSIM.
    """
    for each in figures:
        if each["task"].get("images") == "pairs":
            continue
        before, after = (each[f"{kind}_psnr_db"] for kind in ("degraded", "integer"))
        similar, restored = (each[f"{kind}_ssim"] for kind in ("degraded", "integer"))
        if after - before < LEAST_GAIN_DB or restored < similar:
            raise ConfigError(
                f"{name} is not filed: on {each['set']} its integers give {before:.2f} -> {after:.2f} dB and "
                f"SSIM {similar:.3f} -> {restored:.3f}; at least {LEAST_GAIN_DB:g} dB must be gained, and no "
                "SSIM lost"
            )


def energy_figures(report: Mapping[str, Any]) -> dict[str, float]:
    """What a card keeps of `energy.json`: the ranges of both ratios, and the counts as means over images."""
    images = report["images"]
    return {
        "least": report["headline"]["least"],
        "most": report["headline"]["most"],
        "twin_least": report["twin_headline"]["least"],
        "twin_most": report["twin_headline"]["most"],
        "qann_least": report["qann_headline"]["least"],
        "qann_most": report["qann_headline"]["most"],
        "synops_per_pixel": _per_pixel(images, "synops_levels"),
        "deliveries_per_pixel": _per_pixel(images, "synops_events"),
        "spikes_per_neuron": round(fmean(image["spikes_per_neuron"] for image in images), 4),
    }


def _per_pixel(images: Sequence[Mapping[str, Any]], count: str) -> float:
    return round(fmean(image[count] / (image["height"] * image["width"]) for image in images), 1)
