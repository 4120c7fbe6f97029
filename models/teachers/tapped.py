"""Somebody else's torch network as a teacher: outputs of named modules become its decoder features.

The modules are tapped by forward hooks that live only while the network runs, so that it can be copied.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from snn_tool.errors import TeacherError
from snn_tool.models.topology import COLOUR
from torch import Tensor, nn

LISTED = 16


class TappedTeacher(nn.Module):
    """A network [N, C, H, W] -> [N, C, H, W] and the outputs of some of its modules.

    Args:
        network: maps RGB images in [0, 1], or grey ones if its `image_channels` is 1, to restored images; put
            into evaluation mode and frozen.
        taps: dotted names of modules, as in `network.named_modules()`, or in that of its part `inside`.
        inside: dotted name of the part whose modules `taps` names; empty for the network itself.

    Attributes:
        feature_channels, feature_scales: filled in by `declare`; empty before.

    Raises:
        TeacherError: a module does not exist.
    """

    def __init__(self, network: nn.Module, taps: tuple[str, ...] = (), inside: str = "") -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.taps, self.inside = taps, inside
        self.feature_channels: Mapping[str, int] = {}
        self.feature_scales: Mapping[str, int] = {}
        self.unknown = next((name for name in taps if name not in dict(self.named.named_modules())), None)

    @property
    def named(self) -> nn.Module:
        """The part whose modules have the names of `taps`."""
        return self.network.get_submodule(self.inside)

    @property
    def multiple(self) -> int:
        """Image sides must be multiples of this, if the network says so."""
        return int(getattr(self.network, "multiple", 1))

    @property
    def image_channels(self) -> int:
        """3 of colour or 1 of grey, if the network says so."""
        return int(getattr(self.network, "image_channels", COLOUR))

    def train(self, mode: bool = True) -> "TappedTeacher":
        """Stay in evaluation mode: a teacher's statistics are frozen."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """The restored image."""
        restored: Tensor = self.network(image)
        return restored

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The restored image and the output of each tapped module.

        Raises:
            TeacherError: a module does not exist, does not run, runs more than once, or gives no tensor
                [N, C, h, w].
        """
        if self.unknown:
            raise TeacherError(f"--hints: the teacher has no module '{self.unknown}'; {self.fitting(image)}")
        outputs: dict[str, list[Any]] = {name: [] for name in self.taps}
        with _hooked(self.named, outputs):
            restored = self.network(image)
        for name, given in outputs.items():
            if reason := _unfit(given, image):
                raise TeacherError(f"--hints: module '{name}' {reason}; {self.fitting(image)}")
        return restored, {name: given[0] for name, given in outputs.items()}

    def fitting(self, image: Tensor) -> str:
        """A sentence that lists the modules whose outputs could be hints, those of outer levels first."""
        outputs: dict[str, list[Any]] = {name: [] for name, _ in self.named.named_modules() if name}
        with _hooked(self.named, outputs), torch.no_grad():
            self.network(image)
        fit = [name for name, given in outputs.items() if not _unfit(given, image)]
        fit.sort(key=lambda name: name.count("."))
        return listing("modules that fit", [f"{n} {tuple(outputs[n][0].shape[1:])}" for n in fit])


def listing(title: str, names: list[str]) -> str:
    """`title: a, b, ... and 3 more`."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{title}: {', '.join(names[:LISTED]) or 'none'}{more}"


@contextmanager
def _hooked(network: nn.Module, outputs: dict[str, list[Any]]) -> Iterator[None]:
    """Collect the outputs of the modules that `outputs` names while the context lasts."""
    modules = dict(network.named_modules())
    handles = [modules[name].register_forward_hook(_keeper(given)) for name, given in outputs.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _keeper(given: list[Any]) -> Callable[[nn.Module, Any, Any], None]:
    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        given.append(output)

    return keep


def _unfit(given: list[Any], image: Tensor) -> str:
    """Why outputs of one module are no feature of a batch of images; empty if they are one."""
    if len(given) != 1:
        return (
            f"runs {len(given)} times per image; a hint is the output of one call"
            if given
            else "does not run"
        )
    output = given[0]
    if not isinstance(output, Tensor) or output.ndim != 4 or not output.is_floating_point():
        shape = f"a tensor {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        return f"gives {shape}; a hint is a float tensor [N, C, h, w]"
    if len(output) != len(image) or image.shape[2] % output.shape[2] or image.shape[3] % output.shape[3]:
        return (
            f"gives {tuple(output.shape)} for images {tuple(image.shape)}; a hint has one map per "
            "image, of a side that divides the image's"
        )
    return ""
