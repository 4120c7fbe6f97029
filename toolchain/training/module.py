"""The Lightning modules: what one optimisation step and one validation compute."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import lightning
import torch
from snn_tool.errors import SnnToolError
from snn_tool.models.config import LossWeights, StudentConfig
from snn_tool.models.integer.training import forward_deployed
from snn_tool.models.losses import DistillationLoss, HintLoss, TeacherOutput
from snn_tool.models.network import Network
from snn_tool.models.teachers.probe import check_finite
from snn_tool.training.optimizers import optimizer_for
from snn_tool.training.run_folder import VALIDATION, of_folder
from snn_tool.training.settings import TrainingSettings
from torch import Tensor, nn

WEIGHT = 0.05
"""Of the term in the loss, of which L1 is 0.02 to 0.03 at sigma 25. There 500 steps with a budget of 20,000
end at 19,106 synops per pixel, and without one at 31,380."""


class SynopMeter:
    """Counts a student's synaptic operations while it runs.

    Args:
        student: its neurons are hooked; the hooks last as long as the network.
    """

    def __init__(self, student: Network) -> None:
        self._fan_out = fan_outs(student)
        self._synops: dict[str, Tensor] = {}
        for name, neuron in student.neurons.items():
            neuron.register_forward_hook(partial(self._count, name, float(neuron.amplitude)))  # type: ignore[arg-type]

    def _count(
        self, name: str, amplitude: float, module: nn.Module, inputs: tuple[Tensor], spikes: Tensor
    ) -> None:
        events = (spikes / amplitude).abs().clamp(0, 1)
        synops = events.sum(dtype=torch.float32) * self._fan_out[name]
        self._synops[name] = self._synops[name] + synops if name in self._synops else synops  # all passes

    def start(self) -> None:
        """Forget what ran before: a validation, say."""
        self._synops.clear()

    def per_pixel(self, images: Tensor) -> Tensor:
        """Synaptic operations per pixel of all passes since `start`, on `images` [N, C, H, W]; a scalar."""
        total = torch.stack(list(self._synops.values())).sum()
        return total / (images.shape[0] * images.shape[2] * images.shape[3])


def fan_outs(student: Network) -> dict[str, float]:
    """Interior fan-out of one spike of each population, in synaptic operations."""
    return {
        population.name: sum(
            synapse.out_channels * (synapse.kernel / synapse.stride) ** 2
            for synapse in student.topology.synapses
            if synapse.source == population.name
        )
        for population in student.topology.spiking
    }


def over_budget(synops_per_pixel: Tensor, budget: float) -> Tensor:
    """By what fraction the budget is exceeded; 0 within it."""
    return (synops_per_pixel / budget - 1).clamp(min=0)


Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Guide:
    """What the student learns from besides clean images: the frozen teacher and, if weighted, its hints."""

    teacher: nn.Module
    hints: HintLoss | None


def mean_psnr_db(restored: Tensor, clean: Tensor) -> Tensor:
    """PSNR = -10 log10(MSE) in dB of float [N, C, H, W] of full scale 1, mean over the batch.

    On the device that trains, in the images' precision; one image without any difference makes it `inf`.
    """
    squares = (restored - clean).square().mean(dim=(1, 2, 3))
    return (torch.log(squares) * (-10 / math.log(10))).mean()


class _Hidden:
    """Hides a module from Lightning, which would train, store and average it."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Hidden":
        return self


