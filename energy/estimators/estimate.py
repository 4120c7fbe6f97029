"""What an energy model takes and returns; a model is one `EnergyModel`, listed in `registry`."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.estimators.charges import SpikeCharge
from snn_tool.energy.estimators.chip_use import ChipUse
from snn_tool.energy.estimators.prices import Precision, Prices
from snn_tool.errors import UnsupportedLayerError

COLUMNS = ("teacher", "twin", "cnn", "qann", "student")
"""Networks that a model can price, in the order of a report. `cnn` is an int8 CNN of the student's quality,
`qann` the student's integers on a dense array; a report may lack `teacher` and `cnn`."""


@dataclass(frozen=True, slots=True)
class AnnLoad:
    """What a conventional network computes for one image.

    Attributes:
        padded_macs: MACs with padded borders, the conventional count.
        exact_macs: MACs with real inputs only.
        elementwise_ops: additions and comparisons outside of convolutions.
        layers: the same by operation, in the order of execution, with traffic; they sum to the totals.
    """

    padded_macs: int
    exact_macs: int
    elementwise_ops: int
    layers: tuple[DenseLayer, ...] = ()

    @classmethod
    def of(cls, layers: Iterable[DenseLayer]) -> "AnnLoad":
        """The load whose totals are those of its layers."""
        held = tuple(layers)
        return cls(
            sum(layer.padded_macs for layer in held),
            sum(layer.exact_macs for layer in held),
            sum(layer.elementwise_ops for layer in held),
            held,
        )

    @property
    def detailed(self) -> tuple[DenseLayer, ...]:
        """The layers, for models that charge traffic.

        Raises:
            UnsupportedLayerError: the load was made from totals alone, whose traffic would count as zero.
        """
        if self.exact_macs and not self.layers:
            raise UnsupportedLayerError(
                "a dense network without its layers has no countable traffic; pass `AnnLoad.of(layers)`"
            )
        return self.layers

    def macs_by_width(self) -> dict[int | None, int]:
        """Edge-exact MACs by the width of their activations."""
        if not self.layers:
            return {None: self.exact_macs}
        found: dict[int | None, int] = {}
        for layer in self.layers:
            found[layer.input_bits] = found.get(layer.input_bits, 0) + layer.exact_macs
        return found


Load = AnnLoad | ImageActivity


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to charge a load, item by item.

    Attributes:
        name: what this reading assumes.
        deployed: it describes what runs on the target, so it may be a headline; others are comparisons.
        items: picojoules per image by item.
        spike_driven: the items that are proportional to the number of spikes.
        once: the items that are paid once per image, whatever T; all others grow with T.
        charge: how spikes are charged; None where a load has no spikes, or a model counts a mean rate.
        memory: what it assumes of memories, by a name that student and rivals share (`arrays.READINGS`); None
            where the model charges none.
        chip: what a model of a chip says beside the energy; None elsewhere, and for a dense network.
    """

    name: str
    deployed: bool
    items: Mapping[str, float]
    spike_driven: frozenset[str] = frozenset()
    once: frozenset[str] = frozenset()
    charge: SpikeCharge | None = None
    memory: str | None = None
    chip: ChipUse | None = None

    @property
    def total_pj(self) -> float:
        """Picojoules per image."""
        return math.fsum(self.items.values())


@dataclass(frozen=True, slots=True)
class Estimate:
    """A model's readings of one load, at least one of them deployed."""

    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class EnergyModel:
    """An energy model and what it can be asked.

    Attributes:
        name: as reports call it.
        title: what it charges, in a line.
        source: publication that it follows, and how closely.
        estimate: of a load on one image.
        columns: networks that it can price.
        precisions: names of the only precisions that make sense in it; None for all.
        constants: keys that it uses beside those of the precision.
        arithmetic: it uses the constants of the precision.
        neuron_terms: it charges neurons or memory beside the precision's accumulate.
        beside: constants that are charged side by side, so that none of them may be all-in.
        excluded: terms of `excluded` that it leaves out.
        comparisons: those of `constants` that no headline is charged with: they cannot move its ratio.
    """

    name: str
    title: str
    source: str
    estimate: Callable[[Load, Prices], Estimate]
    columns: tuple[str, ...]
    precisions: tuple[str, ...] | None
    constants: tuple[str, ...]
    arithmetic: bool
    neuron_terms: bool
    beside: tuple[str, ...]
    excluded: tuple[str, ...]
    comparisons: tuple[str, ...] = ()

    def takes(self, precision: Precision) -> bool:
        """Whether it can be evaluated at this precision."""
        if precision.models is not None:
            return self.name in precision.models
        return self.precisions is None or precision.name in self.precisions

    def constants_at(self, precision: Precision) -> tuple[str, ...]:
        """Keys of all constants used at this precision, sorted; only neurons leak."""
        operations = (precision.multiply, precision.accumulate) if self.arithmetic else ()
        neurons = (precision.state_multiply,) if self.neuron_terms else ()
        return tuple(sorted({*self.constants, *operations, *neurons}))
