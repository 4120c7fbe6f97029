"""Train, quantise and measure the students that come with snn-tool, and file them with their cards.

    python benchmarks/ship_students.py --data TRAINING_IMAGES --test CBSD68=FOLDER --runs FOLDER denoise-25
    python benchmarks/ship_students.py --measure --test CBSD68=FOLDER --runs FOLDER denoise-25
    python benchmarks/ship_students.py --again --test Set14=FOLDER --runs FOLDER denoise-25

Every step is one of snn-tool's own commands, which the card then shows. A run that was stopped goes on
where it was; what is already quantised or measured is measured again, because it takes minutes. --measure
keeps the students that are filed, bit for bit, and writes their cards anew; the run's float student must be
theirs; --again measures the sets that are given alone, and the card keeps its other figures. The first test
set is also the one of the energy report; name sets that no training saw as well, for a card tells how a
student generalises. A student that is not clearly better than its input is not filed, nor one of whose
other seeds (--beside NAME=RUN, repeated) is better on the validation crops. A student that takes the place
of another is its next version: the former one stays, in versions/, and the recipe says `changes = [...]`.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from shipping.figures import (
    Measured,
    check_gain,
    energy_figures,
    figure,
    foreign_figure,
    foreign_sets,
    wanted,
)
from shipping.recipes import check_recipe, commands, last_run, shown_command, steps, teacher_file
from shipping.versions import keep_former, seeds_of, version_of
from snn_tool.errors import ArtifactError, SnnToolError
from snn_tool.files.artifacts import read_json, sha256_file, write_json
from snn_tool.models.integer.file import load_integer_network
from snn_tool.models.topology import COLOUR
from snn_tool.networks.locate import NO_TEACHER
from snn_tool.networks.shipped import KIND, SCHEMA, student_path

RECIPES = Path(__file__).with_suffix(".toml")
HEAD = ("kind", "schema", "tool_version")
"""Keys that `write_json` writes itself."""
ENERGY_TEACHER = "restormer"


def main() -> None:
    arguments = _arguments()
    recipes = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    if unknown := set(arguments.names) - set(recipes):
        sys.exit(f"{RECIPES.name} has no {', '.join(sorted(unknown))}; it has {', '.join(recipes)}")
    try:
        for name in arguments.names or recipes:
            task = measure_foreign if arguments.foreign else measure_again if arguments.again else ship
            task(name, recipes[name], arguments)
    except SnnToolError as error:
        sys.exit(f"error: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="students; all by default")
    parser.add_argument("--data", type=Path, help="folder of clean training images")
    parser.add_argument("--test", **named_folders("test set of clean images"))
    parser.add_argument("--pairs", **named_folders("test set of pairs, with clean/ and degraded/ in it"))
    parser.add_argument("--beside", **named_folders("run of a student's last step with another seed"))
    parser.add_argument("--runs", type=Path, help="folder for the training runs")
    parser.add_argument("--out", type=Path, default=Path("models/shipped"), help="where the students go")
    parser.add_argument("--measure", action="store_true", help="keep the filed students, measure them again")
    parser.add_argument(
        "--again", action="store_true", help="measure the given sets alone, of filed students"
    )
    parser.add_argument("--foreign", action="store_true", help="measure filed students on foreign data alone")
    parsed = parser.parse_args()
    if parsed.foreign:
        return parsed
    if parsed.runs is None:
        parser.error("--runs is needed")
    if not parsed.test or (parsed.data is None and not (parsed.measure or parsed.again)):
        parser.error("--test is needed, and --data unless --measure or --again")
    return parsed


def named_folders(about: str) -> dict[str, Any]:
    """Keywords of an option NAME=FOLDER that may be repeated."""

    def parse(text: str) -> tuple[str, Path]:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise argparse.ArgumentTypeError(f"'{text}' is not NAME=FOLDER")
        return name, Path(folder)

    return {"action": "append", "default": [], "type": parse, "metavar": "NAME=FOLDER", "help": about}


def ship(name: str, recipe: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Make one student, measure it, and copy it with its card.

    Raises:
        ConfigError: a set of the recipe was not given, the student was trained otherwise than its recipe
            says, or it is hardly better than its input.
        ArtifactError: --measure, and the run did not make the student that is filed.
    """
    run, filed = arguments.runs / last_run(name, recipe), student_path(name, arguments.out)
    sets = wanted(name, recipe, arguments.test, arguments.pairs)
    foreign = foreign_sets(name, recipe, arguments.test, arguments.pairs)
    if arguments.measure:
        integers = _filed(filed, run / "student.safetensors")
    else:
        integers = _made(name, recipe, arguments)
    network, provenance = load_integer_network(integers)
    taught = sha256_file(teacher_file(name, arguments.runs)) if "teacher" in recipe else NO_TEACHER
    check_recipe(name, recipe, provenance["training"], taught)
    others = [folder for student, folder in arguments.beside if student == name]
    seeds = seeds_of(name, provenance["training"], others)
    version = version_of(name, integers, recipe, arguments.out)
    files = {"float": run / "student.safetensors", "integer": integers}
    figures = [figure(files, each, evaluate) for each in sets]
    check_gain(name, figures)
    keep_former(name, version, arguments.out)
    if not arguments.measure:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for suffix in (".safetensors", ".json"):
            shutil.copyfile(integers.with_suffix(suffix), filed.with_suffix(suffix))
    card = {
        "summary": recipe["summary"],
        "parameters": network.topology.parameters,
        "figures": figures,
        "recipe": commands(name, recipe),
        "training": {
            key: provenance["training"][key]
            for key in ("steps", "best_step", "seed", "validation_psnr_db", "task", "data")
        },
        "energy": energy(run, integers, sets),
        "limits": recipe["limits"],
        "foreign": [foreign_figure(integers, each, evaluate) for each in foreign],
        "version": version,
        "seeds": seeds,
        "changes": recipe.get("changes", []),
        **({} if (channels := network.topology.image_channels) == COLOUR else {"channels": channels}),
    }
    write_json(arguments.out / f"{name}.card.json", KIND, SCHEMA, card)


