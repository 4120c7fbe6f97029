"""The tables of docs/results/quality.md; every sentence is computed from the figures that stand beside it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any

from snn_tool.degradations.tasks import bounds_of, how_texts
from snn_tool.networks.shipped import Card

from restoration.sets import SetScore, degradation_text
from restoration.trials import Trial

WORST = 3
MINUS = "−"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(value: float | None, places: int = 2) -> str:
    """A figure with its sign; `∞` for identical images, `-` where there is none."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    return f"{value:.{places}f}".replace("-", MINUS)


def spread(mean: float | None, deviation: float | None, places: int = 2) -> str:
    """Mean and standard deviation."""
    return f"{number(mean, places)} ± {number(deviation, places)}"


def sets_table(scores: Sequence[SetScore]) -> str:
    """PSNR and SSIM on every set at every strength, degraded, float and integer."""
    head = ("set", "strength", "images", "degraded dB", "float dB", "integer dB", "gain dB")
    similarity = ("degraded SSIM", "float SSIM", "integer SSIM")
    return table((*head, *similarity), [_set_row(each) for each in scores])


def _set_row(each: SetScore) -> list[str]:
    scored, figure = each.scored, each.figure or {}
    gains = list(each.gains_db.values())
    return [
        each.label,
        degradation_text(scored.task),
        str(len(scored.scores)),
        spread(scored.mean("degraded_psnr_db"), scored.spread("degraded_psnr_db")),
        spread(figure["float_psnr_db"], figure["float_psnr_std_db"]) if figure else "not measured",
        f"**{spread(scored.mean('psnr_db'), scored.spread('psnr_db'))}**",
        spread(fmean(gains), pstdev(gains) if all(map(math.isfinite, gains)) else math.nan),
        spread(scored.mean("degraded_ssim"), scored.spread("degraded_ssim"), 3),
        spread(figure["float_ssim"], figure["float_ssim_std"], 3) if figure else "not measured",
        spread(scored.mean("ssim"), scored.spread("ssim"), 3),
    ]


def luma_table(scores: Sequence[SetScore]) -> str:
    """PSNR and SSIM on luma, where it is scored; empty elsewhere."""
    rows = [
        [
            each.label,
            degradation_text(each.scored.task),
            spread(each.scored.mean("degraded_psnr_y_db"), each.scored.spread("degraded_psnr_y_db")),
            f"**{spread(each.scored.mean('psnr_y_db'), each.scored.spread('psnr_y_db'))}**",
            spread(each.scored.mean("ssim_y"), each.scored.spread("ssim_y"), 3),
        ]
        for each in scores
        if each.scored.with_luma
    ]
    head = ("set", "strength", "degraded luma dB", "integer luma dB", "integer luma SSIM")
    return table(head, rows) if rows else ""


def foreign_table(card: Card) -> str:
    """What the card says of data degraded otherwise than in the training; empty if it says nothing."""
    rows = [
        [
            each["set"],
            degradation_text(each["task"]) + (", registered" if each["register"] else ""),
            str(each["images"]),
            number(each["degraded_psnr_db"]),
            f"**{number(each['integer_psnr_db'])}**",
            number(each["gain_db"]),
        ]
        for each in card.foreign
    ]
    return (
        table(("set", "degraded by", "images", "degraded dB", "integer dB", "gain dB"), rows) if rows else ""
    )


def overview_table(cards: Sequence[Card], scores: Mapping[str, Sequence[SetScore]]) -> str:
    """A line for each student and strength of the first set."""
    rows = []
    for card in cards:
        of_first = [each for each in scores[card.name] if each.label == scores[card.name][0].label]
        for each in of_first:
            rows.append(
                [
                    f"[`{card.name}`](#{card.name})",
                    f"{each.label}, {degradation_text(each.scored.task)}",
                    number(each.scored.mean("degraded_psnr_db")),
                    f"**{spread(each.scored.mean('psnr_db'), each.scored.spread('psnr_db'))}**",
                    f"{card.parameters:,}",
                    f"{card.energy['synops_per_pixel']:,.0f}",
                ]
            )
    return table(("student", "measured on", "degraded dB", "integer dB", "parameters", "synops/pixel"), rows)


