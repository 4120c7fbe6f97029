"""Which shape of a student pays? Validation PSNR against synaptic operations per pixel, equal training.

    python benchmarks/frontier.py --data IMAGES --out FOLDER [--seeds 1] [--steps 1500] [--only SHAPE]

Every shape of frontier.toml is trained alone, without a teacher and without rounding, on the training images
and measured on the validation crops that the seed 0 splits off; no test image is read. The same command goes
on where it was stopped, and what is finished is not trained again. It writes frontier.json, frontier.md and
frontier.svg.
"""

import argparse
import shlex
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from pareto.page import draw, page, table
from pareto.shapes import Shape, head_macs, shape
from snn_tool.errors import ConfigError, Interrupted, SnnToolError
from snn_tool.files.artifacts import read_json, write_json, write_text
from snn_tool.models.topology import macs_per_pixel
from snn_tool.training.fit import TrainingData, fit
from snn_tool.training.module import SynopMeter
from snn_tool.training.run_folder import LAST, RunFolder, open_run, require_same
from snn_tool.training.runs import TaskOptions, asked_of, load_training_data
from snn_tool.training.settings import RunSettings, load_settings

SHAPES = Path(__file__).with_suffix(".toml")
KIND, POINT_KIND, SCHEMA = "frontier", "frontier-point", 1


def arguments_of(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of clean training images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs and the report")
    parser.add_argument("--shapes", type=Path, default=SHAPES, help="(default frontier.toml)")
    parser.add_argument("--only", action="append", default=[], metavar="SHAPE", help="may be repeated")
    parser.add_argument("--sigma", default="25", help="of the noise (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0 on (default %(default)s)")
    parser.add_argument("--steps", type=int, default=1500, help="of every run (default %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="patches per step (default %(default)s)")
    parser.add_argument("--patch", type=int, default=48, help="their side in pixels (default %(default)s)")
    return parser.parse_args(given)


def shapes_of(path: Path, only: list[str]) -> list[Shape]:
    """The shapes of a file, in its order, or those that `only` names."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    if unknown := [name for name in only if name not in tables]:
        raise ConfigError(f"--only {unknown[0]}: no such shape; there are {', '.join(tables)}")
    return [shape(name, values) for name, values in tables.items() if not only or name in only]


def settings_of(arguments: argparse.Namespace) -> RunSettings:
    """What all runs share; the last step is validated, and rounding is left out."""
    sizes = {"max_steps": arguments.steps, "batch": arguments.batch, "patch": arguments.patch, "qat": 0.0}
    return load_settings(None, {"training": {**sizes, "validate_every": arguments.steps}})


def benchmark(arguments: argparse.Namespace) -> None:
    """Plan, train, measure, write."""
    shapes = shapes_of(arguments.shapes, arguments.only)
    if arguments.seeds < 1:
        raise ConfigError(f"--seeds {arguments.seeds} is not allowed; use 1 or more")
    settings = settings_of(arguments)
    options = TaskOptions(arguments.data, "denoise", arguments.sigma, split_seed=0)
    data = load_training_data(options, settings)
    points: dict[str, list[dict[str, Any]]] = {each.name: [] for each in shapes}
    for seed in range(arguments.seeds):
        for each in shapes:
            folder = arguments.out / "runs" / f"{each.name}-{seed}"
            points[each.name].append(_point(each, seed, options, settings, data, folder))
            _say(f"{each.name}, seed {seed}: {points[each.name][-1]['psnr_db']:.3f} dB")
    document = _document(arguments, settings, options, data, shapes, points)
    write_json(arguments.out / "frontier.json", KIND, SCHEMA, document)
    write_text(arguments.out / "frontier.md", page(document))
    draw(document, arguments.out)
    print(table(document))


def _point(
    wanted: Shape, seed: int, options: TaskOptions, shared: RunSettings, data: TrainingData, path: Path
) -> dict[str, Any]:
    """Train a shape, unless that is done, and measure it."""
    settings = replace(shared, training=replace(shared.training, seed=seed), student=wanted.config)
    asked = {"shape": wanted.describe(), **asked_of(options, settings, data)}
    if (done := path / "point.json").exists():
        require_same(path / "settings.json", asked)
        point = read_json(done, POINT_KIND, SCHEMA)
        return {key: point[key] for key in ("psnr_db", "synops_per_pixel")}
    going_on = (path / "checkpoints" / LAST).exists()
    folder = RunFolder(path, resume=going_on, overwrite=not going_on)
    lightning.seed_everything(seed, verbose=False)
    network = wanted.build()
    open_run(folder, asked)
    trained = fit(network, data, settings.training, settings.loss, None, folder)
    point = {"psnr_db": trained["validation_psnr_db"], "synops_per_pixel": None}
    if not wanted.twin:
        point["synops_per_pixel"] = _synops(SynopMeter(network), network, data)
    write_json(done, POINT_KIND, SCHEMA, point)
    return point


def _synops(meter: SynopMeter, network: torch.nn.Module, data: TrainingData) -> float:
    """Mean over the validation crops."""
    counted = []
    with torch.no_grad():
        for degraded, _ in data.crops:
            network(degraded)
            counted.append(float(meter.per_pixel(degraded)))
    return round(sum(counted) / len(counted), 1)


def _document(
    arguments: argparse.Namespace,
    settings: RunSettings,
    options: TaskOptions,
    data: TrainingData,
    shapes: list[Shape],
    points: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    described = [
        {
            "name": each.name,
            "kind": each.kind,
            "shape": each.describe(),
            "parameters": each.topology.parameters - (len(each.topology.spiking) if each.twin else 0),
            "macs_per_pixel": macs_per_pixel(each.topology),
            "head_macs_per_pixel": head_macs(each.topology, each.config.timesteps),
            "points": points[each.name],
        }
        for each in shapes
    ]
    asked = asked_of(options, settings, data)
    return {**asked, "seeds": arguments.seeds, "shapes": described, "command": _command(arguments)}


def _command(arguments: argparse.Namespace) -> str:
    words = ["python benchmarks/frontier.py --data IMAGES --out FOLDER"]
    for key in ("sigma", "seeds", "steps", "batch", "patch"):
        words.append(f"--{key} {shlex.quote(str(getattr(arguments, key)))}")
    return " ".join([*words, *(f"--only {name}" for name in arguments.only)])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(given: list[str] | None = None) -> int:
    try:
        benchmark(arguments_of(given))
    except (KeyboardInterrupt, Interrupted):
        _say("interrupted; the same command goes on")
        return 130
    except (SnnToolError, OSError, tomllib.TOMLDecodeError) as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
