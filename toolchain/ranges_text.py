"""The range proof on the terminal: one line per population, 80 columns."""

import re
from collections import Counter
from collections.abc import Iterable

from snn_tool.exporters.loihi_quantity import OBSERVED, PROVED, SATURATES, Quantity
from snn_tool.exporters.loihi.ranges import CURRENT, MEMBRANE, SUM, RangeProof
from snn_tool.tables import TextTable, plain_table, rendered

RELAY = re.compile(r"_relay(\d+)$")
FIXED_NAMES = {"mantissa": ("weight mantissa",), "bias": ("bias", "bias_mant")}
ORDER = (PROVED, SATURATES, OBSERVED)
"""From the strongest statement to the weakest."""


def ranges_text(proof: RangeProof) -> str:
    """A table of the populations, one of what the lowering adds, and what their words mean."""
    table = plain_table(
        f"Range proof, T = {proof.timesteps}: headroom in bits of the least favourable channel",
        ("population",),
        ("conv sums", "current", "membrane", "seen", "mantissa", "bias", "status"),
        gap=1,
    )
    for name, convs in proof.inputs.items():
        if convs:
            table.add_row(*_row(name, proof.of(name)))
    return rendered(
        table,
        *_carriers(proof),
        "seen: the membrane on the golden tiles, of its limit. proved: no image can exceed any of it."
        " saturates: a bound lies beyond a clip at which all implementations agree."
        " observed: a bound lies beyond a wrap, which the golden tiles do not reach.",
    )


def _carriers(proof: RangeProof) -> list[TextTable]:
    """Accumulators and delay relays; the relays of a chain hold the same and share a row."""
    added = [name for name, convs in proof.inputs.items() if not convs]
    if not added:
        return []
    table = plain_table(
        "Accumulators (_stream) and delay relays that the lowering adds",
        ("process",),
        ("conv sums", "current", "membrane", "seen", "status"),
        gap=1,
    )
    chains = Counter(RELAY.sub("", name) for name in added if RELAY.search(name))
    for name in added:
        stage = RELAY.search(name)
        if stage is None or stage[1] == "1":
            last = chains[RELAY.sub("", name)] if stage else 0
            row = _registers(proof.of(name))
            table.add_row(name + (f"..{last}" if last > 1 else ""), *row, weakest(proof.of(name)))
    return [table]


def _row(population: str, quantities: tuple[Quantity, ...]) -> list[str]:
    fixed = {name: [q for q in quantities if q.name in names] for name, names in FIXED_NAMES.items()}
    parameters = (_bits(fixed["mantissa"]), _bits(fixed["bias"]))
    return [population, *_registers(quantities), *parameters, weakest(quantities)]


def _registers(quantities: tuple[Quantity, ...]) -> list[str]:
    """Headroom of sums, current and membrane, and how far golden tiles drive the membrane."""
    by_name = {name: [q for q in quantities if q.name == name] for name in (SUM, CURRENT, MEMBRANE)}
    return [*(_bits(found) for found in by_name.values()), _seen(by_name[MEMBRANE][0])]


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
