"""Loihi 1 by its published per-event energies, against an int8 network on an edge accelerator."""

from snn_tool.energy.estimators import loihi1
from snn_tool.energy.estimators.chip_use import ChipUse
from snn_tool.energy.estimators.estimate import COLUMNS, EnergyModel, Estimate, Load
from snn_tool.energy.estimators.loihi1 import Traffic
from snn_tool.energy.estimators.prices import Prices

SPIKE_DRIVEN = frozenset(("synops", "relay updates by spikes", "spike packets", "static power, spikes"))
DYNAMIC = ("loihi1-synop", "loihi1-neuron-active", "loihi1-neuron-idle", "loihi1-spike", "loihi1-hop")


def estimate(load: Load, prices: Prices) -> Estimate:
    """Charge events on Loihi 1 and the same product on real parts.

        E_SNN = 23.6 S + 81 active + 52 idle + (1.7 + 3.0 hops) packets + P_static t
        E_ANN = 1.0 MAC / utilisation

    Picojoules of the packaged table. S includes a synaptic operation for each connection from the image and
    timestep, relays and accumulators; `loihi1.Traffic` says what is active. A packet goes to each reader of a
    spike's source; hops are assumed, because nothing is placed here. A graded student is priced as sign pairs
    with a step for each level (`loihi1.codings`). Time, cores and chips are low (`loihi1.chip_use` says how),
    so that the student's figure is a lower bound in all but the time of a synaptic operation. It is the "same
    product, real parts" row: two chips that exist, in different processes, one by simulation and one by its
    vendor's peak.

    Source: Davies et al., Loihi, IEEE Micro 38(1), 2018, Table 2; static power after Frady et al., NICE 2020.
    """
    return loihi1.estimate(load, prices, _items, SPIKE_DRIVEN)


def _items(counts: Traffic, use: ChipUse, prices: Prices) -> dict[str, float]:
    active, idle = prices["loihi1-neuron-active"], prices["loihi1-neuron-idle"]
    packet = prices["loihi1-spike"] + prices["loihi1-hop"] * loihi1.hops(use, prices)
    return {
        "first layer synops": prices["loihi1-synop"] * counts.image_synops,
        "synops": prices["loihi1-synop"] * counts.synops,
        "stream synops": prices["loihi1-synop"] * counts.stream_synops,
        "neuron updates": active * counts.active + idle * counts.idle,
        "relay updates by spikes": (active - idle) * counts.woken,
        "spike packets": packet * counts.packets,
        "stream packets": packet * counts.stream_packets,
    }


MODEL = EnergyModel(
    name="loihi1-davies",
    title="Loihi 1's published events and static power; the rival is int8 on an edge accelerator",
    source="Davies et al., IEEE Micro 38(1), 2018, Table 2; static power after Frady et al., NICE 2020",
    estimate=estimate,
    columns=COLUMNS,
    precisions=("int8",),
    constants=(*DYNAMIC, "loihi1-hops", *loihi1.TIME_CONSTANTS, *loihi1.RIVAL_CONSTANTS),
    arithmetic=False,
    neuron_terms=False,
    beside=(*DYNAMIC, "loihi1-static"),
    excluded=loihi1.EXCLUDED,
)
