"""Keep the energy figures of README and docs equal to energy reports.

    python benchmarks/statements.py --check
    python benchmarks/statements.py --write
    python benchmarks/statements.py --measure --images CBSD68
    python benchmarks/statements.py --extract denoise-25-relay=E/energy.json
    python benchmarks/statements.py --charts pays.json

A figure stands between markers, `<!-- energy:WHAT -->` and `<!-- /energy -->`, in a sentence or around a
table; benchmarks/sourced/ has what WHAT may be. The numbers come from extracts of energy reports,
docs/data/energy-NAME.json, and from the data of the break-even charts, docs/data/pays.json.

--check exits 1 if a marked text differs from them, --write puts them there. --measure makes the reports of
statements.toml and their extracts, --extract those of reports that are there. --charts files what
`snn-tool energy pays` wrote beside its page, and draws the charts of docs/explanation/when-spikes-pay.md.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snn_tool.errors import SnnToolError
from snn_tool.files.artifacts import read_json, write_text
from sourced.extracts import extract, written
from sourced.figures import PAYS, Sources
from sourced.markers import checked, marked_files, rewritten
from sourced.pays import charts, read_pays

ROOT = Path(__file__).parents[1]
REPORTS = Path(__file__).with_suffix(".toml")
KIND, SCHEMAS = "energy", (2, 3)


def main() -> None:
    arguments = _arguments()
    root = arguments.root
    try:
        if arguments.measure:
            measure(root, arguments.names, arguments.images)
        for name, path in arguments.extract:
            take(root, name, path, shown(asked_of(name), "CBSD68"))
        if arguments.charts:
            draw(root, arguments.charts)
        if arguments.write:
            write(root)
        if arguments.check and (differences := check(root)):
            sys.exit("\n".join(differences))
    except SnnToolError as error:
        sys.exit(f"error: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="reports to --measure; all of statements.toml by default")
    parser.add_argument("--check", action="store_true", help="compare every marked text")
    parser.add_argument("--write", action="store_true", help="write every marked text")
    parser.add_argument("--measure", action="store_true", help="make the reports and their extracts")
    parser.add_argument("--images", type=Path, help="folder of clean images, for --measure")
    parser.add_argument(
        "--extract", type=_named, action="append", default=[], metavar="NAME=FILE", help="of a report"
    )
    parser.add_argument("--charts", type=Path, metavar="FILE", help="JSON document of 'energy pays'")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of README.md and docs/")
    parsed = parser.parse_args()
    if parsed.measure and parsed.images is None:
        parser.error("--measure needs --images DIR")
    if not any((parsed.check, parsed.write, parsed.measure, parsed.extract, parsed.charts)):
        parser.error("give --check, --write, --measure, --extract or --charts")
    return parsed


def _named(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError("write NAME=FILE")
    return name, Path(path)


def asked_of(name: str) -> Sequence[str]:
    """Options of a report by its name in statements.toml; unknown ones have none."""
    reports: Mapping[str, Any] = tomllib.loads(REPORTS.read_text(encoding="utf-8"))
    return list(reports.get(name, {}).get("options", ()))


def shown(options: Sequence[str], images: str) -> str:
    """The command as one may type it."""
    return " ".join(["snn-tool energy report", *options, "--images", images, "--out E"])


def measure(root: Path, names: Sequence[str], images: Path) -> None:
    """Make reports one after the other, and keep of each its extract."""
    known = tomllib.loads(REPORTS.read_text(encoding="utf-8"))
    if unknown := set(names) - set(known):
        sys.exit(f"{REPORTS.name} has no {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    for name in names or known:
        with tempfile.TemporaryDirectory() as folder:
            options = [*asked_of(name), "--images", str(images), "--out", folder]
            made = subprocess.run([sys.executable, "-m", "snn_tool", "energy", "report", *options])
            if made.returncode:
                sys.exit(f"{name}: 'snn-tool energy report' ended with {made.returncode}")
            take(root, name, Path(folder) / "energy.json", shown(asked_of(name), images.name))


def take(root: Path, name: str, report: Path, command: str) -> None:
    """File the extract of a report."""
    found = extract(read_json(report, KIND, SCHEMAS), command)
    target = root / "docs" / "data" / f"energy-{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, written(found))


def draw(root: Path, document: Path) -> None:
    """File the data of the break-even charts, and draw every chart."""
    report = read_pays(document)
    write_text(root / "docs" / "data" / PAYS, document.read_text(encoding="utf-8"))
    folder = root / "docs" / "explanation" / "pays"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = charts(report)
    for old in set(folder.glob("*.svg")) - {folder / name for name in drawn}:
        old.unlink()
    for name, text in drawn.items():
        write_text(folder / name, text)


def check(root: Path) -> list[str]:
    """A line for every marked text that differs."""
    sources, lines = Sources.of(root / "docs" / "data"), []
    for page in marked_files(root):
        for found in checked(page.read_text(encoding="utf-8"), sources):
            stands, expected = found.stands.strip()[:60], found.expected.strip()[:60]
            where = f"{page.relative_to(root)}:{found.line}"
            lines.append(f"{where}: {found.what}: {stands!r} stands there, its source says {expected!r}")
    return lines


def write(root: Path) -> None:
    """Every marked text as the extracts have it."""
    sources = Sources.of(root / "docs" / "data")
    for page in marked_files(root):
        text = page.read_text(encoding="utf-8")
        if (now := rewritten(text, sources)) != text:
            write_text(page, now)


if __name__ == "__main__":
    main()
