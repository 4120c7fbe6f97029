"""The result: totals, JSON, price, table."""

import json

import pytest
from rich.console import Console
from rich.table import Table
from snn_tool.energy import arithmetic_pj, count_table
from snn_tool.energy.estimators.prices import Pricing, packaged_pricing
from snn_tool.energy.torch_counter.result import TOTALS, SpikeCount, SpikeRow
from snn_tool.errors import ConfigError

COUNT = SpikeCount(
    "Net",
    3,
    (
        SpikeRow("conv", "convolution", "real", 3, padded_macs=90, exact_macs=70, dense_exact_macs=70),
        SpikeRow("conv", "elementwise", calls=3, elementwise_ops=11),
        SpikeRow(
            "lif", "spiking neuron", calls=3, neuron_updates=60, spikes=7, spike_levels=7, state_bytes=80
        ),
        SpikeRow("[x]", "matrix product", "spikes", 3, 21_000, 20_000, dense_exact_macs=600, weight_bytes=40),
        SpikeRow("li", "integrator", calls=3, neuron_updates=15),
        SpikeRow("unused", "parameters", parameters=5, weight_bytes=20),
    ),
)


def test_totals_are_sums_over_rows() -> None:
    assert (COUNT.synops, COUNT.macs) == (21_000, 70)
    assert COUNT.total("neuron_updates") == 75
    assert COUNT.total("weight_bytes") == 60
    with pytest.raises(ConfigError, match="'energy' is not counted; use one of synops_levels, "):
        COUNT.total("energy")


def test_rows_are_found_by_name_and_kind() -> None:
    assert COUNT.of("conv").exact_macs == 70
    assert COUNT.of("conv", "elementwise").elementwise_ops == 11
    with pytest.raises(ConfigError, match=r"no row 'conv2'; there are conv, lif, \[x\], li, unused"):
        COUNT.of("conv2")


def test_json_holds_everything() -> None:
    data = json.loads(COUNT.to_json())
    assert (data["schema"], data["network"], data["calls"]) == (1, "Net", 3)
    assert data["totals"] == {name: COUNT.total(name) for name in TOTALS}
    assert tuple(SpikeRow(**row) for row in data["rows"]) == COUNT.rows


@pytest.mark.parametrize(
    ("precision", "accumulate", "multiply"),
    [("fp32", 0.9, 3.7), ("fp16", 0.4, 1.1), ("int8", 0.1, 0.2)],  # Horowitz, ISSCC 2014, 45 nm
)
def test_price(precision: str, accumulate: float, multiply: float) -> None:
    expected = 21_000 * accumulate + 70 * (multiply + accumulate)
    assert arithmetic_pj(COUNT, precision) == pytest.approx(expected, rel=1e-12)


def test_price_by_own_constants() -> None:
    packaged = packaged_pricing()
    doubled = packaged.at("fp32").scaled("add-fp32", 2.0)
    own = Pricing(doubled.constants, packaged.precisions)
    assert arithmetic_pj(COUNT, "fp32", own) == pytest.approx(21_000 * 1.8 + 70 * (3.7 + 1.8), rel=1e-12)
    with pytest.raises(ConfigError, match="precision int4 is unknown; use one of fp32, fp16, int8"):
        arithmetic_pj(COUNT, "int4")


def test_a_rich_table_fits_the_console_that_prints_it() -> None:
    table = count_table(COUNT, rich=True)
    assert isinstance(table, Table) and [str(column.header) for column in table.columns][:2] == [
        "module",
        "reads",
    ]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    printed, text = capture.get(), count_table(COUNT)
    assert [line.split() for line in printed.split("\n") if line.strip()] == [
        line.split() for line in text.split("\n") if line.strip()
    ]


def test_the_table_shows_products_neurons_and_totals() -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(count_table(COUNT))
    printed = capture.get()
    assert all(len(line) <= 80 for line in printed.splitlines())
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.split()}
    assert rows["conv"] == ["real", "0", "70", "70", "0", "0", "0", "0"]
    assert rows["lif"] == ["(neuron)", "0", "0", "0", "60", "7", "0", "80"]
    assert rows["[x]"] == ["spikes", "21,000", "0", "600", "0", "0", "40", "0"]
    assert rows["total"] == ["21,000", "70", "670", "75", "7", "60", "80"]
    assert "unused" not in rows
