"""Versions of shipped students: the former one is kept as it was filed, and the seeds that were tried."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import read_json, sha256_file
from snn_tool.models.checkpoints import sidecar_of
from snn_tool.models.student import SCHEMA, STUDENT_KIND
from snn_tool.networks.locate import STUDENT_FILE
from snn_tool.networks.shipped import AT, VERSIONS, is_shipped, read_card, student_path

FILES = (".int.safetensors", ".int.json", ".card.json")


def version_of(name: str, integers: Path, recipe: Mapping[str, Any], out: Path) -> int:
    """The version that new integers will be: the filed one's if they are the same bits, else the next.

    Raises:
        ConfigError: it is a further version, and the recipe does not say what changed.
    """
    if not is_shipped(name, out):
        return 1
    version = read_card(name, out).version
    if sha256_file(integers) == sha256_file(student_path(name, out)):
        return version
    if not recipe.get("changes"):
        raise ConfigError(
            f'{name}: is version {version + 1}; its recipe needs changes = ["..."] for the card'
        )
    return version + 1


def keep_former(name: str, version: int, out: Path) -> None:
    """Copy the filed student to its own version before `version` takes its place; bit for bit, and once."""
    if not is_shipped(name, out) or read_card(name, out).version >= version:
        return
    kept = out / VERSIONS / f"{name}{AT}{read_card(name, out).version}"
    kept.parent.mkdir(exist_ok=True)
    for suffix in FILES:
        shutil.copyfile(out / f"{name}{suffix}", kept.with_name(f"{kept.name}{suffix}"))


def seeds_of(name: str, training: Mapping[str, Any], others: Sequence[Path]) -> list[dict[str, Any]]:
    """Seed and validation PSNR of the student that ships, and of the runs of other seeds, the best first.

    Args:
        name: of the student.
        training: the account of its own training.
        others: folders of the same last run with other seeds.

    Raises:
        ConfigError: one of them is better, of the same seed, or was asked for otherwise.
    """
    found = [_seed(training)]
    for folder in others:
        account = read_json(sidecar_of(folder / STUDENT_FILE), STUDENT_KIND, SCHEMA)["training"]
        if account["steps"] != training["steps"] or account["task"] != training["task"]:
            raise ConfigError(f"{folder}: another training than that of {name}, not another seed of it")
        found.append(_seed(account))
    if len({each["seed"] for each in found}) < len(found):
        raise ConfigError(f"{name}: two of its runs have one seed")
    best = max(found, key=lambda each: float(each["validation_psnr_db"]))
    if best != found[0]:
        raise ConfigError(
            f"{name} is not filed: seed {best['seed']} is better on the validation crops, "
            f"{best['validation_psnr_db']:.3f} dB against {found[0]['validation_psnr_db']:.3f}"
        )
    return sorted(found, key=lambda each: -float(each["validation_psnr_db"]))


def _seed(account: Mapping[str, Any]) -> dict[str, Any]:
    return {key: account[key] for key in ("seed", "validation_psnr_db")}
