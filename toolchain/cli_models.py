"""`snn-tool models`: the students that come with the package, and their cards."""

from typing import Annotated

import typer
from snn_tool.terminal import terminal_of


def models(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Show the card of this student.")] = None,
) -> None:
    """List the trained students that come with snn-tool, or show the card of one."""
    from dataclasses import asdict

    from snn_tool.texts.cards import card_text, list_text
    from snn_tool.networks.shipped import read_card, shipped_names

    terminal = terminal_of(context)
    cards = [read_card(each) for each in ([name] if name else shipped_names())]
    text = card_text(cards[0]) if name else list_text(cards)
    terminal.result(text, {"students": [{**asdict(card), "path": str(card.path)} for card in cards]})
