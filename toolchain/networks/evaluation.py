"""PSNR and SSIM of a student or a teacher on clean images or on pairs, by the README's protocol.

RGB, or the one channel of grey files; full images; noise from a generator seeded by the seed and the file's
name, not clamped; the restored image rounded to 8 bits and clamped; data range 255. Derained images are
scored on luma as well.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from snn_tool.degradations.crops import name_below
from snn_tool.degradations.options import AS_USUAL, HowOptions
from snn_tool.degradations.pairs import Pairs, Source, degrade, read_source, source_for
from snn_tool.degradations.tasks import image_rng, task_text
from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import Opener, atomic_path, sha256_bytes, write_json
from snn_tool.files.ownership import claim, of_kind, owned_path, refuse_existing, refuse_existing_file
from snn_tool.images.files import find_images, write_image
from snn_tool.images.metrics import SSIM_WINDOW, luma, psnr_db, ssim, to_uint8
from snn_tool.images.registration import border_of, inner, registered
from snn_tool.networks.locate import Spec
from snn_tool.networks.open import open_network
from snn_tool.networks.restoring import warn_of_channels
from snn_tool.networks.running import restorer_of
from snn_tool.ranks import is_first, shared, world_size
from snn_tool.tables import LONGEST_CELL, printable
from snn_tool.terminal import Track

WINDOW = "full images, 8-bit output, data range 255"
PROTOCOL = f"RGB, {WINDOW}, unclamped noise seeded per file name"
SYNTHETIC_PROTOCOL = f"RGB, {WINDOW}, unclamped synthetic degradation seeded per file name"
PAIRS_PROTOCOL = f"RGB, {WINDOW}, recorded pairs of 8-bit images"
LUMA_PROTOCOL = "; luma: Y of BT.601, 16..235, rounded to 8 bits as MATLAB's rgb2ycbcr, data range 255"
REGISTERED = ", each at the best shift within {} pixels in quarters, {} pixels of border left out"
GREY_PROTOCOL = "; grey files: their one channel"
COLOUR_PROTOCOL = "; grey files: three equal channels, degraded each by itself"
OF_GREY = "grey, files of colour by their luma (0.299 R + 0.587 G + 0.114 B, rounded)"
"""What stands instead of RGB where the network takes grey images."""
FIGURES = ("degraded_psnr_db", "psnr_db", "degraded_ssim", "ssim")
LUMA_FIGURES = ("degraded_psnr_y_db", "psnr_y_db", "degraded_ssim_y", "ssim_y")
WITH_LUMA = ("derain",)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A test image and its degraded version; float32 [H, W, 3], or [H, W, 1] of grey, beside uint8."""

    name: str
    clean: NDArray[np.uint8]
    degraded: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One image; `inf` dB means identical; the hash is that of its clean pixels; `y` is luma, if scored.

    `channels` is 3 for RGB, 1 for a grey file, whose figures are those of its one channel.
    """

    name: str
    sha256: str
    height: int
    width: int
    degraded_psnr_db: float
    psnr_db: float
    degraded_ssim: float | None
    ssim: float | None
    degraded_psnr_y_db: float | None = None
    psnr_y_db: float | None = None
    degraded_ssim_y: float | None = None
    ssim_y: float | None = None
    channels: int = 3


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of all images, and their means.

    Attributes:
        network: name of the student's file, or the teacher's title.
        kind: `float` or `integer`, of a student, or `teacher`.
        of_grey: the network takes grey images, so that all were made grey before they were degraded.
        register: largest shift in pixels that was undone before scoring.
        in_colour: grey files were given three channels before they were degraded.
    """

    network: str
    kind: str
    sha256: str
    task: dict[str, Any]
    seed: int
    scores: tuple[ImageScore, ...]
    of_grey: bool = False
    register: int = 0
    in_colour: bool = False

    def mean(self, field: str) -> float:
        """Mean of one score over the images that have it."""
        values = [getattr(score, field) for score in self.scores if getattr(score, field) is not None]
        return float(np.mean(values)) if values else float("nan")

    def spread(self, field: str) -> float:
        """Standard deviation of one score over the images that have it; NaN if one of them is infinite."""
        values = [getattr(score, field) for score in self.scores if getattr(score, field) is not None]
        return float(np.std(values)) if values and np.isfinite(values).all() else float("nan")

    def counted(self, field: str) -> int:
        """Number of images that have one score; SSIM needs an image of the size of its window."""
        return sum(getattr(score, field) is not None for score in self.scores)

    @property
    def what(self) -> str:
        """What restored: `integer student`, `float student`, or the teacher's title."""
        return f"teacher {self.network}" if self.kind == "teacher" else f"{self.kind} student"

    @property
    def with_luma(self) -> bool:
        """Whether luma is scored."""
        return self.task["task"] in WITH_LUMA and not self.of_grey

    @property
    def protocol(self) -> str:
        """What was scored, and how, in a line."""
        if self.task.get("images") == "pairs":
            base = PAIRS_PROTOCOL
        else:
            base = PROTOCOL if self.task["task"] == "denoise" else SYNTHETIC_PROTOCOL
            base = base.replace("unclamped", "stored") if {"eight_bit", "jpeg"} & self.task.keys() else base
        if self.register:
            base += REGISTERED.format(self.register, border_of(self.register))
        if self.of_grey:
            return base.replace("RGB", OF_GREY)
        grey = GREY_PROTOCOL if any(score.channels == 1 for score in self.scores) else ""
        grey = COLOUR_PROTOCOL if self.in_colour else grey
        return base + grey + (LUMA_PROTOCOL if self.with_luma else "")

    def document(self) -> dict[str, Any]:
        """JSON values; an infinite PSNR (identical images) is written as null."""
        figures = FIGURES + (LUMA_FIGURES if self.with_luma else ())
        return {
            **self._origin(),
            "task": self.task,
            "seed": self.seed,
            "protocol": self.protocol,
            "ssim_images": self.counted("ssim"),
            "mean": {name: finite(self.mean(name)) for name in figures},
            "standard_deviation": {name: finite(self.spread(name)) for name in figures},
            "images": [
                {
                    key: finite(value) if isinstance(value, float) else value
                    for key, value in asdict(score).items()
                    if self.with_luma or key not in LUMA_FIGURES
                }
                for score in self.scores
            ],
        }

    def _origin(self) -> dict[str, str]:
        if self.kind == "teacher":
            return {"teacher": self.network, "teacher_sha256": self.sha256}
        return {"student": self.network, "student_kind": self.kind, "student_sha256": self.sha256}


