"""What `snn-tool energy` is asked for: the audit of a student, the count of a NIR file of another tool."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from snn_tool.degradations.options import DegradedFolder, PairsFolder, TrainedStrength, TrainedTask
from snn_tool.exporters.nir_foreign import DT_S, TIMESTEPS
from snn_tool.flags import IMAGES, NETWORKS, Flag, grouped
from snn_tool.models.streams import FANOUT
from snn_tool.networks.locate import integer_file, teacher_file


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What is compared, and on what.

    Attributes:
        student: `student.int.safetensors`.
        images: folder of clean images; or else `pairs`.
        teacher: `teacher.safetensors`, `package.module:factory`, or the name of an architecture, which
            without `weights` is counted at its published size but has no PSNR; None compares with the twin
            alone.
        twin: a trained network of the student's shape with ReLU; without it the twin is only counted.
        claim: how many times less energy is claimed.
        crop: side of the centre crops in pixels, 0 for whole images.
        limit: largest number of images, 0 for all.
        task, sigma: degradation; None takes the one that the student was trained for.
        seed: of the noise.
        lowering: of the student's membrane shortcuts, as it is deployed: `fanout` or `relay`.
        qann: for a `lif` student, its bit-matched quantised twin: an integer student of the same synapses
            with unsigned graded activations of T levels; without it that twin is only counted.
        profile: TOML file of constants and precisions that override or add to the packaged ones.
        against: what the claim is against, `teacher`, `twin`, `cnn` or `qann`; None takes the teacher, or
            else the quantised twin.
        cnn: an int8 CNN of the student's quality, in integers; None takes the one that comes with a shipped
            student.
        sweep: measure quality and synops with fewer timesteps or levels, too.
        sanafe: file of `snn-tool energy sanafe` for this student.
        mapping: file of `snn-tool energy map` for this student.
        weights: of a teacher that is given as code or by its architecture's name.
        pairs: folder of recorded pairs, in place of `images` and what degrades them.
        degraded: folder of the degraded partners of `images`.
    """

    student: Annotated[
        Path,
        Flag(
            "student.int.safetensors, the deployed network, its run folder, or a name from 'models'.",
            read=integer_file,
            group=NETWORKS,
        ),
    ]
    images: Annotated[Path | None, Flag("Folder of clean images.", group=IMAGES)] = None
    teacher: Annotated[
        str | None,
        Flag(
            "A teacher from 'models', teacher.safetensors, a run folder, package.module:factory, or an "
            "architecture (restormer).",
            group=NETWORKS,
        ),
    ] = None
    twin: Annotated[
        Path | None,
        Flag("A trained ANN of the student's shape, for its PSNR.", read=teacher_file, group=NETWORKS),
    ] = None
    claim: Annotated[float, Flag("How many times less energy is claimed.")] = 50.0
    crop: Annotated[int, Flag("Centre crops of this side; 0 takes whole images.", group=IMAGES)] = 256
    limit: Annotated[int, Flag("Use the first N images; 0 takes all.", group=IMAGES)] = 0
    task: TrainedTask = None
    sigma: TrainedStrength = None
    seed: Annotated[int, Flag("Seed of the synthetic degradation.", group=IMAGES)] = 0
    lowering: Annotated[str, Flag("Of membrane shortcuts, as deployed: fanout or relay.")] = FANOUT
    qann: Annotated[
        Path | None,
        Flag(
            "A lif student's quantised twin (unsigned graded, T levels), for its PSNR.",
            read=integer_file,
            group=NETWORKS,
        ),
    ] = None
    profile: Annotated[Path | None, Flag("TOML with constants and precisions of your own.")] = None
    against: Annotated[
        str | None,
        Flag(
            "What the claim is against: teacher, twin, cnn or qann.", shown="teacher if given, or else qann"
        ),
    ] = None
    cnn: Annotated[
        Path | None,
        Flag("An int8 CNN of the student's PSNR, quantised.", read=integer_file, shown="if shipped"),
    ] = None
    sweep: Annotated[
        bool, Flag("Measure PSNR and synops with fewer timesteps or levels.", ("--sweep/--no-sweep",))
    ] = True
    sanafe: Annotated[
        Path | None, Flag("File of 'snn-tool energy sanafe' for this student, to show beside.")
    ] = None
    mapping: Annotated[
        Path | None, Flag("File of 'snn-tool energy map' for this student: mapped rivals, beside.")
    ] = None
    weights: Annotated[
        Path | None, Flag("Weights of a factory's or an architecture's network.", group=NETWORKS)
    ] = None
    pairs: PairsFolder = None
    degraded: DegradedFolder = None


