"""Where spikes pay at equal integers, and the four quantities that decide it."""

from collections.abc import Sequence
from statistics import fmean

from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.report.document import RatioRow, SpikeBalance
from snn_tool.energy.report.pricing import PricedRow
from snn_tool.models.topology import IMAGE

MEMBRANES = "membrane"
"""Part of the name of every item of the memory models that reads or writes membranes."""


def spike_balance(
    images: Sequence[ImageActivity], priced: Sequence[PricedRow], rows: Sequence[RatioRow]
) -> SpikeBalance:
    """Count the rows in which spikes pay, and measure what a spike costs against a dense MAC.

        deliveries per MAC = events delivered, all readers / edge-exact MACs behind the first layer
        fan-out            = events delivered, all readers / events if each synapse were delivered once
        image              = MACs on the image, all readers and timesteps / MACs of the first layer once
        membranes          = energy of reading and writing membranes / energy of the student

    Args:
        images: counts, in any order; each ratio is of means over them.
        priced: every row, for the membranes' share in those that charge it.
        rows: their ratios.
    """
    events = fmean(image.synops_events for image in images)
    once = fmean(sum(edge.synops_events for edge in image.shared_edges) for image in images)
    dense = fmean(_macs(image, on_image=False) for image in images)
    shares = [share for row in priced if (share := _membranes(row)) is not None]
    return SpikeBalance(
        saving=tuple(row.model for row in rows if row.split.qann_over_student > 1),
        cells=len(rows),
        binary=all(image.unit_spikes for image in images),
        deliveries_per_mac=events / dense,
        fan_out=events / once if once else 1.0,
        image_macs=fmean(image.macs_uncached for image in images)
        / fmean(_macs(image, on_image=True) for image in images),
        membranes_least=min(shares, default=None),
        membranes_most=max(shares, default=None),
    )


def _macs(image: ImageActivity, on_image: bool) -> int:
    """Of all passes."""
    once = sum(layer.exact_macs for layer in image.layers if (layer.source == IMAGE) == on_image)
    return image.passes * once


def _membranes(row: PricedRow) -> float | None:
    """Membranes' share of the student's headline; None where no item is theirs."""
    headline = row.cells["student"].cell.headline
    theirs = [value for item, value in headline.items_pj.items() if MEMBRANES in item]
    return sum(theirs) / headline.energy_pj.mean if theirs else None
