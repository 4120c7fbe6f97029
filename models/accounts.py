"""What files say of a network's past: what it learned to undo, and how.

Sidecars, manifests and cards hold these tables. They may say more than stands here; what is read of them is
checked.
"""

from typing import Any

import msgspec
from snn_tool.files.documents import Count, Finite, Name, NotNegative


class Degraded(msgspec.Struct, frozen=True):
    """`describe()` of a degradation, or of recorded pairs, as it stands in sidecars and cards.

    Attributes:
        task: its name; absent where nobody wrote it down.
        sigma, strength: smallest and largest.
    """

    task: Name | None = None
    sigma: tuple[NotNegative, NotNegative] | None = None
    strength: tuple[NotNegative, NotNegative] | None = None


class Training(msgspec.Struct, frozen=True):
    """What is read of the account of a training; it may say more.

    Attributes:
        task: what the network learned to undo.
        seed: of the validation split.
        steps, best_step: of the optimiser.
        student: configuration of a student, for those that start from it.
    """

    task: Degraded = Degraded()
    seed: Count = 0
    steps: Count | None = None
    best_step: Count | None = None
    validation_psnr_db: Finite | None = None
    student: dict[str, Any] | None = None
