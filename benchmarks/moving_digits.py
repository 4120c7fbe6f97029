"""Digits that move before a simulated event camera, as recordings.

    python benchmarks/moving_digits.py --out build/moving-digits

The pictures are scikit-learn's 8x8 digits. The camera is **simulated**; nothing was recorded by a real one.
A digit, enlarged to 10x10 pixels, moves once around a circle before a sensor of 16x16, as the saccades of
N-MNIST move its digits. A pixel holds a reference, the logarithm of the intensity of its last event. Where
the
logarithm has since changed by THRESHOLD or more, it sends an event for each multiple, of polarity 1 if it
grew brighter, and moves its reference by as much (Lichtsteiner et al., IEEE Journal of Solid-State Circuits
43, 566, 2008; here without noise, bandwidth and refractory time). A look at the scene comes every
millisecond, and events lie evenly between two looks.

It writes OUT/train/CLASS/NUMBER.npz and OUT/test/..., with the arrays t (microseconds), x, y and p.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SENSOR, ENLARGED = 16, 10
LOOKS, LOOK_US = 100, 1000
THRESHOLD, DARK = 0.3, 0.1
"""Of the logarithm; and the intensity that the darkest pixel has, of 1 for the brightest."""
RADIUS, OFF_CENTRE = 2.0, 1.0
"""Of the circle, and how far its centre lies from the sensor's at most, in pixels along each axis."""


@dataclass(frozen=True)
class Course:
    """Where the digit's centre is: float64 [LOOKS + 1] each, in pixels from the sensor's centre."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Course":
        """A circle that begins anywhere and turns either way."""
        turn = np.linspace(0, 2 * np.pi, LOOKS + 1) * rng.choice((-1, 1)) + rng.uniform(0, 2 * np.pi)
        x, y = rng.uniform(-OFF_CENTRE, OFF_CENTRE, 2)
        return cls(x + RADIUS * np.cos(turn), y + RADIUS * np.sin(turn))


def looks(picture: NDArray[np.float64], path: Course) -> NDArray[np.float64]:
    """Intensities [LOOKS + 1, SENSOR, SENSOR] of a picture [8, 8] in [0, 1], bilinear, 0 around it."""
    side, scale = len(picture), len(picture) / ENLARGED
    padded = np.pad(picture, 1)
    middle, grid = (SENSOR - 1) / 2, np.arange(SENSOR)

    def places(shift: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """In the padded picture: the lower neighbour [LOOKS + 1, SENSOR] and the way to the next one."""
        at = (grid[None] - middle - shift[:, None]) * scale + (side - 1) / 2 + 1
        at = at.clip(0, side + 1)
        lower = np.minimum(np.floor(at), side).astype(np.int64)
        return lower, at - lower

    (row, down), (column, right) = places(path.y), places(path.x)
    row, down, column, right = row[:, :, None], down[:, :, None], column[:, None], right[:, None]
    upper = padded[row, column] * (1 - right) + padded[row, column + 1] * right
    below = padded[row + 1, column] * (1 - right) + padded[row + 1, column + 1] * right
    return upper * (1 - down) + below * down


def events(intensity: NDArray[np.float64]) -> dict[str, NDArray[np.int64]]:
    """Events t, x, y and p, in the order of their times, of intensities [looks, rows, columns] in [0, 1]."""
    logs = np.log(DARK + (1 - DARK) * intensity)
    reference, found = logs[0].copy(), []
    for look, now in enumerate(logs[1:]):
        steps = np.trunc((now - reference) / THRESHOLD).astype(np.int64)
        reference += steps * THRESHOLD
        y, x = np.nonzero(steps)
        count = np.abs(steps[y, x])
        # The n-th of m events of a pixel comes n / (m + 1) of the way between two looks.
        order = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + 1
        times = look * LOOK_US + order * LOOK_US // (np.repeat(count, count) + 1)
        polarity = np.repeat(steps[y, x] > 0, count)
        found.append(np.stack([times, np.repeat(x, count), np.repeat(y, count), polarity]))
    t, x, y, p = np.concatenate(found, axis=1)
    order = np.argsort(t, kind="stable")
    return {name: values[order] for name, values in {"t": t, "x": x, "y": y, "p": p}.items()}


def write_recordings(out: Path, limit: int = 0) -> None:
    """Record every digit once, or the first `limit` of each part; its number is the seed of its course."""
    digits = load_digits()
    parts = train_test_split(np.arange(len(digits.target)), test_size=0.25, random_state=0)
    for part, chosen in zip(("train", "test"), parts, strict=True):
        for number in chosen[: limit or None]:
            path = Course.drawn(np.random.default_rng([number, 0xE7E47]))
            made = events(looks(digits.images[number] / 16, path))
            folder = out / part / str(digits.target[number])
            folder.mkdir(parents=True, exist_ok=True)
            kinds = {"t": np.int32, "x": np.uint8, "y": np.uint8, "p": np.uint8}
            np.savez(folder / f"{number:04}.npz", **{name: made[name].astype(kinds[name]) for name in kinds})


def main() -> None:
    """Write both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/moving-digits"))
    parser.add_argument("--limit", type=int, default=0, help="recordings of each part; 0 for all")
    asked = parser.parse_args()
    write_recordings(asked.out, asked.limit)


if __name__ == "__main__":
    main()
