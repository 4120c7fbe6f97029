"""The cards of the shipped students as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from snn_tool.shipped import DEFAULT, Card
from snn_tool.tables import plain_table, rendered


def list_text(cards: Sequence[Card]) -> str:
    """A line for each student and noise, with the figures of its first test set."""
    if not cards:
        return "no student comes with this installation; train one with 'snn-tool distill'"
    title = f"Students that come with snn-tool; PSNR in dB, in integers, on {cards[0].figures[0]['set']}"
    table = plain_table(title, ("name", "for"), ("sigma", "dB"), 1)
    table.columns[1].no_wrap = False
    for card in cards:
        for first, figure in enumerate(_of_first_set(card)):
            table.add_row(
                "" if first else card.name,
                "" if first else card.summary,
                f"{figure['sigma']:g}",
                f"{figure['degraded_psnr_db']:.2f} -> {figure['integer_psnr_db']:.2f}",
            )
    return rendered(
        table, f"\n'restore' uses {DEFAULT} unless --student names another; 'models NAME' shows a card."
    )


def _of_first_set(card: Card) -> list[Mapping[str, Any]]:
    return [figure for figure in card.figures if figure["set"] == card.figures[0]["set"]]


def card_text(card: Card) -> str:
    """The whole card."""
    training = card.training
    data = (
        f"seed {training['seed']}, best of {training['steps']:,} steps at {training['best_step']:,} "
        f"(validation {training['validation_psnr_db']:.2f} dB)"
    )
    lines = [
        f"{card.name}: {card.summary}",
        f"{card.parameters:,} parameters; {card.path}",
        f"trained: {data}",
    ]
    lines += ["made by:", *(f"  {command}" for command in card.recipe)]
    lines += [f"energy: {_energy(card.energy)}", "limits:", *(f"  {limit}" for limit in card.limits)]
    return "\n".join(lines) + "\n" + rendered(_figures(card.figures))


def _energy(energy: Mapping[str, Any]) -> str:
    return (
        f"{energy['least']:.3g} to {energy['most']:.3g} times less than {energy['against']}, "
        f"{energy['twin_least']:.3g} to {energy['twin_most']:.3g} times less than an ANN of its own shape, "
        "depending on the model of energy"
    )


def _figures(figures: Sequence[Mapping[str, Any]]) -> Any:
    table = plain_table(
        "Full images, RGB, 8-bit output, seeded unclamped noise",
        ("set", "sigma"),
        ("images", "degraded dB", "float dB", "integer dB", "SSIM"),
        1,
    )
    for figure in figures:
        table.add_row(
            figure["set"],
            f"{figure['sigma']:g}",
            str(figure["images"]),
            f"{figure['degraded_psnr_db']:.2f}",
            f"{figure['float_psnr_db']:.2f}",
            f"{figure['integer_psnr_db']:.2f}",
            f"{figure['integer_ssim']:.4f}",
        )
    return table
