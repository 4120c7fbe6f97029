"""Which process of a run this is: one of one, or one of several that `torchrun` has started.

torchrun tells each process its place in the environment, before torch.distributed has been set up, so that
files can be opened and refused by the first process alone.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec
from snn_tool.errors import ConfigError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def rank() -> int:
    """The number of this process among all, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_per_node() -> int:
    """How many of them run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process writes the files and speaks to the terminal."""
    return rank() == 0


def shard(batch: int) -> slice:
    """The part that this process takes of a global batch of `batch` patches.

    Equal parts, because the mean of the processes' gradients is the gradient of the whole batch only then.

    Raises:
        ConfigError: the batch cannot be divided equally.
    """
    if batch % world_size():
        raise ConfigError(
            f"training.batch = {batch} cannot be shared equally by {world_size()} processes; use a multiple"
        )
    share = batch // world_size()
    return slice(rank() * share, (rank() + 1) * share)


def shared(
    items: Sequence[_Item],
    work: Callable[[_Item], _Result],
    kind: type[_Result],
    watch: Callable[[Sequence[_Item]], Iterable[_Item]] = iter,
) -> list[_Result]:
    """Work on every item in one of the processes, and give all results to all of them, in the items' order.

    Args:
        items: the same in every process.
        work: on one of them.
        kind: of the results, what msgspec can write: numbers, texts, dataclasses of them.
        watch: goes through the items of this process, and may show how far it is.
    """
    count = world_size()
    own = [work(item) for item in watch(items[rank() :: count])]
    if count == 1:
        return own
    gathered = _gathered(msgspec.msgpack.encode(own))
    parts = [msgspec.msgpack.decode(data, type=list[kind]) for data in gathered]  # type: ignore[valid-type]
    return [parts[place % count][place // count] for place in range(len(items))]


def _gathered(own: bytes) -> list[bytes]:
    """What every process gives, by rank; bytes in tensors, so that nothing is pickled."""
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(world_size())]
    distributed.all_gather(sizes, torch.tensor([len(own)]))
    most = int(max(sizes))
    mine = torch.frombuffer(bytearray(own.ljust(most, b"\0")), dtype=torch.uint8)
    every = [torch.empty_like(mine) for _ in sizes]
    distributed.all_gather(every, mine)
    return [data[: int(size)].numpy().tobytes() for data, size in zip(every, sizes, strict=True)]
