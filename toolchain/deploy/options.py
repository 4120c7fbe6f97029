"""What `quantize`, `export`, `verify`, `conformance` and `import` are asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from snn_tool.degradations.options import (
    STRENGTH_NAMES,
    STRENGTHS,
    TASK_NAMES,
    DegradedFolder,
    PairsFolder,
    TrainedStrength,
    TrainedTask,
)
from snn_tool.errors import ConfigError
from snn_tool.exporters.nir_foreign import DT_S, RESETS, TIMESTEPS
from snn_tool.flags import IMAGES, OUTPUT, Flag, Overwrite, grouped
from snn_tool.inputs.options import InputOptions, LabelsPath
from snn_tool.models.streams import FANOUT
from snn_tool.networks.locate import beside

ONNX = "onnx"
MOST_TIMESTEPS, MOST_STEP = 64, 16
"""Of an imported network."""
Convolution = Annotated[
    str, Flag("stock (Lava's own code) or blas (faster, equally exact).", ("--lava-conv",))
]

Compiler = Annotated[str, Flag("c: compiler, with options if need be.", shown="the variable CC, or cc")]


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """On which images a student is calibrated and measured, and where its integers go.

    Attributes:
        data: folder of clean images; or else `pairs`.
        pairs: folder of recorded pairs.
        degraded: folder of the degraded partners of `data`.
        out: file of the integer student; None puts it beside the float one.
        sigma: strength of the degradation; None takes the one of the training.
        overwrite: replace what is there.
    """

    data: Annotated[
        Path | None, Flag("Folder of clean images: calibrates, and measures the loss.", group=IMAGES)
    ] = None
    pairs: PairsFolder = None
    degraded: DegradedFolder = None
    out: Annotated[
        Path | None, Flag("Integer student.", shown="student.int.safetensors beside it", group=OUTPUT)
    ] = None
    sigma: TrainedStrength = None
    overwrite: Overwrite = False


@grouped("Golden tiles")
@dataclass(frozen=True, slots=True)
class GoldenOptions:
    """Where the golden tiles come from.

    Attributes:
        images: folder of clean images; None takes photographs that ship with scikit-image.
        tiles: how many.
        size: side of a tile in pixels, and the size that the NIR file is written for; a network that was
            imported for one size keeps it.
        task, sigma: degradation; None takes the one that the student was trained for.
        seed: of places and noise.
        inputs: arrays, recordings or images of classes instead, the first `tiles` of them.
    """

    images: Annotated[
        Path | None, Flag("Folder of clean images for golden tiles.", shown="shipped photographs")
    ] = None
    tiles: Annotated[int, Flag("Golden tiles.")] = 2
    size: Annotated[int, Flag("Side of a tile; the NIR file is written for it.")] = 64
    task: TrainedTask = None
    sigma: TrainedStrength = None
    seed: Annotated[int, Flag("Seed of tiles and noise.")] = 0
    inputs: InputOptions = InputOptions()

    def __post_init__(self) -> None:
        """Refuse counts and sizes that give no tile.

        Raises:
            ConfigError: names the option.
        """
        if self.tiles < 1 or self.size < 2:
            raise ConfigError(f"--tiles {self.tiles} --size {self.size}: use at least 1 tile of 2 pixels")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is written for which target, and how it is checked.

    Attributes:
        target: `nir`, `loihi`, `netx`, `c`, `wasm`, `onnx` or one of another package.
        lowering: of membrane shortcuts in a bundle, `fanout` or `relay`.
        verify: run the independent implementations.
        conv: Lava's convolution, `stock` or `blas`.
        taps: of ONNX: spikes of all populations are outputs.
        stateful: of ONNX and `lif`: one timestep, with its membranes as inputs and outputs.
        prefix: of C: every external name begins with it; empty takes the student's name.
        cc: of C: compiler that verifies it.
        overwrite: replace what is there.
    """

    target: Annotated[str, Flag("nir, loihi, netx, c, wasm, onnx, or another package's: see 'backend list'.")]
    lowering: Annotated[
        str,
        Flag(
            "Of membrane shortcuts, loihi only: fanout (each synapse once per reader; lif runs on stock Lava "
            "alone) or relay (each synapse once; accumulators pass the stream on as graded spikes)."
        ),
    ] = FANOUT
    verify: Annotated[bool, Flag("Run the independent implementations.", ("--verify/--no-verify",))] = True
    conv: Convolution = "stock"
    taps: Annotated[bool, Flag("onnx: the spikes of all populations become outputs.")] = False
    stateful: Annotated[bool, Flag("onnx, lif: one timestep, its membranes as inputs and outputs.")] = False
    prefix: Annotated[str, Flag("c: what every external name begins with.", shown="the student's name")] = ""
    cc: Compiler = ""
    overwrite: Overwrite = False


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Which implementations an export is held against, and on which photographs beside its golden tiles.

    Attributes:
        backend: names of implementations; none takes the usual ones of the export.
        images: folder of clean images; None leaves photographs out.
        tiles: number of tiles that are compared layer by layer, 0 for none.
        whole: number of whole images whose read-outs are compared, the first of the folder.
        task, sigma: degradation; None takes the one that the student was trained for.
        seed: of places and noise.
        conv: Lava's convolution, `stock` or `blas`.
        cc: compiler of the backend `c`.
    """

    backend: Annotated[
        tuple[str, ...],
        Flag(
            "integer, nir, onnx, lava (loihi), netx (netx), c (c), norse, snntorch, spikingjelly, "
            "sinabs, nirtorch, or another package's: see 'backend list'; repeatable.",
            shown="nir and lava, netx or c",
        ),
    ] = ()
    images: Annotated[
        Path | None,
        Flag("Folder of clean images to verify on as well.", shown="golden tiles only", group=IMAGES),
    ] = None
    tiles: Annotated[
        int, Flag("With --images: tiles, compared layer by layer; with --inputs: samples.", group=IMAGES)
    ] = 20
    whole: Annotated[int, Flag("With --images: whole images, compared by their read-outs.", group=IMAGES)] = 0
    task: TrainedTask = None
    sigma: TrainedStrength = None
    seed: Annotated[int, Flag("Seed of places and noise.", group=IMAGES)] = 0
    conv: Convolution = "stock"
    cc: Compiler = ""


@grouped(IMAGES)
@dataclass(frozen=True, slots=True)
class ConformanceOptions:
    """On which tiles simulators are compared, and which other implementations.

    Attributes:
        images: folder of clean images; None takes photographs that ship with scikit-image.
        tiles: number of tiles of the bundle's size.
        backend: names of other packages' implementations.
        sigma: of the noise.
        seed: of places and noise.
        labels: of the inputs that are given instead of images.
    """

    images: Annotated[Path | None, Flag("Folder of clean images.", shown="shipped photographs")] = None
    tiles: Annotated[int, Flag("Tiles of the bundle's size; with --inputs: samples.")] = 20
    backend: Annotated[tuple[str, ...], Flag("Another package's, besides the simulators; repeatable.")] = ()
    sigma: Annotated[str, Flag("Noise.")] = "25"
    seed: Annotated[int, Flag("Seed of places and noise.")] = 0
    labels: LabelsPath = None


@grouped(IMAGES)
@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What is imported, and on which images its loss is measured.

    Attributes:
        nir: the file, or `package.module:factory`.
        weights: of a factory's network.
        images: folder of images, or one image; None where `expect` holds the inputs.
        timesteps: T, for which each image is presented unchanged; None: the inputs' own.
        dt_s: timestep in seconds that the file's time constants are meant for.
        group_constants: populations that a node of several time constants becomes at most, 0 for any number.
        input_step: grey levels per integer input unit.
        limit: largest number of images, 0 for all.
        task, sigma: degradation of the images; None leaves them as they are.
        seed: of the degradation.
        expect: npz file with what the original gave.
        labels: file with the classes of inputs.
        reset: what a spike does to its neuron, which a file cannot say; None: zero, or what a module says.
    """

    nir: Annotated[
        Path,
        Flag(
            "A .nir file of any tool, or package.module:factory of a torch network.",
            ("source",),
            argument=True,
        ),
    ]
    weights: Annotated[Path | None, Flag("Weights that fill a factory's network.")] = None
    images: Annotated[Path | None, Flag("Folder of images on which the loss is measured, or one image.")] = (
        None
    )
    timesteps: Annotated[
        int | None,
        Flag(
            f"T, 1-{MOST_TIMESTEPS}: how often each image is presented.",
            shown=f"{TIMESTEPS}, or that of --inputs over time",
        ),
    ] = None
    dt_s: Annotated[float, Flag("Timestep in seconds that the file's time constants are for.", ("--dt",))] = (
        DT_S
    )
    reset: Annotated[
        str | None,
        Flag(
            f"What a spike does to its neuron, {', '.join(RESETS)}; NIR knows the first alone, snntorch's "
            "usual one is the last.",
            shown="zero of a file, a module's own",
        ),
    ] = None
    group_constants: Annotated[
        int,
        Flag("Populations that a node with several time constants becomes at most; near ones are merged."),
    ] = 0
    input_step: Annotated[
        int | None,
        Flag(
            f"Grey levels per integer input unit, 1-{MOST_STEP}; more leave more bits to the first weights.",
            shown="4; of images alone",
        ),
    ] = None
    limit: Annotated[int | None, Flag("Largest number of images; 0 takes all.", shown="16; all --inputs")] = (
        None
    )
    task: Annotated[str | None, Flag(f"Degrade the images: {TASK_NAMES}.", shown="leave them")] = None
    sigma: Annotated[str | None, Flag(STRENGTHS, STRENGTH_NAMES)] = None
    seed: Annotated[int, Flag("Seed of the degradation.")] = 0
    expect: Annotated[
        Path | None,
        Flag("FILE.npz with what the original gave: outputs, counts or spikes, and perhaps inputs."),
    ] = None
    labels: LabelsPath = None

    def __post_init__(self) -> None:
        """Refuse values that no network can have.

        Raises:
            ConfigError: names the option and its range.
        """
        for option, value, low, high in (
            ("--timesteps", self.timesteps, 1, MOST_TIMESTEPS),
            ("--input-step", self.input_step, 1, MOST_STEP),
        ):
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{option} {value}: use {low} to {high}")
        if self.group_constants < 0:
            raise ConfigError(f"--group-constants {self.group_constants}: use 0 for any number, or more")
        if self.limit is not None and self.limit < 0:
            raise ConfigError(f"--limit {self.limit}: use 0 for all images, or more")


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """What is fine-tuned, and how.

    Attributes:
        nir: the file.
        labels: of the inputs.
        timesteps: T; None: the inputs' own.
        dt_s: timestep in seconds that the file's time constants are meant for.
        steps, batch, rate: of Adam; the rate falls by a cosine.
        seed: of the held-out samples and of the batches.
        resume: go on from the checkpoint.
        overwrite: replace what is there.
    """

    nir: Annotated[Path, Flag("A .nir file of any tool.", ("source",), argument=True)]
    labels: LabelsPath = None
    timesteps: Annotated[
        int | None, Flag("T.", shown=f"{TIMESTEPS}, or that of --inputs over time", least=1)
    ] = None
    dt_s: Annotated[float, Flag("Timestep in seconds of the file.", ("--dt",))] = DT_S
    steps: Annotated[int, Flag("Steps of the optimiser.", least=1)] = 300
    batch: Annotated[int, Flag("Samples of a step.", least=1)] = 64
    rate: Annotated[float, Flag("Learning rate at the start.")] = 1e-3
    seed: Annotated[int, Flag("Seed of the held-out samples and of the batches.")] = 0
    resume: Annotated[bool, Flag("Go on from the checkpoint of an interrupted run.")] = False
    overwrite: Overwrite = False


def usual_out(source: Path, target: str) -> Path:
    """Where an export goes unless it is said: beside its source, or here for a student that comes along."""
    return beside(source, ".onnx" if target == ONNX else f"-{target}")
