"""The price of a torch SNN's products, and the table in which people read its counts."""

from rich.table import Table
from snn_tool.energy.prices import Pricing, packaged_pricing
from snn_tool.energy.terminal_tables import plain
from snn_tool.energy.torch_counts import SpikeCount
from snn_tool.errors import ConfigError


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
    if precision not in pricing.precisions:
        raise ConfigError(f"precision '{precision}' is unknown; use one of {', '.join(pricing.precisions)}")
    prices = pricing.at(precision)
    return count.synops * prices.ac_pj + count.macs * prices.mac_pj


def count_table(count: SpikeCount) -> Table:
    """One line for each row that computed something, and the totals."""
    numbers = ("synops", "MACs", "dense MACs", "updates", "spikes", "weight B", "state B")
    table = plain(f"{count.network}, {count.calls} call(s)", ("module", "reads"), numbers)
    rows = [row for row in count.rows if row.calls and (row.dense_exact_macs or row.neuron_updates)]
    for row in rows:
        table.add_row(row.name, row.source or row.kind, *(f"{getattr(row, name):,}" for name in _COLUMNS))
    table.add_section()
    table.add_row("total", "", *(f"{count.total(name):,}" for name in _COLUMNS))
    return table


_COLUMNS = (
    "synops_levels",
    "exact_macs",
    "dense_exact_macs",
    "neuron_updates",
    "spikes",
    "weight_bytes",
    "state_bytes",
)
