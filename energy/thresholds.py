"""Published bounds on spikes below which they are said to pay, and where a network lies."""

from dataclasses import dataclass
from statistics import fmean

from snn_tool.energy.counts.counts import ImageActivity, NetworkActivity
from snn_tool.energy.report_robustness import Threshold
from snn_tool.models.topology import IMAGE

PER_SYNAPSE = "spikes per synapse per inference"
PER_STEP = "spikes per neuron and timestep"


@dataclass(frozen=True, slots=True)
class Published:
    """A bound, or the range of bounds over a publication's cases."""

    source: str
    quantity: str
    low: float
    high: float
    assumptions: str


PUBLISHED = (
    Published(
        "Davidson and Furber, Front. Neurosci. 15:651141, 2021",
        PER_SYNAPSE,
        1.72,
        1.72,
        "rate-coded spikes and an ANN in the same digital technology, arithmetic and weight fetches",
    ),
    Published(
        "Dampfhoffer et al., IEEE TETCI 7(3), 2023",
        PER_SYNAPSE,
        0.15,
        1.38,
        "integrate-and-fire neurons with memory; the low end against an ANN with full reuse and sparsity",
    ),
    Published(
        "Yan, Bai, Tang and Wong, arXiv 2409.08290v4, 2026",
        PER_STEP,
        0.057,
        0.057,
        "T = 5, 4-bit weights, a quantised ANN of ceil(log2(T + 1)) bits, 22 nm, one hop",
    ),
    Published(
        "Shen et al., Are Conventional SNNs Really Efficient?, CVPR 2024",
        PER_STEP,
        0.10,
        0.15,
        "a quantised ANN of as many bits as timesteps; the range as quoted by others",
    ),
)
"""Davidson, Dampfhoffer (abstract) and Yan (abstract) were read at the source or in verbatim quotations; the
range after Shen et al. could not be found in the paper's abstract and is given as others quote it."""


def thresholds(activity: NetworkActivity) -> tuple[Threshold, ...]:
    """Every published bound with the network's own figure, a mean over the images.

        spikes per synapse per inference = synops / connections, over all deliveries of spikes
        spikes per neuron and timestep   = spikes / (T N), over all spiking populations

    A graded spike of level n counts as n spikes: the bounds are about binary ones.
    """
    figures = {
        PER_SYNAPSE: fmean(per_synapse(image) for image in activity.images),
        PER_STEP: fmean(per_step(image) for image in activity.images),
    }
    return tuple(_placed(published, figures[published.quantity]) for published in PUBLISHED)


def per_synapse(image: ImageActivity) -> float:
    """Spikes per synapse of one image, each reader's connections for themselves."""
    connections = {layer.synapse: layer.exact_macs for layer in image.layers}
    return image.synops_levels / sum(connections[e.synapse] for e in image.edges if e.source != IMAGE)


def per_step(image: ImageActivity) -> float:
    """Spike rate of one image."""
    spiking = image.populations[:-1]
    return sum(p.levels for p in spiking) / (image.timesteps * sum(p.neurons for p in spiking))


def _placed(published: Published, figure: float) -> Threshold:
    position = "below" if figure < published.low else "above" if figure > published.high else "between"
    return Threshold(
        published.source,
        published.quantity,
        published.low,
        published.high,
        figure,
        position,
        published.assumptions,
    )
