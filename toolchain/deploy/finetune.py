"""`snn-tool finetune`: a network that was trained elsewhere learns on, seen through the integers' rounding.

A tenth of the samples, drawn by the seed, is held out and chooses among the integers that were met, plain
rounding first. A checkpoint beside the result, weights and Adam's moments, lets `--resume` go on; batches
depend on seed and step alone, so that an interrupted run ends as one that was not.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from snn_tool.deploy.classify import integer_outputs, score_outputs
from snn_tool.deploy.compare_floats import flat, run_float
from snn_tool.deploy.options import FinetuneOptions
from snn_tool.errors import ArtifactError, ConfigError, DataError
from snn_tool.exporters.nir_foreign import TIMESTEPS
from snn_tool.exporters.nir_foreign.importing import import_graph, output_node
from snn_tool.exporters.nir_foreign.module import NirModule, load_nir_module
from snn_tool.files.artifacts import atomic_path, sha256_file
from snn_tool.inputs.encoding import grid_for, integers_of
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import Samples, read_samples
from snn_tool.models.checkpoints import refuse_existing_pair
from snn_tool.models.integer.engine import IntegerEngine
from snn_tool.models.integer.file import INTEGER_KIND, INTEGER_SUFFIX, save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.training_real import RoundedNetwork
from snn_tool.terminal import Track
from torch.nn import functional

CHECKS = 10
"""How often the held-out samples are scored, and a checkpoint is written, in a run."""

HELD_OUT = 10
"""One of so many samples is held out."""


@dataclass(frozen=True, slots=True)
class FinetunedNetwork:
    """What a fine-tuning ended with; accuracies are of the held-out samples.

    Attributes:
        path: of the integers.
        trained_on, held_out: numbers of samples.
        steps: of the optimiser.
        original, rounded, tuned: accuracy of the NIR file, of plain rounding and of what was kept.
        best_step: at which the integers that were kept stood; 0 is plain rounding.
    """

    path: Path
    trained_on: int
    held_out: int
    steps: int
    original: float
    rounded: float
    tuned: float
    best_step: int


def finetune(options: FinetuneOptions, inputs: InputOptions, out: Path, track: Track) -> FinetunedNetwork:
    """Fine-tune a NIR file on labelled inputs and write its integers.

    Raises:
        ConfigError: `out` exists or ends otherwise, an option is out of range, or there are no labels.
        DataError: inputs or labels that cannot be used.
        UnsupportedLayerError: a node has no counterpart on the chip, or is not fine-tuned.
        ArtifactError: a file, or the checkpoint, cannot be used.
    """
    if not out.name.endswith(INTEGER_SUFFIX):
        raise ConfigError(f"{out}: the name of an integer network ends in {INTEGER_SUFFIX}")
    refuse_existing_pair(out, options.overwrite, INTEGER_KIND, "integer network")
    if inputs.inputs is None:
        raise ConfigError("finetune needs --inputs FILE, with labels in it or in --labels FILE")
    module = load_nir_module(options.nir, options.dt_s)
    size = (options.timesteps, TIMESTEPS, 0)
    samples = read_samples(inputs, module.input_shape, *size, options.labels)
    if samples.labels is None or len(samples) < 2 * HELD_OUT:
        raise ConfigError(
            f"{samples.path}: needs labels, and at least {2 * HELD_OUT} samples, of which a tenth is held out"
        )
    timesteps = options.timesteps or samples.timesteps or TIMESTEPS
    real = import_graph(module.graph, module, timesteps, images=False).network
    rounded = RoundedNetwork(real, timesteps, grid_for(samples))
    run = _Run(rounded, samples, module, options, _checkpoint(out))
    made = run.whole(track)
    save_integer_network(out, made, run.provenance())
    _checkpoint(out).unlink(missing_ok=True)
    return run.outcome(out)


def _checkpoint(out: Path) -> Path:
    return out.with_name(out.name.removesuffix(INTEGER_SUFFIX) + ".finetune.safetensors")


class _Run:
    """The optimisation and what it has found so far."""

    def __init__(
        self,
        network: RoundedNetwork,
        samples: Samples,
        module: NirModule,
        options: FinetuneOptions,
        checkpoint: Path,
    ) -> None:
        self.network, self.samples, self.options, self.file = network, samples, options, checkpoint
        self.module = module
        assert samples.labels is not None
        self.labels = samples.labels.index
        outputs = network.network.populations[-1].wiring.channels
        if self.labels.max() >= outputs:
            raise DataError(
                f"{samples.labels.origin}: labels up to {self.labels.max()} for {outputs} outputs"
            )
        order = np.random.default_rng([options.seed, 0x5EED]).permutation(len(samples))
        held = len(order) // HELD_OUT
        self.held, self.trained = np.sort(order[:held]), np.sort(order[held:])
        self.optimizer = torch.optim.Adam(network.parameters(), lr=options.rate)
        self.plain = self._score(network.integers())
        self.best, self.best_step, self.tuned = network.integers(), 0, self.plain

    def whole(self, track: Track) -> IntegerNetwork:
        """All steps, from the checkpoint on if there is one and it is asked for."""
        first = self._resumed() if self.options.resume else 0
        every = max(1, self.options.steps // CHECKS)
        for step in track(range(first, self.options.steps), "finetune"):
            self._step(step)
            if (step + 1) % every == 0 or step + 1 == self.options.steps:
                self._check(step + 1)
        return self.best

    def _step(self, step: int) -> None:
        options = self.options
        rng = np.random.default_rng([options.seed, step])
        chosen = rng.choice(self.trained, size=min(options.batch, len(self.trained)), replace=False)
        outputs = self.network(self._inputs(chosen)).flatten(1)
        loss = functional.cross_entropy(outputs, torch.from_numpy(self.labels[chosen]))
        for group in self.optimizer.param_groups:
            group["lr"] = options.rate * 0.5 * (1 + math.cos(math.pi * step / options.steps))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def _inputs(self, chosen: NDArray[np.int64]) -> torch.Tensor:
        integers = integers_of(self.samples.values[:, chosen], self.best)
        return torch.from_numpy(integers.astype(np.float32))

    def _check(self, step: int) -> None:
        """Score the integers as they are; keep them if they are better, and write the checkpoint."""
        made = self.network.integers()
        found = self._score(made)
        if found > self.tuned:
            self.best, self.best_step, self.tuned = made, step, found
            self._kept = self._tensors("kept")
        self._save(step)

    def _score(self, made: IntegerNetwork) -> float:
        engine = IntegerEngine(made)
        outputs = integer_outputs(engine, integers_of(self.samples.values[:, self.held], made))
        return score_outputs(outputs, self.labels[self.held]).accuracy

    def _original(self) -> float:
        integrates = output_node(self.module.graph, self.module) is not None
        values = self.samples.values[:, self.held]
        outputs = flat(run_float(self.module, values, self.network.timesteps, integrates)[1])
        return score_outputs(outputs, self.labels[self.held]).accuracy

    _kept: dict[str, torch.Tensor] | None = None

    def _tensors(self, prefix: str) -> dict[str, torch.Tensor]:
        return {f"{prefix}.{name}": value.detach().clone() for name, value in self.network.named_parameters()}

    def _key(self) -> str:
        """What a checkpoint must have been made with."""
        options = {k: str(v) for k, v in asdict(self.options).items() if k not in ("resume", "overwrite")}
        told = [options, sha256_file(self.options.nir), self.samples.document()]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def _save(self, step: int) -> None:
        tensors = self._tensors("now") | (self._kept or {})
        for index, held in enumerate(self.network.parameters()):
            state = self.optimizer.state[held]
            tensors |= {f"{name}.{index}": state[name].contiguous() for name in ("exp_avg", "exp_avg_sq")}
        about = {"key": self._key(), "step": step, "best_step": self.best_step, "tuned": self.tuned}
        with atomic_path(self.file) as part:
            save_file(tensors, part, {"finetune": json.dumps(about)})

    def _resumed(self) -> int:
        """The step to go on with.

        Raises:
            ArtifactError: there is no checkpoint, or it is of another run.
        """
        try:
            with safe_open(self.file, "pt") as stored:
                about = json.loads((stored.metadata() or {})["finetune"])
                held = {name: stored.get_tensor(name) for name in stored.keys()}
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise ArtifactError(f"{self.file}: no checkpoint of finetune; leave out --resume") from error
        if about["key"] != self._key():
            raise ArtifactError(f"{self.file}: of a run with other options or inputs; leave out --resume")
        step, self.best_step, self.tuned = int(about["step"]), int(about["best_step"]), float(about["tuned"])
        if self.best_step:
            self._load(held, "kept")
            self._kept, self.best = self._tensors("kept"), self.network.integers()
        self._load(held, "now")
        for index, parameter in enumerate(self.network.parameters()):
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                **{name: held[f"{name}.{index}"] for name in ("exp_avg", "exp_avg_sq")},
            }
        return step

    @torch.no_grad()
    def _load(self, held: dict[str, torch.Tensor], prefix: str) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.copy_(held[f"{prefix}.{name}"])

    def provenance(self) -> dict[str, Any]:
        """What the sidecar says."""
        options = self.options
        return {
            "nir": options.nir.name,
            "nir_sha256": sha256_file(options.nir),
            "dt_s": options.dt_s,
            "inputs": self.samples.document(),
            "finetune": {
                "steps": options.steps,
                "batch": options.batch,
                "rate": options.rate,
                "seed": options.seed,
                "held_out": len(self.held),
                "best_step": self.best_step,
                "rounded_accuracy": self.plain,
                "tuned_accuracy": self.tuned,
            },
        }

    def outcome(self, out: Path) -> FinetunedNetwork:
        """Everything that is told."""
        numbers = (len(self.trained), len(self.held), self.options.steps)
        scores = (self._original(), self.plain, self.tuned)
        return FinetunedNetwork(out, *numbers, *scores, self.best_step)


def finetune_text(made: FinetunedNetwork) -> str:
    """Accuracies, in lines."""
    kept = f"those of step {made.best_step}" if made.best_step else "plain rounding: no step was better"
    return (
        f"trained on {made.trained_on:,} samples, {made.steps:,} steps; kept {kept}\n"
        f"accuracy on {made.held_out} held-out samples: original {made.original:.2%}, rounded "
        f"{made.rounded:.2%}, fine-tuned {made.tuned:.2%}"
    )
