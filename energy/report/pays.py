"""When spikes pay: the spike rate at which a spiking layer costs what its dense rival does, by every model.

Nothing is derived anew here: the models price a layer (`hidden_layer`) and whole students, and the rate is
solved for. A student has a break-even of its own, because it also pays for the layers on the image, for
relays and for the read-out, which no hidden layer has.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from snn_tool.energy.estimators.prices import Pricing
from snn_tool.energy.estimators.workloads import measured_workloads
from snn_tool.energy.report.audit import NOTE
from snn_tool.energy.report.equality import Comparison, break_even_rate, comparisons, memory_comparisons
from snn_tool.energy.report.hidden_layer import BINARY, TAPS, HiddenLayer, Neurons
from snn_tool.energy.report.robustness import PUBLISHED
from snn_tool.energy.report.standings import StudentPoint, measured_point
from snn_tool.errors import ConfigError
from snn_tool.results import Result

KIND, SCHEMA = "energy-pays", 1
STEPS = (1, 2, 4, 8, 16, 32, 64)
CHANNELS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
USUAL_CHANNELS, USUAL_STEPS = 24, (1, 4, 16)
"""Of the layer in the charts against timesteps, a spike of which reaches 216 synapses; T in those against
fan-out."""

USUAL = Neurons(4)
"""Of the curves that are shown for every rival and every reading of memories."""

Swept = Literal["fan_out", "timesteps"]


@dataclass(frozen=True, slots=True)
class Curve:
    """Break-even of one kind of neurons against one rival.

    Attributes:
        model, rival, precision, memory: by which it was computed, as in `Comparison`.
        neurons: of which kind, `Neurons.name`.
        across: what is swept, `fan_out` (with the kind's T) or `timesteps` (with the usual fan-out).
        points: value of `across`, and the rate; null where the layer costs more even in silence.
    """

    model: str
    rival: str
    precision: str
    memory: str
    neurons: str
    across: Swept
    points: tuple[tuple[int, float | None], ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """A published threshold.

    Attributes:
        source: the publication.
        quantity: that it limits; per inference, or per timestep.
        low, high: the bound, or the range of its cases.
        assumptions: under which it is derived.
        timesteps: T for which it is stated, or None.
        reading: `found` at the source, `transcribed` from a quotation, or `not found`.
    """

    source: str
    quantity: str
    low: float
    high: float
    assumptions: str
    timesteps: int | None
    reading: str


@dataclass(frozen=True, slots=True)
class PaysReport(Result):
    """All charts as data.

    Attributes:
        note: that these are estimates.
        neurons: of the layer.
        usual_fan_out: of the curves against timesteps.
        models: names, in the order of the charts.
        curves: by model, rival and kind.
        students: those that were given.
        measured: networks that somebody measured on a chip and that are counted here, likewise.
        bounds: published.
        profile: name of the file that changed constants or precisions, or None.
    """

    note: str
    neurons: int
    usual_fan_out: int
    models: tuple[str, ...]
    curves: tuple[Curve, ...]
    students: tuple[StudentPoint, ...]
    measured: tuple[StudentPoint, ...]
    bounds: tuple[Bound, ...]
    profile: str | None

    def to_dict(self) -> dict[str, Any]:
        """The body of the document (kind `energy-pays`, schema 1)."""
        body: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return body


def curves(pricing: Pricing, kinds: Sequence[Neurons], neurons: int) -> tuple[Curve, ...]:
    """Break-even curves of every model and rival: over fan-out for each kind, over T for binary spikes.

    By the readings of memories that are not deployed they are of binary spikes with T = 4 alone.

    Args:
        pricing: constants and precisions.
        kinds: of neurons.
        neurons: of the layer.
    """
    found: list[Curve] = []
    for by in comparisons(pricing):
        found += [_over_fan_out(by, kind, neurons) for kind in kinds] + [_over_time(by, neurons)]
    for by in memory_comparisons(pricing):
        found += [_over_fan_out(by, USUAL, neurons), _over_time(by, neurons)]
    return tuple(found)


def _over_fan_out(by: Comparison, kind: Neurons, neurons: int) -> Curve:
    layers = [HiddenLayer(channels, neurons) for channels in CHANNELS]
    points = tuple((layer.fan_out, break_even_rate(by, layer, kind)) for layer in layers)
    return Curve(by.model.name, by.rival, by.precision, by.memory, kind.name, "fan_out", points)


def _over_time(by: Comparison, neurons: int) -> Curve:
    layer = HiddenLayer(USUAL_CHANNELS, neurons)
    points = tuple((timesteps, break_even_rate(by, layer, Neurons(timesteps))) for timesteps in STEPS)
    return Curve(by.model.name, by.rival, by.precision, by.memory, BINARY, "timesteps", points)


def bounds() -> tuple[Bound, ...]:
    """The published thresholds, as `robustness` holds them."""
    return tuple(
        Bound(p.source, p.quantity, p.low, p.high, p.assumptions, p.timesteps, p.reading) for p in PUBLISHED
    )


def pays_report(
    students: Sequence[StudentPoint], kinds: Sequence[Neurons], pricing: Pricing, neurons: int
) -> PaysReport:
    """Everything that the charts show.

    Args:
        students: on the charts; none is allowed.
        kinds: of their neurons; binary ones of the usual T come on top.
        pricing: constants and precisions.
        neurons: of the layer.

    Raises:
        ConfigError: the layer has no neuron.
    """
    if neurons < 1:
        raise ConfigError(f"--neurons {neurons}: a layer has at least one; leave the option out")
    found = curves(pricing, distinct(kinds), neurons)
    return PaysReport(
        note=NOTE,
        neurons=neurons,
        usual_fan_out=TAPS * USUAL_CHANNELS,
        models=tuple(dict.fromkeys(curve.model for curve in found)),
        curves=found,
        students=tuple(students),
        measured=tuple(measured_point(w, pricing) for w in measured_workloads().values()),
        bounds=bounds(),
        profile=pricing.profile,
    )


def distinct(kinds: Sequence[Neurons]) -> tuple[Neurons, ...]:
    """The usual binary kinds, then each other kind once, with its mean level over those given."""
    given: dict[str, list[Neurons]] = {}
    for kind in (*(Neurons(timesteps) for timesteps in USUAL_STEPS), *kinds):
        given.setdefault(kind.name, []).append(kind)
    return tuple(replace(same[0], mean_level=fmean(k.mean_level for k in same)) for same in given.values())
