"""What `snn-tool train` and `snn-tool distill` are asked for beside the settings of `settings`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from snn_tool.degradations.options import DegradedFolder, PairsFolder, Strength, Task
from snn_tool.flags import IMAGES, OUTPUT, Flag, Overwrite, grouped
from snn_tool.models.topology import COLOUR
from snn_tool.networks.locate import initial_file

CSV, TENSORBOARD = "csv", "tensorboard"
LOGGERS = (CSV, TENSORBOARD)
"""What `--logger` takes; `metrics.csv` is written by both."""


@grouped(OUTPUT)
@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where a run lives, and whether it starts, starts over, or goes on.

    Attributes:
        out: the run folder; None takes `teacher` or `student`, here.
        config: TOML file of settings; what is given beside it comes first.
        resume: go on from the last checkpoint.
        overwrite: replace what is in the folder.
        logger: who is told of the losses while the run goes on, beside `metrics.csv`.
    """

    out: Annotated[
        Path | None, Flag("Run folder: log, checkpoints, network.", shown="teacher or student, here")
    ] = None
    config: Annotated[Path | None, Flag("TOML file with tables training, loss, student.")] = None
    resume: Annotated[bool, Flag("Go on from the run folder's last checkpoint.")] = False
    overwrite: Overwrite = False
    logger: Annotated[
        str, Flag("csv: metrics.csv alone; tensorboard: also RUN/tensorboard, losses every 10 steps.")
    ] = CSV


@grouped(IMAGES)
@dataclass(frozen=True, slots=True)
class LearntOptions:
    """What is learnt: which images, and what degrades them.

    Attributes:
        data: folder of clean images.
        pairs: instead of it, a folder with clean and degraded ones.
        degraded: the degraded partners of `data`.
        task, sigma: of the synthetic degradation; of pairs, what restoring them is called.
    """

    data: Annotated[Path | None, Flag("Folder of clean training images (searched recursively).")] = None
    pairs: PairsFolder = None
    degraded: DegradedFolder = None
    task: Task = None
    sigma: Strength = None


@grouped("Teacher")
@dataclass(frozen=True, slots=True)
class TeacherOptions:
    """Which teacher is built.

    Attributes:
        arch: name of its architecture.
        size: of its published or our sizes.
        option: `key=value` of its constructor, each.
        channels: of the images: 3 of colour, 1 of grey.
    """

    arch: Annotated[str, Flag("unet, flat, chain, nafnet or restormer.")] = "unet"
    size: Annotated[str | None, Flag("small, medium or large, or a published size; --option overrides.")] = (
        None
    )
    option: Annotated[
        tuple[str, ...], Flag("Constructor option of the teacher, e.g. width=32; repeatable.")
    ] = ()
    channels: Annotated[
        int | None, Flag("Channels of the images: 3 for colour or 1 for grey.", shown=str(COLOUR))
    ] = None


@grouped("Teacher")
@dataclass(frozen=True, slots=True)
class DistillOptions:
    """What a student is distilled from, and where it starts.

    Attributes:
        teacher: any form of `networks.locate`, or `none`.
        weights: file that fills a teacher without weights of its own.
        hints: names of the teacher's features, separated by commas.
        split_seed: of the validation split; None takes the run's seed.
        init: student whose weights are the first ones.
    """

    teacher: Annotated[
        str,
        Flag(
            "A teacher from 'models', teacher.safetensors, a run folder, model.onnx, package.module:factory, "
            "an architecture with --weights, x8: and a network (its mean over eight orientations), or 'none'."
        ),
    ] = "none"
    weights: Annotated[Path | None, Flag("Weights of a factory's network: .safetensors or .pth.")] = None
    hints: Annotated[str, Flag("Teacher features a,b: modules, or tensors of ONNX.")] = ""
    split_seed: Annotated[int | None, Flag("Seed of the validation split.", shown="--seed", least=0)] = None
    init: Annotated[
        Path | None,
        Flag(
            "Start from this student.safetensors or student.int.safetensors, a run folder, or a name from "
            "'models', of the same shape; fewer timesteps or passes will do, and for grey one of colour.",
            read=initial_file,
        ),
    ] = None

    @property
    def features(self) -> tuple[str, ...]:
        """The names in `hints`."""
        return tuple(name.strip() for name in self.hints.split(",") if name.strip())
