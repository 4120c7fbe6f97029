"""Accuracy of a classifier: the original in floats beside the integers, class by class."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snn_tool.deploy.compare_floats import flat, run_float
from snn_tool.errors import ConfigError, DataError
from snn_tool.exporters.nir_foreign import DT_S
from snn_tool.exporters.nir_foreign.importing import output_node
from snn_tool.exporters.nir_foreign.module import load_nir_module
from snn_tool.files.artifacts import write_json
from snn_tool.files.ownership import of_kind, refuse_existing_file
from snn_tool.inputs.encoding import integers_of
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import Samples, read_samples
from snn_tool.models.integer.engine import IntegerEngine, base_image
from snn_tool.models.topology import own_shape
from snn_tool.networks.open import open_integers
from snn_tool.results import Result
from snn_tool.tables import plain_table, rendered
from snn_tool.terminal import Track

KIND, SCHEMA = "classification", 1
INTEGERS, FLOAT = "integers", "original"
RULE = (
    "class = place of the largest output; an output is the sum over the timesteps of what arrives at the "
    "Output (currents or spikes), or the last membrane of a read-out neuron; of equal outputs the "
    "first counts"
)
MOST_SHOWN = 20
"""Classes whose confusions are printed; JSON has them all."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """One implementation's classes.

    Attributes:
        confusion: int64 [classes, classes]; rows are the labels, columns what was found.
        ties: samples whose largest output stands at several places.
    """

    confusion: NDArray[np.int64]
    ties: int

    @property
    def correct(self) -> int:
        """Samples whose class was found."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """Fraction of all samples."""
        return self.correct / int(self.confusion.sum())

    @property
    def by_class(self) -> list[float | None]:
        """Fraction of each class that was found; None of classes without a sample."""
        counts = self.confusion.sum(axis=1)
        found = np.diagonal(self.confusion)
        return [int(hit) / int(all_) if all_ else None for hit, all_ in zip(found, counts, strict=True)]

    def document(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "accuracy": self.accuracy,
            "correct": self.correct,
            "ties": self.ties,
            "by_class": self.by_class,
            "confusion": self.confusion.tolist(),
        }


def score_outputs(outputs: Reals, labels: NDArray[np.int64]) -> Score:
    """Classes of outputs [N, K] against labels [N], of 0 to K - 1."""
    found, count = outputs.argmax(axis=1), outputs.shape[1]
    confusion = np.bincount(labels * count + found, minlength=count * count).reshape(count, count)
    ties = (outputs == outputs.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return Score(confusion, int(ties.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Classification(Result):
    """A classifier on labelled samples.

    Attributes:
        samples: how many.
        classes: names, by the place of their output.
        labels: what they were read from.
        scores: by implementation, `recorded` (of torch, or --expect) and `original` (its NIR file) first.
        changed: samples whose class the integers find otherwise than the first; None without others.
    """

    samples: int
    classes: tuple[str, ...]
    labels: str
    scores: dict[str, Score]
    changed: int | None

    @property
    def rule(self) -> str:
        """How a class is read from outputs."""
        return RULE

    @property
    def cost(self) -> float | None:
        """Accuracy of the original less that of the integers."""
        first = next(iter(self.scores.values()))
        return first.accuracy - self.scores[INTEGERS].accuracy if len(self.scores) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "samples": self.samples,
            "classes": list(self.classes),
            "labels": self.labels,
            "read_out": RULE,
            "changed": self.changed,
            "cost": self.cost,
            **{name: score.document() for name, score in self.scores.items()},
        }

    def lines(self) -> list[str]:
        """Accuracies, what changed, and the read-out's rule."""
        text = ", ".join(
            f"{name} {score.accuracy:.2%} ({score.correct} of {self.samples})"
            for name, score in self.scores.items()
        )
        lines = [f"accuracy ({self.labels}): {text}"]
        if self.changed is not None:
            lines.append(f"{self.changed} of {self.samples} samples get another class from the integers")
        ties = {name: score.ties for name, score in self.scores.items() if score.ties}
        lines += [f"{count} samples with equal largest outputs in {name}" for name, count in ties.items()]
        return lines

    def tables(self) -> str:
        """The fraction of every class that was found, and the integers' confusions."""
        by_class = plain_table("Found of each class", ("class",), ("samples", *self.scores), 1)
        last = list(self.scores.values())[-1]
        for at, name in enumerate(self.classes[:MOST_SHOWN]):
            found = [score.by_class[at] for score in self.scores.values()]
            cells = ["-" if one is None else f"{one:.1%}" for one in found]
            by_class.add_row(name, str(int(last.confusion[at].sum())), *cells)
        shown = self.classes[:MOST_SHOWN]
        confused = plain_table(f"Confusions of {list(self.scores)[-1]}", ("label \\ found",), shown, 1)
        for at, name in enumerate(shown):
            confused.add_row(name, *(str(int(n)) for n in last.confusion[at, : len(shown)]))
        rest = len(self.classes) - len(shown)
        return rendered(
            by_class, confused, *([f"{rest} further classes stand in JSON alone"] if rest else [])
        )


