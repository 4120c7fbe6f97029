"""The range proof on the terminal: one line per population, 80 columns."""

from collections.abc import Iterable

from snn_tool.exporters.loihi_quantity import OBSERVED, PROVED, SATURATES, Quantity
from snn_tool.exporters.loihi_ranges import CURRENT, MEMBRANE, SUM, RangeProof
from snn_tool.tables import plain_table, rendered

ORDER = (PROVED, SATURATES, OBSERVED)
"""From the strongest statement to the weakest."""


def ranges_text(proof: RangeProof) -> str:
    """A table, and what its words mean."""
    table = plain_table(
        f"Range proof, T = {proof.timesteps}: headroom in bits of the least favourable channel",
        ("population",),
        ("conv sums", "current", "membrane", "seen", "mantissa", "bias", "status"),
        gap=1,
    )
    for population in proof.inputs:
        table.add_row(*_row(population, proof.of(population)))
    return rendered(
        table,
        "seen: the membrane on the golden tiles, of its limit. proved: no image can exceed any of it."
        " saturates: a bound lies beyond a clip at which all implementations agree."
        " observed: a bound lies beyond a wrap, which the golden tiles do not reach.",
    )


def _row(population: str, quantities: tuple[Quantity, ...]) -> list[str]:
    by_name: dict[str, list[Quantity]] = {}
    for quantity in quantities:
        by_name.setdefault(quantity.name, []).append(quantity)
    membrane = by_name[MEMBRANE][0]
    bias = by_name.get("bias_mant") or by_name["bias"]
    return [
        population,
        *(_bits(by_name[name]) for name in (SUM, CURRENT, MEMBRANE)),
        _seen(membrane),
        _bits(by_name["weight mantissa"]),
        _bits(bias),
        weakest(quantities),
    ]


def weakest(quantities: Iterable[Quantity]) -> str:
    """The weakest of the statements about some quantities."""
    return max((quantity.status for quantity in quantities), key=ORDER.index)


def _bits(quantities: list[Quantity]) -> str:
    headroom = [one.headroom_bits for one in quantities if one.headroom_bits is not None]
    return f"{min(headroom):.1f}" if headroom else "–"


def _seen(membrane: Quantity) -> str:
    if membrane.observed is None:
        return "–"
    share = max(abs(value) for value in membrane.observed) / membrane.limit[1]
    return f"{100 * share:.1f} %"
