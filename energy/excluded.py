"""What no energy model of this package charges, and whom the silence favours."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Excluded:
    """A cost left out.

    Attributes:
        term: the cost.
        favours: who looks better because it is missing.
        reason: why that is the direction.
    """

    term: str
    favours: str
    reason: str


EXCLUDED: tuple[Excluded, ...] = (
    Excluded(
        "memory traffic of weights and activations",
        "teacher over both others; student over twin",
        "a large network rarely fits on the chip and pays for DRAM; between twin and student it favours the "
        "student, whose membranes are read and written at every step and whose weights are fetched per spike",
    ),
    Excluded(
        "network on chip: routing spikes between cores",
        "student",
        "each spike travels as a packet with an address; a dense layer streams activations without addresses",
    ),
    Excluded(
        "width of accumulated streams (lowering relay)",
        "student",
        "an accumulator's value has up to 24 bits; its product with a weight of 1 is charged as one MAC, at "
        "int8 an 8-bit one, and it travels in a longer packet than a spike",
    ),
    Excluded(
        "static power over the time of an inference",
        "student",
        "an inference takes one timestep per hop and T steps per image, while leakage and clocks run on",
    ),
    Excluded(
        "neuron updates while an image fills and leaves the chip",
        "student",
        "a single image takes T steps and one more for each hop of the longest path, and every neuron is "
        "updated at all of them; only T are charged, as in a stream of images without gaps",
    ),
    Excluded(
        "control: instruction fetch, address generation, scheduling",
        "student",
        "sparse events need an address computation each; dense loops share one among many MACs",
    ),
    Excluded(
        "skipping zero activations in teacher and twin",
        "student",
        "ReLU leaves zeros that sparse accelerators skip; here every MAC of the dense networks is charged",
    ),
    Excluded(
        "costlier scalar operations of teacher and twin",
        "teacher and twin",
        "products, roots and exponentials of attention, gates and norms are charged as one addition each, "
        "and an 8-bit layer also rescales its outputs",
    ),
    Excluded(
        "reading the image and writing the result",
        "student",
        "the image enters a dense network once; the deployed student is sent it at every timestep, once for "
        "each depth at which a population reads it",
    ),
)
"""Terms outside every model of this report, in the order of their usual size."""
