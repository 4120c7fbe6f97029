"""Recordings of event cameras as frames: events of one polarity and pixel are counted in windows of time.

| file | is |
|---|---|
| .bin | N-MNIST: five bytes an event (Orchard et al., Frontiers in Neuroscience 9, 437, 2015) |
| .npy | an array with the fields t, x, y and p |
| .npz | the same, or arrays t, x, y and p |
| .aedat | of a DVS128, through tonic, the extra `events` |
| .aedat4 | through tonic and aedat, the same extra |

Times are microseconds from the first event on. A frame [2, H, W] holds how many events of polarity 0 and 1
each pixel sent in its window; a network of one channel is given their sum.
"""

import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, DataError, first_line

BIN = ".bin"
RECORDINGS = (BIN, ".aedat", ".aedat4")
FIELDS: Mapping[str, tuple[str, ...]] = {
    "t": ("t", "ts", "time", "timestamp"),
    "x": ("x",),
    "y": ("y",),
    "p": ("p", "pol", "polarity"),
}
"""What files call the time, the column, the row and the polarity of an event."""
OVERFLOW_ROW, OVERFLOW_US = 240, 1 << 13
"""Of N-MNIST: an event in this row is none, and says that the clock has passed 2^13 microseconds again."""
BYTES = 5
MAX_BYTES = 1 << 30
LOGGER = logging.getLogger("snn_tool")


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """A recording: int64 [E] each; times in microseconds, polarities 0 and 1."""

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    p: NDArray[np.int64]


