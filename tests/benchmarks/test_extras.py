"""benchmarks/extras.py: the table it makes, the extras it asks for, and the page that shows what it said."""

import importlib.util
import os
import re
import shutil
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "start" / "installation.md").read_text(encoding="utf-8")
NETWORK = "SNN_TOOL_NETWORK"


@pytest.fixture(scope="module")
def extras() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extras", ROOT / "benchmarks" / "extras.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, list[str]] = project["optional-dependencies"]
    return found


def test_a_table_has_a_row_for_each_extra(extras: ModuleType) -> None:
    known, none = extras.Resolution({"torch": "2.15.0", "nir": "1"}), extras.Resolution({}, "nir clashes")
    assert extras.table({"dev": {"3.11": known, "3.13": none}}).splitlines() == [
        "| extra | 3.11 | 3.13 |",
        "| --- | --- | --- |",
        "| `dev` | 2 packages, torch 2.15.0 | nir clashes |",
    ]


def test_the_page_has_an_answer_for_each_extra_and_python(extras: ModuleType) -> None:
    rows = re.findall(r"^\| `([\w()-]+)` \| (\d+ packages.*) \|$", PAGE, re.MULTILINE)
    assert extras.CORE in dict(rows) and extras.ALL in dict(rows)
    for name in declared():
        assert len(dict(rows).get(name, "").split(" | ")) == len(extras.PYTHONS), (
            f"run benchmarks/extras.py again: docs/start/installation.md has no answer for {name}"
        )
        assert f"| `{name}` |" in PAGE.partition("Does a resolver")[0], "and what it is for"


def test_both_locks_share_no_package() -> None:
    names = [
        {line.partition("==")[0].lower().replace("_", "-") for line in text.splitlines() if "==" in line}
        for text in ((ROOT / f"requirements{kind}.lock").read_text() for kind in ("", "-docs"))
    ]
    assert names[0] and names[1] and not names[0] & names[1]
    asked = {re.split(r"[<>=\[]", item)[0] for item in declared()["docs"]}
    assert asked <= names[1]


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get(NETWORK) or not shutil.which("uv"),
    reason=f"asks an index: set {NETWORK}=1, install uv",
)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_extra_resolves(extras: ModuleType, python: str) -> None:
    for names in ([], *([name] for name in declared()), list(declared())):
        found = extras.resolve(python, names, shutil.which("uv"))
        assert not found.reason and "torch" in found.packages, (names, found.reason)
