"""Moving spikes against moving dense activations of few bits: a reconstruction after Yan et al."""

from collections.abc import Iterator
from dataclasses import replace

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.estimators import excluded
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.estimate import COLUMNS, AnnLoad, EnergyModel, Estimate, Load, Reading
from snn_tool.energy.estimators.exact_ops import LADDER, has_ladder
from snn_tool.energy.estimators.prices import Prices

WEIGHT_BITS = 8
SPIKE_DRIVEN = frozenset(("synops", "resets", "relay synops", "relay resets"))
CONSTANTS = ("yan-add", "yan-multiply-ratio", "yan-sparse-hop", "yan-dense-hop", "yan-hops")


def estimate(load: Load, prices: Prices) -> Estimate:
    """Charge every delivery with its arithmetic and its way.

        E_ANN = sum over layers of MAC (E_MAC(b) + 0.25 b hops)
        E_SNN = S (E_ACC + 3.0 hops) + E_CMP compares + E_SUB Z + MAC_image (E_MAC(8) + 0.25 8 hops)
        E_MAC(b) = E_ACC (1 + r 8 b),  E_ACC = E_CMP = E_SUB = 0.05448

    Picojoules in 22 nm; b is the width of a layer's activations, 8 bits of the image and of teacher and twin,
    ceil(log2(T + 1)) or ceil(log2(levels)) of the quantised twin, which is the publication's rival. r is the
    price of multiplying one bit by one bit over that of an addition, from Horowitz, because the publication's
    own prices of MACs could not be read. S, compares and Z are deployed counts with relays. A graded spike
    moves once and costs a MAC of 8 bits (`one event per graded spike`); read as unit spikes it moves once per
    level. Compares are those of a binary search; in `linear threshold ladder` each threshold is tried.

    A reconstruction, not the authors' model: it omits the fetching of weights, which the publication charges
    to both sides alike, and the sparsity gamma of the rival. With 4-bit weights, T = 5 and one hop it puts
    the threshold at a spike rate of 5.7 %, as the publication does; at T = 2 at 9.8 % (published 10.4 %).

    Source: Yan, Bai, Tang and Wong, Reconsidering the Energy Efficiency of Spiking Neural Networks Inference
    from Analytical Perspectives, arXiv 2409.08290v4.
    """
    if isinstance(load, AnnLoad):
        return Estimate((Reading("dense activations", True, _dense(load, prices)),))
    if load.unit_spikes:
        return Estimate((_student(load, prices, "spikes as ACs", True, SpikeCharge.LEVELS),))
    return Estimate(tuple(_graded(load, prices)))


def _graded(load: ImageActivity, prices: Prices) -> Iterator[Reading]:
    """A graded spike moves once in the headline; beside it once for each level, or with more compares."""
    events, levels = SpikeCharge.EVENTS, SpikeCharge.LEVELS
    headline = _student(load, prices, events.moved, True, events)
    yield headline
    yield _student(load, prices, levels.moved, False, levels)
    if has_ladder(load):
        tried = prices["yan-add"] * sum(p.ladder_compares for p in load.populations)
        items = {**headline.items, "compares": tried}
        yield replace(headline, name=f"{LADDER}, {events.moved}", deployed=False, items=items)


def mac_pj(bits: int, prices: Prices, weight_bits: int = WEIGHT_BITS) -> float:
    """A multiply-accumulate of an activation and a weight, in picojoules."""
    return prices["yan-add"] * (1 + prices["yan-multiply-ratio"] * bits * weight_bits)


def _dense_hop_pj(bits: int, prices: Prices) -> float:
    return prices["yan-dense-hop"] * bits * prices["yan-hops"]


def _dense(load: AnnLoad, prices: Prices) -> dict[str, float]:
    width = prices.precision.bits
    macs = {bits or width: 0 for bits in load.macs_by_width()}
    for bits, count in load.macs_by_width().items():
        macs[bits or width] += count
    return {
        "MACs": sum(mac_pj(bits, prices) * count for bits, count in macs.items()),
        "activations moved": sum(_dense_hop_pj(bits, prices) * count for bits, count in macs.items()),
    }


def _student(load: ImageActivity, prices: Prices, name: str, deployed: bool, charge: SpikeCharge) -> Reading:
    add, width = prices["yan-add"], prices.precision.bits
    moved = prices["yan-sparse-hop"] * prices["yan-hops"]
    delivery = (add if charge is SpikeCharge.LEVELS else mac_pj(width, prices)) + moved
    items = {
        "first layer": (mac_pj(width, prices) + _dense_hop_pj(width, prices)) * load.macs_uncached,
        "synops": delivery * charge.synops(load.edges),
        "compares": add * sum(p.compares for p in load.populations),
        "resets": add * sum(p.resets for p in load.populations),
        "relay synops": delivery * charge.synops(load.relays),
        "relay compares": add * sum(relay.updates for relay in load.relays),
        "relay resets": add * sum(relay.resets for relay in load.relays),
        "streams": (mac_pj(width, prices) + moved) * sum(a.synops_events for a in load.accumulators)
        + add * sum(a.updates for a in load.accumulators),
    }
    return Reading(name, deployed, items, SPIKE_DRIVEN, charge=charge)


MODEL = EnergyModel(
    name="data-movement",
    title="arithmetic and movement of every delivery in 22 nm (our reconstruction)",
    source="reconstruction after Yan, Bai, Tang and Wong, arXiv 2409.08290v4; prices of MACs derived",
    estimate=estimate,
    columns=COLUMNS,
    precisions=("int8",),
    constants=CONSTANTS,
    arithmetic=False,
    neuron_terms=False,
    beside=("yan-add", "yan-sparse-hop", "yan-dense-hop"),
    excluded=(
        excluded.WEIGHTS,
        excluded.MEMORY,
        excluded.WIDE,
        excluded.PAYLOAD,
        excluded.STATIC,
        excluded.FILL,
        excluded.CONTROL,
        excluded.SKIPPING,
        excluded.SCALARS,
        excluded.INPUT,
    ),
)
