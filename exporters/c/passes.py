"""Networks of several passes in C: `NAME_…` runs all on an image, `NAME_pass_…` is one of them alone.

A pass is written as every network is, under a name of its own; templates/passes.c streams them side by side.
The backends run the tiles of an export, whose inputs are those of any pass, one by one; `check_chain` then
holds the whole chain on the images against that, population by population.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import VerificationError
from snn_tool.exporters.contract.traces import RecordedTrace, Trace, compare
from snn_tool.exporters.nir.passes import next_tiles
from snn_tool.exporters.nir.program import Program

Run = Callable[[NDArray[np.int16]], RecordedTrace]


def pass_name(program: Program, prefix: str) -> str:
    """What the names of a single pass begin with; of a network of one pass it is the prefix."""
    return f"{prefix}_pass" if program.passes > 1 else prefix


def image_tiles(program: Program, tiles: NDArray[np.int16]) -> tuple[NDArray[np.bool_], NDArray[np.int16]]:
    """Which tiles [N, 2 C, H, W] are inputs of a first pass, and the images [n, C, H, W] in them."""
    image, result = np.split(tiles, 2, axis=1)
    first = (image == result).all(axis=(1, 2, 3))
    return first, np.ascontiguousarray(image[first])


def check_chain(
    run_pass: Run,
    run_all: Run,
    program: Program,
    tiles: NDArray[np.int16],
    found: Trace,
    order: Sequence[str],
) -> None:
    """Hold the chain on images against its passes one by one, with this tool's own lines in between.

    Args:
        run_pass: of inputs [N, 2 C, H, W].
        run_all: of images [N, C, H, W]; its populations are [T, passes N, ...], the first pass's first.
        program: of several passes.
        tiles: inputs [N, 2 C, H, W] of any pass.
        found: what `run_pass` made of them.
        order: populations that are compared; of none the last pass's read-outs.

    Raises:
        VerificationError: an integer differs; the first is told.
    """
    first, images = image_tiles(program, tiles)
    if not len(images):
        return
    inputs, each = tiles[first], _chosen(found, first)
    chained = run_all(images)
    for number in range(program.passes):
        if number:
            inputs = next_tiles(program, inputs, each.readout).astype(np.int16)
            each = run_pass(inputs)
        if not order and number < program.passes - 1:
            continue
        some = slice(number * len(images), (number + 1) * len(images))
        result = compare(each, _part(chained, some, each.readout, order), order, "run", program.readout.name)
        if result.first:
            raise VerificationError(
                f"all passes side by side, pass {number + 1}: {result.first}; "
                f"{result.mismatches:,} integers differ from a run of one pass after the other"
            )


def _chosen(trace: Trace, which: NDArray[np.bool_]) -> RecordedTrace:
    """Some tiles of a trace."""
    return RecordedTrace(
        trace.readout[which],
        {name: values[:, which] for name, values in trace.spikes.items()},
        {name: values[:, which] for name, values in trace.membranes.items()},
    )


def _part(chained: RecordedTrace, tiles: slice, readout: NDArray[Any], order: Sequence[str]) -> RecordedTrace:
    """One pass of a chain's trace; the read-out of all but the last is among the membranes alone."""
    spikes = {name: chained.spikes[name][:, tiles] for name in order}
    membranes = {name: chained.membranes[name][:, tiles] for name in order}
    own = membranes[order[-1]][-1] if order else chained.readout
    assert own.shape == readout.shape
    return RecordedTrace(own, spikes, membranes)
