"""A moving average of the weights, which is what is validated and kept."""

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class WeightAverage(WeightAveraging):
    """Lightning's exponential moving average, with a warm-up of its decay.

        w <- d w + (1 - d) v        d = min(decay, (1 + n) / (10 + n))

    n is the number of averaged steps. Without the warm-up a run of a few hundred steps would end with little
    more than its first weights. During validation, and in `state_dict` of every checkpoint, the averaged
    weights stand in the network's place; the others travel beside them: a resumed run goes on exactly.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            taken = float(steps)
            factor = min(decay, (1 + taken) / (10 + taken))
            return factor * averaged + (1 - factor) * current

        super().__init__(avg_fn=average)
