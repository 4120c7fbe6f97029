"""Published checkpoints whose architecture spandrel (extra `teachers`) recognises by the tensors' names.

The file is read here, as data alone, so that spandrel's own unpickler never runs.

Two of its modules import functions of torchvision at the top, LaMa (`rotate`) and RestoreFormer
(`normalize`), and with them all would need a torchvision that matches torch; one that does not breaks
lightning too. So these names are lent while spandrel is imported; whatever calls them says what is missing.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from snn_tool.errors import ArtifactError, BackendUnavailableError, TeacherError
from torch import Tensor, nn

SPANDREL = "spandrel"


def recognise_by_spandrel(tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network that the tensors belong to, filled.

    Raises:
        BackendUnavailableError: spandrel, or what it imports, is missing.
        ArtifactError: spandrel knows no architecture of these names.
        TeacherError: an architecture that changes the size, or takes something else than RGB.
    """
    spandrel = _imported()
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


def _imported() -> Any:
    try:
        with _torchvision_names():
            return importlib.import_module(SPANDREL)
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BackendUnavailableError(
            f"--teacher spandrel: it cannot be imported ({reason}); use 'pip install --no-deps spandrel "
            "einops' (without --no-deps pip brings a torchvision that may not match this torch), or give the "
            "network's own code as package.module:factory"
        ) from error


@contextmanager
def _torchvision_names() -> Iterator[None]:
    """Lend the names that spandrel's modules import from torchvision, where nobody has imported that."""
    if "torchvision" in sys.modules or SPANDREL in sys.modules:
        yield
        return
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    lent = {name: ModuleType(name) for name in names}
    vars(lent[names[-1]]).update(InterpolationMode=_absent, rotate=_absent, normalize=_absent)
    sys.modules.update(lent)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def _absent(*_: object, **__: object) -> None:
    raise BackendUnavailableError("this architecture of spandrel needs torchvision; use another one")
