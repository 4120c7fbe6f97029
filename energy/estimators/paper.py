"""The energy model of most spiking-network papers, kept because their claims are stated in it."""

from dataclasses import replace

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.estimators import excluded
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.estimate import COLUMNS, AnnLoad, EnergyModel, Estimate, Load, Reading
from snn_tool.energy.estimators.prices import Prices
from snn_tool.models.topology import IMAGE


def estimate(load: Load, prices: Prices) -> Estimate:
    """Charge MACs, and spikes as a rate times MACs.

        E_ANN = e_MAC MAC        E_SNN = e_MAC MAC_first + e_AC sum over layers of (T fr) MAC

    MAC is the conventional padded count, MAC_first that of the layers on the image. T fr is the mean number
    of spikes that a neuron of the layer's source emits per image; for graded spikes, the mean sum of their
    magnitudes: a spike of level n is charged as n accumulates. At fp32 e_MAC is 4.6 pJ and e_AC 0.9 pJ. The
    literature knows binary spikes alone; the reading `one event per graded spike` stands beside it, in which
    T fr is the mean number of nonzero spikes, each of them a multiplication with its level: e_MAC for e_AC.

    Omitted: memory and network traffic, static power, neurons (bias, leak, compare, reset), the fan-out of
    membrane shortcuts and its relays, all presentations of the image but the first, and where in the image
    the spikes lie (one at the border reaches fewer neurons). The omissions on the spiking side favour the
    student; that of memory traffic favours the teacher where its weights exceed the chip.

    Source: notes of arXiv 2504.01755, with Horowitz (ISSCC 2014); the usual form in the spiking literature.
    """
    if isinstance(load, AnnLoad):
        return Estimate((Reading("padded MACs", True, {"MACs": prices.mac_pj * load.padded_macs}),))
    if load.unit_spikes:
        return Estimate((_student(load, prices, "spikes as a rate", SpikeCharge.LEVELS),))
    levels = _student(load, prices, "mean level as a rate", SpikeCharge.LEVELS)
    events = _student(load, prices, SpikeCharge.EVENTS.moved, SpikeCharge.EVENTS)
    return Estimate((levels, replace(events, deployed=False)))


def _student(load: ImageActivity, prices: Prices, name: str, charge: SpikeCharge) -> Reading:
    per_neuron = {p.name: charge.spikes(p) / p.neurons for p in load.populations}
    items = {
        layer.synapse: prices.mac_pj * load.passes * layer.padded_macs
        if layer.source == IMAGE
        else charge.synop_pj(prices) * per_neuron[layer.source] * layer.padded_macs
        for layer in load.layers
    }
    first = frozenset(layer.synapse for layer in load.layers if layer.source == IMAGE)
    return Reading(name, True, items, frozenset(items) - first, first)


MODEL = EnergyModel(
    name="paper",
    title="MACs, and spike rates times MACs",
    source="the usual form in the spiking literature, with Horowitz, ISSCC 2014",
    estimate=estimate,
    columns=COLUMNS,
    precisions=None,
    constants=(),
    arithmetic=True,
    neuron_terms=False,
    beside=(),
    excluded=(
        excluded.MEMORY,
        excluded.NEURONS,
        excluded.LOWERING,
        excluded.NETWORK,
        excluded.STATIC,
        excluded.FILL,
        excluded.CONTROL,
        excluded.SKIPPING,
        excluded.SCALARS,
        excluded.INPUT,
    ),
)
