"""What an audit is given, checked before anything is counted."""

import math
from collections.abc import Mapping, Sequence

from snn_tool.energy.report_networks import COLUMNS, Quality
from snn_tool.errors import ConfigError
from snn_tool.models.integer.network import IntegerNetwork

REFERENCES = ("teacher", "twin", "qann")


def check_reference(against: str | None, has_teacher: bool) -> str:
    """What a claim is against; a teacher if there is one, unless something else is asked for.

    Raises:
        ConfigError: unknown, or a teacher without one.
    """
    if against is None:
        return "teacher" if has_teacher else "twin"
    if against not in REFERENCES:
        raise ConfigError(f"--against {against} is unknown; use one of {', '.join(REFERENCES)}")
    if against == "teacher" and not has_teacher:
        raise ConfigError("--against teacher: no teacher was given; name one with --teacher")
    return against


def checked_names(given: Sequence[str] | None, images: int) -> list[str]:
    """A name for each image.

    Raises:
        ConfigError: there are not as many names as images.
    """
    names = list(given) if given else [f"image {i}" for i in range(1, images + 1)]
    if len(names) != images:
        raise ConfigError(f"{len(names)} image names were given for {images} images; give one for each")
    return names


def checked_quality(quality: Mapping[str, Quality], network: IntegerNetwork) -> Mapping[str, Quality]:
    """Quality by column; a graded student's is its quantised twin's, too.

    Raises:
        ConfigError: a column is unknown, or a value is not finite.
    """
    for name, values in quality.items():
        if name not in COLUMNS:
            raise ConfigError(f"quality of {name!r} is not shown; use one of {', '.join(COLUMNS)}")
        for key, value in (("psnr_db", values.psnr_db), ("ssim", values.ssim)):
            if value is not None and not math.isfinite(value):
                raise ConfigError(f"quality.{name}.{key} = {value!r} is not a finite number; leave it out")
    if network.neuron == "graded" and "student" in quality:
        return {**quality, "qann": quality["student"]}
    return quality
