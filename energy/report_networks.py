"""What a report says about each network and each image: sizes, operations, quality."""

from dataclasses import dataclass

COLUMNS = ("teacher", "twin", "qann", "student")
"""In the order of a report; `teacher` is absent without one."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A quantity over the images: mean, population standard deviation, extremes, and the image with most."""

    mean: float
    std: float
    least: float
    most: float
    worst_image: str


@dataclass(frozen=True, slots=True)
class Quality:
    """Restoration quality that the caller measured on the same images; None where it was not.

    Attributes:
        psnr_db: mean peak signal-to-noise ratio in decibels.
        ssim: mean structural similarity.
    """

    psnr_db: float | None = None
    ssim: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One network of the comparison.

    Attributes:
        name: `teacher`, `twin`, `qann` or `student`.
        title: what it is, in words.
        parameters: trainable values.
        padded_macs, exact_macs: per image; for the student, those of its first layer as deployed
            (both are edge-exact there), because its other layers have none.
        activation_bits: of hidden activations, of the `qann` alone; None where the precision decides.
        quality: as measured by the caller, or None.
    """

    name: str
    title: str
    parameters: int
    padded_macs: Spread
    exact_macs: Spread
    activation_bits: int | None
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image: its size in pixels and what it made the student do (deployed)."""

    name: str
    height: int
    width: int
    synops_levels: int
    synops_events: int
    first_layer_macs: int
    spikes_per_neuron: float