def anchors_table(
    anchors: Sequence[Mapping[str, Any]], cards: Sequence[Card], scores: Mapping[str, Sequence[SetScore]]
) -> str:
    """Published figures and the students', by sigma, on the sets that both have; empty if there is none."""
    measured = {
        (card.name, each.label, f"{bounds[0]:g}"): each.scored.mean("psnr_db")
        for card in cards
        for each in scores[card.name]
        if card.task == "denoise" and (bounds := bounds_of(each.scored.task)) and bounds[0] == bounds[1]
        if not how_texts(each.scored.task)
    }
    labels = {label for _, label, _ in measured}
    shown = [anchor for anchor in anchors if anchor["set"] in labels]
    sigmas = sorted({sigma for anchor in shown for sigma in anchor["psnr_db"]}, key=float)
    rows = []
    for label in dict.fromkeys(anchor["set"] for anchor in shown):
        for card in cards:
            figures = [measured.get((card.name, label, sigma)) for sigma in sigmas]
            if any(figures):
                bold = [f"**{number(figure)}**" if figure else "" for figure in figures]
                rows.append(
                    [f"`{card.name}`, integers", label, f"{card.parameters:,}", *bold, "measured here"]
                )
        for anchor in (anchor for anchor in shown if anchor["set"] == label):
            published = [f"{anchor['psnr_db'][s]:.2f}" if s in anchor["psnr_db"] else "" for s in sigmas]
            size = anchor.get("parameters", "")
            rows.append([anchor["name"], label, size, *published, anchor["source"]])
    head = ("network", "set", "parameters", *(f"sigma {sigma}, dB" for sigma in sigmas), "source")
    return table(head, rows) if rows else ""


def smallest_gains_table(scores: Sequence[SetScore]) -> str:
    """For every set the images that gain least, and how many end below their input."""
    rows = []
    for each in scores:
        by_name = {score.name: score for score in each.scored.scores}
        order = sorted(each.gains_db.items(), key=lambda item: (item[1], item[0]))
        listed = [
            f"`{name}` {number(by_name[name].degraded_psnr_db)} → {number(by_name[name].psnr_db)}"
            for name, _ in order[:WORST]
        ]
        below = sum(gain < 0 for gain in each.gains_db.values())
        counted = f"{below} of {len(by_name)}"
        rows.append([each.label, degradation_text(each.scored.task), counted, "; ".join(listed)])
    return table(("set", "strength", "worse than the input", "smallest gains, dB"), rows)


def below_sentence(scores: Sequence[SetScore]) -> str:
    """How many test images a student makes worse."""
    gains = [gain for each in scores for gain in each.gains_db.values()]
    below = sum(gain < 0 for gain in gains)
    return (
        f"Of {len(gains):,} restored test images {below or 'none'} {'is' if below < 2 else 'are'} worse than "
        + ("its input." if below < 2 else "their inputs.")
    )


def trials_table(trials: Sequence[Trial]) -> str:
    """Means over the photographs under every condition, and the photograph that gains least."""
    rows = []
    for name in dict.fromkeys(trial.condition.name for trial in trials):
        under = [trial for trial in trials if trial.condition.name == name]
        worst = min(under, key=lambda trial: trial.rank)
        below = sum(trial.rank[0] < 0 for trial in under)
        rows.append(
            [
                name,
                under[0].condition.kind,
                number(fmean(trial.before_db for trial in under)),
                number(fmean(trial.after_db for trial in under)),
                f"{below} of {len(under)}",
                f"{worst.photograph.name} {number(worst.before_db)} → {number(worst.after_db)}",
            ]
        )
    head = (
        "photographs with",
        "kind",
        "degraded dB",
        "restored dB",
        "worse than the input",
        "smallest gain, dB",
    )
    return table(head, rows)
