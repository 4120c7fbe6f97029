"""Firing rates over the image: where a student spends its spikes, as exact sums over blocks."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from snn_tool.energy.report.networks import FiringMap, FiringMaps
from snn_tool.models.integer.engine import IntegerEngine, run_passes
from snn_tool.models.integer.network import IntegerNetwork

LARGEST_MAP = 64
"""Blocks along the longer side of a map, at most; so that energy.json stays small."""

LARGEST_INPUT = 128
"""Pixels along the longer side of the picture of the input, at most."""


def firing_maps(network: IntegerNetwork, image: NDArray[np.int16], name: str) -> FiringMaps:
    """Where each spiking population fires on one image.

    Args:
        network: the student.
        image: integer input [C, H, W] of `quantize_image`.
        name: of the image.
    """
    spiking = [p.name for p in network.topology.spiking]
    traces = [trace for _, trace in run_passes(IntegerEngine(network), image[None], spiking)]
    maps = tuple(_map(p, np.concatenate([trace.spikes[p][:, 0] for trace in traces])) for p in spiking)
    _, height, width = image.shape
    return FiringMaps(name, height, width, _input_png(network, image), maps)


def _map(population: str, spikes: NDArray[np.int16]) -> FiringMap:
    """One population's map from its spikes [T, C, H, W], the timesteps of all passes."""
    fired = (spikes != 0).sum(axis=(0, 1), dtype=np.int64)
    height, width = fired.shape
    block = block_side(height, width, LARGEST_MAP)
    rows = tuple(" ".join(map(str, row)) for row in block_sums(fired, block).tolist())
    return FiringMap(population, spikes.shape[1], height, width, block, int(fired.sum()) / spikes.size, rows)


def block_side(height: int, width: int, largest: int) -> int:
    """Side of the smallest square blocks of which at most `largest` lie along each side."""
    return -(-max(height, width) // largest)


def block_sums(values: NDArray[np.int64], block: int) -> NDArray[np.int64]:
    """Sums int64 over blocks of [..., H, W]; those at the lower and right edge may be smaller."""
    for axis in (-2, -1):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], block), axis=axis)
    return values


def _input_png(network: IntegerNetwork, image: NDArray[np.int16]) -> str:
    """Block means of the input in grey levels, as `models.integer.engine` defines its grid."""
    _, height, width = image.shape
    block = block_side(height, width, LARGEST_INPUT)
    sums = block_sums(image.astype(np.int64), block)
    means = sums / block_sums(np.ones(image.shape, np.int64), block)
    grey = np.clip(np.rint(means * network.input_step + network.input_offset), 0, 255).astype(np.uint8)
    return base64.b64encode(png(grey.transpose(1, 2, 0))).decode("ascii")


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of [H, W, 3], or of [H, W, 1] in grey; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    shown = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    Image.fromarray(np.ascontiguousarray(shown)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