@dataclass(frozen=True, slots=True)
class PaysOptions:
    """Which students stand on the break-even charts, counted on what.

    Attributes:
        student: any number of deployed students; without one there are only the curves.
        images: folder of clean images, for the students.
        crop: side of the centre crops in pixels, 0 for whole images.
        limit: largest number of images, 0 for all.
        seed: of the noise; every student's images are degraded as it was trained for.
        lowering: of membrane shortcuts, as deployed: `fanout` or `relay`.
        neurons: of the hidden layer that the curves are of; it decides in which memory the membranes lie.
        profile: TOML file of constants and precisions that override or add to the packaged ones.
    """

    student: Annotated[
        tuple[str, ...],
        Flag("A deployed student, its file, run folder, or a name from 'models'; repeatable."),
    ] = ()
    images: Annotated[Path | None, Flag("Folder of clean images, for the students.")] = None
    crop: Annotated[int, Flag("Centre crops of this side; 0 takes whole images.")] = 256
    limit: Annotated[int, Flag("Use the first N images; 0 takes all.")] = 0
    seed: Annotated[int, Flag("Seed of the synthetic degradation.")] = 0
    lowering: Annotated[str, Flag("Of membrane shortcuts, as deployed: fanout or relay.")] = FANOUT
    neurons: Annotated[int, Flag("Of the hidden layer that the curves are of.", least=1)] = 1 << 20
    profile: Annotated[Path | None, Flag("TOML with constants and precisions of your own.")] = None


@grouped(IMAGES)
@dataclass(frozen=True, slots=True)
class BesideOptions:
    """Which reports are set side by side.

    Attributes:
        reports: `energy.json` of each student.
    """

    reports: Annotated[tuple[Path, ...], Flag("energy.json of each student.", argument=True)]


@dataclass(frozen=True, slots=True)
class NirEnergyOptions:
    """What is counted, and on what.

    Attributes:
        nir: the file.
        images: folder of images, or one image; None where inputs are given.
        timesteps: T, for which each image is presented unchanged; None takes that of the inputs, or 10.
        dt_s: timestep in seconds.
        limit: largest number of images, 0 for all.
    """

    nir: Annotated[Path, Flag("A NIR file made by any tool.", ("file",), argument=True)]
    images: Annotated[Path | None, Flag("Folder of images, or one image.")] = None
    timesteps: Annotated[
        int | None, Flag("Steps per image.", shown=f"{TIMESTEPS}, or that of --inputs over time")
    ] = None
    dt_s: Annotated[float, Flag("Seconds per step.", ("--dt",))] = DT_S
    limit: Annotated[int, Flag("Use the first N images; 0 takes all.")] = 0


@dataclass(frozen=True, slots=True)
class MapOptions:
    """Which dense rivals are mapped onto the accelerator.

    Attributes:
        student: `student.int.safetensors`, whose twins are mapped.
        teacher: as in `AuditOptions`; None maps the twins alone.
        weights: of a teacher that is given as code or by its architecture's name.
        cnn: as in `AuditOptions`.
        size: side of the image in pixels; a multiple of the student's.
        clock: of the accelerator in MHz; an assumption, which energies do not depend on.
    """

    student: Annotated[
        Path,
        Flag(
            "student.int.safetensors, the deployed network, its run folder, or a name from 'models'.",
            read=integer_file,
            group=NETWORKS,
        ),
    ]
    teacher: Annotated[
        str | None,
        Flag(
            "A teacher from 'models', teacher.safetensors, a run folder, package.module:factory, or an "
            "architecture (restormer).",
            group=NETWORKS,
        ),
    ] = None
    weights: Annotated[
        Path | None, Flag("Weights of a factory's or an architecture's network.", group=NETWORKS)
    ] = None
    cnn: Annotated[
        Path | None,
        Flag(
            "An int8 CNN of the student's PSNR, quantised.",
            read=integer_file,
            shown="if shipped",
            group=NETWORKS,
        ),
    ] = None
    size: Annotated[int, Flag("Side of the image in pixels.", least=1)] = 256
    clock: Annotated[float, Flag("Of the accelerator in MHz, to turn cycles into time; assumed.")] = 500.0
