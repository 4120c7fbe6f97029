"""Loihi 1 by regressions on real chips (SANA-FE), against an int8 network on an edge accelerator."""

from snn_tool.energy.estimators import loihi1
from snn_tool.energy.estimators.chip_use import ChipUse
from snn_tool.energy.estimators.estimate import COLUMNS, EnergyModel, Estimate, Load
from snn_tool.energy.estimators.loihi1 import Traffic
from snn_tool.energy.estimators.prices import Prices

SPIKE_DRIVEN = frozenset(
    ("synops", "relay updates by spikes", "spikes out", "spike packets", "static power, spikes")
)
DYNAMIC = (
    "sanafe-synop",
    "sanafe-access",
    "sanafe-update",
    "sanafe-spike-out",
    "sanafe-packet",
    "loihi1-hop",
)


def estimate(load: Load, prices: Prices) -> Estimate:
    """Charge the events of SANA-FE's Loihi profile.

        E_SNN = 24.0 S + 51.2 accesses + 21.6 updates + 69.3 spikes + (111 + 3.0 hops) packets + P_static t
        E_ANN = 1.0 MAC / utilisation

    Picojoules of the packaged table. Every neuron is accessed at every timestep; relays are updated by spikes
    alone, all others always. Counts, time, cores and the rival are those of `loihi1-davies`, and so is what
    makes the figure low; time is taken from Davies et al. in both.

    Source: Boyle et al., SANA-FE, IEEE TCAD; the profile arch/loihi.yaml of its repository, whose error
    against chips the authors put at 11.7 % or less.
    """
    return loihi1.estimate(load, prices, _items, SPIKE_DRIVEN)


def _items(counts: Traffic, use: ChipUse, prices: Prices) -> dict[str, float]:
    packet = prices["sanafe-packet"] + prices["loihi1-hop"] * loihi1.hops(use, prices)
    return {
        "first layer synops": prices["sanafe-synop"] * counts.image_synops,
        "synops": prices["sanafe-synop"] * counts.synops,
        "stream synops": prices["sanafe-synop"] * counts.stream_synops,
        "neuron accesses": prices["sanafe-access"] * (counts.active + counts.idle),
        "neuron updates": prices["sanafe-update"] * counts.active,
        "relay updates by spikes": prices["sanafe-update"] * counts.woken,
        "spikes out": prices["sanafe-spike-out"] * counts.spikes,
        "stream spikes out": prices["sanafe-spike-out"] * counts.stream_spikes,
        "spike packets": packet * counts.packets,
        "stream packets": packet * counts.stream_packets,
    }


MODEL = EnergyModel(
    name="loihi1-sanafe",
    title="SANA-FE's regression on Loihi 1 and static power; the rival is int8 on an edge accelerator",
    source="Boyle et al., SANA-FE, arch/loihi.yaml; static power after Frady et al., NICE 2020",
    estimate=estimate,
    columns=COLUMNS,
    precisions=("int8",),
    constants=(*DYNAMIC, "loihi1-hops", *loihi1.TIME_CONSTANTS, *loihi1.RIVAL_CONSTANTS),
    arithmetic=False,
    neuron_terms=False,
    beside=(*DYNAMIC, "loihi1-static"),
    excluded=loihi1.EXCLUDED,
)
