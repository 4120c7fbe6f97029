"""A folder changes as a whole, and what the user has in it stays: at errors, at kills, and at success."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.exporters.contract import target_folder
from snn_tool.exporters.contract.export import EXPORT
from snn_tool.exporters.lava.netx import NETX_KIND, NETX_SCHEMA
from snn_tool.exporters.loihi import bundle as loihi_bundle
from snn_tool.exporters.verify import report as verification
from snn_tool.files.artifacts import sha256_bytes, sha256_file, write_json, write_text
from snn_tool.files.ownership import MANIFESTS, VERIFICATION, VERIFICATION_KIND, listed_files
from snn_tool.files.staging import JOURNAL, NEW, OLD, check_folder, staged_folder

FULL = OSError(errno.ENOSPC, "No space left on device")
MANIFEST = "export.json"


class Stop(BaseException):
    """Like KeyboardInterrupt, nothing that an `except Exception` would see."""


def fill(folder: Path, files: dict[str, str], kind: str = "nir-export", schema: int = 1) -> None:
    """An export of some files, with its manifest."""
    for name, text in files.items():
        write_text(folder / name, text)
    hashes = {name: sha256_bytes(text.encode()) for name, text in files.items()}
    write_json(folder / MANIFEST, kind, schema, {"files": hashes})


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder but manifests, with its content; a stage would be among them."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if not p.is_dir()}
    texts = {name: path.read_text() if path.exists() else "nowhere" for name, path in found.items()}
    return {name: text for name, text in sorted(texts.items()) if name != MANIFEST}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An old export, with files and folders of the user beside it."""
    out = tmp_path / "out"
    fill(out, {"a.txt": "old a", "sub/b.txt": "old b", "gone/c.txt": "old c"})
    write_text(out / "thesis.tex", "years")
    write_text(out / "sub" / "mine.txt", "mine")
    write_text(out / "notes" / "deep" / "d.txt", "mine too")
    return out


MINE = {"thesis.tex": "years", "sub/mine.txt": "mine", "notes/deep/d.txt": "mine too"}
BEFORE = {**MINE, "a.txt": "old a", "sub/b.txt": "old b", "gone/c.txt": "old c"}
FRESH = {"a.txt": "new a", "sub/b.txt": "new b", "more/e.txt": "new e"}


def test_only_listed_files_are_replaced(old: Path) -> None:
    inode = old.stat().st_ino
    with staged_folder(old, True) as stage:
        fill(stage, FRESH)
        assert {k: v for k, v in tree(old).items() if not k.startswith(".")} == BEFORE
    assert tree(old) == {**MINE, **FRESH}
    assert not (old / "gone").exists(), "a folder that only held our files goes with them"
    assert old.stat().st_ino == inode, "the folder itself may be a mount point or somebody's current one"
    assert set(listed_files(old)) == {*FRESH, MANIFEST}
    assert [path.name for path in old.parent.iterdir()] == ["out"]


def test_a_folder_of_the_user_takes_an_export_beside_what_is_in_it(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "thesis.tex", "years")
    with pytest.raises(ConfigError, match="exists and is not empty"), staged_folder(tmp_path / "out", False):
        pytest.fail("it must not come to this")
    with staged_folder(tmp_path / "out", True) as stage:
        fill(stage, FRESH)
    assert tree(tmp_path / "out") == {"thesis.tex": "years", **FRESH}


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda out: (out / "a.txt").write_text("I changed it"), "a.txt"),
        (lambda out: (out / "a.txt").unlink() or (out / "a.txt").symlink_to("thesis.tex"), "a.txt"),
        (lambda out: (out / "a.txt").unlink() or (out / "a.txt").symlink_to("nowhere"), "a.txt"),
        (lambda out: (out / "a.txt").unlink() or (out / "a.txt").mkdir(), "a.txt"),
        (lambda out: (out / "more").write_text("a file where a folder comes"), "more"),
        (lambda out: (out / "more").symlink_to("notes"), "more"),
        (lambda out: (out / MANIFEST).write_text("{}"), "a.txt"),
        (lambda out: write_json(out / MANIFEST, "other", 1, {"files": {}}), "a.txt"),
        (lambda out: write_json(out / MANIFEST, "nir-export", 9, {"files": {}}), "a.txt"),
        (lambda out: write_json(out / MANIFEST, "nir-export", 1, {"files": {"a.txt": 1}}), "a.txt"),
        (lambda out: (out / MANIFEST).unlink() or (out / MANIFEST).symlink_to("../m.json"), "a.txt"),
    ],
)
def test_what_is_not_ours_is_refused_by_name(old: Path, spoil: object, named: str) -> None:
    """Known names at once, others before anything is touched."""
    spoil(old)  # type: ignore[operator]
    before = tree(old), (old / "sub" / "mine.txt").read_text()
    with pytest.raises(ConfigError, match=f"{named}[, :].*not written by snn-tool, or changed since"):
        check_folder(old, True, FRESH)
    with pytest.raises(ConfigError, match=named), staged_folder(old, True) as stage:
        fill(stage, FRESH)
    assert (tree(old), (old / "sub" / "mine.txt").read_text()) == before


