"""Which axis of an array is which: told by the network's input and the lengths, or by `--layout`.

A network takes [C, H, W], [C, L] or [F]. In front of these axes stand N (samples) and T (time):

| array | is read as |
|---|---|
| [N, C, H, W], [N, F] | samples that do not change with time |
| [N, H, W] | the same where C is 1 |
| [N, H, W, C] | channels last |
| [T, N, C, H, W], [T, N, F] | samples over time |
| [N, T, C, H, W], [N, T, F] | the same, samples first |

A form is possible if the network's own axes have their lengths, T is `--timesteps` where that is given, and
N the number of labels where there are any. Exactly one possible form is taken; of several, `--layout` says.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ConfigError, DataError

OWN = {1: "F", 2: "CL", 3: "CHW"}
"""Letters of a network's own axes by their number."""

FORMS = {
    "F": ("NF", "TNF", "NTF"),
    "CL": ("NCL", "NL", "NLC", "TNCL", "NTCL"),
    "CHW": ("NCHW", "NHW", "NHWC", "TNCHW", "NTCHW"),
}
"""Forms that are told by themselves. One sample over time, [T, C, H, W], looks like several: "
"`--layout TCHW`."""

Array = NDArray[Any]


def arranged(
    values: Array,
    shape: Sequence[int],
    where: str,
    layout: str | None = None,
    timesteps: int | None = None,
    samples: int | None = None,
) -> tuple[Array, str]:
    """An array as [T or 1, N, *shape], a view where that is possible, and its letters.

    Args:
        values: of any of the forms.
        shape: of the network's input.
        where: stands at the head of messages, a file's name.
        layout: the letters, if they are given.
        timesteps: T, if it is given.
        samples: number of labels, if there are any.

    Raises:
        DataError: no form fits, or several do.
        ConfigError: the layout has letters that the network's input has not, or not all of them.
    """
    own = OWN.get(len(shape))
    if own is None:
        raise DataError(
            f"{where}: the network takes {list(shape)}; arrays of {len(shape)} axes are not known"
        )
    lengths = dict(zip(own, shape, strict=True))
    if layout is not None:
        letters = _checked(layout, own, lengths)
        if not _fits(values, letters, lengths):
            raise DataError(
                f"{where}: has the shape {list(values.shape)}, which is not "
                f"{_spelled(letters, lengths)}; --layout {layout} says so"
            )
        return _moved(values, letters, own), letters
    known = {**lengths, **({"T": timesteps} if timesteps else {}), **({"N": samples} if samples else {})}
    possible = [form for form in FORMS[own] if _fits(values, form, known)]
    if samples and not possible:  # the labels are told to be too few or too many
        possible = [form for form in FORMS[own] if _fits(values, form, _without(known, "N"))][:1]
    if not possible:
        raise DataError(
            f"{where}: has the shape {list(values.shape)}, not {_wanted(own, known)}; --layout names "
            "the axes if they stand in another order"
        )
    if len(possible) > 1:
        raise DataError(
            f"{where}: the shape {list(values.shape)} may be {' or '.join(possible)}; say which with "
            f"--layout {possible[0]} or --layout {possible[1]}"
        )
    return _moved(values, possible[0], own), possible[0]


def arranged_item(
    values: Array, shape: Sequence[int], where: str, layout: str | None = None
) -> tuple[Array, str]:
    """One sample as [T or 1, *shape], and its letters: the network's own, with T in front or not.

    Raises:
        DataError: no form fits, or several do.
        ConfigError: as `arranged`.
    """
    if layout is None:
        own = OWN.get(len(shape), "")
        lengths = dict(zip(own, shape, strict=True))
        forms = dict.fromkeys(form.replace("N", "") for form in FORMS.get(own, ()))
        possible = [form for form in forms if _fits(values, form, lengths)]
        if len(possible) != 1:
            raise DataError(
                f"{where}: has the shape {list(values.shape)}, not {_spelled(own, lengths)} or "
                f"{_spelled(f'T{own}', lengths)}; --layout names the axes"
            )
        layout = possible[0]
    moved, letters = arranged(values, shape, where, layout)
    if moved.shape[1] != 1:
        raise DataError(f"{where}: holds {moved.shape[1]} samples; a folder has one in each file")
    return moved[:, 0], letters


def _checked(layout: str, own: str, lengths: Mapping[str, int]) -> str:
    letters = layout.upper()
    optional = {"T", "N", *(("C",) if lengths.get("C") == 1 and own != "F" else ())}
    if len(set(letters)) < len(letters) or not set(own) - optional <= set(letters) <= {*own, "T", "N"}:
        raise ConfigError(
            f"--layout {layout}: use each of {', '.join(own)} once, with N (samples) and T (time) "
            f"where there are any, e.g. TN{own}"
        )
    return letters


def _fits(values: Array, letters: str, lengths: Mapping[str, int]) -> bool:
    if values.ndim != len(letters) or ("C" in lengths and "C" not in letters and lengths["C"] != 1):
        return False
    return all(
        lengths.get(letter, length) == length for letter, length in zip(letters, values.shape, strict=True)
    )


def _without(lengths: Mapping[str, int], letter: str) -> Mapping[str, int]:
    return {key: length for key, length in lengths.items() if key != letter}


def _moved(values: Array, letters: str, own: str) -> Array:
    """[T or 1, N or 1, *own]."""
    present = [letter for letter in f"TN{own}" if letter in letters]
    ordered = values.transpose([letters.index(letter) for letter in present])
    missing = tuple(at for at, letter in enumerate(f"TN{own}") if letter not in letters)
    return np.expand_dims(ordered, missing)


def _spelled(letters: str, lengths: Mapping[str, int]) -> str:
    return f"[{', '.join(str(lengths.get(letter, letter)) for letter in letters)}]"


def _wanted(own: str, known: Mapping[str, int]) -> str:
    return f"{_spelled(f'N{own}', known)} or {_spelled(f'TN{own}', known)}"
