"""From what was measured to the integers that a network takes.

The grid stands in the network itself (`InputGrid`) and in its NIR file: spikes count for themselves, reals
are rounded to 8 bits in steps of a power of two, images in [0, 1] have a grid of grey levels.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import DataError
from snn_tool.inputs.samples import SPIKES, Samples
from snn_tool.models.integer.engine import quantize_image
from snn_tool.models.integer.network import InputGrid, IntegerNetwork
from snn_tool.models.integer.quantize_real import REAL_INPUT


def grid_for(samples: Samples) -> InputGrid:
    """The grid of a network that is imported with these samples, such as it will be given."""
    low, high = float(samples.values.min()), float(samples.values.max())
    over_time, largest = samples.timesteps is not None, max(abs(low), abs(high)) or 1.0
    if samples.kind == SPIKES and low >= 0:
        return InputGrid("spikes", 0, max(1, int(largest)), 0, over_time)
    exponent = 0 if samples.kind == SPIKES else math.ceil(math.log2(largest / REAL_INPUT))
    return InputGrid("real", -REAL_INPUT if low < 0 else 0, REAL_INPUT, exponent, over_time)


def grid_text(grid: InputGrid) -> str:
    """What a grid holds, in words."""
    unit, levels = 2.0**grid.exponent, grid.high - grid.low + 1
    if grid.kind == SPIKES:
        return f"the integers' input: spikes, 0 to {grid.high}, as they are"
    return f"the integers' input: {levels} levels from {grid.low * unit:g} to {grid.high * unit:g}"


def as_maps(values: NDArray[Any]) -> NDArray[Any]:
    """[T, N, C, H, W] of [T, N, F], whose H and W are 1, of [T, N, C, L], whose H is 1, or of itself."""
    if values.ndim == 3:
        return values[..., None, None]
    return values[..., None, :] if values.ndim == 4 else values


def integers_of(values: NDArray[Any], network: IntegerNetwork) -> NDArray[np.int16]:
    """Integers [N, C, H, W] of a network, or [N, T, C, H, W] of one whose input changes with time.

    Args:
        values: [T, N, *shape], or [1, N, *shape] that do not change.
        network: takes the shape [C, H, W], [C, L] or [F].

    Raises:
        DataError: values change with time and the network's input does not, or they are of another length.
    """
    maps = as_maps(values)
    if network.grid is None or not network.grid.over_time:
        if len(maps) > 1:
            raise DataError(
                f"inputs of {len(maps)} timesteps: the network was imported with inputs that do not change "
                "with time; give [N, ..], or import it with these"
            )
        return quantize_image(maps[0], network)
    if len(maps) not in (1, network.timesteps):
        raise DataError(f"inputs of {len(maps)} timesteps: the network takes {network.timesteps}")
    steps = np.broadcast_to(maps, (network.timesteps, *maps.shape[1:]))
    return quantize_image(np.ascontiguousarray(np.moveaxis(steps, 0, 1)), network)


def clipped(values: NDArray[Any], network: IntegerNetwork) -> int:
    """Number of values that lie beyond the ends of a grid of reals by more than half a step."""
    grid = network.grid
    if grid is None or grid.kind == SPIKES:
        return 0
    unit = 2.0**grid.exponent
    return int(((values < (grid.low - 0.5) * unit) | (values > (grid.high + 0.5) * unit)).sum())
