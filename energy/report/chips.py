"""Chips beside joules: what a student fills, whether it runs there, how far models are from a measurement."""

from collections.abc import Iterator, Sequence
from statistics import fmean

import numpy as np
from snn_tool.energy.estimators.chip_use import ChipUse
from snn_tool.energy.estimators.estimate import EnergyModel, Reading
from snn_tool.energy.estimators.prices import Prices
from snn_tool.energy.estimators.workloads import Workload, measured_workloads
from snn_tool.energy.report.document import ReadingEnergy
from snn_tool.energy.report.hardware import Calibration, ChipRow, RegisterNote
from snn_tool.energy.report.pricing import PricedRow
from snn_tool.models.integer.network import IntegerNetwork

PJ_PER_MJ = 1e9
NS_PER_MS = 1e6
MW_PER_W = 1e3
EMULATED_THRESHOLD, THRESHOLD_LIMIT = 1 << 18, (1 << 17) - 1
"""The read-out's threshold in Lava's simulation, above any membrane, and the largest that 17 bits hold."""

WEIGHT_LIMIT = (1 << 7) - 1
FITTED = ("loihi2",)
"""Models whose constants were fitted to the workload that they are held against."""


def chip_rows(priced: Sequence[PricedRow]) -> tuple[ChipRow, ...]:
    """A row for each reading of the student by each chip model; of deployments first."""
    return tuple(row for one in priced for row in _rows(one))


def _rows(row: PricedRow) -> Iterator[ChipRow]:
    cell = row.cells["student"]
    for reading in (cell.cell.headline, *cell.cell.alternatives):
        uses = cell.chips[reading.name]
        if uses:
            yield _row(row.name, reading, uses)


def _row(model: str, reading: ReadingEnergy, uses: Sequence[ChipUse]) -> ChipRow:
    largest = max(uses, key=lambda use: use.cores)
    time_ms = fmean(use.time_ns for use in uses) / NS_PER_MS
    static = fmean(use.static_pj for use in uses)
    return ChipRow(
        model=model,
        reading=reading.name,
        deployed=reading.deployed,
        chip=largest.chip,
        cores=largest.cores,
        chips=largest.chips,
        static_w=largest.static_mw / MW_PER_W,
        steps=largest.steps,
        time_ms=time_ms,
        frames_per_s=1000 / time_ms,
        energy_mj=reading.energy_pj.mean / PJ_PER_MJ,
        static_share=static / reading.energy_pj.mean,
        lacks=largest.lacks,
        needs=largest.needs,
    )


def register_notes(network: IntegerNetwork) -> tuple[RegisterNote, ...]:
    """Where a Loihi-style simulation holds a number that a chip's register does not.

    Weights are baked, mantissa times a power of two, because Lava's convolution has no exponent; a chip keeps
    the mantissa and shifts. The read-out never fires because of a threshold that no register holds.
    """
    notes = [
        RegisterNote(
            synapse.wiring.name,
            "weight",
            largest,
            WEIGHT_LIMIT,
            f"an 8-bit mantissa and the exponent {synapse.exponent} of its synapses",
        )
        for synapse in network.synapses
        if (largest := int(np.abs(synapse.mantissa.astype(np.int64)).max()) << synapse.exponent)
        > WEIGHT_LIMIT
    ]
    readout = RegisterNote(
        network.populations[-1].wiring.name,
        "threshold",
        EMULATED_THRESHOLD,
        THRESHOLD_LIMIT,
        "a neuron that is read by the host and has no threshold, or 131,071, which may fire in the last 63 "
        "counts below saturation",
    )
    return (*notes, readout)


def calibrations(priced: Sequence[PricedRow]) -> tuple[Calibration, ...]:
    """Each chip model against each workload that was measured and counted."""
    chips = [row for row in priced if any(row.cells["student"].chips.values())]
    return tuple(
        calibration(row.model, row.prices, workload)
        for workload in measured_workloads().values()
        for row in chips
    )


def calibration(model: EnergyModel, prices: Prices, workload: Workload) -> Calibration:
    """One chip model against one workload; its first reading is what runs."""
    activity = workload.activity()
    counted, least, most = (
        model.estimate(workload.activity(which), prices).readings[0] for which in ("counted", "least", "most")
    )
    use = counted.chip
    assert use, "only models of chips are held against a chip"
    dynamic, total = _dynamic_mj(counted, use), counted.total_pj / PJ_PER_MJ
    time, measured_time = use.time_ns / NS_PER_MS, 1000 / workload.frames_per_s
    low, high = (_dynamic_mj(reading, reading.chip) for reading in (least, most) if reading.chip)
    return Calibration(
        model=model.name,
        chip=use.chip,
        workload=workload.title,
        source=workload.source,
        assumption=workload.assumption,
        measured_on=workload.chip,
        fitted=model.name in FITTED,
        synops=activity.synops_levels,
        neuron_updates=activity.timesteps * sum(p.neurons for p in activity.populations),
        spikes=sum(p.events for p in activity.populations),
        dynamic_mj=dynamic,
        dynamic_least=low,
        dynamic_most=high,
        measured_dynamic_mj=workload.dynamic_mj,
        dynamic_deviation=dynamic / workload.dynamic_mj - 1,
        total_mj=total,
        measured_total_mj=workload.total_mj,
        total_deviation=total / workload.total_mj - 1,
        time_ms=time,
        measured_time_ms=measured_time,
        time_deviation=time / measured_time - 1,
    )


def _dynamic_mj(reading: Reading, use: ChipUse) -> float:
    return (reading.total_pj - use.static_pj) / PJ_PER_MJ
