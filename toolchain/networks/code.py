"""`package.module:factory`: a user's own code that builds a network."""

import importlib
import inspect
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from snn_tool.errors import (
    ArtifactError,
    BackendUnavailableError,
    ConfigError,
    TeacherError,
    is_out_of_memory,
)
from snn_tool.networks.locate import SPANDREL
from snn_tool.terminal import LOGGER
from torch import Tensor, nn

SHOWN = 12


def build_from_factory(named: str) -> nn.Module:
    """Import `package.module:factory`, also from the working folder, and call it without arguments.

    The factory's random numbers are its own: the student's weights do not depend on it.

    Raises:
        ConfigError: the module or the name does not exist, the name cannot be called without arguments, it
            fails, or it returns no torch module.
    """
    factory = _find(named)
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ConfigError(
            f"{named}: cannot be called without arguments ({error}); write a function around it"
        ) from error
    except ValueError:
        pass  # built into C without a signature; calling it tells
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _called(named, factory)
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{named}: returned {type(network).__name__}, not a torch.nn.Module")
    return network


def _find(named: str) -> Any:
    module_name, _, attribute = named.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # the console script leaves the working folder out, unlike python -m
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{named}: No module named '{error.name}'; run where it lies, or install it"
        ) from error
    except Exception as error:  # a user's module may raise anything
        raise _failed(named, "cannot be imported", error) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        found = [
            n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module_name
        ][:SHOWN]
        raise ConfigError(
            f"{named}: {module_name} has no '{attribute}' that can be called; it has "
            f"{', '.join(found) or 'none'}"
        )
    return factory


def _called(named: str, factory: Any) -> Any:
    try:
        return factory()
    except Exception as error:  # a user's function may raise anything
        if is_out_of_memory(error):
            raise
        raise _failed(named, "calling it failed", error) from error


def _failed(named: str, what: str, error: Exception) -> ConfigError:
    logging.getLogger(LOGGER).debug("%s", named, exc_info=error)
    reason = " ".join(str(error).split())[:200]
    return ConfigError(f"{named}: {what}: {type(error).__name__}: {reason}; -v shows where")


REASON = 240


class SpandrelTeacher(nn.Module):
    """A published network, called as spandrel calls it.

    Some architectures take images of some sizes alone, a map of the noise beside the image, or another range.
    spandrel's descriptor knows: it pads the image (mirrored, then repeated), calls the network with what it
    needs, clamps to [0, 1] and crops back.

    Args:
        descriptor: spandrel's `ImageModelDescriptor`.

    Attributes:
        network: the published network, whose modules hints name.
        single: it takes one image at a time, as a network does whose map of the noise is made for one.
    """

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.network: nn.Module = descriptor.model
        self.descriptor = descriptor
        self.single = False

    def forward(self, image: Tensor) -> Tensor:
        """The restored image [N, 3, H, W] of any size."""
        if not self.single:
            try:
                return self._restored(image)
            except RuntimeError:
                if len(image) == 1:
                    raise
        restored = torch.cat([self._restored(one) for one in torch.split(image, 1)])
        self.single = True
        return restored

    def _restored(self, image: Tensor) -> Tensor:
        """As spandrel does, but not in inference mode, whose tensors no loss can use."""
        restored: Tensor = inspect.unwrap(type(self.descriptor).__call__)(self.descriptor, image)
        return restored


def recognise_by_spandrel(tensors: Mapping[str, Tensor], path: Path) -> SpandrelTeacher:
    """The network that the tensors belong to, filled.

    Raises:
        BackendUnavailableError: spandrel, or what it imports, is missing.
        ArtifactError: spandrel knows no architecture of these names, or they do not fit the one it took.
        TeacherError: an architecture that changes the size, or takes something else than RGB.
    """
    spandrel = _imported()
    found = _loaded(spandrel, dict(tensors), path)
    if not isinstance(found, spandrel.ImageModelDescriptor):
        raise TeacherError(
            f"{path}: {found.architecture.name} fills in masked areas; a teacher restores RGB images"
        )
    if (found.scale, found.input_channels, found.output_channels) != (1, 3, 3):
        raise TeacherError(
            f"{path}: {found.architecture.name} scales by {found.scale} from {found.input_channels} to "
            f"{found.output_channels} channels; a teacher restores RGB at the same size"
        )
    return SpandrelTeacher(found)


def _loaded(spandrel: Any, tensors: dict[str, Tensor], path: Path) -> Any:
    try:
        return spandrel.ModelLoader(device="cpu").load_from_state_dict(tensors)
    except spandrel.UnsupportedModelError as error:
        raise ArtifactError(
            f"{path}: spandrel knows no architecture with these tensors; give package.module:factory"
        ) from error
    except Exception as error:  # it reads sizes from the tensors, and an odd one raises anything
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:REASON] or type(error).__name__
        raise ArtifactError(
            f"{path}: spandrel takes it for one of its architectures, but the tensors do not fit ({reason}); "
            "use the file as it was published, or give package.module:factory"
        ) from error


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
