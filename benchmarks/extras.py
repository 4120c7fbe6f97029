"""Ask a resolver for every extra on every Python, whether there is a set of versions at all.

    pip install uv
    python benchmarks/extras.py [--python 3.11 --python 3.12 --python 3.13] [--extra NAME] [--out FILE]

Nothing is installed: `uv pip compile` reads the packages' metadata from the index, for Linux on x86-64. It
asks for the core alone, for each extra of pyproject.toml, and for all of them at once, and prints a table in
Markdown with the number of packages and the version of torch, or why there is no set. It ends with 1 if one
has none.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORM = "x86_64-manylinux_2_28"
CORE, ALL = "(core)", "(all)"
TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the resolver said: pinned packages by name, or why it found none."""

    packages: dict[str, str]
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return self.reason
        return f"{len(self.packages)} packages, torch {self.packages['torch']}"


def extras() -> list[str]:
    """The extras that pyproject.toml declares."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return sorted(declared["project"]["optional-dependencies"])


def resolve(python: str, asked: list[str], uv: str) -> Resolution:
    """Versions for these extras on this Python, as an index offers them today."""
    command = [uv, "pip", "compile", "--no-config", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-version", python, "--python-platform", PLATFORM]
    command += [word for extra in asked for word in ("--extra", extra)]
    environment = {**os.environ, "UV_NO_PROGRESS": "1"}
    command.append(str(ROOT / "pyproject.toml"))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment)
    except subprocess.TimeoutExpired:
        return Resolution({}, f"no answer within {TIMEOUT_S} s")
    if done.returncode != 0:
        return Resolution({}, " ".join(done.stderr.split()) or f"uv ended with {done.returncode}")
    return Resolution(dict(re.findall(r"^([\w.-]+)==(\S+)", done.stdout, flags=re.MULTILINE)))


def table(found: dict[str, dict[str, Resolution]]) -> str:
    """Markdown: a row for each extra, a column for each Python."""
    pythons = list(next(iter(found.values())))
    head = ["extra", *pythons]
    rows = [[f"`{name}`", *(str(row[python]) for python in pythons)] for name, row in found.items()]
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", action="append", help=f"a version (default {', '.join(PYTHONS)})")
    parser.add_argument("--extra", action="append", help="(default: core, each, all at once)")
    parser.add_argument("--out", type=Path, help="file for the table; it is printed in any case")
    arguments = parser.parse_args()
    uv = shutil.which("uv")
    if uv is None:
        parser.error("uv is not installed: pip install uv")
    asked = {name: [name] for name in arguments.extra or extras()}
    if not arguments.extra:
        asked = {CORE: [], **asked, ALL: extras()}
    pythons = arguments.python or PYTHONS
    found: dict[str, dict[str, Resolution]] = {}
    for name, names in asked.items():
        for python in pythons:
            each = found.setdefault(name, {})[python] = resolve(python, names, uv)
            print(f"{name}, Python {python}: {each}", file=sys.stderr, flush=True)
    text = table(found)
    print(text, end="")
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    sys.exit(any(each.reason for row in found.values() for each in row.values()))


if __name__ == "__main__":
    main()