def test_a_changed_file_that_is_not_in_the_way_stays(old: Path) -> None:
    (old / "gone" / "c.txt").write_text("my notes")
    (old / "sub" / "b.txt").unlink()  # deleted by the user: not missed
    with staged_folder(old, True) as stage:
        fill(stage, FRESH)
    assert tree(old) == {**MINE, **FRESH, "gone/c.txt": "my notes"}


def test_a_manifest_does_not_reach_out_of_its_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "thesis.tex", "years")
    digest = sha256_file(tmp_path / "thesis.tex")
    for name in ("../thesis.tex", str(tmp_path / "thesis.tex"), "x/../../thesis.tex", "", ".", "x\\y"):
        write_json(tmp_path / "out" / MANIFEST, "nir-export", 1, {"files": {name: digest}})
        assert listed_files(tmp_path / "out") == {}
        with pytest.raises(ConfigError, match="export.json: not written by snn-tool"):
            with staged_folder(tmp_path / "out", True) as stage:
                fill(stage, FRESH)
    assert (tmp_path / "thesis.tex").read_text() == "years"


def test_a_verification_belongs_to_the_manifest_whose_hash_it_has(old: Path) -> None:
    other = {"manifest_sha256": "0" * 64}
    write_json(old / VERIFICATION, VERIFICATION_KIND, 1, {"manifest_sha256": sha256_file(old / MANIFEST)})
    check_folder(old, True, (VERIFICATION,))
    write_json(old / VERIFICATION, VERIFICATION_KIND, 1, other)
    with pytest.raises(ConfigError, match="verification.json: not written"):
        check_folder(old, True, (VERIFICATION,))


def test_the_kinds_of_manifests_are_those_that_are_written() -> None:
    bundle, target = (loihi_bundle, target_folder)
    assert MANIFESTS[bundle.MANIFEST] == {bundle.KIND: (bundle.SCHEMA,)}
    kinds = {"nir-export": (1,), NETX_KIND: (NETX_SCHEMA,), target.KIND: (target.SCHEMA,)}
    assert MANIFESTS[MANIFEST] == kinds and EXPORT == MANIFEST
    assert verification.KIND == VERIFICATION_KIND


@pytest.mark.parametrize("error", [FULL, ValueError("a bug"), Stop(), KeyboardInterrupt()])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_the_old_folder_and_nothing_else(
    tmp_path: Path, error: BaseException, overwrite: bool
) -> None:
    out = tmp_path / "out"
    if overwrite:
        fill(out, {"sub/x.txt": "old"})
    expected = ArtifactError if error is FULL else type(error)
    with pytest.raises(expected), staged_folder(out, overwrite) as stage:
        write_text(stage / "x.txt", "half")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if overwrite else [])
    assert not overwrite or tree(out) == {"sub/x.txt": "old"}


