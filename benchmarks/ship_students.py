"""Train, quantise and measure the students that come with snn-tool, and file them with their cards.

    python benchmarks/ship_students.py --data TRAINING_IMAGES --test CBSD68=FOLDER --runs FOLDER denoise-25

Every step is one of snn-tool's own commands, which the card then shows. A run that was stopped goes on where
it was; what is already quantised or measured is measured again, because it takes minutes. The first test set
is also the one of the energy report.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from snn_tool.artifacts import write_json
from snn_tool.models.integer_file import load_integer_network
from snn_tool.shipped import KIND, SCHEMA

RECIPES = Path(__file__).with_suffix(".toml")
ENERGY_TEACHER = "restormer"


def main() -> None:
    arguments = _arguments()
    recipes = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    tests = dict(pair.split("=", 1) for pair in arguments.test)
    for name in arguments.names or recipes:
        ship(name, recipes[name], arguments, {key: Path(value) for key, value in tests.items()})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="students; all by default")
    parser.add_argument("--data", type=Path, required=True, help="folder of clean training images")
    parser.add_argument("--test", action="append", required=True, metavar="NAME=FOLDER", help="test set")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the training runs")
    parser.add_argument("--out", type=Path, default=Path("models/shipped"), help="where the students go")
    return parser.parse_args()


def ship(name: str, recipe: dict[str, Any], arguments: argparse.Namespace, tests: dict[str, Path]) -> None:
    """Make one student, measure it, and copy it with its card."""
    run = arguments.runs / name
    options = [text for key, value in recipe["distill"].items() for text in (f"--{key}", str(value))]
    recipe_lines = [
        _shown("distill", "--data", "IMAGES", *options, "--out", name),
        _shown("quantize", f"{name}/student.safetensors", "--data", "IMAGES"),
    ]
    if not (run / "student.safetensors").exists():
        again = ["--resume"] if (run / "checkpoints" / "last.ckpt").exists() else []
        _tool("distill", "--data", arguments.data, *options, "--out", run, *again)
    _tool("quantize", run / "student.safetensors", "--data", arguments.data, "--overwrite")
    figures = [
        figure(run, label, folder, sigma) for label, folder in tests.items() for sigma in recipe["sigmas"]
    ]
    network, provenance = load_integer_network(run / "student.int.safetensors")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for suffix in (".int.safetensors", ".int.json"):
        shutil.copyfile(run / f"student{suffix}", arguments.out / f"{name}{suffix}")
    card = {
        "summary": recipe["summary"],
        "parameters": network.topology.parameters,
        "figures": figures,
        "recipe": recipe_lines,
        "training": {
            key: provenance["training"][key]
            for key in ("steps", "best_step", "seed", "validation_psnr_db", "task", "data")
        },
        "energy": energy(run, next(iter(tests.values())), recipe["sigmas"]),
        "limits": recipe["limits"],
    }
    write_json(arguments.out / f"{name}.card.json", KIND, SCHEMA, card)


def figure(run: Path, label: str, folder: Path, sigma: float) -> dict[str, Any]:
    """Mean PSNR and SSIM of the float and of the integer student on one test set at one noise."""
    means = {}
    for kind, file in (("float", "student.safetensors"), ("integer", "student.int.safetensors")):
        scored = _tool("evaluate", "--student", run / file, "--data", folder, "--sigma", sigma)
        means[kind] = scored["mean"]
    return {
        "set": label,
        "images": len(scored["images"]),
        "sigma": sigma,
        "degraded_psnr_db": means["integer"]["degraded_psnr_db"],
        "degraded_ssim": means["integer"]["degraded_ssim"],
        **{f"{kind}_psnr_db": mean["psnr_db"] for kind, mean in means.items()},
        **{f"{kind}_ssim": mean["ssim"] for kind, mean in means.items()},
    }


def energy(run: Path, folder: Path, sigmas: list[float]) -> dict[str, Any]:
    """The range of the energy report's ratios against Restormer's architecture and against the ANN twin."""
    fixed = ("--teacher", ENERGY_TEACHER, "--sigma", sigmas[len(sigmas) // 2], "--no-sweep", "--overwrite")
    student = run / "student.int.safetensors"
    report = _tool(
        "energy", "report", "--student", student, "--images", folder, "--out", run / "energy", *fixed
    )
    return {
        "against": f"{ENERGY_TEACHER} at its default size",
        "least": report["headline"]["least"],
        "most": report["headline"]["most"],
        "twin_least": report["twin_headline"]["least"],
        "twin_most": report["twin_headline"]["most"],
    }


def _tool(*arguments: object) -> Any:
    """Run a command of snn-tool; its JSON."""
    shown = [str(argument) for argument in arguments]
    print(_shown(*shown), file=sys.stderr)
    ran = subprocess.run(
        [sys.executable, "-m", "snn_tool", "--json", *shown], check=True, text=True, stdout=subprocess.PIPE
    )
    return json.loads(ran.stdout)


def _shown(*arguments: str) -> str:
    return "snn-tool " + " ".join(arguments)


if __name__ == "__main__":
    main()
