"""How far the ratios carry: break-even, sensitivity to each constant, published thresholds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Where student and reference are estimated to need equal energy, by one model at one precision.

    Attributes:
        model: `model/precision`.
        factor: on every spike-driven item of the student's headline; above 1 there is room for more spikes.
            None where the student needs more than the reference even without a spike, or nothing depends on
            spikes.
        spikes_per_neuron: the student's nonzero spikes per neuron and image at that factor; None likewise.
        timesteps: T at which both are equal if each step did what it does now; None where what is paid once
            per image exceeds the reference already.
        note: why a number is missing; empty if none is.
    """

    model: str
    factor: float | None
    spikes_per_neuron: float | None
    timesteps: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What half as much and half again of one constant do to one model's ratio.

    Attributes:
        constant: key in `constants`.
        model: `model/precision`.
        low: ratio of reference over student with the constant times 0.5.
        base: as reported.
        high: with the constant times 1.5 (a fraction: at most 1).
        flips: the claim is met by one or two of the three, not by all or none.
    """

    constant: str
    model: str
    low: float
    base: float
    high: float
    flips: bool


@dataclass(frozen=True, slots=True)
class Threshold:
    """A published bound below which spikes are said to pay, with this network's figure beside it.

    Attributes:
        source: the publication.
        quantity: what is bounded, `spikes per synapse per inference` or `spikes per neuron and timestep`.
        low, high: the bound, or the range of bounds over the publication's cases.
        figure: this network's own value of that quantity, mean over images.
        position: `below` low, `between`, or `above` high.
        assumptions: under which the publication derives it.
    """

    source: str
    quantity: str
    low: float
    high: float
    figure: float
    position: str
    assumptions: str
