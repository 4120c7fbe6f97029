"""Sizes of the built-in teachers: those that an afternoon of CPU can train, and the published ones.

`tests/test_teacher_sizes.py` holds their parameters and multiply-accumulates per pixel.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from snn_tool.errors import ConfigError
from snn_tool.models.teachers.registry import build_teacher
from torch import Tensor, nn

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
