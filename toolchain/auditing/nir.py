"""`snn-tool energy nir`: what a NIR file of another tool computes on given images, and its price."""

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import fsum
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
import torch
from snn_tool.auditing.options import NirEnergyOptions
from snn_tool.degradations.crops import ImagesUsed, central, first_images, name_below
from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.pages.count_table import arithmetic_pj
from snn_tool.energy.torch_counter.kinds import Spikes
from snn_tool.energy.torch_counter.result import (
    LEFT_OUT,
    NEURON,
    TOTALS,
    NeuronWork,
    SpikeCount,
    SpikeRow,
    exact_ops_pj,
)
from snn_tool.energy.torch_counter.spikes import DenseNetworkWarning, count_spikes
from snn_tool.errors import ConfigError, UnsupportedLayerError
from snn_tool.exporters.nir_foreign import TIMESTEPS
from snn_tool.exporters.nir_foreign.hints import fitting_dt, silence_text
from snn_tool.exporters.nir_foreign.module import NirModule, load_nir_module
from snn_tool.exporters.nir_foreign.module_neurons import NirIntegrator, NirSpiking
from snn_tool.files.artifacts import sha256_file, write_json
from snn_tool.files.ownership import claim, of_kind, owned_path, refuse_existing_file
from snn_tool.images.files import LUMA, find_images
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import SPIKES, Samples, read_samples
from snn_tool.results import Result
from snn_tool.terminal import Track
from torch import Tensor

KIND, SCHEMA = "nir-energy", 1
RULE = (
    "forward Euler, current before membrane; fires where v > v_threshold, then v = v_reset in the same step; "
    "float64; the image is presented unchanged in every step"
)
RULE_OVER_TIME = f"{RULE.rpartition(';')[0]}; every step has its own input"
RUN_BYTES = 8
"""Of a float64, in which the file is run; a count's bytes are in it."""

JSON_FILE = "energy.json"
LOGGER = logging.getLogger("snn_tool")


@dataclass(frozen=True, slots=True)
class ImageCount:
    """One image or sample: its name, SHA-256 of its file, and what the network computed on it in T steps.

    The hash is empty of a sample that shares its file with others.
    """

    name: str
    sha256: str
    count: SpikeCount

    @property
    def rate(self) -> float:
        """Spikes per spiking neuron and timestep, 0 if there is none."""
        updates = sum(row.neuron_updates for row in self.count.rows if row.kind == NEURON)
        return self.count.total("spikes") / updates if updates else 0.0


