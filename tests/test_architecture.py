"""The arrows between the rooms, and what `--help` may import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import snn_tool

PACKAGE = Path(snn_tool.__file__).parent
LEAVES = {
    "snn_tool",
    *("snn_tool.errors", "snn_tool.files.artifacts", "snn_tool.files.documents", "snn_tool.tables"),
    *("snn_tool.files.ownership", "snn_tool.files.staging", "snn_tool.files.temporaries"),
}
ROOMS = {
    "models": {"models"},
    "exporters": {"exporters", "models"},
    "energy": {"energy", "models"},
    "toolchain": {"toolchain", "exporters", "energy", "models"},
}
ONLY_IN_EXPORTERS = {"nir", "h5py", "nirtorch"}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "toolchain"


def imports_of(path: Path) -> set[str]:
    """Every module that a file names in an import, at any depth; relative imports show as ''."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("" if node.level else str(node.module))
    return found


def modules() -> list[tuple[str, Path]]:
    files = [p for p in PACKAGE.glob("*.py")]
    for room in ("models", "exporters", "energy"):
        folder = Path(__import__(f"snn_tool.{room}", fromlist=["x"]).__file__).parent
        files += list(folder.glob("*.py"))
        assert len(list(folder.glob("*.py"))) > 2, f"{room} was not found"
    named = []
    for path in files:
        room = path.parent.name if path.parent.name in ("models", "exporters", "energy") else None
        named.append((".".join(x for x in ("snn_tool", room, path.stem) if x and x != "__init__"), path))
    return named


@pytest.mark.parametrize(
    ("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_imports_follow_the_arrows(name: str, path: Path) -> None:
    room = room_of(name)
    for imported in imports_of(path):
        assert imported != "", f"{name}: relative import"
        assert imported.split(".")[0] not in ("toolchain", "models", "exporters", "energy"), (
            f"{name}: {imported}"
        )
        if imported.split(".")[0] == "snn_tool" and imported not in LEAVES:
            assert room_of(imported) in ROOMS[room], f"{name} imports {imported}"
        if imported.split(".")[0] in ONLY_IN_EXPORTERS:
            assert room == "exporters", f"{name} imports {imported}"
        assert imported.split(".")[0] not in ("lava", "pickle", "sanafe", "sanafecpp") or name in (
            "snn_tool.training.run_folder",
            "snn_tool.models.teachers.weights",
        ), f"{name}: {imported}"


@pytest.mark.parametrize("leaf", sorted(LEAVES - {"snn_tool"}))
def test_leaves_import_no_room(leaf: str) -> None:
    path = PACKAGE / f"{leaf.removeprefix('snn_tool.')}.py"
    assert {name for name in imports_of(path) if name.startswith("snn_tool")} <= LEAVES - {leaf}


def test_the_interpreter_does_not_know_the_integer_network() -> None:
    """Two implementations with one file between them: transitively, not only in the first line."""
    script = (
        "import sys, snn_tool.exporters.nir.interpreter, snn_tool.exporters.nir.file; "
        "print([m for m in sys.modules if m.startswith('snn_tool.models.integer.network') or m == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_imports_neither_torch_nor_lightning() -> None:
    script = (
        "import sys; from snn_tool.cli.app import run; code = run(['--help']); "
        "heavy = {'torch', 'lightning', 'numpy', 'nir', 'matplotlib'} & set(sys.modules); "
        "sys.stderr.write(repr((code, sorted(heavy))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "(0, [])"
    for command in (
        "train",
        "distill",
        "quantize",
        "export",
        "verify",
        "resources",
        "energy",
        "restore",
        "evaluate",
        "demo",
        "doctor",
    ):
        assert command in done.stdout
