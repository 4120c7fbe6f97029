"""Teachers by name: `unet`, `flat`, `chain` (the student's with ReLU), `nafnet`, `restormer`; their files.

A teacher restores an image and exposes named decoder features:

    feature_channels: dict[str, int]      feature_scales: dict[str, int]  (1, 2, 4, 8: downscale of the image)
    forward(image [N, C, H, W]) -> image      forward_features(image) -> (image, {name: [N, C', h, w]})

Those of this tool have `image_channels`, C: 3 of colour, or 1 of grey; others take 3.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol

import torch
from msgspec import Meta
from snn_tool.errors import ArtifactError, ConfigError, first_line
from snn_tool.files.artifacts import Opener, atomic_path, shown
from snn_tool.files.documents import Finite, Name
from snn_tool.models.accounts import Training
from snn_tool.models.bodies import chain, flat, unet
from snn_tool.models.checkpoints import REMEDY, Sidecar, check_fit, read_tensors, sidecar_of, write_tensors
from snn_tool.models.network import Network
from snn_tool.models.neurons import ReluNeuron
from snn_tool.models.teachers.nafnet import NAFNet
from snn_tool.models.teachers.restormer import Restormer
from snn_tool.models.topology import COLOUR, Topology, check_channels
from torch import Tensor, nn

TEACHER_KIND, SCHEMA = "teacher", 1

Option = (
    bool
    | Annotated[int, Meta(ge=0, le=1024)]
    | Finite
    | Name
    | Annotated[list[Annotated[int, Meta(ge=0, le=64)]], Meta(max_length=16)]
)
"""What an option of a constructor may be in a sidecar: no published teacher comes near these numbers."""


class Restorer(Protocol):
    """What training, distillation and the audit need of a network."""

    @property
    def feature_channels(self) -> Mapping[str, int]:
        """Channels of each named decoder feature."""

    @property
    def feature_scales(self) -> Mapping[str, int]:
        """Downscale factor of each named decoder feature."""

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Restored image [N, C, H, W] and the named features."""


def with_relu(body: Callable[[int, int, int, int], Topology]) -> Callable[..., Network]:
    """The constructor of a student's body with ReLU at a width of its own, 48 by default, for colour or grey.

    It raises a ConfigError for a width below 1.
    """

    def build(width: int = 48, channels: int = COLOUR, passes: int = 1) -> Network:
        if width < 1:
            raise ConfigError(f"{body.__name__}: width is {width}; it must be at least 1")
        check_channels(body.__name__, channels)
        return Network(body(width, channels, channels, passes), ReluNeuron)

    return build


TEACHERS: dict[str, Callable[..., nn.Module]] = {
    "unet": with_relu(unet),
    "flat": with_relu(flat),
    "chain": with_relu(chain),
    "nafnet": NAFNet,
    "restormer": Restormer,
}


class TeacherSidecar(Sidecar, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sidecar of a teacher."""

    architecture: Name
    options: Annotated[dict[str, Option], Meta(max_length=16)]
    training: Training = Training()


def build_teacher(architecture: str, options: Mapping[str, Any]) -> nn.Module:
    """A fresh teacher.

    Args:
        architecture: a key of `TEACHERS`.
        options: keyword arguments of its constructor, as JSON values.

    Raises:
        ConfigError: unknown architecture or option; the valid names are listed.
    """
    if architecture not in TEACHERS:
        raise ConfigError(f"teacher '{architecture}' is unknown; use one of {', '.join(TEACHERS)}")
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    try:
        return TEACHERS[architecture](**given)
    except TypeError as error:
        raise ConfigError(f"teacher '{architecture}': {error}; see --help for its options") from error


def save_teacher(
    path: Path,
    teacher: nn.Module,
    architecture: str,
    options: Mapping[str, Any],
    training: Mapping[str, Any],
    opener: Opener = atomic_path,
) -> None:
    """Write a teacher; `training` says how it was made."""
    defining = {"architecture": architecture, "options": dict(options)}
    write_tensors(
        path, TEACHER_KIND, SCHEMA, teacher.state_dict(), defining, {"training": dict(training)}, opener
    )


def load_teacher(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read a teacher in evaluation mode, frozen, and its sidecar.

    Raises:
        ArtifactError: not a teacher of this schema, or damaged.
    """
    pair = read_tensors(path, TEACHER_KIND, {SCHEMA: TeacherSidecar}, "training")
    architecture, options = pair.sidecar.architecture, pair.sidecar.options
    try:
        with torch.device("meta"):  # takes no memory, whatever the options say
            expected = build_teacher(architecture, options).state_dict()
    except (ConfigError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{sidecar_of(path)}: architecture {shown(architecture)} cannot be built with options "
            f"{shown(options)} ({first_line(error)}); {REMEDY}"
        ) from error
    check_fit(expected, pair.tensors, path)
    teacher = build_teacher(architecture, options)
    teacher.load_state_dict(pair.tensors)
    return teacher.eval().requires_grad_(False), pair.document


Fits = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], bool]
_SIDD = {"encoder_blocks": [2, 2, 4, 8], "middle_blocks": 12, "decoder_blocks": [2, 2, 2, 2]}