def finite(value: float) -> float | None:
    """`value` rounded to 4 places, or None where JSON has no number for it."""
    return round(value, 4) if np.isfinite(value) else None


def score(pair: Pair, after: NDArray[np.uint8], with_luma: bool = False, register: int = 0) -> ImageScore:
    """Both figures before and after restoration, on all channels and, if wanted, on luma.

    With `register` both lie over the clean image as well as a shift of so many pixels allows.
    """
    before, clean = to_uint8(pair.degraded), pair.clean
    if register:
        clean = inner(pair.clean, register, pair.name)
        before, after = (registered(image, pair.clean, register) for image in (before, after))
    return ImageScore(
        name=pair.name,
        sha256=sha256_bytes(pair.clean.tobytes()),
        height=pair.clean.shape[0],
        width=pair.clean.shape[1],
        degraded_psnr_db=psnr_db(before, clean),
        psnr_db=psnr_db(after, clean),
        degraded_ssim=ssim(before, clean),
        ssim=ssim(after, clean),
        channels=pair.clean.shape[2],
        **(_luma_figures(before, after, clean) if with_luma else {}),
    )


def _luma_figures(
    before: NDArray[np.uint8], after: NDArray[np.uint8], clean: NDArray[np.uint8]
) -> dict[str, Any]:
    first, second, target = luma(before), luma(after), luma(clean)
    figures = (
        psnr_db(first, target),
        psnr_db(second, target),
        ssim(first, target),
        ssim(second, target),
    )
    return dict(zip(LUMA_FIGURES, figures, strict=True))


WORST = 3
"""Images whose scores are printed unless all are wanted."""


def evaluation_text(scored: Evaluation, per_image: bool = False) -> str:
    """A line for each of the worst images, or for all, and one for the means."""
    shown = scored.scores if per_image else tuple(sorted(scored.scores, key=lambda s: s.psnr_db)[:WORST])
    names = [printable(item.name, LONGEST_CELL) for item in shown]
    width = max(len("image"), *map(cell_len, names))
    lines = [f"{'image':{width}}  degraded dB  restored dB  degraded SSIM  restored SSIM"]
    for name, item in zip(names, shown, strict=True):
        similarity = [
            "     -" if value is None else f"{value:.4f}" for value in (item.degraded_ssim, item.ssim)
        ]
        lines.append(
            f"{name}{' ' * (width - cell_len(name))}  {item.degraded_psnr_db:11.2f}  {item.psnr_db:11.2f}  "
            f"{similarity[0]:>13}  {similarity[1]:>13}"
        )
    if len(shown) < len(scored.scores):
        lines[0:0] = [f"the worst {len(shown)} of {len(scored.scores)} images (--per-image shows all)"]
    lines.append(
        f"{len(scored.scores)} images, {scored.what}, {task_text(scored.task)}, seed {scored.seed}: "
        f"{scored.mean('degraded_psnr_db'):.2f} -> {scored.mean('psnr_db'):.2f} dB"
        f"{_spread_text(scored)}, {_ssim_text(scored, '')}"
    )
    if scored.of_grey:
        lines.append("in grey, as the network takes it: files of colour by their luma")
    if scored.with_luma:
        lines.append(
            f"luma: {scored.mean('degraded_psnr_y_db'):.2f} -> {scored.mean('psnr_y_db'):.2f} dB, "
            f"{_ssim_text(scored, '_y')}"
        )
    return "\n".join(lines)


def _spread_text(scored: Evaluation) -> str:
    """Of the PSNR over the images; there is none where an image came back without any difference."""
    spread = scored.spread("psnr_db")
    return f" (standard deviation over images {spread:.2f})" if np.isfinite(spread) else ""


