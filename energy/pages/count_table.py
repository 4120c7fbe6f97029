"""The price of a torch SNN's products, and the table in which people read its counts."""

from typing import Literal, overload

from snn_tool.energy.estimators.prices import Pricing, packaged_pricing
from snn_tool.energy.torch_counter.result import INTEGRATOR, NEURON, SpikeCount
from snn_tool.tables import TableText, TextTable, plain_table, rendered

_SHORT = {NEURON: "(neuron)", INTEGRATOR: "(integ.)"}
_COLUMNS = {
    "synops": "synops_levels",
    "MACs": "exact_macs",
    "dense MACs": "dense_exact_macs",
    "updates": "neuron_updates",
    "spikes": "spikes",
    "weight B": "weight_bytes",
    "state B": "state_bytes",
}


def arithmetic_pj(count: SpikeCount, precision: str = "fp32", pricing: Pricing | None = None) -> float:
    """Picojoules of the products alone: synops x accumulate + MACs x multiply-accumulate.

    Neurons, biases, memory and routing are not in it, so it is a lower bound, lower on the spiking side.

    Args:
        count: of `count_spikes`; for its whole batch and all its calls.
        precision: name of a number format, e.g. `int8`.
        pricing: constants and precisions; the packaged ones (Horowitz, ISSCC 2014, 45 nm) by default.

    Raises:
        ConfigError: unknown precision.
    """
    pricing = pricing or packaged_pricing()
    prices = pricing.at(precision)
    return count.synops * prices.ac_pj + count.macs * prices.mac_pj


@overload
def count_table(count: SpikeCount, rich: Literal[False] = False) -> TableText: ...
@overload
def count_table(count: SpikeCount, rich: Literal[True]) -> TextTable: ...
def count_table(count: SpikeCount, rich: bool = False) -> TableText | TextTable:
    """One line for each row with products or neurons, and the totals, as text of 80 columns.

    Long names are folded; numbers never are, so that very large ones make the text wider.

    Args:
        count: of `count_spikes`.
        rich: give a `rich.table.Table` instead, which fits the console that prints it.
    """
    table = plain_table(f"{count.network}, {count.calls} call(s)", ("module", "reads"), tuple(_COLUMNS))
    for row in count.rows:
        if row.dense_exact_macs or row.neuron_updates:
            cells = (f"{getattr(row, name):,}" for name in _COLUMNS.values())
            table.add_row(row.name, row.source or _SHORT[row.kind], *cells)
    table.add_section()
    table.add_row("total", "", *(f"{count.total(name):,}" for name in _COLUMNS.values()))
    return table if rich else TableText(rendered(table))