def is_recording(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the arrays of a file are events, not samples."""
    whole = [values for values in arrays.values() if values.dtype.names]
    return bool(whole) or all(any(name in arrays for name in names) for names in FIELDS.values())


def events_of(arrays: Mapping[str, NDArray[Any]], path: Path) -> Events:
    """Events of an array with fields, or of an array for each.

    Raises:
        DataError: a field is missing, has another length or is no number.
    """
    whole = next((values for values in arrays.values() if values.dtype.names), None)
    given = {name: whole[name] for name in whole.dtype.names or ()} if whole is not None else arrays
    found = {}
    for field, names in FIELDS.items():
        known = next((name for name in names if name in given), None)
        if known is None:
            raise DataError(f"{path}: its events have no '{field}'; give the fields t, x, y and p")
        values = np.asarray(given[known]).ravel()
        if values.dtype.kind not in "iufb" or not np.isfinite(values).all():
            raise DataError(
                f"{path}: '{known}' of its events is no number; give t in microseconds, x, y and p"
            )
        found[field] = values.astype(np.int64)
    if len({len(values) for values in found.values()}) > 1:
        raise DataError(f"{path}: t, x, y and p have different lengths; write the recording again")
    return Events(found["t"], found["x"], found["y"], (found["p"] > 0).astype(np.int64))


def read_recording(path: Path) -> Events:
    """Events of a file that is no numpy file.

    Raises:
        DataError: missing, damaged or too large.
        BackendUnavailableError: its format needs tonic, which is not installed.
    """
    if path.suffix.lower() == BIN:
        return _of_bin(path)
    return _by_tonic(path)


def _of_bin(path: Path) -> Events:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES or size % BYTES:
            raise DataError(
                f"{path}: has {size:,} bytes; N-MNIST's files have {BYTES} for each event, and at "
                f"most {MAX_BYTES:,}"
            )
        rows = np.fromfile(path, dtype=np.uint8).reshape(-1, BYTES).astype(np.int64)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    times = ((rows[:, 2] & 0x7F) << 16) | (rows[:, 3] << 8) | rows[:, 4]
    overflow = rows[:, 1] == OVERFLOW_ROW
    times = times + OVERFLOW_US * np.cumsum(overflow)
    kept = ~overflow
    return Events(times[kept], rows[kept, 0], rows[kept, 1], rows[kept, 2] >> 7)


def _by_tonic(path: Path) -> Events:
    try:
        reader = importlib.import_module("tonic.io")
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendUnavailableError(
            f"{path}: recordings in {path.suffix} are read by tonic, which cannot be imported "
            f"({first_line(error)}); run pip install 'snn-tool[events]', or save the events with numpy.save"
        ) from error
    try:
        if path.suffix.lower() == ".aedat4":
            return events_of({"events": reader.read_aedat4(str(path))}, path)
        return _of_dvs128(reader, path)
    except DataError:
        raise
    except ImportError as error:  # tonic imports aedat when it needs it, and does not ask pip for it
        raise BackendUnavailableError(
            f"{path}: tonic needs a package for it ({first_line(error)}); run pip install "
            "'snn-tool[events]', or save the events with numpy.save"
        ) from error
    except Exception as error:  # tonic's readers raise what their parsers do
        raise DataError(
            f"{path}: tonic cannot read it ({first_line(error)}); record it again, or save the events "
            "with numpy.save"
        ) from error


def _of_dvs128(reader: Any, path: Path) -> Events:
    """By what tonic's read_dvs_128 is made of: the function itself, of 1.7.0, fails on every file.

    Of an address bit 0 is the polarity, 1 to 7 are the row, and 8 to 14 the column, as it has them.
    """
    version, start, *_ = reader.read_aedat_header_from_file(str(path))
    rows = reader.get_aer_events_from_file(str(path), version, start)
    address = rows["address"].astype(np.int64)
    place = ((address >> 8) & 0x7F, (address >> 1) & 0x7F)
    return Events(rows["timeStamp"].astype(np.int64), *place, address & 1)


@dataclass(frozen=True, slots=True)
class Windows:
    """How time is divided.

    Attributes:
        timesteps: T frames.
        window_us: microseconds of each; None divides a recording's duration by T.
    """

    timesteps: int
    window_us: int | None = None

    def text(self) -> str:
        """In words."""
        if self.window_us is None:
            return f"{self.timesteps} windows that divide each recording's duration"
        return f"{self.timesteps} windows of {self.window_us:,} microseconds from the first event on"


def frames(events: Events, shape: tuple[int, int, int], windows: Windows, path: Path) -> NDArray[np.uint16]:
    """Counts [T, C, H, W] of a recording.

    Args:
        events: of it.
        shape: (C, H, W) of the network's input; C is 2, or 1 for the sum of both polarities.
        windows: of time.
        path: stands in messages.

    Raises:
        DataError: no event, or one outside the network's input; another number of channels.
    """
    channels, height, width = shape
    if not len(events.t):
        raise DataError(f"{path}: holds no event; remove it, or record it again")
    if channels not in (1, 2):
        raise DataError(f"{path}: events have 2 polarities, but the network takes {channels} channels")
    for axis, values, length in (("x", events.x, width), ("y", events.y, height)):
        if values.min() < 0 or values.max() >= length:
            raise DataError(
                f"{path}: its events have {axis} from {values.min()} to {values.max()}, but the "
                "network takes "
                f"{width}x{height}; crop the recording, or divide x and y"
            )
    since = events.t - events.t.min()
    if windows.window_us is None:
        bins = since * windows.timesteps // (since.max() + 1)
    else:
        bins = since // windows.window_us
    kept = bins < windows.timesteps
    if not kept.all():
        LOGGER.warning(
            "%s: %d of %d events lie after the last window and are left out", path, (~kept).sum(), len(kept)
        )
    polarity = events.p if channels == 2 else np.zeros_like(events.p)
    place = ((bins * channels + polarity) * height + events.y) * width + events.x
    counted = np.bincount(place[kept], minlength=windows.timesteps * channels * height * width)
    if counted.max() > np.iinfo(np.uint16).max:
        raise DataError(
            f"{path}: a pixel sent {counted.max():,} events in one window; give shorter ones with --window-us"
        )
    return counted.astype(np.uint16).reshape(windows.timesteps, *shape)
