"""Several copies of a network side by side, so that a step of Lava serves as many images.

A step costs Lava tens of milliseconds of messages between its processes, however small the network is. So
every population is laid out `copies` times along its channels, and every convolution becomes one of as many
groups, which no connection leaves: copy k computes on its own image what the network computes on it alone,
by the same stock processes. Images that have no copy left follow in the next round, without a gap.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Document = Mapping[str, Any]
"""A JSON object: a plan, or one entry of its lists."""

Arrays = Mapping[str, NDArray[Any]]

MOST_NEURONS = 1 << 15
"""Of one population with all its copies: beyond, arithmetic costs more than messages do."""

MOST_GROUPS = 127
"""Lava's Conv holds its number of groups in eight bits with a sign."""

LEAST_ROUNDS = 2
"""Of several images some always follow each other, so that every run shows the reset between them."""


def copies_for(plan: Document, count: int) -> int:
    """How many copies run `count` images in the fewest rounds, and not more than these rounds need."""
    widest = max(int(np.prod(spec["shape"])) for spec in [*plan["neurons"], *plan["sources"]])
    grouped = max((spec["groups"] for spec in plan["convs"]), default=1)
    most = max(1, min(MOST_NEURONS // widest, MOST_GROUPS // grouped, -(-count // LEAST_ROUNDS)))
    return -(-count // rounds(count, most))


def rounds(count: int, copies: int) -> int:
    """Images that each copy is given, one after the other."""
    return -(-count // copies)


def widened(plan: Document, arrays: Arrays, copies: int) -> tuple[Document, Arrays]:
    """The plan of `copies` networks, as a plan; an entry `copies` tells those who reshape channels."""
    held = dict(arrays)
    for spec in plan["neurons"]:
        key = spec["bias"] if spec["type"] == "graded" else spec["bias_mant"]
        held[_of(key, spec)] = np.tile(np.broadcast_to(arrays[key], spec["shape"]), (1, 1, copies))
    for spec in plan["convs"]:
        held[_of(spec["weight"], spec)] = np.tile(arrays[spec["weight"]], (copies, 1, 1, 1))
    neurons = [_neuron(spec, copies) for spec in plan["neurons"]]
    convs = [_conv(spec, copies) for spec in plan["convs"]]
    return {**plan, "copies": copies, "neurons": neurons, "convs": convs}, held


def _of(key: str, spec: Document) -> str:
    return f"{key} of {spec['name']}"


def _wide(shape: list[int], copies: int) -> list[int]:
    return [*shape[:-1], shape[-1] * copies]


def _neuron(spec: Document, copies: int) -> Document:
    key = "bias" if spec["type"] == "graded" else "bias_mant"
    return {**spec, "shape": _wide(spec["shape"], copies), key: _of(spec[key], spec)}


def _conv(spec: Document, copies: int) -> Document:
    sizes = {name: _wide(spec[name], copies) for name in ("input_shape", "output_shape")}
    return {**spec, **sizes, "weight": _of(spec["weight"], spec), "groups": spec["groups"] * copies}


def together(images: NDArray[np.int32], copies: int) -> NDArray[np.int32]:
    """Images (N, .., C) as (rounds, .., copies C); zeros where the last round lacks some."""
    missing = rounds(len(images), copies) * copies - len(images)
    padded = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
    parted = np.moveaxis(padded.reshape(-1, copies, *images.shape[1:]), 1, -2)
    return np.ascontiguousarray(parted.reshape(*parted.shape[:-2], -1))


def apart(rows: NDArray[np.int32], count: int, timesteps: int, copies: int) -> NDArray[np.int32]:
    """Recorded rows (rounds T, W, H, copies C) as (N, T, W, H, C)."""
    width, height, channels = rows.shape[1:]
    parted = rows.reshape(-1, timesteps, width, height, copies, channels // copies)
    images = np.moveaxis(parted, -2, 1)
    return images.reshape(-1, *images.shape[2:])[:count]
