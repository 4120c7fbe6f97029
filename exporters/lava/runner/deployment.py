"""A plan's processes, instantiated and connected.

All neurons of kind `lif`, all synapses and all sources are Lava's stock processes; `graded` neurons and the
recorders come from `processes`. Images follow each other without a gap: with T timesteps per image, every
LIF population is reset every T steps, at the first step of its own window, and image i's window is shifted by
i T steps. R images that follow each other take R T + depth steps; further ones run beside them (`copies`).
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from copies import rounds, together
from lava.proc.conv.process import Conv
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIFReset
from numpy.typing import NDArray
from processes import Emptier, GradedNeuron, Recorder

Document = Mapping[str, Any]
"""A JSON object: a plan, or one entry of its lists."""

UNWRITTEN = np.iinfo(np.int32).min
"""Fills a recording before the run; no spike and no 24-bit membrane has this value."""


def steps(plan: Document, count: int) -> int:
    """Steps that `count` images take."""
    following = rounds(count, plan.get("copies", 1))
    total: int = following * plan["timesteps"] + plan["depth"]
    return total


def deploy(
    plan: Document,
    arrays: Mapping[str, NDArray[Any]],
    images: NDArray[np.int32],
    record: Collection[str],
    folder: Path,
) -> tuple[Any, list[str]]:
    """Build the network; returns one process, from which Lava finds all others, and the recordings' paths.

    Args:
        plan: the document of plan.json, perhaps `widened`.
        arrays: the arrays of plan.npz by name.
        images: int32 (N, W, H, 3), or (N, T, W, H, C) of inputs that change with time.
        record: names of the populations to record.
        folder: receives `spikes.<name>.npy` and `membranes.<name>.npy`, int32 (R T, W, H, C) of the plan's C.
    """
    shown = together(images, plan.get("copies", 1))
    senders = {spec["name"]: source(spec["offset"], plan, shown) for spec in plan["sources"]}
    neurons = {spec["name"]: _neuron(spec, plan, arrays) for spec in plan["neurons"]}
    senders.update(neurons)
    for spec in plan["convs"]:
        ends = senders[spec["source"]], neurons[spec["target"]]
        conv = _connect(spec, arrays[spec["weight"]], plan.get("copies", 1), *ends)
        if spec.get("is_late", False):
            first = next(one["first_step"] for one in plan["neurons"] if one["name"] == spec["target"])
            emptied = Emptier(shape=conv.a_buf.shape, first_step=first, interval=plan["timesteps"])
            emptied.buffer.connect_var(conv.a_buf)
    rows = len(shown) * plan["timesteps"]
    paths: list[str] = []
    for spec in plan["neurons"]:
        if spec["name"] in record:
            paths += record_neurons(spec, rows, neurons[spec["name"]], folder)
    return neurons[plan["readout"]], paths


def source(offset: int, plan: Document, images: NDArray[np.int32]) -> Any:
    """Stock ring buffer (W, H, C, steps) that sends entry t - 1 at step t; the images start at `offset`.

    The images all follow each other: those that run beside them are channels of theirs.
    """
    over_time = plan.get("over_time", False)
    frames = (
        images.reshape(-1, *images.shape[2:]) if over_time else np.repeat(images, plan["timesteps"], axis=0)
    )
    shown = frames.transpose(1, 2, 3, 0)
    stream = np.zeros((*shown.shape[:-1], shown.shape[-1] + plan["depth"]), dtype=np.int32)
    stream[..., offset : offset + shown.shape[-1]] = shown
    return RingBuffer(data=stream)


def _neuron(spec: Document, plan: Document, arrays: Mapping[str, NDArray[Any]]) -> Any:
    shape = tuple(spec["shape"])
    if spec["type"] == "graded":
        bias = np.broadcast_to(arrays[spec["bias"]], shape).astype(np.int32)
        return GradedNeuron(
            shape=shape, bias=bias, threshold=spec["threshold"], levels=spec["levels"], signed=spec["signed"]
        )
    if spec["type"] != "lif":
        raise ValueError(f"{spec['name']}: unknown neuron type {spec['type']!r}")
    return LIFReset(
        shape=shape,
        du=spec["du"],
        dv=spec["dv"],
        vth=spec["vth"],
        bias_mant=np.broadcast_to(arrays[spec["bias_mant"]], shape).astype(np.int32),
        bias_exp=spec["bias_exp"],
        reset_interval=plan["timesteps"],
        reset_offset=spec["first_step"],
    )


def _connect(spec: Document, weight: NDArray[Any], copies: int, source: Any, target: Any) -> Any:
    """Stock Conv from source to target, which is returned; a pixel-shuffle is a chain of virtual ports."""
    conv = Conv(
        weight=weight,
        input_shape=tuple(spec["input_shape"]),
        stride=spec["stride"],
        padding=spec["padding"],
        dilation=spec["dilation"],
        groups=spec["groups"],
        num_message_bits=spec["message_bits"],
    )
    source.s_out.connect(conv.s_in)
    port = conv.a_out
    if spec["upsample"] > 1:
        f = spec["upsample"]
        width, height, channels = spec["output_shape"]
        port = port.reshape((width // f, height // f, copies, f, f, channels // copies))
        port = port.transpose((0, 3, 1, 4, 2, 5)).reshape((width, height, channels))
    port.connect(target.a_in)
    return conv


def record_neurons(spec: Document, rows: int, neuron: Any, folder: Path) -> list[str]:
    """Attach a recorder to one population; returns the paths of its two recordings.

    Args:
        spec: `name`, `shape` (W, H, C) and `first_step` of the population.
        rows: steps to record.
        neuron: the neuron process.
        folder: receives the files.
    """
    shape = tuple(spec["shape"])
    paths = [str(folder / f"{kind}.{spec['name']}.npy") for kind in ("spikes", "membranes")]
    for path in paths:
        np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(rows, *shape))[:] = UNWRITTEN
    recorder = Recorder(
        shape=shape, first_step=spec["first_step"], rows=rows, spikes=paths[0], membranes=paths[1]
    )
    neuron.s_out.connect(recorder.a_in)
    recorder.membrane.connect_var(neuron.v)
    return paths