def _ssim_text(scored: Evaluation, suffix: str) -> str:
    """The mean SSIM before and after, and of how many images if some are smaller than its window."""
    counted = scored.counted(f"ssim{suffix}")
    if not counted:
        return f"no SSIM: every image is smaller than its window of {SSIM_WINDOW} pixels"
    before, after = scored.mean(f"degraded_ssim{suffix}"), scored.mean(f"ssim{suffix}")
    some = f" of {counted} of {len(scored.scores)} images" if counted < len(scored.scores) else ""
    return f"SSIM{some} {before:.4f} -> {after:.4f}"


KIND, SCHEMA = "evaluation", 1


@dataclass(frozen=True, slots=True)
class EvaluationFiles:
    """What an evaluation leaves behind.

    Attributes:
        scores: JSON file, or None.
        restored: folder for the restored images, or None.
        overwrite: replace them.
        opener: how the scores are written; `owned_path` in a folder that is not theirs alone.
    """

    scores: Path | None = None
    restored: Path | None = None
    overwrite: bool = False
    opener: Opener = atomic_path

    def refuse(self) -> None:
        """Refuse what exists before anything is computed.

        Raises:
            ConfigError: a file or a folder exists and `overwrite` is false, or several processes would
                write restored images.
        """
        if self.restored and world_size() > 1:
            raise ConfigError("--save needs one process; without it torchrun shares the images of 'evaluate'")
        if self.scores:
            refuse_existing_file(self.scores, self.overwrite, of_kind(KIND), "evaluation")
        if self.restored:
            refuse_existing(self.restored, self.overwrite)


def load_pair(path: Path, folder: Path, degradation: Source, seed: int, channels: int | None = None) -> Pair:
    """Decode and degrade one image; the noise depends on the seed and on the name below `folder` alone.

    A grey image has one channel, and so one draw of noise; with 1 of `channels` any becomes grey before, and
    with 3 a grey one has three equal channels.
    """
    stack = read_source(path, degradation, channels)
    name = name_below(path, folder)
    degraded, _ = degrade(stack, degradation, image_rng(seed, name))
    return Pair(name, np.ascontiguousarray(stack[..., : degraded.shape[2]]), degraded)


def run_evaluation(
    network: Spec,
    folder: Path,
    task: tuple[str | None, str | None, int],
    tile: int,
    files: EvaluationFiles,
    track: Track,
    pairs: Pairs | None = None,
    how: HowOptions = AS_USUAL,
    register: int = 0,
    in_colour: bool = False,
) -> Evaluation:
    """Restore and score the images of a folder one by one, and write the files that are wanted.

    Processes of torchrun share the images; all return the scores of all, and the first writes them.

    Args:
        network: float or integer student, or a teacher, in any form of `networks.locate`.
        folder: of clean images.
        task: `--task` and `--strength`, None as trained, and the seed of the degradation.
        tile: side of the tiles of large images.
        files: what to leave behind.
        track: shows how far it is, e.g. `Terminal.track`.
        pairs: degraded images to take instead of synthetic ones; `folder` is then their clean folder.
        how: kind of the degradation and its file; nothing said is as trained.
        register: largest shift in pixels that is undone before scoring.
        in_colour: grey files get three channels before they are degraded, as sets for colour are scored.

    Raises:
        ConfigError: a file exists, nothing says which noise to add, or `in_colour` with a network for grey.
        DataError: an image is damaged.
        TeacherError: the teacher fails, or gives NaN or another shape.
    """
    files.refuse()
    restorer = restorer_of(open_network(network))
    known = restorer.provenance
    degradation = source_for(pairs, task[0], task[1], known.trained_for, how)
    described = degradation.describe()
    grey_seen: list[Path] = []
    paths = find_images(folder, without=files.restored)
    if files.restored:
        claim(files.restored / _png(name_below(path, folder)) for path in paths)
    of_grey = restorer.channels == 1
    if in_colour and of_grey:
        raise ConfigError(f"--in-colour: {known.title} takes grey images; leave it out")
    channels = 1 if of_grey else (3 if in_colour else None)

    def scored_image(path: Path) -> ImageScore:
        pair = load_pair(path, folder, degradation, task[2], channels)
        restored = restorer.restore_8_bits(pair.degraded, tile)
        if pair.clean.shape[2] == 1 and not grey_seen:
            grey_seen.append(path)
            warn_of_channels(path, known.title, True, restorer.channels)
        if files.restored:
            write_image(files.restored / _png(pair.name), restored, opener=owned_path)
        return score(pair, restored, described["task"] in WITH_LUMA and not of_grey, register)

    scores = shared(paths, scored_image, ImageScore, lambda own: track(own, "evaluate"))
    scored = Evaluation(
        known.title, known.kind, known.sha256, described, task[2], tuple(scores), of_grey, register, in_colour
    )
    if files.scores and is_first():
        write_json(files.scores, KIND, SCHEMA, scored.document(), files.opener)
    return scored


def _png(name: str) -> str:
    """The name of a restored image; the old suffix stays, for a.jpg and a.tif may lie side by side."""
    return name if name.endswith(".png") else f"{name}.png"
