"""Every operation that the deployed network really performs, at the price of its arithmetic."""

from collections.abc import Iterable

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.estimators import excluded
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.estimate import COLUMNS, AnnLoad, EnergyModel, Estimate, Load, Reading
from snn_tool.energy.estimators.prices import Prices

SPIKE_DRIVEN = frozenset(("synops", "resets", "relay synops", "relay resets"))
ONCE = frozenset(("read-out scale", "global skip"))
LADDER = "linear threshold ladder"
"""Name of the reading in which a graded neuron tries every threshold."""


def estimate(load: Load, prices: Prices) -> Estimate:
    """Charge exact counts.

        E_ANN = e_MAC MAC + e_AC elementwise
        E_SNN = e_MAC MAC_image + synops + relay synops + e_AC (bias + compares + resets + skip) + e_leak leak

    MACs are edge-exact on both sides. Binary spikes cost e_AC per synop. Graded spikes are read in two ways,
    as |z| accumulates (`levels as ACs`) and as one small multiplication each (`events as MACs`); the headline
    is the dearer. Deployed readings deliver every synapse to each of its readers, present the image at each
    timestep and pay for relays. Comparisons stand beside them: `first layer cached` keeps the image's
    current, and `shared` computes each synapse once and needs neither relays nor accumulators, which no
    exported network does. A graded neuron finds its level by binary search, ceil(log2(outcomes)) compares;
    `linear threshold ladder` tries each threshold, outcomes - 1 of them.

    The lowering `relay` adds, in every deployed reading, e_MAC per event that an accumulator or a relay
    behind it delivers, and e_AC per update of their neurons. Its value has up to 24 bits; read as unit spikes
    it would cost thousands of accumulates, which no chip performs. Arithmetic needs one addition, because the
    weight is 1; a chip that takes graded spikes multiplies nevertheless, so the dearer is charged, for both
    kinds of neurons. At int8 that product has 8 bits and costs, with its addition, three 32-bit additions;
    what a wider multiplier would add is listed among the costs left out.

    The quantised twin's MACs have activations of b bits: e_mul b / 8 + e_AC each, at the precision's 8 bits.
    An accumulator's events are not spike-driven: the current of the image alone makes a sum nonzero.

    Omitted on both sides: memory and network traffic, static power, control. Omitted on the spiking side:
    adding a step's current to the membrane (it is folded into the synops). Omitted on the ANN side: skipping
    products with zero activations, which ReLU would allow.

    Source: Horowitz (ISSCC 2014) for the prices; the counts are this package's.
    """
    if isinstance(load, AnnLoad):
        return Estimate((Reading("edge-exact MACs", True, dense_items(load, prices)),))
    charges = (SpikeCharge.LEVELS,) if load.unit_spikes else (SpikeCharge.EVENTS, SpikeCharge.LEVELS)
    return Estimate(tuple(reading for charge in charges for reading in _readings(load, prices, charge)))


def dense_items(load: AnnLoad, prices: Prices) -> dict[str, float]:
    """The arithmetic of a dense network, picojoules per image."""
    macs = load.macs_by_width()
    return {
        "MACs": sum(prices.narrow_mac_pj(bits) * count for bits, count in macs.items()),
        "elementwise": prices.ac_pj * load.elementwise_ops,
    }


def deployed_readings(load: ImageActivity, prices: Prices) -> tuple[Reading, ...]:
    """The arithmetic of the deployed student, one reading for each way to charge its spikes."""
    return tuple(reading for reading in estimate(load, prices).readings if reading.deployed)


def _readings(load: ImageActivity, prices: Prices, charge: SpikeCharge) -> Iterable[Reading]:
    """The deployed reading of one spike charge, and the comparisons beside it."""
    neurons = _neuron_items(load, prices)
    price = charge.synop_pj(prices)
    suffix = "spikes as ACs" if load.unit_spikes else charge.value
    deployed = {
        "first layer MACs": prices.mac_pj * load.macs_uncached,
        "synops": price * charge.synops(load.edges),
        **neurons,
        **_relay_items(load, prices, charge),
        **_accumulator_items(load, prices),
    }
    yield _reading(f"deployed, {suffix}", True, deployed, charge)
    if load.timesteps > 1:
        cached = prices.mac_pj * load.macs_cached + prices.ac_pj * load.cached_adds
        yield _reading(
            f"first layer cached, {suffix}", False, {**deployed, "first layer MACs": cached}, charge
        )
    shared = {
        "first layer MACs": prices.mac_pj * load.steps * sum(e.image_macs for e in load.shared_edges),
        "synops": price * charge.synops(load.shared_edges),
        **neurons,
        "membrane adds": prices.ac_pj * sum(p.membrane_adds for p in load.populations),
    }
    yield _reading(f"shared, {suffix}", False, shared, charge)
    if has_ladder(load):
        tried = prices.ac_pj * sum(p.ladder_compares for p in load.populations)
        yield _reading(f"{LADDER}, {suffix}", False, {**deployed, "threshold compares": tried}, charge)


def has_ladder(load: ImageActivity) -> bool:
    """Whether trying all thresholds takes more compares than a binary search."""
    return any(p.ladder_compares > p.compares for p in load.populations)


def _reading(name: str, deployed: bool, items: dict[str, float], charge: SpikeCharge) -> Reading:
    return Reading(name, deployed, items, SPIKE_DRIVEN & items.keys(), ONCE & items.keys(), charge)


def _relay_items(load: ImageActivity, prices: Prices, charge: SpikeCharge) -> dict[str, float]:
    return {
        "relay synops": charge.synop_pj(prices) * charge.synops(load.relays),
        "relay neurons": prices.ac_pj * sum(relay.updates for relay in load.relays),
        "relay resets": prices.ac_pj * sum(relay.resets for relay in load.relays),
    }


def _accumulator_items(load: ImageActivity, prices: Prices) -> dict[str, float]:
    """Nothing at all under `fanout`, where a stream has no copy."""
    if not load.accumulators:
        return {}
    return {
        "accumulator synops": prices.mac_pj * sum(a.synops_events for a in load.accumulators),
        "accumulator neurons": prices.ac_pj * sum(a.updates for a in load.accumulators),
    }


def _neuron_items(load: ImageActivity, prices: Prices) -> dict[str, float]:
    populations = load.populations
    return {
        "bias adds": prices.ac_pj * sum(p.bias_adds for p in populations),
        "leak multiplies": prices.leak_pj * sum(p.leak_multiplies for p in populations),
        "threshold compares": prices.ac_pj * sum(p.compares for p in populations),
        "resets": prices.ac_pj * sum(p.resets for p in populations),
        "read-out scale": prices.mac_pj * sum(p.scales for p in populations),
        "global skip": prices.ac_pj * load.skip_adds,
    }


MODEL = EnergyModel(
    name="exact-ops",
    title="every arithmetic operation of the deployed network",
    source="counts of this package, with Horowitz, ISSCC 2014",
    estimate=estimate,
    columns=COLUMNS,
    precisions=None,
    constants=(),
    arithmetic=True,
    neuron_terms=True,
    beside=(),
    excluded=(
        excluded.MEMORY,
        excluded.NETWORK,
        excluded.WIDE,
        excluded.STATIC,
        excluded.FILL,
        excluded.CONTROL,
        excluded.SKIPPING,
        excluded.SCALARS,
        excluded.INPUT,
    ),
)
