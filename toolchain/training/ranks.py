"""Which process of a run this is: one of one, or one of several that `torchrun` has started.

torchrun tells each process its place in the environment, before torch.distributed has been set up, so that
files can be opened and refused by the first process alone.
"""

import os

from snn_tool.errors import ConfigError


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
