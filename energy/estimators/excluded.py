"""What an energy model leaves out, and whom the silence favours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MEMORY = "memory traffic of weights and activations"
NETWORK = "network on chip: routing spikes between cores"
DENSE_NETWORK = "moving the activations of dense networks across a chip"
STATIC = "static power over the time of an inference"
FILL = "neuron updates while an image fills and leaves the chip"
CONTROL = "control: instruction fetch, address generation, scheduling"
SKIPPING = "skipping zero activations in teacher, twin and qann"
SCALARS = "costlier scalar operations of teacher, twin and qann"
WIDE = "width of accumulated streams (lowering relay)"
PAYLOAD = "payload of graded spikes"
INPUT = "reading the image and writing the result"
IMAGE_BITS = "bits of the image where spikes are binary"
NEURONS = "neurons: bias, leak, threshold, reset"
LOWERING = "fan-out of membrane shortcuts and the relays that balance skips"
CHIP_LINKS = "links between chips, host, and embedded processors"
WEIGHTS = "fetching each weight once"
REASONS: Mapping[str, tuple[str, str]] = {
    MEMORY: (
        "teacher over the others; student over twin",
        "a large network rarely fits on the chip and pays for DRAM; between twin and student it favours the "
        "student, whose membranes are read and written at every step and whose weights are fetched per spike",
    ),
    NEURONS: (
        "student",
        "a spiking neuron is updated at every timestep, whether it fires or not; ReLU is one comparison",
    ),
    LOWERING: (
        "student",
        "a chip exchanges spikes, so that a residual stream is delivered to every reader or accumulated, and "
        "spikes that arrive early are held by relays; a dense network adds tensors once",
    ),
    NETWORK: (
        "student",
        "each spike travels as a packet with an address; a dense layer streams activations without addresses",
    ),
    DENSE_NETWORK: ("teacher, twin and qann", "only accesses to memory are charged, not the wires to it"),
    WIDE: (
        "student",
        "an accumulator's value has up to 24 bits; its product with a weight of 1 is charged as one MAC, at "
        "int8 an 8-bit one, and it travels in a longer packet than a spike",
    ),
    PAYLOAD: ("student", "a graded spike is charged as one packet, as if its level came for nothing"),
    STATIC: (
        "student",
        "an inference takes one timestep per hop and T steps per image, while leakage and clocks run on",
    ),
    FILL: (
        "student",
        "a single image takes T steps and one more for each hop of the longest path, and every neuron is "
        "updated at all of them; only T are charged, as in a stream of images without gaps",
    ),
    CONTROL: (
        "student",
        "sparse events need an address computation each; dense loops share one among many MACs",
    ),
    SKIPPING: (
        "student",
        "ReLU leaves zeros that sparse accelerators skip; here every MAC of the dense networks is charged",
    ),
    SCALARS: (
        "teacher, twin and qann",
        "products, roots and exponentials of attention, gates and norms are charged as one addition each or "
        "not at all, and an 8-bit layer also rescales its outputs",
    ),
    INPUT: (
        "student",
        "the image enters a dense network once; the deployed student is sent it at every timestep, once for "
        "each depth at which a population reads it",
    ),
    IMAGE_BITS: (
        "student",
        "a connection from the image is charged as one synaptic operation, but a chip of binary spikes is "
        "sent each bit of it, or turns pixels into spikes in neurons of their own",
    ),
    CHIP_LINKS: (
        "student",
        "a network of many chips sends spikes between them and is fed by a host; both are left out, and so "
        "are barriers over several chips, which take microseconds instead of hundreds of nanoseconds",
    ),
    WEIGHTS: (
        "neither; it draws the ratio away from 1",
        "both sides of one shape fetch each weight once, at a price that the publication takes from a memory "
        "compiler and does not print; a term that is equal on both sides is missing from both",
    ),
}
"""For each term whom its absence favours and why; the order is that of the report."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """A cost left out by some models.

    Attributes:
        term: the cost.
        favours: who looks better because it is missing.
        reason: why that is the direction.
        models: names of the models that leave it out.
    """

    term: str
    favours: str
    reason: str
    models: tuple[str, ...]


def excluded_terms(models: Mapping[str, Sequence[str]]) -> tuple[Excluded, ...]:
    """The terms that at least one of the models leaves out.

    Args:
        models: for each model's name, the terms it leaves out.
    """
    found = []
    for term, (favours, reason) in REASONS.items():
        without = tuple(name for name, terms in models.items() if term in terms)
        if without:
            found.append(Excluded(term, favours, reason, without))
    return tuple(found)
