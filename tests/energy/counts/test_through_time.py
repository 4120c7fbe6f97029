"""Counts of networks whose input and state go through time, against every connection one by one."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.energy.counts.activity import count_network
from snn_tool.errors import DataError
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.network import InputGrid, IntegerNetwork, IntegerPopulation, IntegerSynapse
from snn_tool.models.topology import IMAGE, Population, Synapse

T = 6
GRIDS = {
    "events": InputGrid("spikes", 0, 1, 0, True),
    "counts": InputGrid("spikes", 0, 3, 0, True),
    "reals": InputGrid("real", -127, 127, -5, True),
    "spikes of one moment": InputGrid("spikes", 0, 1, 0, False),
}


def recurrent_network(grid: InputGrid) -> IntegerNetwork:
    """5x5 to 3x3 by stride 2, which no downscale divides; a loop of 3x3, a lasting current and its clock."""
    rng = np.random.default_rng(4)

    def synapse(name: str, source: str, given: int, made: int, **wiring: Any) -> IntegerSynapse:
        held = Synapse(name, source, given, made, **{"bias": False, **wiring})
        mantissa = rng.integers(-60, 100, (made, given, held.kernel, held.kernel)).astype(np.int8)
        bias = np.full(made, 9 * held.bias, np.int32)
        return IntegerSynapse(held, mantissa * (name != "clock"), 0, bias)

    synapses = (
        synapse("clock", IMAGE, 2, 1, stride=2, bias=True),
        synapse("first", IMAGE, 2, 3, stride=2),
        synapse("bias", "one", 1, 3, kernel=1),
        synapse("loop", "a", 3, 3, delay=1),
        synapse("last", "a", 3, 2, kernel=3, given_padding=0),
    )
    populations = (
        IntegerPopulation(Population("one", ("clock",), 1, 2), 3, 0, 0),
        IntegerPopulation(Population("a", ("first", "bias", "loop"), 3, 2), 160, 0, 200, 2000),
        IntegerPopulation(Population("out", ("last",), 2, 5), 0, 0, 0),
    )
    return IntegerNetwork(synapses, populations, "lif", T, 1, False, 0, 1, 0, False, (5, 5), grid)


def deliveries(wiring: Synapse, z: NDArray[np.int64], weight: int) -> int:
    """Every output times every tap that lies inside of the source, `weight` being 1 or the value's own."""
    rows, columns = wiring.output_size(*z.shape[1:])
    found = 0
    for y, x, j, i in np.ndindex(rows, columns, wiring.kernel, wiring.kernel):
        at = y * wiring.stride - wiring.padding + j, x * wiring.stride - wiring.padding + i
        if 0 <= at[0] < z.shape[1] and 0 <= at[1] < z.shape[2]:
            values = np.abs(z[:, at[0], at[1]])
            found += wiring.out_channels * int(values.sum() if weight else (values != 0).sum())
    return found


@pytest.mark.parametrize("kind", GRIDS)
def test_every_delivery_is_counted_by_where_its_values_come_from(kind: str) -> None:
    grid = GRIDS[kind]
    made = recurrent_network(grid)
    shape = (T, 2, 5, 5) if grid.over_time else (2, 5, 5)
    given = np.random.default_rng(1).integers(grid.low, grid.high + 1, shape).astype(np.int16)
    trace = IntegerEngine(made).run(given[None], ["one", "a", "out"])
    frames = given if grid.over_time else np.repeat(given[None], T, 0)
    emitted = {IMAGE: frames.astype(np.int64)} | {
        n: z[:, 0].astype(np.int64) for n, z in trace.spikes.items()
    }
    assert 0 < emitted["a"].mean() < 1 and emitted["one"].all()
    (image,) = count_network(made, [given]).images
    real = grid.kind == "real"
    for edge in image.edges:
        wiring = made.by_name[edge.synapse].wiring
        z = emitted[wiring.source][: T - wiring.delay]
        silent = edge.synapse == "clock"
        if wiring.source == IMAGE and real:
            dense = 0 if silent else deliveries(wiring, np.ones_like(z[0]), 1)
            assert (edge.image_macs, edge.synops_levels, edge.synops_events) == (dense, 0, 0)
        else:
            levels, events = (0 if silent else sum(deliveries(wiring, one, w) for one in z) for w in (1, 0))
            assert (edge.image_macs, edge.synops_levels, edge.synops_events) == (0, levels, events)
    if real:
        assert image.macs_cached == image.macs_uncached == T * image.edges[1].image_macs
    one, a, out = image.populations
    assert (one.neurons, a.neurons, out.neurons) == (9, 27, 2)
    assert (a.leak_multiplies, a.bias_adds, a.resets) == (2 * T * 27, T * 27, int(emitted["a"].sum()))


def test_an_input_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match=r"use \[6, 2, H, W\]"):
        count_network(recurrent_network(GRIDS["events"]), [np.zeros((5, 2, 5, 5), np.int16)])
