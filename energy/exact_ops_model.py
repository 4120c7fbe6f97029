"""Every operation that the deployed network really performs, at the price of its arithmetic."""

from collections.abc import Iterable

from snn_tool.energy.constants import Precision
from snn_tool.energy.counts import EdgeCount, ImageActivity
from snn_tool.energy.estimate import AnnLoad, Estimate, Load, Reading

LEVELS = "levels as ACs"
EVENTS = "events as MACs"


def estimate(load: Load, precision: Precision) -> Estimate:
    """Charge exact counts.

        E_ANN = e_MAC MAC + e_AC elementwise
        E_SNN = e_MAC MAC_image + synops + relay synops + e_AC (bias + compares + resets + skip) + e_leak leak

    MACs are edge-exact on both sides. Binary spikes cost e_AC per synop. Graded spikes are read in two ways,
    as |z| accumulates (`levels as ACs`) and as one small multiplication each (`events as MACs`); the headline
    is the dearer. Deployed readings deliver every synapse to each of its readers, present the image at each
    timestep and pay for relays. Two comparisons stand beside them: `first layer cached` keeps the image's
    current, and `shared` computes each synapse once and needs neither relays nor accumulators, which no
    exported network does.

    The lowering `relay` adds, in every deployed reading, e_MAC per event that an accumulator or a relay
    behind it delivers, and e_AC per update of their neurons. Its value has up to 24 bits; read as unit spikes
    it would cost thousands of accumulates, which no chip performs. Arithmetic needs one addition, because the
    weight is 1; a chip that takes graded spikes multiplies nevertheless, so the dearer is charged, for both
    kinds of neurons. At int8 that product has 8 bits and costs, with its addition, three 32-bit additions;
    what a wider multiplier would add is listed among the costs left out.

    Omitted on both sides: memory and network traffic, static power, control. Omitted on the spiking side:
    adding a step's current to the membrane (it is folded into the synops). Omitted on the ANN side: skipping
    products with zero activations, which ReLU would allow.

    Source: Horowitz (ISSCC 2014) for the prices; the counts are this package's.
    """
    if isinstance(load, AnnLoad):
        items = {
            "MACs": precision.mac_pj * load.exact_macs,
            "elementwise": precision.ac_pj * load.elementwise_ops,
        }
        return Estimate((Reading("edge-exact MACs", True, items),))
    kinds = (LEVELS,) if load.unit_spikes else (EVENTS, LEVELS)
    return Estimate(tuple(reading for kind in kinds for reading in _readings(load, precision, kind)))


def _readings(load: ImageActivity, precision: Precision, kind: str) -> Iterable[Reading]:
    """The deployed reading of one spike charge, and the comparisons beside it."""
    neurons = _neuron_items(load, precision)
    price = precision.ac_pj if kind == LEVELS else precision.mac_pj
    suffix = "spikes as ACs" if load.unit_spikes else kind
    deployed = {
        "first layer MACs": precision.mac_pj * load.macs_uncached,
        "synops": price * _synops(load.edges, kind),
        **neurons,
        "relay synops": price
        * sum(r.synops_levels if kind == LEVELS else r.synops_events for r in load.relays),
        "relay neurons": precision.ac_pj * sum(r.updates + r.resets for r in load.relays),
        **_accumulator_items(load, precision),
    }
    yield Reading(f"deployed, {suffix}", True, deployed)
    if load.timesteps > 1:
        cached = precision.mac_pj * load.macs_cached + precision.ac_pj * load.cached_adds
        yield Reading(f"first layer cached, {suffix}", False, {**deployed, "first layer MACs": cached})
    shared = {
        "first layer MACs": precision.mac_pj * load.timesteps * sum(e.image_macs for e in load.shared_edges),
        "synops": price * _synops(load.shared_edges, kind),
        **neurons,
        "membrane adds": precision.ac_pj * sum(p.membrane_adds for p in load.populations),
    }
    yield Reading(f"shared, {suffix}", False, shared)


def _synops(edges: tuple[EdgeCount, ...], kind: str) -> int:
    return sum(edge.synops_levels if kind == LEVELS else edge.synops_events for edge in edges)


def _accumulator_items(load: ImageActivity, precision: Precision) -> dict[str, float]:
    """Nothing at all under `fanout`, where a stream has no copy."""
    if not load.accumulators:
        return {}
    return {
        "accumulator synops": precision.mac_pj * sum(a.synops_events for a in load.accumulators),
        "accumulator neurons": precision.ac_pj * sum(a.updates for a in load.accumulators),
    }


def _neuron_items(load: ImageActivity, precision: Precision) -> dict[str, float]:
    populations = load.populations
    return {
        "bias adds": precision.ac_pj * sum(p.bias_adds for p in populations),
        "leak multiplies": precision.leak_pj * sum(p.leak_multiplies for p in populations),
        "threshold compares": precision.ac_pj * sum(p.compares for p in populations),
        "resets": precision.ac_pj * sum(p.resets for p in populations),
        "read-out scale": precision.mac_pj * sum(p.scales for p in populations),
        "global skip": precision.ac_pj * load.skip_adds,
    }
