"""An imported network's integers by every backend, on a whole split; shared by the benchmarks."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.deploy.export import export_student
from snn_tool.deploy.golden import GoldenOptions
from snn_tool.deploy.verify import open_export
from snn_tool.exporters.contract.targets import Context
from snn_tool.exporters.contract.traces import compare
from snn_tool.exporters.verify.running import Runner
from snn_tool.inputs.encoding import integers_of
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import Samples
from snn_tool.models.integer.file import load_integer_network

TARGETS = {"c": "c"}
"""The export that a backend runs, where it is no Loihi-style bundle."""

AT_ONCE = 512
"""Samples of one run."""


def on_backends(
    integers: Path,
    given: InputOptions,
    samples: Samples,
    folder: Path,
    backends: list[str],
    conv: str = "stock",
) -> dict[str, Any]:
    """Accuracy of every backend on labelled samples, and its integers that differ from the engine's.

    All membranes and spikes of all populations and timesteps are compared.

    Args:
        integers: the network.
        given: the same samples as options, of which an export keeps some as golden tiles.
        samples: of the split.
        folder: receives the exports.
        backends: by name.
        conv: Lava's convolution, as `Context` has it.
    """
    network, _ = load_integer_network(integers)
    tiles, found = integers_of(samples.values, network), dict[str, Any]()
    assert samples.labels is not None
    for name in backends:
        target = TARGETS.get(name, "loihi")
        place, golden = folder / target, GoldenOptions(inputs=given)
        export_student(integers, target, place, golden, overwrite=True, verify=False)
        runner = Runner(open_export(place), Context(conv=conv))
        found[name] = _held(runner, name, tiles, samples.labels.index)
    return found


def _held(runner: Runner, name: str, tiles: NDArray[np.int16], labels: NDArray[np.int64]) -> dict[str, Any]:
    compared = differing = right = 0
    for at in range(0, len(tiles), AT_ONCE):
        part = tiles[at : at + AT_ONCE]
        made = runner.trace(name, part, runner.order)
        result = compare(runner.engine.run(part, runner.order), made, runner.order, name)
        compared, differing = compared + result.values_compared, differing + result.mismatches
        readout = np.asarray(made.readout).reshape(len(part), -1)
        right += int((readout.argmax(axis=1) == labels[at : at + AT_ONCE]).sum())
    return {"accuracy": right / len(tiles), "differing": differing, "of": compared, "samples": len(tiles)}
