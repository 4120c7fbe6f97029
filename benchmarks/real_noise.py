"""Put photographs of cameras and what students make of them side by side, to be looked at.

    python benchmarks/real_noise.py --images RNI6 --out SHEET.jpg denoise-blind denoise-real

There is no clean photograph behind such images, and so no figure: the sheet is for eyes. Of every
photograph it shows parts at one pixel a pixel: the middle, the part with the most detail and the flattest
one, each as it is and as every student restores the whole photograph, by the way of `snn-tool restore`. A
name is one of `snn-tool models`, or a file. The sheet is not written into this repository, for others hold
the rights to the photographs.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from restoration.pictures import Row, jpeg_below, sheet
from snn_tool.errors import ConfigError, SnnToolError
from snn_tool.files.artifacts import write_bytes
from snn_tool.files.ownership import refuse_existing_file
from snn_tool.images.files import Pixels, find_images, in_channels, in_colour, is_grey, read_picture
from snn_tool.networks.open import open_student
from snn_tool.networks.running import RestoringStudent
from snn_tool.networks.shipped import is_shipped, student_path

REPOSITORY = Path(__file__).resolve().parents[1]
CROP, STEP, GRAIN, TILE = 208, 16, 8, 512
"""Pixels: side of a part, grid of its places, of what is averaged before detail is measured, of a tile."""
MOST_BYTES = 8_000_000


def main(given: list[str] | None = None) -> None:
    arguments = _arguments(given)
    try:
        show(arguments.images, arguments.students, arguments.out, arguments.overwrite)
    except SnnToolError as error:
        sys.exit(f"error: {error}")


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("students", nargs="+", help="names of 'snn-tool models', or files")
    parser.add_argument("--images", type=Path, required=True, help="a photograph, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="JPEG file, not in this repository")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")
    return parser.parse_args(given)


def show(images: Path, names: Sequence[str], out: Path, overwrite: bool = False) -> None:
    """Restore every photograph by every student, and write the sheet.

    Raises:
        ConfigError: `out` is in this repository, or exists and `overwrite` is false, or no such student.
        DataError: no photographs, or one is damaged.
    """
    if REPOSITORY in out.resolve().parents:
        raise ConfigError(
            f"--out {out}: the photographs are not ours to keep in this repository; choose another"
        )
    refuse_existing_file(out, overwrite)
    students = {name: RestoringStudent.of(open_student(_file(name))) for name in names}
    rows: list[Row] = []
    for path in find_images(images):
        pixels = read_picture(path).pixels
        columns = {"as it is": in_colour(pixels)}
        columns |= {name: restored(student, pixels) for name, student in students.items()}
        rows += parts(path.stem, columns)
        print(path, file=sys.stderr)
    write_bytes(out, jpeg_below(sheet(rows), MOST_BYTES))


def _file(name: str) -> Path:
    return student_path(name) if is_shipped(name) else Path(name)


def restored(student: RestoringStudent, pixels: Pixels) -> Pixels:
    """What `snn-tool restore --student` makes of a photograph, uint8 [H, W, 3]."""
    seen = in_channels(pixels, 1) if is_grey(pixels) and student.channels == 1 else pixels
    return in_colour(student.restore_8_bits(seen, TILE))


def parts(name: str, columns: Mapping[str, Pixels]) -> list[Row]:
    """The middle, the most detailed and the flattest part of a photograph, a row each."""
    first = next(iter(columns.values()))
    order = sorted(places(first), key=lambda at: detail(first[at]))
    rows: dict[str, Row] = {}
    for what, at in (("middle", middle(first)), ("most detail", order[-1]), ("flattest", order[0])):
        pictures = [(np.ascontiguousarray(picture[at]), label) for label, picture in columns.items()]
        rows.setdefault(str(at), Row(f"{name}, {what}", pictures))  # one row for one place
    return list(rows.values())


def middle(picture: Pixels) -> tuple[slice, ...]:
    """The part in the middle."""
    sides = [(side, min(side, CROP)) for side in picture.shape[:2]]
    return tuple(slice((side - part) // 2, (side - part) // 2 + part) for side, part in sides)


def places(picture: Pixels) -> list[tuple[slice, slice]]:
    """Where a part may lie; the whole photograph if it is smaller."""
    height, width = (min(side, CROP) for side in picture.shape[:2])
    return [
        (slice(top, top + height), slice(left, left + width))
        for top in range(0, picture.shape[0] - height + 1, STEP)
        for left in range(0, picture.shape[1] - width + 1, STEP)
    ]


def detail(picture: Pixels) -> float:
    """Variance of means of GRAIN x GRAIN pixels, in which noise counts little."""
    height, width = (side // GRAIN * GRAIN for side in picture.shape[:2])
    blocks = picture[:height, :width].mean(axis=2).reshape(height // GRAIN, GRAIN, width // GRAIN, GRAIN)
    return float(blocks.mean(axis=(1, 3)).var())


if __name__ == "__main__":
    main()
