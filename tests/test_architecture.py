"""The arrows between the rooms as CONTRIBUTING.md draws them, what `--help` may import, and sizes."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import snn_tool

REPOSITORY = Path(__file__).parents[1]
PACKAGE = Path(snn_tool.__file__).parent
LEAVES = ("errors", "flags", "signals", "tables", "results", "ranks", "terminal")
"""Files of the package's top that every room may import; each imports only those before it."""
LEAF_MODULES = {"snn_tool", *(f"snn_tool.{leaf}" for leaf in LEAVES)}
ONLY_IN_EXPORTERS = {"nir", "h5py", "nirtorch"}
FOREIGN = {"lava", "pickle", "sanafe", "sanafecpp", "zigzag"}
CATCHES_UNPICKLING = {"snn_tool.training.run_folder", "snn_tool.models.teachers.weights"}
OF_OBJECTS = ("snn_tool.texts.", "snn_tool.energy.pages.", "snn_tool.demo.page")
"""Texts and pages: they take results, and read no file."""
READS = re.compile(r"(read|load|find|open|list)_.*|open|read|glob|rglob|iterdir|stat|exists|is_file|is_dir")
FOLDERS = {"toolchain": "snn_tool", **{top: f"snn_tool.{top}" for top in ("models", "exporters", "energy")}}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 450, 60


def package_of(folder: str) -> str:
    """The import package of a folder: that of `toolchain/cli` is snn_tool.cli."""
    top, *rest = folder.split("/")
    return ".".join((FOLDERS[top], *rest))


def table() -> dict[str, set[str]]:
    """For each room the rooms that it may import, from the table of CONTRIBUTING.md."""
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {
        package_of(room): {package_of(name) for name in re.findall(r"`([\w/]+)`", arrows)}
        for room, arrows in re.findall(r"^\| `([\w/]+)/` \| .* \| (.*) \|$", page, re.M)
    }
    assert len(rooms) > 20, "the table of CONTRIBUTING.md was not found"
    return rooms


