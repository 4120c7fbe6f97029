"""`snn-tool import`: integers of a network that was trained elsewhere, and what they cost on given inputs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from snn_tool.degradations.crops import (
    ImagesUsed,
    central,
    channels_first,
    first_images,
    name_below,
)
from snn_tool.degradations.noise import Degradation
from snn_tool.degradations.tasks import TrainedFor, degradation_for, image_rng
from snn_tool.deploy.classify import FLOAT, Classification, classified
from snn_tool.deploy.compare_floats import Comparison, Reals, Shown, compare_samples
from snn_tool.deploy.options import ImportOptions
from snn_tool.deploy.recorded_outputs import INPUTS, Agreement, Recorded, agreement, read_recorded
from snn_tool.deploy.sources import NIR_SUFFIX, Source, is_factory, opened
from snn_tool.errors import ConfigError
from snn_tool.exporters.nir_foreign import TIMESTEPS, TO_ZERO
from snn_tool.exporters.nir_foreign.hints import fitting_dt, may_reset_softly, silence_text
from snn_tool.exporters.nir_foreign.importing import import_graph, output_node
from snn_tool.exporters.nir_foreign.module import NirModule
from snn_tool.files.ownership import refuse_existing_file
from snn_tool.images.files import find_images
from snn_tool.inputs.encoding import grid_for
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import Samples, read_samples
from snn_tool.models.checkpoints import refuse_existing_pair
from snn_tool.models.integer.file import INTEGER_KIND, INTEGER_SUFFIX, save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.quantize_real import quantize_real
from snn_tool.terminal import Track
from torch import nn

USUAL_STEP = 4
"""Grey levels per integer input unit of images, if nothing is said."""

MOST_IMAGES = 16
"""If nothing is said."""

UNDEGRADED = TrainedFor.of({"task": "denoise", "sigma": [0.0, 0.0]})
"""What images are taken to be degraded by where nobody says it: nothing."""

SOFT_RESET = (
    "note: NIR has no reset by subtraction, the default of snntorch and sinabs: their exporters write "
    "v_reset = 0, and what is compared here is the file; say --reset subtract or subtract-late if the "
    "original has one, or give its recorded outputs with --expect"
)


@dataclass(frozen=True, slots=True, eq=False)
class ImportedNetwork:
    """What an import left behind.

    Attributes:
        path: of the integer network.
        network: its content.
        comparison: with the file in float64.
        images: how many were used.
        samples: what was given instead of images, or None.
        classes: accuracy before and after, where labels were given, or None.
        warning: of populations that never fire, or empty.
        fitting_dt_s: a timestep under which something would, if nothing does.
        note: what a NIR file cannot tell of these neurons, or empty.
        expected: the original's outputs beside the file's and the integers', if they were given.
        expected_file: that they are in.
    """

    path: Path
    network: IntegerNetwork
    comparison: Comparison
    images: ImagesUsed
    samples: Samples | None
    classes: Classification | None
    warning: str
    fitting_dt_s: float | None
    note: str
    expected: tuple[Agreement, Agreement] | None
    expected_file: Path | None


def import_network(
    options: ImportOptions,
    inputs: InputOptions,
    out: Path,
    overwrite: bool,
    track: Track,
    module: nn.Module | None = None,
) -> ImportedNetwork:
    """Import, quantise, measure, and write `out` with its sidecar.

    Args:
        options: what is imported, and what it is measured on.
        inputs: arrays, recordings or images of classes, instead of `options.images`.
        out: ends in `.int.safetensors`; the graph of a torch network stands beside it.
        overwrite: replace `out`.
        track: shows how far the samples are, e.g. `Terminal.track`.
        module: a torch network that is at hand, instead of a file or a factory.

    Raises:
        ConfigError: `out` exists or ends otherwise, an option is out of range, or this tool made the file.
        ArtifactError: the NIR file, or weights, cannot be used.
        UnsupportedLayerError: a node or a module has no counterpart on the chip; named with the reason.
        QuantizationError: a population does not fit its registers.
        DataError: no image, a damaged one, or one smaller than the file's input; inputs or labels that
            cannot be used.
    """
    if not out.name.endswith(INTEGER_SUFFIX):
        raise ConfigError(f"{out}: the name of an integer network ends in {INTEGER_SUFFIX}")
    refuse_existing_pair(out, overwrite, INTEGER_KIND, "integer network")
    beside = out.with_name(out.name.removesuffix(INTEGER_SUFFIX) + NIR_SUFFIX)
    if module is not None or is_factory(options.nir):
        refuse_existing_file(beside, overwrite)
    with opened(options, inputs, module) as source:
        made = _imported(source, options, inputs, out, track)
        source.keep(beside)
    return made


def _imported(
    source: Source, options: ImportOptions, inputs: InputOptions, out: Path, track: Track
) -> ImportedNetwork:
    degradation = degradation_for(options.task, options.sigma, UNDEGRADED)
    resets = source.resets(options.reset)
    module = NirModule(source.graph, source.named, options.dt_s, resets).eval()
    given = _Given.of(options, inputs, degradation, module)
    imported = import_graph(
        module.graph, module, given.timesteps, given.samples is None, options.group_constants
    )
    grid = grid_for(given.samples) if given.samples else None
    network = quantize_real(imported.network, given.timesteps, options.input_step or USUAL_STEP, grid)
    comparison = compare_samples(module, imported, network, given.shown(track))
    integrates = output_node(module.graph, module) is not None
    original = source.recorded(given.samples, given.timesteps) if given.samples else None
    expected = _expected(original or given.recorded, comparison, network, integrates)
    fitting = None
    if len(comparison.silent) == len(comparison.spikes):
        fitting = fitting_dt(source.graph, source.named, [given.first()], given.timesteps)
    provenance = {
        **source.account,
        "dt_s": options.dt_s,
        "reset": resets if isinstance(resets, str) else dict(resets),
        **({"group_constants": options.group_constants} if options.group_constants else {}),
        "noise": degradation.describe(),
        **({"inputs": given.samples.document()} if given.samples else {}),
        "comparison": comparison.document(),
    }
    save_integer_network(out, network, provenance)
    return ImportedNetwork(
        path=out,
        network=network,
        comparison=comparison,
        images=given.used,
        samples=given.samples,
        classes=_classes(given.samples, comparison, expected),
        warning=silence_text(comparison.silent, len(comparison.spikes), options.dt_s, fitting),
        fitting_dt_s=fitting,
        note=_note(source, given, options.reset, resets),
        expected=expected[:2] if expected else None,
        expected_file=Path(source.named) if original else options.expect,
    )


def _note(source: Source, given: "_Given", asked: str | None, resets: str | Mapping[str, str]) -> str:
    """What the graph does not hold of the network."""
    if source.made:
        by = f"graph by {source.made.by}" if source.made.by != "snn-tool" else "graph by our own maps"
        lines = (by, *source.made.notes, *_resets(source.made.resets, resets))
        return "\n".join(f"note: {line}" for line in lines)
    unsaid = asked is None and not given.recorded
    return SOFT_RESET if unsaid and may_reset_softly(source.graph) else ""


def _resets(said: Mapping[str, str], held: str | Mapping[str, str]) -> Iterator[str]:
    """What a module's neurons do when they fire, where that is no reset to zero, and what became of it."""
    for reset in sorted({*said.values()} - {TO_ZERO}):
        nodes = ", ".join(node for node, own in said.items() if own == reset)
        same = not isinstance(held, str) and all(held[node] == said[node] for node in said)
        yield f"{nodes}: reset {reset}, as the module says" + ("" if same else "; --reset said otherwise")