SIZES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "unet": {"small": {"width": 32}, "medium": {"width": 56}, "large": {"width": 96}},
    "flat": {"small": {"width": 32}, "medium": {"width": 56}, "large": {"width": 96}},
    "chain": {"small": {"width": 48}, "medium": {"width": 72}, "large": {"width": 120}},
    "nafnet": {
        "small": {"width": 24, "encoder_blocks": [1, 2], "middle_blocks": 2, "decoder_blocks": [2, 1]},
        "medium": {"width": 32, "encoder_blocks": [1, 1, 2], "middle_blocks": 2, "decoder_blocks": [1, 1, 1]},
        "large": {"width": 48, "encoder_blocks": [1, 1, 2, 2], "middle_blocks": 2, "decoder_blocks": [1] * 4},
        "sidd": _SIDD,
        "sidd64": {"width": 64, **_SIDD},
        "gopro": {},
        "gopro64": {"width": 64},
    },
    "restormer": {
        "small": {"dim": 16, "blocks": [1, 1, 1, 1], "refinement_blocks": 1, "heads": [1, 2, 4, 8]},
        "medium": {"dim": 24, "blocks": [1, 2, 2, 2], "refinement_blocks": 1},
        "large": {"dim": 32, "blocks": [2, 2, 2, 4], "refinement_blocks": 2},
        "published": {},
        "published-bias": {"layer_norm": "WithBias"},
    },
}
"""By architecture and size, the constructor's options; `sidd`, `gopro`, `published` are the papers'."""


def size_options(architecture: str, size: str | None) -> dict[str, Any]:
    """The constructor's options of a size; none for None.

    Raises:
        ConfigError: the architecture has no such size; its sizes are listed.
    """
    sizes = SIZES.get(architecture, {})
    if size is None:
        return {}
    if size not in sizes:
        raise ConfigError(f"--size {size}: {architecture} has {', '.join(sizes) or 'no named sizes'}")
    return dict(sizes[size])


def parse_teacher_options(
    architecture: str, given: list[str], size: str | None = None, channels: int | None = None
) -> dict[str, Any]:
    """JSON values by keyword; tuples are written as lists, e.g. `blocks=[1,1,2,4]`.

    Args:
        architecture: a key of `TEACHERS`.
        given: `key=value`, which override the size's.
        size: a named size of the architecture.
        channels: of the images, which all architectures take; None leaves it to the options.

    Raises:
        ConfigError: unknown architecture, size or key (the valid ones are listed), or no JSON value.
    """
    if architecture not in TEACHERS:
        raise ConfigError(f"--arch {architecture} is unknown; use one of {', '.join(TEACHERS)}")
    known = inspect.signature(TEACHERS[architecture]).parameters
    options = size_options(architecture, size)
    if channels not in (None, COLOUR):
        options["channels"] = channels
    for item in given:
        key, separator, text = item.partition("=")
        if not separator or key not in known:
            raise ConfigError(
                f"--option {item}: {architecture} takes {', '.join(f'{name}=…' for name in known)}"
            )
        options[key] = _value(item, text)
    return options


def _value(item: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        if text.isidentifier():
            return text
        raise ConfigError(f"--option {item}: the value must be a number, a list or a name") from None


def recognise(architecture: str, tensors: Mapping[str, Tensor], fits: Fits) -> nn.Module | None:
    """The first size of an architecture that weights fit, with fresh parameters.

    Args:
        architecture: a key of `TEACHERS`.
        tensors: of a published or own checkpoint.
        fits: says of a network's state dictionary and `tensors` whether names and shapes agree.
    """
    for options in ({}, *SIZES.get(architecture, {}).values()):
        with torch.device("meta"):
            expected = build_teacher(architecture, options).state_dict()
        if fits(tensors, expected):
            return build_teacher(architecture, options)
    return None
