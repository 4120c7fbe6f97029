"""The cards of the shipped students and teachers as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from snn_tool.degradations.tasks import strength_text, task_text
from snn_tool.networks.shipped import DEFAULT, Card
from snn_tool.networks.teachers import TeacherCard
from snn_tool.tables import plain_table, printable, rendered


def list_text(cards: Sequence[Card], teachers: Sequence[TeacherCard] = ()) -> str:
    """A line for each student and strength with the figures of its first test set, then for each teacher."""
    if not cards:
        return "no student comes with this installation; train one with 'snn-tool distill'"
    title = "Students that come with snn-tool; mean PSNR in dB, degraded and restored in integers"
    table = plain_table(title, ("name", "for", "set", "strength"), ("dB",), 1)
    table.columns[1].no_wrap = False
    for card in cards:
        for first, figure in enumerate(_of_first_set(card)):
            table.add_row(
                "" if first else card.name,
                "" if first else card.summary,
                "" if first else figure["set"],
                strength_text(figure["task"]),
                f"{decibels(figure['degraded_psnr_db'])} -> {decibels(figure['integer_psnr_db'])}",
            )
    weak = [f"{card.weakness}\n" for card in cards if card.weakness]
    return rendered(
        table,
        *([f"\n{''.join(weak)}".rstrip()] if weak else []),
        *([_teachers(teachers)] if teachers else []),
        f"\n'restore' uses {DEFAULT} unless --student or --task says otherwise; 'models NAME' shows a card.",
    )


def _teachers(cards: Sequence[TeacherCard]) -> Any:
    title = "Teachers, for 'distill --teacher NAME'; mean PSNR in dB, degraded and restored"
    table = plain_table(title, ("name", "for", "set"), ("parameters", "dB"), 1)
    table.columns[1].no_wrap = False
    for card in cards:
        first = card.figures[0]
        table.add_row(
            card.name,
            card.summary,
            first["set"],
            f"{card.parameters:,}",
            f"{decibels(first['degraded_psnr_db'])} -> {decibels(first['half_psnr_db'])}",
        )
    return table


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
        f"version {card.version}, {card.parameters:,} parameters; {card.path}",
        f"trained for {task_text(training['task'])}: {data}",
    ]
    lines += ["made by:", *(f"  {command}" for command in card.recipe)]
    if card.seeds:
        figures = (f"{each['validation_psnr_db']:.2f} dB (seed {each['seed']})" for each in card.seeds)
        lines.append(f"validation by seed, of which the best is here: {', '.join(figures)}")
    if card.changes:
        lines += [f"different from version {card.version - 1}:", *(f"  {change}" for change in card.changes)]
    lines += [f"energy: {energy_text(card.energy)}", "limits:", *(f"  {limit}" for limit in card.limits)]
    foreign = [_foreign_text(each) for each in card.foreign]
    lines += (
        ["on data degraded by others, or by another model than the training's:", *foreign] if foreign else []
    )
    return "\n".join(map(printable, lines)) + "\n" + rendered(_figures(card.figures))


def _foreign_text(each: Mapping[str, Any]) -> str:
    shift = f", best shift within {each['register']} pixels" if each.get("register") else ""
    return (
        f"  {each['set']}, {each['images']} images, {task_text(each['task'])}{shift}: "
        f"{each['degraded_psnr_db']:.2f} -> {each['integer_psnr_db']:.2f} dB ({each['gain_db']:+.2f})"
    )


def teacher_card_text(card: TeacherCard) -> str:
    """The whole card of a teacher."""
    training, held_out = card.training, card.validation
    lines = [
        f"{card.name}: {card.summary}",
        f"{card.architecture}, {card.parameters:,} parameters in half precision; {card.path}",
        f"trained for {task_text(training['task'])}: seed {training['seed']}, best of {training['steps']:,} "
        f"steps at {training['best_step']:,} (validation {training['validation_psnr_db']:.2f} dB)",
        "made by:",
        *(f"  {command}" for command in card.recipe),
    ]
    if held_out:
        lines.append(
            f"rounded: {held_out['float32_psnr_db']:.3f} -> {held_out['half_psnr_db']:.3f} dB on "
            f"{held_out['crops']} validation crops"
        )
    lines += ["limits:", *(f"  {limit}" for limit in card.limits)]
    table = plain_table(
        "Full images, RGB, 8-bit output; mean PSNR in dB, weights as trained and in half precision",
        ("set", "strength"),
        ("images", "degraded", "float32", "half", "SSIM"),
        0,
    )
    for figure in card.figures:
        kinds = ("degraded", "float32", "half")
        table.add_row(
            figure["set"],
            strength_text(figure["task"]),
            str(figure["images"]),
            *(decibels(figure[f"{kind}_psnr_db"], 3) for kind in kinds),
            decibels(figure["half_ssim"], 3),
        )
    return "\n".join(map(printable, lines)) + "\n" + rendered(table)


def energy_text(energy: Mapping[str, Any]) -> str:
    """The range of the ratios, and the counts behind them."""
    least, most = energy["twin_least"], energy["twin_most"]
    same = energy.get("qann_least"), energy.get("qann_most")
    integers = (
        f", its own integers on a dense array {same[0]:.3g} to {same[1]:.3g} times"
        if None not in same
        else ""
    )
    return (
        f"{energy['against']} needs {energy['least']:.3g} to {energy['most']:.3g} times as much, an ANN of "
        f"its own shape {least:.3g} to {most:.3g} times{integers}, depending on the model of energy; "
        f"{energy['synops_per_pixel']:,.0f} synops per pixel, "
        f"{energy['spikes_per_neuron']:.2f} spikes per neuron"
    )


def _figures(figures: Sequence[Mapping[str, Any]]) -> Any:
    table = plain_table(
        "Full images, RGB, 8-bit output; PSNR in dB, mean and standard deviation over images",
        ("set", "strength"),
        ("images", "degraded", "float", "integer", "SSIM"),
        0,
    )
    for figure in figures:
        table.add_row(
            figure["set"],
            strength_text(figure["task"]),
            str(figure["images"]),
            *(mean_and_spread(figure, kind) for kind in ("degraded", "float", "integer")),
            decibels(figure["integer_ssim"], 3),
        )
    return table


def mean_and_spread(figure: Mapping[str, Any], kind: str) -> str:
    """PSNR of `degraded`, `float` or `integer` with its standard deviation over the images, in dB."""
    mean, spread = figure[f"{kind}_psnr_db"], figure[f"{kind}_psnr_std_db"]
    return f"{decibels(mean)} ± {decibels(spread)}"


def decibels(value: float | None, places: int = 2) -> str:
    """A figure of a card, which is null where it is infinite or not defined."""
    return "-" if value is None else f"{value:.{places}f}"