Expected = tuple[Agreement, Agreement, Reals]
"""The original beside the file and beside the integers, and its outputs [N, size]."""


def _classes(samples: Samples | None, found: Comparison, expected: Expected | None) -> Classification | None:
    if samples is None or samples.labels is None:
        return None
    outputs = {"recorded": expected[2]} if expected else {}
    outputs[FLOAT] = np.stack(found.float_outputs)
    return classified(samples, np.stack(found.integer_outputs), outputs)


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """What an import is measured on: recorded inputs, samples, or images.

    Attributes:
        options: of the import.
        degradation: of images.
        module: the file.
        recorded: the original's outputs, or None.
        samples: instead of images, or None.
        paths: of images, those that are used.
        used: how many of how many.
    """

    options: ImportOptions
    degradation: Degradation
    module: NirModule
    recorded: Recorded | None
    samples: Samples | None
    paths: tuple[Path, ...]
    used: ImagesUsed

    @classmethod
    def of(
        cls, options: ImportOptions, inputs: InputOptions, degradation: Degradation, module: NirModule
    ) -> "_Given":
        """Read what can be read at once."""
        recorded = read_recorded(options.expect, module.input_shape) if options.expect else None
        held = recorded is not None and recorded.inputs is not None
        if sum((held, inputs.inputs is not None, not held and options.images is not None)) != 1:
            raise ConfigError(
                f"{options.expect}: has no '{INPUTS}'; give the images with --images, or --inputs"
                if recorded and not held and not inputs.inputs
                else "import needs --images DIR, --inputs FILE, or --expect FILE.npz with inputs; give one"
            )
        about = (options, degradation, module, recorded)
        if recorded and recorded.inputs is not None:
            count = len(recorded.inputs)
            return cls(*about, None, (), ImagesUsed(count, count, f"'{INPUTS}' of {recorded.path.name}"))
        if inputs.inputs is not None:
            size = (options.timesteps, TIMESTEPS, options.limit or 0)
            samples = read_samples(inputs, module.input_shape, *size, options.labels)
            return cls(*about, samples, (), samples.used)
        assert options.images is not None
        chosen, used = first_images(
            find_images(options.images), MOST_IMAGES if options.limit is None else options.limit
        )
        return cls(*about, None, tuple(chosen), used)

    @property
    def timesteps(self) -> int:
        """T: as it was given, or that of the samples, or the usual one."""
        own = self.samples.timesteps if self.samples else None
        return self.options.timesteps or own or TIMESTEPS

    def shown(self, track: Track) -> Iterable[Shown]:
        """Everything, in parts."""
        if self.recorded and self.recorded.inputs is not None:
            for index, one in enumerate(self.recorded.inputs):
                yield Shown((f"{INPUTS}[{index}]",), one[None, None])
        elif self.samples:
            yield from self._parts(self.samples, track)
        else:
            for path in track(self.paths, "compare"):
                yield self._image(path)

    def _parts(self, samples: Samples, track: Track) -> Iterator[Shown]:
        for part in track(list(samples.batches()), "compare"):
            labels = samples.labels.index[part] if samples.labels else None
            yield Shown(samples.names[part], samples.values[:, part], None, labels)

    def _image(self, path: Path) -> Shown:
        """The centre of an image, of the network's size: clean, and as the network sees it."""
        channels, height, width = self.module.input_shape
        clean = central(path, height, width, channels).astype(np.float32) / np.float32(255)
        assert self.options.images is not None
        name = name_below(path, self.options.images)
        degraded = self.degradation.apply(clean, image_rng(self.options.seed, name))
        return Shown((name,), channels_first(degraded)[None, None], channels_first(clean))

    def first(self) -> torch.Tensor:
        """The first sample float64 [1, *shape], its mean over time."""
        shown = next(iter(self.shown(lambda items, _: items)))
        return torch.from_numpy(shown.values[:, :1].astype(np.float64).mean(axis=0))


def _expected(
    recorded: Recorded | None, found: Comparison, network: IntegerNetwork, integrates: bool
) -> Expected | None:
    if recorded is None:
        return None
    of_file, of_integers = np.stack(found.float_outputs), np.stack(found.integer_outputs)
    meant = recorded.outputs(len(of_file), network.timesteps, of_file.shape[1], integrates)
    return agreement(meant, of_file), agreement(meant, of_integers), meant
