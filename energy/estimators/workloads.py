"""Workloads that somebody measured on a chip: one that is counted here, and published figures for charts.

`workloads.toml` holds them with their sources. A counted workload becomes an `ImageActivity` like any
student's, so that the chip models price it with the code and the constants that they price students with.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from snn_tool.energy.counts.counts import EdgeCount, ImageActivity, PopulationCount
from snn_tool.energy.counts.fan_out import LayerMacs
from snn_tool.energy.estimators.constants import Traced
from snn_tool.errors import ConfigError
from snn_tool.files.documents import Count, Positive, Text, convert

Which = Literal["counted", "least", "most"]
READOUT = "readout"


class Counted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A count on the recorded spikes, and with every step as the quietest or the busiest of them."""

    counted: Count
    least: Count
    most: Count

    def of(self, which: Which) -> int:
        """One of the three."""
        return {"counted": self.counted, "least": self.least, "most": self.most}[which]


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A population with the synapse that leaves it, over all steps of one sample.

    Attributes:
        neurons: of it.
        weights: of the synapse, stored once.
        macs: connections of the synapse, with real inputs only; what it would compute densely in one step.
        events: spikes out.
        synops: deliveries of these spikes.
    """

    name: str
    neurons: Count
    weights: Count
    macs: Count
    events: Counted
    synops: Counted


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network on a chip with what was measured, and the counts of it.

    Attributes:
        chips, cores: that its compiler used.
        total_mj, dynamic_mj: measured, for one inference.
        static_mw: measured, of the chip at rest.
        frames_per_s: measured.
        assumption: what is not known about the counts.
        layers: from the input to the last that spikes; a read-out of one neuron follows.
    """

    title: Text
    chip: Text
    chips: Count
    cores: Count
    timesteps: Count
    total_mj: Positive
    dynamic_mj: Positive
    static_mw: Positive
    frames_per_s: Positive
    source: Text
    reading: Traced
    read_in: Text
    assumption: Text
    layers: tuple[Layer, ...]

    def activity(self, which: Which = "counted") -> ImageActivity:
        """The counts as those of any network; its input layer spikes, so that nothing multiplies an image."""
        names = [layer.name for layer in self.layers] + [READOUT]
        steps = self.timesteps
        edges = [
            EdgeCount(layer.name, layer.name, reader, True, 0, 0, *[layer.synops.of(which)] * 2)
            for layer, reader in zip(self.layers, names[1:], strict=True)
        ]
        spiking = [
            _population(layer.name, layer.neurons, layer.events.of(which), steps) for layer in self.layers
        ]
        layers = [
            LayerMacs(layer.name, layer.name, layer.macs, layer.macs, layer.weights, 0, 0, 0)
            for layer in self.layers
        ]
        populations = (*spiking, _population(READOUT, 1, 0, steps))
        return ImageActivity(0, 0, steps, True, tuple(edges), populations, (), (), tuple(layers), 0)


def _population(name: str, neurons: int, events: int, steps: int) -> PopulationCount:
    updates = steps * neurons
    return PopulationCount(
        name=name,
        neurons=neurons,
        events=events,
        levels=events,
        bias_adds=updates,
        leak_multiplies=updates,
        compares=updates,
        ladder_compares=updates,
        resets=events,
        membrane_adds=0,
        scales=0,
    )


Extent = Annotated[tuple[Positive, ...], Meta(min_length=2, max_length=2)]


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A published figure of a whole workload, for charts; None where nothing could be read.

    Attributes:
        energy_mj: least and most for one inference.
        scope: `total`, or `dynamic` without static power.
        time_ms: likewise.
    """

    name: str
    chip: str
    scope: Literal["total", "dynamic"]
    source: str
    reading: Traced
    read_in: str
    energy_mj: Extent | None = None
    time_ms: Extent | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    workloads: dict[str, Workload]
    points: tuple[Published, ...]


@cache
def _packaged() -> _File:
    text = (files("snn_tool.energy.estimators") / "workloads.toml").read_text(encoding="utf-8")
    return convert(tomllib.loads(text), _File, "workloads.toml", ConfigError)


def measured_workloads() -> Mapping[str, Workload]:
    """Workloads with a measurement and with counts, by name."""
    return MappingProxyType(_packaged().workloads)


def published_points() -> tuple[Published, ...]:
    """Published figures of whole workloads, in the order of the file."""
    return _packaged().points
