"""A teacher whose outputs are kept on disk, found again by the hash of the batch that it was asked about.

A batch is a function of seed and step, and so the same for all variants of a seed: one of them pays for the
teacher, the others read. Nothing about the batches changes. An answer is rounded to float16 before it is
used, whether it was computed or read, so that both give the same bits. Features are not kept.
"""

import hashlib
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from snn_tool.networks.open import OpenedTeacher
from torch import Tensor, nn

ENTRY = struct.Struct("<16sf")
"""Hash of the question, processor seconds of its answer."""


class Answers:
    """Outputs of one teacher for batches of one shape, in two files that only grow.

    Args:
        folder: theirs alone; made if it is not there.
        shape: of a batch, [N, 3, P, P].

    Raises:
        Timeout: another process has the folder.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "lock")
        self._lock.acquire(timeout=0)
        name, self.shape = "x".join(map(str, shape)), shape
        self._size = 2 * int(np.prod(shape))
        self._values = (folder / f"{name}.f16").open("a+b")
        self._index = (folder / f"{name}.index").open("a+b")
        self._found = self._whole_entries()

    def _whole_entries(self) -> dict[bytes, tuple[int, float]]:
        """What both files hold; what a kill left half-written is cut off."""
        ends = [file.seek(0, 2) for file in (self._values, self._index)]
        whole = min(ends[0] // self._size, ends[1] // ENTRY.size)
        self._values.truncate(whole * self._size)
        self._index.truncate(whole * ENTRY.size)
        self._index.seek(0)
        entries = ENTRY.iter_unpack(self._index.read(whole * ENTRY.size))
        return {key: (place, cost) for place, (key, cost) in enumerate(entries)}

    def read(self, key: bytes) -> tuple[Tensor, float] | None:
        """The answer, float16, and what it cost in processor seconds; None if it is not there."""
        if key not in self._found:
            return None
        place, cost = self._found[key]
        self._values.seek(place * self._size)
        data = bytearray(self._values.read(self._size))
        return torch.frombuffer(data, dtype=torch.float16).reshape(self.shape), cost

    def write(self, key: bytes, answer: Tensor, cost: float) -> None:
        """Keep an answer, float16 of the batch's shape; the values first, so that an entry has them."""
        self._values.write(answer.contiguous().numpy().tobytes())
        self._values.flush()
        self._index.write(ENTRY.pack(key, cost))
        self._index.flush()
        self._found[key] = (len(self._found), cost)

    def close(self) -> None:
        """Let other processes have the folder."""
        self._values.close()
        self._index.close()
        self._lock.release()


class CachedTeacher(nn.Module):
    """A teacher that asks its answers first; float32 values of float16, and features as they are.

    Args:
        opened: the teacher.
        folder: of its answers; None keeps none.
        features: its features are wanted, and nothing is kept.

    Attributes:
        cost_s: processor seconds that all answers so far cost when they were computed.
        asked_s: those that were spent here.
    """

    def __init__(self, opened: OpenedTeacher, folder: Path | None, features: bool) -> None:
        super().__init__()
        self._opened = opened
        self._folder = None if features else folder
        self._answers: Answers | None = None
        self.cost_s = self.asked_s = 0.0
        network = opened.network
        self.feature_channels: dict[str, int] = dict(network.feature_channels) if features else {}  # type: ignore[arg-type]
        self.feature_scales: dict[str, int] = dict(network.feature_scales) if features else {}  # type: ignore[arg-type]
        self.multiple = int(getattr(network, "multiple", 1))
        # a run is known by its teacher's tensors
        self.register_buffer("identity", torch.tensor(list(bytes.fromhex(opened.provenance.sha256))))

    def __deepcopy__(self, memo: dict[int, Any]) -> "CachedTeacher":
        return self

    def forward_features(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The restored image [N, 3, P, P], float32, and the features, if they are wanted."""
        began = time.process_time()
        answers, key = self._of(image), _key(image)
        found = answers.read(key) if answers else None
        features: dict[str, Tensor] = {}
        if found is None:
            with torch.no_grad():
                restored, features = self._opened.network.forward_features(image)  # type: ignore[operator]
            answer, cost = restored.to(torch.float16), time.process_time() - began
            if answers:
                answers.write(key, answer, cost)
        else:
            answer, cost = found
        self.cost_s += cost
        self.asked_s += time.process_time() - began
        return answer.float(), features if self.feature_scales else {}

    def _of(self, image: Tensor) -> Answers | None:
        """The answers for batches of this shape; none where another process has them."""
        if self._folder is None:
            return None
        if self._answers is None:
            try:
                self._answers = Answers(self._folder, tuple(image.shape))
            except Timeout:
                self._folder = None
        return self._answers

    def close(self) -> None:
        """Let other processes have the answers."""
        if self._answers:
            self._answers.close()


def _key(image: Tensor) -> bytes:
    values = image.permute(0, 2, 3, 1).contiguous().numpy()
    return hashlib.blake2b(values.tobytes(), digest_size=16).digest()
