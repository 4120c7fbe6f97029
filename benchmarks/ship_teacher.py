"""Round a trained teacher to half precision, measure what that costs, and file it with its card.

    python benchmarks/ship_teacher.py RUN denoise-25-nafnet --summary TEXT --data TRAINING_IMAGES
        --test CBSD68=FOLDER --test Set14=FOLDER

RUN is a folder of `snn-tool train`. PSNR is that of `snn-tool evaluate`, on full images, and with --data that
of the training's validation crops, both before and after the rounding; what was rounded is opened from its
file, as a user opens it. Nothing is filed where rounding costs more than --most-loss dB. The command of the
card is made of what the run's file says of its settings.
"""

import argparse
import copy
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from distillation.teacher import crop_psnr_db
from ship_students import named_folders
from snn_tool.degradations.tasks import strength_option
from snn_tool.errors import ConfigError, SnnToolError
from snn_tool.files.artifacts import write_json
from snn_tool.models.checkpoints import sidecar_of
from snn_tool.models.config import LossWeights
from snn_tool.models.teachers.registry import load_teacher, save_teacher
from snn_tool.models.topology import COLOUR
from snn_tool.networks import teachers
from snn_tool.networks.evaluation import EvaluationFiles, run_evaluation
from snn_tool.networks.locate import TEACHER_FILE
from snn_tool.networks.open import open_teacher
from snn_tool.networks.shipped import shipped_names
from snn_tool.training.fit import data_hash
from snn_tool.training.runs import TaskOptions, load_training_data
from snn_tool.training.settings import TrainingSettings, load_settings

PRECISIONS = ("float32", "half")
LIMITS = (
    "White Gaussian noise alone, of the one strength that it was trained for.",
    "Weights in half precision: opened in float32, but not the bits that were trained.",
)


def main(given: list[str] | None = None) -> None:
    arguments = _arguments(given)
    try:
        ship(arguments)
    except SnnToolError as error:
        sys.exit(f"error: {error}")


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of snn-tool train")
    parser.add_argument("name", help="what --teacher will take")
    parser.add_argument("--summary", required=True, help="one line for people")
    parser.add_argument("--test", **named_folders("test set of clean images"), required=True)
    parser.add_argument("--data", type=Path, help="its training images, for its validation crops")
    parser.add_argument("--out", type=Path, default=Path("models/shipped/teachers"))
    parser.add_argument("--most-loss", type=float, default=0.01, help="dB (default %(default)s)")
    return parser.parse_args(given)


def ship(arguments: argparse.Namespace) -> None:
    """Round, measure, file.

    Raises:
        ConfigError: the name is a student's, the images are not those of the training, or rounding costs more
            than is allowed.
        ArtifactError: the run has no teacher, or a weight is too large for half precision.
    """
    if arguments.name in shipped_names():
        raise ConfigError(f"{arguments.name}: is a student; give the teacher another name")
    trained = arguments.run / TEACHER_FILE
    with tempfile.TemporaryDirectory() as folder:
        half = Path(folder) / f"{arguments.name}.safetensors"
        described = round_to_half(trained, half)
        files = dict(zip(PRECISIONS, (trained, half), strict=True))
        network, _ = load_teacher(half)
        in_colour = getattr(network, "image_channels", COLOUR) == COLOUR
        figures = [figure(files, *each, in_colour) for each in arguments.test]
        check_loss(arguments.name, figures, arguments.most_loss)
        account = described["training"]
        validation = validated(files, arguments.data, account) if arguments.data else None
        card = {
            "summary": arguments.summary,
            "architecture": described["architecture"],
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "figures": figures,
            "validation": validation,
            "recipe": [command_of(described)],
            "training": account,
            "limits": LIMITS,
        }
        arguments.out.mkdir(parents=True, exist_ok=True)
        for made in (half, sidecar_of(half)):
            shutil.copyfile(made, arguments.out / made.name)
    write_json(arguments.out / f"{arguments.name}.card.json", teachers.KIND, teachers.SCHEMA, card)


