"""Which images of a folder a command works on, and why not all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ImagesUsed:
    """How many images of how many.

    Attributes:
        used: that were worked on.
        found: that were given.
        why: not all of them, by reason; empty if all were.
    """

    used: int
    found: int
    why: str = ""

    def text(self) -> str:
        """One line, e.g. `16 of 20 images used (--limit 16)`."""
        return f"{self.used} of {self.found} images used" + (f" ({self.why})" if self.why else "")

    def document(self) -> dict[str, int | str]:
        """JSON values."""
        return {"used": self.used, "found": self.found, "why": self.why}


def first_images(paths: Sequence[Path], limit: int) -> tuple[Sequence[Path], ImagesUsed]:
    """The first `limit` paths, or all if it is 0."""
    chosen = paths[:limit] if limit else paths
    why = f"--limit {limit}" if len(chosen) < len(paths) else ""
    return chosen, ImagesUsed(len(chosen), len(paths), why)