def classified(samples: Samples, integers: Reals, others: Mapping[str, Reals]) -> Classification:
    """Hold outputs [N, K] against the labels; those of others, as the original, by their names.

    Raises:
        DataError: a label has no output.
    """
    labels = samples.labels
    assert labels is not None
    outputs = integers.shape[1]
    if labels.index.max() >= outputs:
        raise DataError(
            f"{labels.origin}: has labels up to {labels.index.max()}, but the network has {outputs} outputs, "
            f"0 to {outputs - 1}"
        )
    names = tuple(labels.names[n] if n < len(labels.names) else str(n) for n in range(outputs))
    scores = {name: score_outputs(outputs, labels.index) for name, outputs in others.items()}
    scores[INTEGERS] = score_outputs(integers, labels.index)
    first = next(iter(others.values()), None)
    changed = None if first is None else int((first.argmax(axis=1) != integers.argmax(axis=1)).sum())
    return Classification(len(integers), names, labels.origin, scores, changed)


def integer_outputs(engine: IntegerEngine, inputs: NDArray[np.int16]) -> Reals:
    """Outputs [N, K] of integers [N, C, H, W] or [N, T, C, H, W]."""
    network = engine.network
    output = engine.run(inputs).readout.astype(np.float64) * network.residual_scale
    return flat(output + base_image(inputs, network) if network.adds_image else output)


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """What is scored.

    Attributes:
        network: `.int.safetensors`.
        original: the NIR file that it was imported from, or None.
        labels: file with the classes; None takes those of the inputs.
        limit: largest number of samples, 0 for all.
    """

    network: Path
    original: Path | None = None
    labels: Path | None = None
    limit: int = 0


def classify(
    options: ClassifyOptions, inputs: InputOptions, out: Path | None, overwrite: bool, track: Track
) -> tuple[Classification, Samples]:
    """Score an integer network on labelled inputs, beside its original if that is given.

    Raises:
        ConfigError: `out` exists, or nothing says which classes the inputs are of.
        ArtifactError: a file cannot be used.
        DataError: inputs or labels that cannot be used.
    """
    if out:
        refuse_existing_file(out, overwrite, of_kind(KIND), "classification")
    opened = open_integers(options.network)
    network = opened.network
    file, dt_s = options.original, opened.dt_s or DT_S
    module = load_nir_module(file, dt_s, opened.resets) if file else None
    if network.image_size is None and module is None:
        raise ConfigError(
            f"{options.network}: takes images of any size; give --original FILE.nir, which says it"
        )
    own = own_shape(network.topology.image_channels, network.image_size or (1, 1))
    shape = module.input_shape if module else own
    size = (network.timesteps, network.timesteps, options.limit)
    samples = read_samples(inputs, shape, *size, options.labels)
    if samples.labels is None:
        raise ConfigError(
            f"{inputs.inputs}: has no labels; give --labels FILE, 'labels' in the npz file, or a folder for "
            "each class"
        )
    engine, found, original = IntegerEngine(network), [], []
    for part in track(list(samples.batches()), "evaluate"):
        values = samples.values[:, part]
        found.append(integer_outputs(engine, integers_of(values, network)))
        if module:
            integrates = output_node(module.graph, module) is not None
            original.append(flat(run_float(module, values, network.timesteps, integrates)[1]))
    made = classified(samples, np.concatenate(found), {FLOAT: np.concatenate(original)} if original else {})
    if out:
        write_json(out, KIND, SCHEMA, {**made.to_dict(), "inputs": samples.document()})
    return made, samples
