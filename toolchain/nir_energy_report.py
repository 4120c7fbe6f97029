"""What `energy report --nir` found: counts image by image, their mean and spread, and prices."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import fsum
from statistics import fmean, stdev
from typing import Any

from snn_tool.energy.estimators.prices import packaged_pricing
from snn_tool.energy.torch_counter.result import NEURON, TOTALS, SpikeCount, SpikeRow
from snn_tool.energy.torch_exact_ops import LEFT_OUT, NeuronWork, exact_ops_pj
from snn_tool.energy.pages.count_table import arithmetic_pj
from snn_tool.exporters.nir_foreign.hints import silence_text
from snn_tool.image_choice import ImagesUsed

KIND, SCHEMA = "nir-energy", 1
RULE = (
    "forward Euler, current before membrane; fires where v > v_threshold, then v = v_reset in the same step; "
    "float64; the image is presented unchanged in every step"
)
RUN_BYTES = 8
"""Of a float64, in which the file is run; a count's bytes are in it."""


@dataclass(frozen=True, slots=True)
class ImageCount:
    """One image: its name below the folder, SHA-256, and what the network computed on it in all T steps."""

    name: str
    sha256: str
    count: SpikeCount

    @property
    def rate(self) -> float:
        """Spikes per spiking neuron and timestep, 0 if there is none."""
        updates = sum(row.neuron_updates for row in self.count.rows if row.kind == NEURON)
        return self.count.total("spikes") / updates if updates else 0.0


@dataclass(frozen=True, slots=True)
class NirEnergyReport:
    """All images of one file.

    Attributes:
        file, sha256: of the NIR file.
        timesteps, dt_s: T and the step in seconds.
        images: in the order of their paths, at least one.
        work: of the neurons, by node.
        used: how many images of how many.
        fitting_dt_s: a timestep under which something would fire, if nothing does.
    """

    file: str
    sha256: str
    timesteps: int
    dt_s: float
    images: tuple[ImageCount, ...]
    work: Mapping[str, NeuronWork]
    used: ImagesUsed
    fitting_dt_s: float | None = None

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

    def to_json(self) -> dict[str, Any]:
        """Plain data; docs/energy-nir.md describes it."""
        return {
            "nir": {"file": self.file, "sha256": self.sha256},
            "timesteps": self.timesteps,
            "dt_s": self.dt_s,
            "rule": RULE,
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
                    "sha256": image.sha256,
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
