"""Two hundred damaged files for each reader of foreign files: one line, no hang, bounded memory and time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "fuzz/fuzz_readers.py"
MUTANTS = 200
READERS = (
    *(
        "nir",
        "foreign-nir",
        "nir-module",
        "netx",
        "golden",
        "bundle",
        "ranges",
        "sanafe",
        "mapping",
        "student",
    ),
    *("integers", "teacher", "weights", "torch-weights", "onnx", "profile", "settings", "run", "checkpoint"),
    *("inputs", "events", "labels", "c-folder"),
    *("metrics", "png", "tiff", "wide-tiff", "jpeg", "webp", "bmp"),
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits its own memory, which needs Linux"),
]


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Any]]:
    """What `fuzz_readers.py` found, by reader."""
    command = [sys.executable, str(PROGRAM), "--mutants", str(MUTANTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"a reader hangs or crashes:\n{done.stderr[-3000:]}"
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def test_every_reader_of_the_program_is_tried(table: dict[str, dict[str, Any]]) -> None:
    assert tuple(table) == READERS


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_read_or_refused_in_one_line(table: dict[str, dict[str, Any]], reader: str) -> None:
    outcome = table[reader]
    assert outcome["faults"] == []
    assert outcome["taken"] + outcome["refused"] == MUTANTS
    assert outcome["refused"] > MUTANTS // 4, "mutants that nobody minds prove nothing"
    assert outcome["peak_mib"] < 1024


def test_the_fuzz_sees_a_reader_that_raises_what_it_likes(tmp_path: Path) -> None:
    """The program itself: a reader without a boundary, and one that quotes a file in whole, are found."""
    script = tmp_path / "broken.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        "import json, fuzz_readers as f\n"
        "from snn_tool.errors import ArtifactError\n"
        "def strict(folder): json.loads((folder / 'settings.json').read_text())['training']['lr'] + 0.0\n"
        "def wordy(folder):\n"
        "    try: strict(folder)\n"
        "    except Exception: raise ArtifactError('x' * 3000 + chr(10))\n"
        "f.READERS = {'strict': f.Reader(strict, ('settings.json',)),"
        " 'wordy': f.Reader(wordy, ('settings.json',))}\n"
        "f.main()\n",
        encoding="utf-8",
    )
    command = [sys.executable, str(script), "--mutants", "40"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    found = json.loads(done.stdout)
    for reader in ("strict", "wordy"):
        assert len(found[reader]["faults"]) > 5
        assert found[reader]["taken"] + found[reader]["refused"] <= 40
    assert "3001 characters" in found["wordy"]["faults"][0]