@dataclass(frozen=True, slots=True)
class NirEnergyReport(Result):
    """All images of one file.

    Attributes:
        file, sha256: of the NIR file.
        timesteps, dt_s: T and the step in seconds.
        images: in the order of their paths, at least one.
        work: of the neurons, by node.
        used: how many images of how many.
        fitting_dt_s: a timestep under which something would fire, if nothing does.
        samples: what was given instead of images, or None.
    """

    file: str
    sha256: str
    timesteps: int
    dt_s: float
    images: tuple[ImageCount, ...]
    work: Mapping[str, NeuronWork]
    used: ImagesUsed
    fitting_dt_s: float | None = None
    samples: Samples | None = None

    @property
    def warning(self) -> str:
        """Populations that never fire, in a line; empty if there is none."""
        spiking = [row for row in self.rows if row.kind == NEURON]
        silent = [row.name for row in spiking if not self.mean(row, "spikes")]
        return silence_text(silent, len(spiking), self.dt_s, self.fitting_dt_s)

    @property
    def rows(self) -> tuple[SpikeRow, ...]:
        """Layers, as the first image ran them: every image runs the same ones."""
        return self.images[0].count.rows

    def mean(self, row: SpikeRow, quantity: str) -> float:
        """Of a quantity of a layer over the images."""
        return fmean(getattr(image.count.of(row.name, row.kind), quantity) for image in self.images)

    def rate(self, row: SpikeRow) -> float | None:
        """Spikes per neuron and timestep of a layer over all images; None without spiking neurons."""
        updates = self.mean(row, "neuron_updates")
        return self.mean(row, "spikes") / updates if row.kind == NEURON and updates else None

    def energies(self) -> dict[str, dict[str, list[float]]]:
        """Picojoules of every image, by model and precision."""
        names = packaged_pricing().precisions
        counts = [image.count for image in self.images]
        return {
            "arithmetic": {p: [arithmetic_pj(count, p) for count in counts] for p in names},
            "exact-ops": {
                p: [fsum(exact_ops_pj(count, self.work, p).values()) for count in counts] for p in names
            },
        }

    def stored_bytes(self) -> dict[str, dict[str, float]]:
        """Bytes of weights (with biases) and of neuron state, by precision."""
        count = self.images[0].count
        parameters, state = count.total("parameters"), count.total("state_bytes") // RUN_BYTES
        return {
            name: {"weights": parameters * p.bits / 8, "state": state * p.state_bits / 8}
            for name, p in packaged_pricing().precisions.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data; docs/guides/energy-nir.md describes it."""
        return {
            "nir": {"file": self.file, "sha256": self.sha256},
            "timesteps": self.timesteps,
            "dt_s": self.dt_s,
            "rule": RULE if self.samples is None or not self.samples.timesteps else RULE_OVER_TIME,
            "inputs": self.samples.document() if self.samples else None,
            "images_used": self.used.document(),
            "warnings": [self.warning] if self.warning else [],
            "fitting_dt_s": self.fitting_dt_s,
            "layers": [self._layer(row) for row in self.rows],
            "totals": {name: spread(i.count.total(name) for i in self.images) for name in _COUNTED},
            "firing_rate": spread(image.rate for image in self.images),
            "bytes": self.stored_bytes(),
            "energy_pj": {
                model: {precision: spread(values) for precision, values in by.items()}
                for model, by in self.energies().items()
            },
            "models_left_out": dict(LEFT_OUT),
            "neuron_work": {name: asdict(work) for name, work in self.work.items()},
            "images": [
                {
                    "name": image.name,
                    "sha256": image.sha256 or None,
                    "firing_rate": image.rate,
                    "totals": {name: image.count.total(name) for name in _COUNTED},
                }
                for image in self.images
            ],
        }

    def _layer(self, row: SpikeRow) -> dict[str, Any]:
        return {
            "name": row.name,
            "kind": row.kind,
            "source": row.source,
            **{name: self.mean(row, name) for name in _COUNTED},
            "state_values": row.state_bytes // RUN_BYTES,
            "firing_rate": self.rate(row),
        }


_COUNTED = tuple(name for name in TOTALS if not name.endswith("_bytes"))


def spread(values: Iterable[float]) -> dict[str, float]:
    """Mean, sample standard deviation (0 for a single image), least and most."""
    held = list(values)
    return {
        "mean": fmean(held),
        "stdev": stdev(held) if len(held) > 1 else 0.0,
        "min": min(held),
        "max": max(held),
    }


def run_nir_energy(
    options: NirEnergyOptions, inputs: InputOptions, out: Path | None, overwrite: bool, track: Track
) -> NirEnergyReport:
    """Run the file on every image or sample, count, and write `energy.json` if a folder is given.

    Raises:
        ConfigError: an option is out of range, or the file exists.
        ArtifactError: the NIR file cannot be used.
        UnsupportedLayerError: names a node that cannot be run or counted, or an Input that is no image.
        DataError: no image, a damaged one, or one smaller than the file's input; inputs that cannot be used.
    """
    if (options.timesteps is not None and options.timesteps < 1) or options.limit < 0:
        raise ConfigError("--timesteps must be at least 1 and --limit at least 0")
    if (options.images is None) == (inputs.inputs is None):
        raise ConfigError("give either --images DIR or --inputs FILE")
    if out:
        refuse_existing_file(out / JSON_FILE, overwrite)
        claim([out / JSON_FILE], of_kind(KIND))
    paths = find_images(options.images) if options.images else []
    module = load_nir_module(options.nir, options.dt_s)
    if not any(isinstance(part, NirSpiking) for part in module.neurons.values()):
        LOGGER.warning("%s: no node emits spikes; everything is counted as multiply-accumulates", options.nir)
    if inputs.inputs is None:
        check_input(module, options.nir)
        chosen, used = first_images(paths, options.limit)
        timesteps, samples = options.timesteps or TIMESTEPS, None
        first = present(chosen[0], module.input_shape)
        counted = tuple(_counted(module, path, options, timesteps) for path in track(chosen, "count"))
    else:
        size = (options.timesteps, TIMESTEPS, options.limit)
        samples = read_samples(inputs, module.input_shape, *size)
        used, timesteps = samples.used, options.timesteps or samples.timesteps or TIMESTEPS
        first = torch.from_numpy(samples.values[:, :1].astype(np.float64).mean(axis=0))
        every = track(range(len(samples)), "count")
        counted = tuple(_of_sample(module, samples, at, timesteps) for at in every)
    work = {name: NeuronWork(part.multiplies, part.adds) for name, part in module.neurons.items()}
    fitting = None
    if not any(image.rate for image in counted):
        fitting = fitting_dt(module.graph, str(options.nir), [first], timesteps)
    about = (str(options.nir.name), sha256_file(options.nir), timesteps, options.dt_s)
    report = NirEnergyReport(*about, counted, work, used, fitting, samples)
    if out:
        write_json(out / JSON_FILE, KIND, SCHEMA, report.to_dict(), owned_path)
    return report


def check_input(module: NirModule, path: Path) -> None:
    """An Input must be a colour or a grey image.

    Raises:
        UnsupportedLayerError: names its shape.
    """
    shape = module.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1:
        raise UnsupportedLayerError(
            f"{path}: {module.input}: takes {list(shape)}, but images are [3, height, width] or "
            "[1, height, width]; give other inputs with --inputs FILE"
        )


def present(path: Path, shape: Sequence[int]) -> Tensor:
    """The centre of an image, float64 [1, C, H, W] in [0, 1]; never resized.

    Args:
        path: of the image.
        shape: [C, H, W] of the network's input; of one channel the image becomes grey.

    Raises:
        DataError: damaged, or smaller than the input.
    """
    channels, height, width = shape
    values = central(path, height, width).astype(np.float64) / 255
    planes = values if channels == 3 else (values @ np.array(LUMA))[..., None]
    return torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))[None]


def count_sample(
    module: NirModule, steps: Sequence[Tensor], timesteps: int, spikes: bool = False
) -> SpikeCount:
    """Counts of one sample from the state at rest.

    Args:
        module: the file.
        steps: [1, *shape] of every timestep, or one that is presented unchanged in each.
        timesteps: T.
        spikes: the sample is whole numbers of spikes, which are accumulated.
    """
    module.reset()
    kinds: Literal["spikes", "real"] = "spikes" if spikes else "real"
    counting = count_spikes(module, kinds, {NirSpiking: Spikes()}, [NirIntegrator])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DenseNetworkWarning)  # said once, of the file
        with counting as counter:
            for step in range(timesteps):
                module(steps[min(step, len(steps) - 1)])
    return counter.result()


def _counted(module: NirModule, path: Path, options: NirEnergyOptions, timesteps: int) -> ImageCount:
    assert options.images is not None
    image = present(path, module.input_shape)
    count = count_sample(module, [image], timesteps)
    return ImageCount(name_below(path, options.images), sha256_file(path), count)


def _of_sample(module: NirModule, samples: Samples, at: int, timesteps: int) -> ImageCount:
    steps = torch.from_numpy(samples.values[:, at : at + 1].astype(np.float64))
    count = count_sample(module, list(steps), timesteps, samples.kind == SPIKES)
    return ImageCount(samples.names[at], "", count)