def round_to_half(trained: Path, half: Path) -> dict[str, Any]:
    """Write the teacher with weights in float16; the sidecar of the original as JSON values."""
    network, described = load_teacher(trained)
    rounded = copy.deepcopy(network).half()
    save_teacher(half, rounded, described["architecture"], described["options"], described["training"])
    return described


def figure(files: dict[str, Path], label: str, folder: Path, in_colour: bool) -> dict[str, Any]:
    """Means of PSNR and SSIM of one test set, degraded and restored by both files.

    `in_colour`: grey files of the set have three channels, as for students.
    """
    asked = (folder, (None, None, 0), 512, EvaluationFiles(), _shown)
    scored = {
        kind: run_evaluation(file, *asked, in_colour=in_colour).document() for kind, file in files.items()
    }
    half = scored["half"]
    found = {
        "set": label,
        "images": len(half["images"]),
        "task": half["task"],
        "degraded_psnr_db": half["mean"]["degraded_psnr_db"],
        "degraded_ssim": half["mean"]["degraded_ssim"],
        "half_psnr_std_db": half["standard_deviation"]["psnr_db"],
    }
    for kind, document in scored.items():
        found |= {f"{kind}_{figure}": document["mean"][figure] for figure in ("psnr_db", "ssim")}
    print(f"{label}: {found['float32_psnr_db']:.4f} dB, rounded {found['half_psnr_db']:.4f}", file=sys.stderr)
    return found


def check_loss(name: str, figures: Iterable[dict[str, Any]], most_db: float) -> None:
    """Refuse a teacher that half precision makes worse."""
    for each in figures:
        before, after = (each[f"{kind}_psnr_db"] for kind in PRECISIONS)
        if before - after > most_db:
            raise ConfigError(
                f"{name} is not filed: rounding costs {before - after:.4f} dB on {each['set']}, more than "
                f"--most-loss {most_db:g}"
            )


def validated(files: dict[str, Path], images: Path, account: dict[str, Any]) -> dict[str, Any]:
    """PSNR on the crops that the training left out, found again by its split."""
    shape = {key: account["training"][key] for key in ("seed", "patch")}
    settings = load_settings(None, {"training": shape})
    options = TaskOptions(images, account["task"]["task"], strength_option(account["task"]))
    data = load_training_data(options, settings)
    if data_hash(data.validation) != account["data"]["validation"]:
        raise ConfigError(f"{images}: does not give the validation images of the training; leave --data out")
    found = {kind: crop_psnr_db(open_teacher(file), data.crops) for kind, file in files.items()}
    means = {f"{kind}_psnr_db": round(fmean(values), 4) for kind, values in found.items()}
    return {"crops": len(found["half"]), **means}


def command_of(described: dict[str, Any]) -> str:
    """The command that makes such a run, from what its file says; images are called DIR, the folder RUN."""
    account = described["training"]
    words = [f"snn-tool train --data DIR --arch {described['architecture']}"]
    for key, value in described["options"].items():
        words.append(f"--option {key}={json.dumps(value, separators=(',', ':'))}")
    words += [f"--task {account['task']['task']} --strength {strength_option(account['task'])}"]
    usual, weights = TrainingSettings(), LossWeights()
    for field in fields(TrainingSettings):
        value = account["training"].get(field.name, getattr(usual, field.name))
        if value != getattr(usual, field.name):
            words.append(f"--{field.name.replace('_', '-')} {value}")
    for name in ("l1", "mse", "fft"):
        value = account["loss"].get(name, getattr(weights, name))
        if value != getattr(weights, name):
            words.append(f"--loss-{name} {value:g}")
    return " ".join([*words, "--out RUN"])


def _shown(images: list[Path], label: str) -> Iterable[Path]:
    for place, path in enumerate(images, 1):
        print(f"\r{label} {place}/{len(images)}", end="", file=sys.stderr, flush=True)
        yield path
    print(file=sys.stderr)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
