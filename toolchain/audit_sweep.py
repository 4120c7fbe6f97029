"""Quality against spikes: the same student with fewer timesteps, or with fewer levels, on the same images."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from snn_tool.audit.networks import measure, restorers
from snn_tool.degradations.crops import Crop, channels_first
from snn_tool.energy.counts.activity import count_network
from snn_tool.energy.report_spikes import Sweep, SweepPoint
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.engine import quantize_image

MOST_POINTS = 4
"""Up to this largest setting every one is run; beyond it, powers of two."""

Watch = Callable[[Sequence[int]], Iterable[int]]


def sweep(network: IntegerNetwork, crops: list[Crop], lowering: str, watch: Watch) -> Sweep | None:
    """Run the student with smaller settings; None where it has only one.

    Weights and thresholds stay as they are: what a network trained for that setting would reach is not shown.
    A run of T' < T steps is the beginning of the longer one, with its read-out divided by T'.

    Args:
        network: the student.
        crops: of the audit.
        lowering: of its membrane shortcuts.
        watch: goes through the settings, and may show how far it is.
    """
    varied = "timesteps" if network.neuron == "lif" else "levels"
    chosen = settings(network.timesteps if network.neuron == "lif" else network.levels)
    if len(chosen) < 2:
        return None
    points = (_point(_varied(network, varied, value), value, crops, lowering) for value in watch(chosen))
    return Sweep(varied, tuple(points))


def settings(largest: int) -> tuple[int, ...]:
    """All of 1 to `largest`, or powers of two and `largest` where that would be many."""
    if largest <= MOST_POINTS:
        return tuple(range(1, largest + 1))
    return (*(1 << i for i in range((largest - 1).bit_length())), largest)


def _varied(network: IntegerNetwork, varied: str, value: int) -> IntegerNetwork:
    return replace(network, timesteps=value) if varied == "timesteps" else replace(network, levels=value)


def _point(network: IntegerNetwork, setting: int, crops: list[Crop], lowering: str) -> SweepPoint:
    inputs = [quantize_image(channels_first(crop.degraded), network) for crop in crops]
    images = count_network(network, inputs, lowering=lowering).images
    quality = measure(restorers(network, None, None, None)["student"], crops)
    return SweepPoint(
        setting=setting,
        synops_levels=fmean(image.synops_levels for image in images),
        synops_events=fmean(image.synops_events for image in images),
        first_layer_macs=fmean(image.macs_uncached for image in images),
        spikes_per_neuron=fmean(image.spikes_per_neuron for image in images),
        psnr_db=quality.psnr_db,
    )
