"""Loihi 2 by the events of Loihi 1, fitted to a measurement, against an int8 network on an edge accelerator.

Nobody publishes energies of single operations of Loihi 2. What is published is a whole workload: a PilotNet
of binary spikes on one chip (`workloads`). Its counts times Loihi 1's Table 2 come out 23 % above the dynamic
energy that was measured; one factor on all of them makes the two equal, and these are the constants here. So
the ratios between the events are Loihi 1's, their level is one measurement's, and a graded payload is free.
"""

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.estimators import excluded, loihi1
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.chip_use import ChipUse
from snn_tool.energy.estimators.estimate import COLUMNS, AnnLoad, EnergyModel, Estimate, Load, Reading
from snn_tool.energy.estimators.loihi1 import Traffic
from snn_tool.energy.estimators.prices import Prices

CHIP = "Loihi 2"
NEURONS_PER_CORE = 8192
CORES_PER_CHIP = 128
"""Intel, Taking Neuromorphic Computing to the Next Level with Loihi 2, technology brief, 2021: 128 cores of
up to 8,192 neurons. Synaptic memory is taken as 128 KiB of a core's 192 KB, as much as Loihi 1's."""

SPIKE_DRIVEN = frozenset(("synops", "relay updates by spikes", "spike packets", "static power, spikes"))
DYNAMIC = ("loihi2-synop", "loihi2-neuron-active", "loihi2-neuron-idle", "loihi2-spike", "loihi2-hop")
TIME_CONSTANTS = ("loihi2-synop-time", "loihi2-neuron-time", "loihi2-barrier", "loihi2-static")
MICROCODE = "microcode for graded neurons; the stock LIF knows one threshold"
ENCODER = "a source that sends the image as graded spikes, one for each value and step"


def chip_use(load: ImageActivity, counts: Traffic, prices: Prices) -> ChipUse:
    """Chips, static power and time.

        t = (synops t_synop + updates t_update) / cores + T t_barrier

    As for Loihi 1: all cores are equally busy, no packet waits, images follow each other without a gap, and
    cores are the fewest that hold the network. The three times are those of a public benchmark script, which
    takes the slowest of the tasks on the slowest core. PilotNet's time comes out 30 % shorter than measured
    (`workloads`).
    """
    used = loihi1.cores(load, neurons_per_core=NEURONS_PER_CORE)
    chips = -(-used // CORES_PER_CHIP)
    time = sum(_times(counts, used, load.steps, prices).values())
    needs = (ENCODER,) if load.unit_spikes else (MICROCODE, ENCODER)
    return ChipUse(CHIP, used, chips, prices["loihi2-static"] * chips, time, load.steps, (), needs)


def _times(counts: Traffic, used: int, steps: int, prices: Prices) -> dict[str, float]:
    """Nanoseconds by cause."""
    image = (counts.image_synops + counts.stream_synops) * prices["loihi2-synop-time"]
    neurons = (counts.active + counts.idle) * prices["loihi2-neuron-time"]
    return {
        "image and neurons": (image + neurons) / used,
        "spikes": counts.synops * prices["loihi2-synop-time"] / used,
        "barriers": steps * prices["loihi2-barrier"],
    }


def estimate(load: Load, prices: Prices) -> Estimate:
    """Charge fitted events on Loihi 2 and the same product on real parts.

        E_SNN = 19.1 S + 65.7 active + 42.2 idle + (1.38 + 2.43 hops) packets + P_static t
        E_ANN = 1.0 MAC / utilisation

    Picojoules of the packaged table. Spikes carry a level there, so that a graded spike is one event whatever
    its level; levels as unit spikes are the comparison. Counts are those of `loihi1.Traffic`.

    Source: lava-dl, PilotNet LIF benchmark on an Oheo Gulch board; Davies et al., IEEE Micro 38(1), 2018.
    """
    if isinstance(load, AnnLoad):
        return loihi1.dense_rival(load, prices)
    once = load.steps
    if load.unit_spikes:
        return Estimate((_reading(load, prices, "binary spikes", True, SpikeCharge.LEVELS, once),))
    return Estimate(
        (
            _reading(load, prices, "one event per graded spike", True, SpikeCharge.EVENTS, once),
            _reading(load, prices, "levels as unit spikes", False, SpikeCharge.LEVELS, once),
        )
    )


def _reading(
    load: ImageActivity, prices: Prices, name: str, deployed: bool, charge: SpikeCharge, steps: int
) -> Reading:
    counts = loihi1.traffic(load, loihi1.Coding(name, deployed, charge, False, steps))
    use = chip_use(load, counts, prices)
    times = _times(counts, use.cores, use.steps, prices)
    active, idle = prices["loihi2-neuron-active"], prices["loihi2-neuron-idle"]
    packet = prices["loihi2-spike"] + prices["loihi2-hop"] * (prices["loihi2-hops"] if use.cores > 1 else 0.0)
    items = {
        "first layer synops": prices["loihi2-synop"] * counts.image_synops,
        "synops": prices["loihi2-synop"] * counts.synops,
        "stream synops": prices["loihi2-synop"] * counts.stream_synops,
        "neuron updates": active * counts.active + idle * counts.idle,
        "relay updates by spikes": (active - idle) * counts.woken,
        "spike packets": packet * counts.packets,
        "stream packets": packet * counts.stream_packets,
        **{f"static power, {what}": use.static_mw * time for what, time in times.items()},
    }
    return Reading(name, deployed, items, SPIKE_DRIVEN, charge=charge, chip=use)


MODEL = EnergyModel(
    name="loihi2",
    title="Loihi 2: Loihi 1's events fitted to a measured PilotNet; the rival is int8 on an edge accelerator",
    source="lava-dl, PilotNet LIF benchmark; ratios of the events by Davies et al., IEEE Micro 38(1), 2018",
    estimate=estimate,
    columns=COLUMNS,
    precisions=("int8",),
    constants=(*DYNAMIC, "loihi2-hops", *TIME_CONSTANTS, *loihi1.RIVAL_CONSTANTS),
    arithmetic=False,
    neuron_terms=False,
    beside=(*DYNAMIC, "loihi2-static"),
    excluded=(
        excluded.CHIP_LINKS,
        excluded.FILL,
        excluded.WIDE,
        excluded.PAYLOAD,
        excluded.INPUT,
        excluded.SCALARS,
    ),
)
