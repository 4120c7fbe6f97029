"""How many threads a training runs on: as many as asked for, or as trial steps show to be fastest.

Two threads that wait for each other on a core that other work keeps busy are slower than one: 59 patches/s
against 151 in one measurement, and 227 against 160 with both cores idle. So it is tried, not assumed.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ROUNDS = 3
"""Trial steps of each count, after one that is not counted."""
GAIN = 0.95
"""More threads must take at most this fraction of the time of fewer, or they are not worth their cores."""
SHARED = 1.25
"""A step that takes so many times its own processor time has waited for other work."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What steps took.

    Attributes:
        seconds: median wall clock of a step, by the number of threads.
        waiting: wall clock over processor time of the thread that leads a step, where most was waited.
    """

    seconds: dict[int, float]
    waiting: float

    @property
    def threads(self) -> int:
        """The fewest threads that are about as fast as any."""
        best = min(self.seconds)
        for count in sorted(self.seconds):
            if self.seconds[count] < GAIN * self.seconds[best]:
                best = count
        return best

    @property
    def shared(self) -> bool:
        """Whether other work was in the way."""
        return self.waiting > SHARED

    def text(self) -> str:
        """One line: what was chosen and why, and whether the machine is shared."""
        rates = ", ".join(f"{1000 * took:.0f} ms on {count}" for count, took in sorted(self.seconds.items()))
        line = f"threads: {self.threads} of {max(self.seconds)}; a step takes {rates}"
        if self.shared:
            line += (
                f"; other work shares this machine: steps take up to {self.waiting:.1f} times their own time"
            )
        return line


def counts_to_try(most: int) -> tuple[int, ...]:
    """1, 2, 4 and so on, and all that there are."""
    powers = [1 << power for power in range(most.bit_length())]
    return tuple(sorted({*(count for count in powers if count <= most), most}))


def available() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def trial(step: Callable[[], None], counts: Sequence[int], rounds: int = ROUNDS) -> Trial:
    """Time a step with each number of threads in turn, so that a change of the load meets all alike.

    Args:
        step: one step.
        counts: numbers of threads.
        rounds: steps of each that count.
    """
    wall: dict[int, list[float]] = {count: [] for count in counts}
    own: dict[int, list[float]] = {count: [] for count in counts}
    for number in range(rounds + 1):
        for count in counts:
            with running_on(count):
                began, worked = time.perf_counter(), time.thread_time()
                step()
                if number:
                    wall[count].append(time.perf_counter() - began)
                    own[count].append(time.thread_time() - worked)
    waits = [sum(wall[count]) / max(sum(own[count]), 1e-9) for count in counts]
    return Trial({count: statistics.median(wall[count]) for count in counts}, max(waits))


@contextmanager
def running_on(threads: int | None) -> Iterator[None]:
    """Give torch so many threads for a while; None leaves them as they are."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def try_out(module: nn.Module, loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> Trial:
    """Time whole training steps of a module, and leave weights and random streams as they were.

    Args:
        module: what is trained.
        loss: of a batch.
        optimizer: of the module, not the one that will train it: its state is spent.
    """
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    with torch.random.fork_rng(devices=[]):
        found = trial(step, counts_to_try(available()))
    optimizer.zero_grad(set_to_none=True)
    module.load_state_dict(before)
    return found
