"""What `import` is given: a NIR file, or code that builds a torch network, which becomes one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.deploy.options import ImportOptions
from snn_tool.deploy.recorded_outputs import Recorded
from snn_tool.errors import ConfigError
from snn_tool.exporters.nir_foreign import TO_ZERO
from snn_tool.exporters.nir_foreign.module import read_foreign
from snn_tool.exporters.torch_modules.graph import ModuleGraph, graph_of, write_graph
from snn_tool.exporters.torch_modules.running import run_module
from snn_tool.files.artifacts import atomic_path, sha256_file
from snn_tool.files.temporaries import temporary_folder
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import Samples, stored_shape
from snn_tool.models.teachers.weights import load_strictly, read_weights
from snn_tool.networks.code import build_from_factory
from torch import nn

NIR_SUFFIX = ".nir"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A graph, and what it was made of.

    Attributes:
        graph: of NIR.
        file: of the graph; of a module a temporary one.
        named: of messages and provenance.
        module: the torch network in evaluation mode, or None of a file.
        made: how its graph was made, or None of a file.
    """

    graph: Any
    file: Path
    named: str
    module: nn.Module | None = None
    made: ModuleGraph | None = None

    @property
    def account(self) -> dict[str, Any]:
        """What a sidecar says of it."""
        return {"nir": self.file.name, "nir_sha256": sha256_file(self.file)} | (
            {"factory": self.named, "graph_by": self.made.by, "graph_notes": list(self.made.notes)}
            if self.made
            else {}
        )

    def resets(self, asked: str | None) -> str | Mapping[str, str]:
        """What a spike does: what was asked for, else what a module says of each node, else reset to zero."""
        said = self.made.resets if self.made else {}
        if asked is not None:
            return dict.fromkeys(said, asked) or asked
        return said or TO_ZERO

    def recorded(self, samples: Samples, timesteps: int) -> Recorded | None:
        """What the torch network gives for the samples, [T, N, ..]; None of a file."""
        if self.module is None:
            return None
        parts: list[NDArray[np.float64]] = []
        for part in samples.batches():
            values = torch.from_numpy(samples.values[:, part].astype(np.float32))
            steps = (values[min(step, len(values) - 1)] for step in range(timesteps))
            parts.append(run_module(self.module, steps, self.named))
        return Recorded(Path(self.named), "outputs", np.concatenate(parts, axis=1), None)

    def keep(self, out: Path) -> None:
        """Put the graph of a module beside its integers."""
        if self.made:
            with atomic_path(out) as part:
                part.write_bytes(self.file.read_bytes())


def is_factory(given: Path) -> bool:
    """Whether a name says `package.module:factory`."""
    return ":" in given.name and given.suffix != NIR_SUFFIX and not given.exists()


@contextmanager
def opened(options: ImportOptions, inputs: InputOptions, module: nn.Module | None = None) -> Iterator[Source]:
    """The source of an import; the file of a module's graph goes when the block ends.

    Args:
        options: names a file or a factory.
        inputs: of a factory, whose shape the network takes.
        module: a network that is at hand, instead of a factory.

    Raises:
        ConfigError: this tool made the file; a factory fails, or has no inputs; weights without a factory.
        ArtifactError: the file, or the weights, cannot be used.
        UnsupportedLayerError: a node or a module has no counterpart; named with the reason.
    """
    if module is None and not is_factory(options.nir):
        if options.weights:
            raise ConfigError("--weights go with package.module:factory, which builds the network they fill")
        graph = read_foreign(options.nir)
        yield Source(graph, options.nir, str(options.nir))
        return
    if inputs.inputs is None:
        raise ConfigError(
            f"{options.nir}: a network of torch is imported with --inputs FILE, which it is run on"
        )
    named = str(options.nir)
    network = build_from_factory(named) if module is None else module
    if options.weights:
        load_strictly(network, read_weights(options.weights), options.weights)
    was_training = network.training
    network.eval()
    try:
        made = graph_of(network, named, stored_shape(inputs))
        with temporary_folder("import") as folder:
            path = folder / "network.nir"
            write_graph(path, made.graph)
            yield Source(read_foreign(path), path, named, network, made)
    finally:
        network.train(was_training)
