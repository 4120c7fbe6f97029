"""A narrower network with 8-bit activations from a student's weights: where the training of a rival starts.

A graded neuron of 127 signed levels is the saturation of int8: on an array of 8-bit multipliers such a
network is an ordinary CNN whose activation costs nothing. Its thresholds are the student's, in finer steps.
"""

from collections.abc import Iterable
from dataclasses import replace

import torch
from snn_tool.models.config import StudentConfig
from snn_tool.models.network import Network
from snn_tool.models.student import build_student
from snn_tool.models.topology import Topology
from torch import Tensor

INT8_LEVELS = 127


def narrowed(student: Network, config: StudentConfig, width: int, images: Iterable[Tensor]) -> Network:
    """A network of `width` channels and int8 activations that keeps the student's most telling channels.

    A channel counts by what its readers get: the root mean square of its activations on `images`, times the
    norm of the kernels that read it, over all populations of its stream.

    Args:
        student: `graded`, in evaluation mode.
        config: its configuration.
        width: channels at full resolution, at most the student's.
        images: degraded [1, 3, H, W].
    """
    small = build_student(int8_config(config, width))
    wide, narrow = student.topology, small.topology
    score = _scores(student, images)
    kept = {
        name: torch.sort(torch.topk(sum(score[other] for other in stream), _channels(narrow, name)).indices)[
            0
        ]
        for stream in streams(wide)
        for name in stream
        if name in score
    }
    kept[wide.readout.name] = torch.arange(wide.readout.channels)
    with torch.no_grad():
        _copy(student, small, kept)
    return small.eval()


def int8_config(config: StudentConfig, width: int) -> StudentConfig:
    """The configuration of the int8 CNN of a body."""
    return replace(
        config, neuron="graded", timesteps=1, input_step=1, levels=INT8_LEVELS, signed=True, width=width
    )


def streams(topology: Topology) -> list[set[str]]:
    """Populations that share channels: those that sum a common synapse."""
    found: list[set[str]] = []
    feeds = {p.name: set(p.inputs) for p in topology.populations}
    for name in feeds:
        joined = {name}
        for other in [group for group in found if any(feeds[name] & feeds[member] for member in group)]:
            joined |= other
            found.remove(other)
        found.append(joined)
    return found


def _channels(topology: Topology, name: str) -> int:
    return next(p.channels for p in topology.populations if p.name == name)


def _scores(student: Network, images: Iterable[Tensor]) -> dict[str, Tensor]:
    """Of each spiking population's channels, float64 [C]."""
    student.tap([p.name for p in student.topology.spiking], "spikes")
    squares: dict[str, list[Tensor]] = {p.name: [] for p in student.topology.spiking}
    with torch.inference_mode():
        for image in images:
            for name, spikes in student.forward_features(image)[1].items():
                squares[name].append(spikes.double().square().mean((0, 2, 3)))
    scores = {}
    for name, found in squares.items():
        norms = [
            student.synapses[s.name].weight.detach().double().square().sum((0, 2, 3))  # type: ignore[union-attr, operator]
            for s in student.topology.synapses
            if s.source == name
        ]
        scores[name] = (torch.stack(found).mean(0) * torch.stack(norms).sum(0)).sqrt()
    student.tap(student.topology.hints)
    return scores


def _copy(student: Network, small: Network, kept: dict[str, Tensor]) -> None:
    reader = {name: p.name for p in student.topology.populations for name in p.inputs}
    for wiring in student.topology.synapses:
        source, target = student.synapses[wiring.name], small.synapses[wiring.name]
        rows = kept[reader[wiring.name]]
        if wiring.upsample > 1:  # pixel-shuffle takes channels c f^2 to c f^2 + f^2 - 1 for channel c
            factor = wiring.upsample**2
            rows = (rows[:, None] * factor + torch.arange(factor)).flatten()
        weight = source.raw_weight[rows]  # type: ignore[index, union-attr]
        if wiring.source in kept:
            weight = weight[:, kept[wiring.source]]
        target.raw_weight.copy_(weight)  # type: ignore[union-attr, operator]
        if source.bias is not None:
            target.bias.copy_(source.bias[rows])  # type: ignore[union-attr, operator, index]
    for name, neuron in student.neurons.items():
        step = neuron.threshold * neuron.levels / INT8_LEVELS  # type: ignore[operator]
        small.neurons[name].log_threshold.copy_(step.log())  # type: ignore[union-attr, operator]