def measure_foreign(name: str, recipe: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Write the section `foreign` of a filed student's card anew; all else stays."""
    path = arguments.out / f"{name}.card.json"
    if not (sets := foreign_sets(name, recipe, arguments.test, arguments.pairs)) or not path.exists():
        return
    card = {key: value for key, value in read_json(path, KIND, SCHEMA).items() if key not in HEAD}
    student = student_path(name, arguments.out)
    card["foreign"] = [foreign_figure(student, each, evaluate) for each in sets]
    write_json(path, KIND, SCHEMA, card)


def measure_again(name: str, recipe: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Write the figures of the given clean sets in a filed student's card anew; all else stays.

    Raises:
        ArtifactError: the run did not make the student that is filed.
    """
    path, run = arguments.out / f"{name}.card.json", arguments.runs / last_run(name, recipe)
    card = {key: value for key, value in read_json(path, KIND, SCHEMA).items() if key not in HEAD}
    trained = run / "student.safetensors"
    files = {"float": trained, "integer": _filed(student_path(name, arguments.out), trained)}
    known = {key: value for key, value in recipe.items() if key != "pairs"}
    new = [figure(files, each, evaluate) for each in wanted(name, known, arguments.test, ())]
    check_gain(name, new)

    def place(each: dict[str, Any]) -> tuple[str, str]:
        return each["set"], json.dumps(each["task"])

    by_place = {place(each): each for each in new}
    kept = [by_place.pop(place(each), each) for each in card["figures"]]
    card["figures"] = [*kept, *by_place.values()]
    write_json(path, KIND, SCHEMA, card)


def _made(name: str, recipe: dict[str, Any], arguments: argparse.Namespace) -> Path:
    """Train, in one run or several, and quantise; the integer student."""
    for step in steps(name, recipe, arguments.runs, arguments.data):
        if not step.is_fit:
            _tool(*step.arguments, "--overwrite")
        elif not step.makes.exists():
            begun = (step.makes.parent / "checkpoints" / "last.ckpt").exists()
            _tool(*step.arguments, *(["--resume"] if begun else []))
    return step.makes


def _filed(filed: Path, trained: Path) -> Path:
    """The student that is filed, if `trained` is what it was quantised from."""
    _, provenance = load_integer_network(filed)
    if provenance["student_sha256"] != sha256_file(trained):
        raise ArtifactError(f"{filed}: was not made from {trained}; leave --measure out to file that one")
    return filed


def evaluate(student: Path, measured: Measured) -> dict[str, Any]:
    """The JSON of `snn-tool evaluate` on one set at one strength."""
    is_pairs = measured.strength is None and measured.kind is None
    option = ["--pairs" if is_pairs else "--data", measured.folder]
    strength = [] if measured.strength is None else ["--strength", measured.strength]
    kind = ["--kind", measured.kind] if measured.kind else []
    register = ["--register", measured.register] if measured.register else []
    colour = ["--in-colour"] if measured.in_colour else []
    options = (*option, *strength, *kind, *register, *colour)
    scored: dict[str, Any] = _tool("evaluate", "--student", student, *options)
    return scored


def energy(run: Path, student: Path, sets: list[Measured]) -> dict[str, Any]:
    """The energy report's ratios against Restormer's architecture and the ANN twin, and its counts."""
    first = [each for each in sets if each.label == sets[0].label]
    fixed = ("--teacher", ENERGY_TEACHER, "--strength", first[len(first) // 2].strength)
    out = ("--out", run / "energy", "--no-sweep", "--overwrite")
    report = _tool("energy", "report", "--student", student, "--images", first[0].folder, *fixed, *out)
    return {"against": f"{ENERGY_TEACHER} at its default size", **energy_figures(report)}


def _tool(*arguments: object) -> Any:
    """Run a command of snn-tool; its JSON."""
    shown = [str(argument) for argument in arguments]
    print(shown_command(*arguments), file=sys.stderr)
    ran = subprocess.run(
        [sys.executable, "-m", "snn_tool", "--json", *shown], text=True, stdout=subprocess.PIPE
    )
    if ran.returncode:
        sys.exit(ran.returncode)  # the command has said why
    return json.loads(ran.stdout)


if __name__ == "__main__":
    main()