class RestorationModule(lightning.LightningModule):
    """Fits a network to clean images, with or without a teacher.

    Args:
        network: maps degraded [N, 3, H, W] to restored images and names features.
        settings: the optimisation.
        weights: of the loss terms; `output` and `hints` need a guide.
        guide: the teacher.
        student: the configuration, if `network` is a student: rounding and a budget of synops need spikes.
        folders: of the validation crops; each is validated by itself, too, if there are several.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: TrainingSettings,
        weights: LossWeights,
        guide: Guide | None = None,
        student: StudentConfig | None = None,
        folders: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.weights = weights
        self.hint_loss = guide.hints if guide else None  # under this name in checkpoints
        self._loss = _Hidden(DistillationLoss(weights, self.hint_loss))
        self._teacher = _Hidden(guide.teacher) if guide else None
        self.student = student
        self.folders = tuple(folders) if len(set(folders)) > 1 else ()
        rounds = student is not None and settings.qat > 0
        self.rounding_from = round(settings.max_steps * (1 - settings.qat)) if rounds else None
        self.meter = (
            SynopMeter(network)
            if student and isinstance(network, Network) and settings.synop_budget
            else None
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted loss; every term that has a weight is logged under its name."""
        total, terms, synops = self.loss_of(batch)
        # Every process must see the same loss, or one alone would stop at a NaN and the others wait for it.
        several = self.trainer.world_size > 1
        if synops is not None:
            self.log("synops_per_px", synops.detach(), sync_dist=several)
        self.log_dict({f"loss_{name}": term.detach() for name, term in terms.items()}, sync_dist=several)
        self.log("loss", total.detach(), sync_dist=several)
        return total

    def loss_of(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        """The weighted loss of a batch at this step, its terms, and synops per pixel under a budget."""
        degraded, clean = batch
        rounded = self.rounding_from is not None and self.global_step >= self.rounding_from
        if self.meter:
            self.meter.start()
        restored, features = self._run(degraded, rounded)
        loss = self._loss.module
        assert isinstance(loss, DistillationLoss)
        taught = self._taught(self._teacher.module, degraded) if self._teacher else None
        terms = loss(restored, features, taught, clean)
        total = loss.total(terms, self.global_step / self.settings.max_steps)
        if not self.meter:
            return total, terms, None
        synops = self.meter.per_pixel(degraded)
        terms["synops"] = over_budget(synops, self.settings.synop_budget)
        return total + WEIGHT * terms["synops"], terms, synops

    def _run(self, degraded: Tensor, rounded: bool) -> tuple[Tensor, dict[str, Tensor]]:
        if rounded and self.student:
            assert isinstance(self.network, Network)
            return forward_deployed(self.network, self.student, degraded)
        result: tuple[Tensor, dict[str, Tensor]] = self.network.forward_features(degraded)  # type: ignore[operator]
        return result

    def _taught(self, teacher: nn.Module, degraded: Tensor) -> TeacherOutput:
        teacher.to(degraded.device)
        with torch.no_grad():
            target, features = teacher.forward_features(degraded)  # type: ignore[operator]
        check_finite(target, features, f" at step {self.global_step}")
        return target, features

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop at once when the loss has become NaN: later steps cannot repair the weights.

        Raises:
            SnnToolError: says at which step and what to change.
        """
        loss = self.trainer.callback_metrics.get("loss")
        if loss is not None and not bool(torch.isfinite(loss)):
            raise SnnToolError(
                f"the loss is {float(loss)} at step {self.global_step}; use a smaller --lr or --clip"
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """PSNR in dB of the network that would be kept, on fixed validation crops, clamped to [0, 1]."""
        degraded, clean = batch
        restored = self._run(degraded, self.rounding_from is not None)[0].float().clamp(0, 1)
        psnr_db = mean_psnr_db(restored, clean)
        self.log(VALIDATION, psnr_db, on_epoch=True, batch_size=len(clean))
        if self.folders:
            name = of_folder(self.folders[batch_idx])
            self.log(name, psnr_db, on_epoch=True, batch_size=len(clean))
        return psnr_db  # callbacks may want that of each crop

    def configure_optimizers(self) -> Any:
        """The optimiser with linear warm-up and a cosine to zero at the last step."""
        beside = (self.hint_loss,) if self.hint_loss is not None else ()
        optimizer, schedule = optimizer_for(self.network, self.settings, *beside)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
