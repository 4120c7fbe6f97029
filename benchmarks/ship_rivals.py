"""Make, measure and file the int8 CNNs that stand beside shipped students in an energy report.

    python benchmarks/ship_rivals.py --data TRAINING_IMAGES --test CBSD68=FOLDER --runs FOLDER denoise-25-cnn

A rival starts from a student's weights: its most telling channels, with 127 levels in place of the
student's few. Training is a command of snn-tool, which the card shows; a run that was stopped goes on.
Quantisation is for an array of multipliers: its read-out has no register of 17 bits. The rival of a student
for grey is one, and its first --test is a grey set.
"""

import argparse
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import torch
from ship_students import evaluate, named_folders
from shipping.figures import Measured, figure
from shipping.narrowing import int8_config, narrowed
from snn_tool.degradations.crops import channels_first, load_crop
from snn_tool.degradations.pairs import source_for
from snn_tool.degradations.tasks import TrainedFor
from snn_tool.errors import SnnToolError
from snn_tool.files.artifacts import sha256_file, write_json
from snn_tool.images.files import Pixels, find_images, in_channels, read_picture
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.integer.training import load_dequantized
from snn_tool.models.student import load_student, save_student
from snn_tool.models.topology import COLOUR
from snn_tool.networks.rivals import KIND, SCHEMA, rival_path
from snn_tool.networks.shipped import read_card, student_path
from snn_tool.training.data import ImageSet, ValidationSet, split_validation

RECIPES = Path(__file__).with_suffix(".toml")
SIGMA, CROP, CALIBRATION, LOOKED_AT = "25", 256, 16, 16
TRAINING = (
    *("--neuron", "graded", "--levels", "127", "--patch", "96", "--batch", "4", "--sigma", SIGMA),
    *("--validate-every", "250", "--qat", "0", "--lr", "0.002", "--kernel-lr", "0.015"),
    *("--loss-l1", "0", "--loss-mse", "1", "--loss-fft", "0"),
)
"""Of `snn-tool distill`."""


def main() -> None:
    arguments = _arguments()
    recipes = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    if unknown := set(arguments.names) - set(recipes):
        sys.exit(f"{RECIPES.name} has no {', '.join(sorted(unknown))}; it has {', '.join(recipes)}")
    try:
        for name in arguments.names or recipes:
            ship(name, recipes[name], arguments)
    except SnnToolError as error:
        sys.exit(f"error: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="rivals; all by default")
    parser.add_argument("--data", type=Path, required=True, help="folder of clean training images")
    parser.add_argument("--test", **named_folders("test set of clean images"))
    parser.add_argument("--runs", type=Path, required=True, help="folder for the training runs")
    parser.add_argument("--out", type=Path, default=Path("models/shipped/rivals"), help="where they go")
    parsed = parser.parse_args()
    if not parsed.test:
        parser.error("--test is needed")
    return parsed


def ship(name: str, recipe: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Make one rival, measure it, and file it with its card."""
    trained = _trained(recipe, arguments)
    network, config, account = load_student(trained)
    crops = _crops(arguments.data, config.channels)
    with torch.no_grad():
        integers = quantize(
            network, config, [channels_first(crop.degraded) for crop in crops], for_array=True
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = rival_path(name, arguments.out)
    provenance = {
        "student_sha256": sha256_file(trained),
        "training": account,
        "noise": source_for(None, "denoise", SIGMA, TrainedFor()).describe(),
        "calibration_images": [crop.name for crop in crops],
    }
    save_integer_network(path, integers, provenance)
    files, colour = {"float": trained, "integer": path}, config.channels == COLOUR
    sets = [Measured(*each, SIGMA, in_colour=colour) for each in arguments.test]
    card = {
        "summary": recipe["summary"],
        "students": recipe["students"],
        "role": recipe["role"],
        "parameters": integers.topology.parameters,
        "figures": [figure(files, each, evaluate) for each in sets],
        "recipe": _commands(name, recipe, config.channels),
        "training": {
            key: account[key] for key in ("steps", "best_step", "seed", "validation_psnr_db", "task", "data")
        },
    }
    write_json(arguments.out / f"{name}.card.json", KIND, SCHEMA, card)


def _trained(recipe: dict[str, Any], arguments: argparse.Namespace) -> Path:
    """The float network: narrowed, and trained if the recipe says so."""
    width, steps = recipe["width"], recipe["steps"]
    start = arguments.runs / f"start{width}.safetensors"
    if not start.exists():
        _start(recipe, width, start, arguments.data)
    run = arguments.runs / f"cnn{width}"
    if not steps:
        return start
    if not (run / "student.safetensors").exists():
        begun = ["--resume"] if (run / "checkpoints" / "last.ckpt").exists() else []
        command = _distill(recipe, arguments.data, start, run, _channels_of(start))
        subprocess.run([sys.executable, "-m", "snn_tool", *command, *begun], check=True)
    return run / "student.safetensors"


def _start(recipe: dict[str, Any], width: int, out: Path, data: Path) -> None:
    """A student's weights, narrowed; the account is the student's, as nothing else was trained."""
    source = recipe["from"]
    student, config = load_dequantized(student_path(source))
    training, _ = split_validation(find_images(data), seed=0)

    def read(path: Path) -> Pixels:
        return in_channels(read_picture(path).pixels, config.channels)

    images = ImageSet.load(training[:LOOKED_AT], 96, read)
    crops = ValidationSet(images, source_for(None, "denoise", SIGMA, TrainedFor()), 0)
    small = narrowed(student, config, width, [degraded.float() for degraded, _ in crops])
    save_student(out, small, int8_config(config, width), dict(read_card(source).training))


def _channels_of(start: Path) -> int:
    """Of the images that a network takes: 3 of colour, 1 of grey."""
    return load_student(start)[1].channels


def _crops(data: Path, channels: int) -> list[Any]:
    """Degraded crops of training images that validation does not use."""
    training, _ = split_validation(find_images(data), seed=0)
    degradation = source_for(None, "denoise", SIGMA, TrainedFor())
    found = (
        load_crop(path, data, degradation, CROP, 8, channels=channels) for path in training[:CALIBRATION]
    )
    return [crop for crop in found if crop]


def _distill(recipe: dict[str, Any], data: object, start: object, run: object, channels: int) -> list[str]:
    given = ("--data", data, *TRAINING, "--width", recipe["width"], "--max-steps", recipe["steps"])
    given += () if channels == COLOUR else ("--channels", channels)
    return ["distill", *map(str, (*given, "--out", run, "--init", start))]


def _commands(name: str, recipe: dict[str, Any], channels: int) -> list[str]:
    """What the card shows."""
    width, own = recipe["width"], "CBSD68" if channels == COLOUR else "BSD68"
    ship = f"python benchmarks/ship_rivals.py --data IMAGES --test {own}=FOLDER --runs RUNS {name}"
    if not recipe["steps"]:
        return [ship]
    command = _distill(recipe, "IMAGES", f"RUNS/start{width}.safetensors", f"RUNS/cnn{width}", channels)
    return [ship, f"snn-tool {shlex.join(command)}"]


if __name__ == "__main__":
    main()
