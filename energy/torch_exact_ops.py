"""The model `exact-ops` on the counts of any torch SNN."""

from collections.abc import Mapping
from dataclasses import dataclass

from snn_tool.energy.estimators.prices import Pricing, packaged_pricing
from snn_tool.energy.torch_counter.result import INTEGRATOR, NEURON, SpikeCount
from snn_tool.errors import ConfigError

_TRAFFIC = "needs each layer's geometry and memory traffic, which a count of operations does not hold"
_CHIP = "needs idle neurons, packets and a placement on cores, which a count of operations does not hold"

LEFT_OUT: Mapping[str, str] = {
    "paper": "needs the population that a layer reads, for its rate; the exact synops are counted instead",
    "memory-no-reuse": _TRAFFIC,
    "memory-full-reuse": _TRAFFIC,
    "loihi1-davies": _CHIP,
    "loihi1-sanafe": _CHIP,
    "data-movement": "needs the fan-in of each neuron and a quantised rival, which a NIR file does not have",
}
"""Models of `energy.registry` that counts alone cannot feed without assumptions, and why."""


@dataclass(frozen=True, slots=True)
class NeuronWork:
    """Arithmetic of one update of a neuron, beyond adding its synops.

    Attributes:
        multiplies: by a decay.
        adds: of a current, or of a rest potential that is not 0.
    """

    multiplies: int
    adds: int


def exact_ops_pj(
    count: SpikeCount, work: Mapping[str, NeuronWork], precision: str, pricing: Pricing | None = None
) -> dict[str, float]:
    """Picojoules by item, as `exact_ops_model.estimate` charges a deployed student with unit spikes.

        E = e_MAC MAC + e_AC (synops + elementwise + adds + compares + resets) + e_leak multiplies

    One compare per update of a spiking neuron, one reset per spike. Levels, which pools make of spikes, are
    charged as that many accumulates. Memory, network traffic, static power and control are not in it.

    Args:
        count: of `count_spikes`, for its whole batch and all its calls.
        work: for every row with neurons, by its name.
        precision: name of a number format, e.g. `int8`.
        pricing: constants and precisions; the packaged ones by default.

    Raises:
        ConfigError: unknown precision, or a neuron without an entry in `work`.
    """
    pricing = pricing or packaged_pricing()
    if precision not in pricing.precisions:
        raise ConfigError(f"precision '{precision}' is unknown; use one of {', '.join(pricing.precisions)}")
    prices = pricing.at(precision)
    spiking = [row for row in count.rows if row.kind == NEURON]
    neurons = [row for row in count.rows if row.kind in (NEURON, INTEGRATOR)]
    for row in neurons:
        if row.name not in work:
            raise ConfigError(f"{row.name}: say what an update of this neuron computes, in `work`")
    adds = sum(work[row.name].adds * row.neuron_updates for row in neurons)
    leaks = sum(work[row.name].multiplies * row.neuron_updates for row in neurons)
    return {
        "MACs": prices.mac_pj * count.macs,
        "synops": prices.ac_pj * count.synops,
        "elementwise": prices.ac_pj * count.total("elementwise_ops"),
        "neuron adds": prices.ac_pj * adds,
        "leak multiplies": prices.leak_pj * leaks,
        "threshold compares": prices.ac_pj * sum(row.neuron_updates for row in spiking),
        "resets": prices.ac_pj * sum(row.spikes for row in spiking),
    }
