"""Networks that were trained elsewhere: torch modules of snntorch, spikingjelly and norse in integers."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.deploy.classify import Classification
from snn_tool.deploy.import_nir import ImportedNetwork, import_network
from snn_tool.deploy.options import ImportOptions
from snn_tool.deploy.sources import NIR_SUFFIX
from snn_tool.files.temporaries import new_place
from snn_tool.inputs.files import INPUTS, LABELS
from snn_tool.inputs.options import InputOptions
from snn_tool.models.integer.file import INTEGER_SUFFIX
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.results import Result
from torch import nn

Values = NDArray[Any] | torch.Tensor | str | os.PathLike[str]
"""An array, or a file as `--inputs` takes it."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Imported(Result):
    """A network in integers, and what they change.

    Attributes:
        path: of the integers, which `export` takes; the graph of the float network stands beside it, `nir`.
        nir: of the graph.
        network: the integers.
        classes: accuracy of torch (`recorded`), the graph (`original`) and the integers; None without labels.
        found: everything that the import measured.
    """

    path: Path
    nir: Path
    network: IntegerNetwork
    classes: Classification | None
    found: ImportedNetwork

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "path": str(self.path),
            "nir": str(self.nir),
            "timesteps": self.network.timesteps,
            **self.found.comparison.document(),
            "notes": [self.found.note] if self.found.note else [],
            "warnings": [self.found.warning] if self.found.warning else [],
            "classes": self.classes.to_dict() if self.classes else None,
        }

    def __repr__(self) -> str:
        lines = self.classes.lines() if self.classes else []
        return "\n  ".join((f"Imported {self.path}, T = {self.network.timesteps}", *lines))


def from_torch(
    module: nn.Module,
    inputs: Values,
    *,
    timesteps: int | None = None,
    labels: NDArray[Any] | torch.Tensor | None = None,
    layout: str | None = None,
    values: str | None = None,
    reset: str | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Imported:
    """Integers of a torch network of snntorch, spikingjelly or norse, as `snn-tool import` makes them.

    Args:
        module: takes one timestep [N, *shape] and returns its output; it stays as it is.
        inputs: [N, C, H, W], [N, F], or over time [T, N, ..]; the integers are held against what `module`
            gives for them.
        timesteps: T; by default that of the inputs, or 10.
        labels: the class of each sample, for accuracies.
        layout: letters of the axes, where their lengths do not tell them.
        values: `spikes` or `reals`; by default whole numbers up to 15 are spikes.
        reset: what a spike does to its neuron, `zero`, `subtract` or `subtract-late`; by default what
            `module` says.
        out: file to write, ending in `.int.safetensors`; by default a temporary one that goes when the
            process ends.
        overwrite: replace it.

    Raises:
        UnsupportedLayerError: a layer has no counterpart; it is named, with the library's words.
        DataError: inputs or labels that cannot be used.
        ConfigError: `out` exists or ends otherwise, or an option is out of range.
    """
    place = new_place("imported")
    place.mkdir(parents=True, exist_ok=True)
    path = Path(out) if out else place / f"network{INTEGER_SUFFIX}"
    if isinstance(inputs, str | os.PathLike):
        file = Path(inputs)
    else:
        file = place / "inputs.npz"
        arrays = {INPUTS: _array(inputs), **({LABELS: _array(labels)} if labels is not None else {})}
        np.savez(file, allow_pickle=False, **arrays)
    options = ImportOptions(Path(type(module).__name__), timesteps=timesteps, reset=reset)
    given = InputOptions(file, layout, values)
    found = import_network(options, given, path, overwrite, lambda items, _: items, module)
    nir = path.with_name(path.name.removesuffix(INTEGER_SUFFIX) + NIR_SUFFIX)
    return Imported(path, nir, found.network, found.classes, found)


def _array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