def test_whichever_rename_fails_the_old_files_are_where_they_were(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight of them: four old files away, four new ones in their places, with the manifests."""
    replace, failed = os.replace, 0
    for failing in range(8):
        calls = 0

        def some_fail(source: Path, target: Path) -> None:
            nonlocal calls
            calls += 1
            if calls == failing + 1:  # noqa: B023
                raise OSError(errno.EACCES, "Permission denied")
            replace(source, target)

        with monkeypatch.context() as patch, pytest.raises(ArtifactError, match="Permission denied"):
            with staged_folder(old, True) as stage:
                fill(stage, FRESH)
                patch.setattr(os, "replace", some_fail)
        failed += 1
        assert tree(old) == BEFORE and "a.txt" in listed_files(old)
    assert failed == 8


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_staging import FRESH, fill
from snn_tool.files.staging import staged_folder
replace, left = os.replace, int(sys.argv[2])
def kill_after_some(source, target):
    global left
    if "stage" in str(source) + str(target) and Path(source).suffix != ".part":
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
    replace(source, target)
with staged_folder(Path(sys.argv[1]), True) as stage:
    fill(stage, FRESH)
    os.replace = kill_after_some
"""


@pytest.mark.slow
@pytest.mark.parametrize("moves", [0, 1, 4, 6, 7, 8])
def test_a_kill_between_two_renames_is_undone_by_the_next_export(old: Path, moves: int) -> None:
    """After all eight nothing kills: the new result is there."""
    arguments = (sys.executable, "-c", KILLED, old, str(moves), Path(__file__).parent)
    done = subprocess.run(arguments, capture_output=True)
    assert done.returncode == (-signal.SIGKILL if moves < 8 else 0), done.stderr
    if moves == 8:
        assert tree(old) == {**MINE, **FRESH}
        return
    (left,) = old.glob(".snn-tool-*.stage")
    assert (left / JOURNAL).exists() and {NEW} <= {path.name for path in left.iterdir()} <= {
        NEW,
        OLD,
        JOURNAL,
    }
    check_folder(old, True)
    assert tree(old) == BEFORE and set(listed_files(old)) == {"a.txt", "sub/b.txt", "gone/c.txt", MANIFEST}


@pytest.mark.slow
def test_a_file_that_the_user_made_after_a_kill_stays(old: Path) -> None:
    arguments = (sys.executable, "-c", KILLED, old, "6", Path(__file__).parent)
    assert subprocess.run(arguments, capture_output=True).returncode == -signal.SIGKILL
    (old / "a.txt").write_text("mine now")
    with pytest.raises(ConfigError, match="a.txt: not written by snn-tool"):
        check_folder(old, True, FRESH)
    assert tree(old) == {**BEFORE, "a.txt": "mine now"}


def test_a_stage_of_a_live_process_is_left(old: Path) -> None:
    with staged_folder(old, True) as stage:
        write_text(stage / "x.txt", "half")
        check_folder(old, True)
        with staged_folder(old, True) as other:
            assert other.exists()
        assert (stage / "x.txt").read_text() == "half"


def test_of_a_linked_folder_the_target_is_filled(tmp_path: Path) -> None:
    fill(tmp_path / "disk" / "out", {"x.txt": "old"})
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "out")
    with staged_folder(tmp_path / "link", True) as stage:
        fill(stage, {"x.txt": "new"})
    assert (tmp_path / "link").is_symlink() and tree(tmp_path / "disk") == {
        "out/x.txt": "new",
        f"out/{MANIFEST}": (tmp_path / "link" / MANIFEST).read_text(),
    }


def test_the_current_folder_stays_the_current_folder(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(old)
    with staged_folder(Path(), True) as stage:
        fill(stage, FRESH)
    assert Path("a.txt").read_text() == "new a" and os.getcwd() == str(old)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write there")
def test_the_root_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match="/: exists and is not empty"), staged_folder(Path("/"), False):
        pytest.fail("it must not come to this")
    with pytest.raises(ArtifactError, match="/: cannot be written"), staged_folder(Path("/"), True):
        pytest.fail("it must not come to this")


def test_a_torn_journal_means_that_nothing_was_moved(old: Path) -> None:
    stage = old / ".snn-tool-abcdefgh.stage"
    (stage / NEW).mkdir(parents=True)
    (stage / JOURNAL).write_text(json.dumps({"a.txt": "0" * 64})[:-9])
    check_folder(old, True)
    assert tree(old) == BEFORE


def test_a_linked_folder_keeps_the_files_behind_it(old: Path, tmp_path: Path) -> None:
    """The user moved `sub` to another disk: what the manifest lists in it has the right hash, elsewhere."""
    elsewhere = tmp_path / "other disk"
    (old / "sub").rename(elsewhere)
    (old / "sub").symlink_to(elsewhere)
    with staged_folder(old, True) as stage:
        fill(stage, {"a.txt": "new a"})
    assert tree(elsewhere) == {"b.txt": "old b", "mine.txt": "mine"}
    assert (old / "sub").is_symlink() and (old / "a.txt").read_text() == "new a"
    with pytest.raises(ConfigError, match="sub: not written by snn-tool"):
        check_folder(old, True, ["sub/b.txt"])
