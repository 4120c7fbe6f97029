"""Published checkpoints whose architecture spandrel (extra `teachers`) recognises by the tensors' names.

The file is read here, as data alone, so that spandrel's own unpickler never runs. spandrel imports
torchvision for two of its architectures at once with the others, and a torchvision that does not match torch
breaks lightning too: so neither is part of the environment.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snn_tool.errors import ArtifactError, BackendUnavailableError, TeacherError
from torch import Tensor, nn

SPANDREL = "spandrel"


def recognise_by_spandrel(tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network that the tensors belong to, filled.

    Raises:
        BackendUnavailableError: spandrel, or the torchvision that it imports, is missing or broken.
        ArtifactError: spandrel knows no architecture of these names.
        TeacherError: an architecture that changes the size, or takes something else than RGB.
    """
    try:
        spandrel: Any = importlib.import_module(SPANDREL)
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BackendUnavailableError(
            f"--teacher spandrel: it cannot be imported ({reason}); it needs torchvision built for this "
            "torch: install both, 'pip install spandrel torchvision', into an environment of their own, or "
            "give the network's own code as package.module:factory"
        ) from error
    try:
        found = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(tensors))
    except spandrel.UnsupportedModelError as error:
        raise ArtifactError(
            f"{path}: spandrel knows no architecture with these tensors; give package.module:factory"
        ) from error
    if (found.scale, found.input_channels, found.output_channels) != (1, 3, 3):
        raise TeacherError(
            f"{path}: {found.architecture.name} scales by {found.scale} from {found.input_channels} to "
            f"{found.output_channels} channels; a teacher restores RGB at the same size"
        )
    network: nn.Module = found.model
    return network
