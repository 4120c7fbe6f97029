"""How much a ratio depends on each constant: half of it, and half again."""

import math
from collections.abc import Mapping, Sequence

from snn_tool.energy.report.pricing import LoadedColumn, PricedRow, price
from snn_tool.energy.estimators.prices import Prices
from snn_tool.energy.report_robustness import Sensitivity

LOW, HIGH = 0.5, 1.5


def sensitivity(
    row: PricedRow, columns: Mapping[str, LoadedColumn], reference: str, claim: float, names: Sequence[str]
) -> tuple[Sensitivity, ...]:
    """Evaluate one row again with each of its constants scaled, those that matter most first.

    Args:
        row: with cells of student and reference.
        columns: loads by column name.
        reference: column that the claim is against.
        claim: factor that the ratio is held against.
        names: of the images.
    """

    def ratio(prices: Prices) -> float:
        against, student = (
            price(columns[c], row.model, prices, names).mean_pj for c in (reference, "student")
        )
        return against / student

    base = row.cells[reference].mean_pj / row.cells["student"].mean_pj
    found = []
    for key in row.model.constants_at(row.prices.precision):
        low, high = (ratio(row.prices.scaled(key, factor)) for factor in (LOW, HIGH))
        met = {value >= claim for value in (low, base, high)}
        found.append(Sensitivity(key, row.name, low, base, high, len(met) > 1))
    return tuple(sorted(found, key=lambda s: (-swing(s), s.constant)))


def swing(row: Sensitivity) -> float:
    """The larger of the two relative changes, as a logarithm."""
    return max(abs(math.log(value / row.base)) for value in (row.low, row.high))