def modules() -> dict[str, Path]:
    """Every module of the package at any depth; programs for other interpreters are none."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if "runner" not in parts:
            found[".".join(("snn_tool", *parts)).removesuffix(".__init__")] = path
    assert len(found) > 150, "the package was not found"
    return found


MODULES = modules()
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}


def room_of(module: str) -> str:
    """The innermost package that a module lies in."""
    return module if module in PACKAGES else module.rpartition(".")[0]


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file names in an import, and whether it is imported with the file itself.

    Relative imports show as ''. `from package import name` names `package.name` where that is a module.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.If) for n in ast.walk(f)}
    for node in ast.walk(tree):
        soon = id(node) not in later
        if isinstance(node, ast.Import):
            yield from ((alias.name, soon) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            inner = [name for name in names if name in MODULES]
            if len(inner) < len(names):
                yield "" if node.level else str(node.module), soon
            yield from ((name, soon) for name in inner)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_imports_follow_the_arrows(name: str) -> None:
    rooms, room = table(), room_of(name)
    assert room in rooms or room == "snn_tool", f"{room} has no line in the table of CONTRIBUTING.md"
    for imported, _ in imports_of(MODULES[name]):
        first = imported.split(".")[0]
        assert imported != "", f"{name}: relative import"
        assert first not in FOLDERS, f"{name}: {imported}"
        assert first not in FOREIGN or name in CATCHES_UNPICKLING, f"{name}: {imported}"
        assert first not in ONLY_IN_EXPORTERS or name.startswith("snn_tool.exporters."), f"{name}: {imported}"
        if first == "snn_tool" and room != "snn_tool" and imported not in LEAF_MODULES:
            assert imported in MODULES, f"{name} imports {imported}, which is not there"
            assert room_of(imported) in {room, *rooms[room]}, f"{name} imports {imported}"


@pytest.mark.parametrize("leaf", LEAVES)
def test_leaves_import_no_room(leaf: str) -> None:
    lower = {f"snn_tool.{name}" for name in LEAVES[: LEAVES.index(leaf)]} | {"snn_tool"}
    imported = {name for name, _ in imports_of(MODULES[f"snn_tool.{leaf}"]) if name.startswith("snn_tool")}
    assert imported <= lower


def test_the_table_has_no_way_back() -> None:
    """Rooms can be laid in layers: whoever follows the arrows never returns."""
    rooms, laid = table(), set()
    while ready := {room for room, arrows in rooms.items() if room not in laid and arrows <= laid}:
        laid |= ready
    assert set(rooms) == laid, f"in a circle: {sorted(set(rooms) - laid)}"


@pytest.mark.slow
def test_files_import_no_circle() -> None:
    files = {name: path for name, path in MODULES.items() if name not in PACKAGES}
    graph = {
        name: {other for other, soon in imports_of(path) if soon and other in files}
        for name, path in files.items()
    }
    laid: set[str] = set()
    while ready := {name for name, others in graph.items() if name not in laid and others <= laid}:
        laid |= ready
    assert set(graph) == laid, f"in a circle: {sorted(set(graph) - laid)}"


def test_exporters_and_energy_do_not_know_each_other() -> None:
    for room, arrows in table().items():
        for one, other in (("exporters", "energy"), ("energy", "exporters")):
            if room.startswith(f"snn_tool.{one}"):
                assert not any(arrow.startswith(f"snn_tool.{other}") for arrow in arrows), room


def test_the_package_list_is_the_folders() -> None:
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {
        package_of(path.parent.relative_to(REPOSITORY).as_posix())
        for top in FOLDERS
        for path in (REPOSITORY / top).rglob("*.py")
        if path.parent.name != "runner"
    }
    assert sorted(listed) == sorted(folders)
    assert folders == PACKAGES, "each package needs an __init__.py that says what it holds"


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_a_file_says_what_it_is_for_and_can_be_seen_whole(name: str) -> None:
    text = MODULES[name].read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert (ast.get_docstring(tree) or "").split("\n")[0].endswith("."), "its first line is a sentence"
    assert text.count("\n") <= MOST_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            lines = (node.end_lineno or 0) - first.lineno + 1
            assert lines <= MOST_LINES_OF_A_FUNCTION, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(OF_OBJECTS)])
def test_texts_and_pages_read_no_file(name: str) -> None:
    """They import nothing that reads or keeps files, call nothing that does, and no function takes a path."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for imported, _ in imports_of(MODULES[name]):
        assert not imported.startswith("snn_tool.files"), f"{name} imports {imported}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("snn_tool."):
            readers = [alias.name for alias in node.names if READS.fullmatch(alias.name)]
            assert not readers, f"{name} imports {readers} of {node.module}"
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert not READS.fullmatch(called), f"{name}: {called}(), line {node.lineno}"
        elif isinstance(node, ast.arg) and node.annotation is not None:
            assert "Path" not in ast.unparse(node.annotation), f"{name}: {node.arg}, line {node.lineno}"


@pytest.mark.slow
def test_the_interpreter_does_not_know_the_integer_network() -> None:
    """Two implementations with one file between them: transitively, not only in the first line."""
    script = (
        "import sys, snn_tool.exporters.nir.interpreter, snn_tool.exporters.nir.file; "
        "print([m for m in sys.modules if m.startswith('snn_tool.models.integer') or m == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_help_imports_neither_torch_nor_lightning() -> None:
    script = (
        "import sys; from snn_tool.cli.app import run; code = run(['--help']); "
        "heavy = {'torch', 'lightning', 'numpy', 'nir', 'matplotlib'} & set(sys.modules); "
        "sys.stderr.write(repr((code, sorted(heavy))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "(0, [])"
    commands = "train distill quantize export verify resources energy restore evaluate demo doctor"
    for command in commands.split():
        assert command in done.stdout
