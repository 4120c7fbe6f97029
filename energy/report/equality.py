"""Where a spiking layer costs what its dense rival does: the models price both, and the rate is solved."""

from dataclasses import dataclass, replace

from snn_tool.energy.estimators.estimate import EnergyModel, Load, Reading
from snn_tool.energy.estimators.prices import Prices, Pricing
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.energy.report.hidden_layer import HiddenLayer, Neurons

RIVALS = (("qann", "int8"), ("twin", "int8"), ("twin", "fp32"))
"""Column and precision of each dense rival; equal integers come first."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model with a dense rival that it can price.

    Attributes:
        model: that prices both sides.
        prices: of one precision.
        rival: `qann`, with as many bits as the neurons have outcomes, or `twin`.
        memory: what both sides assume of memories, by the name of a reading; empty for what is deployed.
    """

    model: EnergyModel
    prices: Prices
    rival: str
    memory: str = ""

    @property
    def precision(self) -> str:
        """Name of it."""
        return self.prices.precision.name

    def readings(self, load: Load) -> list[Reading]:
        """The readings that count, of which the dearest is meant."""
        found = self.model.estimate(load, self.prices).readings
        return [r for r in found if (r.memory == self.memory if self.memory else r.deployed)]


def comparisons(pricing: Pricing) -> tuple[Comparison, ...]:
    """Every model with each of its rivals."""
    return tuple(
        Comparison(model, pricing.at(precision), rival)
        for model in MODELS.values()
        for rival, precision in RIVALS
        if model.takes(pricing.precisions[precision]) and rival in model.columns
    )


def memory_comparisons(pricing: Pricing) -> tuple[Comparison, ...]:
    """The comparisons again by each reading of memories that is not the deployed one, where there are any."""
    tiny = HiddenLayer(1, 1).firing(Neurons(1))
    found = []
    for by in comparisons(pricing):
        readings = by.model.estimate(tiny, by.prices).readings
        deployed = {reading.memory for reading in readings if reading.deployed}
        names = dict.fromkeys(r.memory for r in readings if r.memory and r.memory not in deployed)
        found += [replace(by, memory=name) for name in names]
    return tuple(found)


def break_even_rate(comparison: Comparison, layer: HiddenLayer, kind: Neurons) -> float | None:
    """Spikes per neuron and timestep at which a layer costs what its dense rival does.

        E_rival = fixed + rate driven        rate = (E_rival - fixed) / driven

    `driven` is what a layer that always fires pays for its spikes. The dearest deployed reading counts on
    both sides, as in the report. More than 1 can be no rate of a binary neuron: then spikes always pay.

    Args:
        comparison: who prices, and against what.
        layer: the load.
        kind: how its neurons spike.

    Returns:
        The rate; None where the layer costs more even in silence.
    """
    dense = layer.dense(kind.bits if comparison.rival == "qann" else None)
    reference = max(reading.total_pj for reading in comparison.readings(dense))
    rates = [_rate(reading, reference) for reading in comparison.readings(layer.firing(kind))]
    known = [rate for rate in rates if rate is not None]
    return min(known) if len(known) == len(rates) else None


def _rate(reading: Reading, reference_pj: float) -> float | None:
    driven = sum(value for item, value in reading.items.items() if item in reading.spike_driven)
    fixed = sum(value for item, value in reading.items.items() if item not in reading.spike_driven)
    return None if reference_pj < fixed else (reference_pj - fixed) / driven
