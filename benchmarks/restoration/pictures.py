"""Contact sheets with figures under each picture, as JPEG files of bounded size."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from snn_tool.errors import ConfigError
from snn_tool.images.files import in_colour

from restoration.trials import Pixels

GAP, LINE, FONT_SIZE = 6, 18, 13
QUALITIES = range(92, 11, -4)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Pictures of one size side by side.

    Attributes:
        title: above them.
        pictures: each with the text under it; uint8 [h, w, 3], or [h, w, 1] of grey.
    """

    title: str
    pictures: Sequence[tuple[Pixels, str]]


def sheet(rows: Sequence[Row]) -> Image.Image:
    """Rows below each other on white, with their titles and captions."""
    widths = [sum(picture.shape[1] + GAP for picture, _ in row.pictures) + GAP for row in rows]
    heights = [row.pictures[0][0].shape[0] + 2 * LINE + GAP for row in rows]
    page = Image.new("RGB", (max(widths), sum(heights)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(FONT_SIZE)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        draw.text((GAP, top + 2), row.title, "black", font)
        left = GAP
        for picture, caption in row.pictures:
            page.paste(Image.fromarray(in_colour(picture)), (left, top + LINE))
            draw.text((left, top + LINE + picture.shape[0] + 2), caption, "black", font)
            left += picture.shape[1] + GAP
        top += height
    return page


def enlarged(picture: Pixels, factor: int) -> Pixels:
    """Every pixel as a square of `factor` pixels, so that nothing is smoothed."""
    return np.repeat(np.repeat(picture, factor, axis=0), factor, axis=1)


def jpeg_below(page: Image.Image, most_bytes: int) -> bytes:
    """The page as JPEG of the highest quality that stays below `most_bytes`.

    Raises:
        ConfigError: not even the lowest quality does.
    """
    for quality in QUALITIES:
        stored = io.BytesIO()
        page.save(stored, "JPEG", quality=quality, subsampling=0, optimize=True)
        if len(stored.getvalue()) < most_bytes:
            return stored.getvalue()
    raise ConfigError(
        f"a sheet of {page.width}x{page.height} pixels needs more than {most_bytes:,} bytes; show fewer rows"
    )
