"""Whatever value stands in a document: it opens to the same function, or one line names file and key.

Every key of every kind of document gets values that no document has. Nothing may end in another exception, in
a signal or in a run without end.
"""

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snn_tool.errors import ArtifactError, SnnToolError
from snn_tool.exporters.lava.netx import read_netx_folder
from snn_tool.exporters.loihi.bundle import read_bundle
from snn_tool.exporters.loihi.plan_file import read_plan
from snn_tool.exporters.loihi.ranges import read_ranges
from snn_tool.exporters.sanafe.report import read_sanafe
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import load_integer_network, save_integer_network
from snn_tool.models.integer.training import load_dequantized
from snn_tool.models.student import load_student, save_student
from snn_tool.models.teachers.registry import load_teacher, save_teacher
from snn_tool.networks.shipped import FOLDER, read_card
from snn_tool.texts.cards import card_text
from snn_tool.training.run_folder import require_same

ARCHIVE = Path(__file__).parents[2] / "data" / "b2f24c7.tar.xz"
HUGE_FLOAT = "@1e999@"
MISSING = object()
BAD: tuple[Any, ...] = (
    *(None, [], {}, -1, 0, 2**63, 10**7, 3000, HUGE_FLOAT, "x", "", "\x1b" * 5000, True),
    MISSING,
)
Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of document.

    Attributes:
        document: the file in the folder.
        read: opens it and tells what it makes of it.
        within: the table whose keys are tried; empty for all.
    """

    document: str
    read: Callable[[Path], object]
    within: str = ""


def integers(path: Path) -> object:
    network, _ = load_integer_network(path)
    height, width = network.image_size or (8, 8)
    image = np.random.default_rng(7).random((1, 3, height, width)).astype(np.float32)
    return IntegerEngine(network).run(quantize_image(image, network)).readout.tobytes()


def dequantized(path: Path) -> object:
    student, config = load_dequantized(path)
    return config, [values.numpy().tobytes() for values in student.state_dict().values()]


def student(path: Path) -> object:
    network, config, _ = load_student(path)
    return config, [values.numpy().tobytes() for values in network.state_dict().values()]


def teacher(path: Path) -> object:
    network, _ = load_teacher(path)
    return str(network), [values.numpy().tobytes() for values in network.state_dict().values()]


def bundle(folder: Path) -> object:
    made = read_bundle(folder)
    return made.neuron, made.timesteps, made.lowering, made.resources, made.student_sha256


def run_settings(path: Path) -> None:
    require_same(path, json.loads((path.parent / "asked.json").read_text()))


OLD = {
    "integers": Kind("lif-chain.int.json", lambda f: integers(f / "lif-chain.int.safetensors")),
    "graded integers": Kind("graded-unet.int.json", lambda f: integers(f / "graded-unet.int.safetensors")),
    "foreign integers": Kind("foreign.int.json", lambda f: integers(f / "foreign.int.safetensors")),
    "start": Kind(
        "run/student.int.json", lambda f: dequantized(f / "run/student.int.safetensors"), "provenance"
    ),
    "student": Kind("run/student.json", lambda f: student(f / "run/student.safetensors")),
    "teacher": Kind("teacher.json", lambda f: teacher(f / "teacher.safetensors")),
    "bundle": Kind("b-lif-fanout/bundle.json", lambda f: bundle(f / "b-lif-fanout")),
    "plan": Kind("b-graded-relay/plan.json", lambda f: read_plan(f / "b-graded-relay/plan.json")),
    "ranges": Kind("b-lif-fanout/ranges.json", lambda f: read_ranges(f / "b-lif-fanout/ranges.json")),
    "netx": Kind("netx/export.json", lambda f: read_netx_folder(f / "netx").run),
    "sanafe": Kind("sanafe.json", lambda f: read_sanafe(f / "sanafe.json").to_dict()),
    "run": Kind("run/settings.json", lambda f: run_settings(f / "run/settings.json")),
}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    asked = json.loads((folder / "run/settings.json").read_text())
    (folder / "run/asked.json").write_text(
        json.dumps({k: v for k, v in asked.items() if k not in ("kind", "schema", "tool_version")})
    )
    return folder


UNREAD = {"loss", "data", "hints", "training"}
"""Tables of an account of a training that no reader looks into."""


def places(value: Any, keys: Keys = ()) -> Iterator[Keys]:
    """Every key, and of long lists the first and the last entry."""
    if keys:
        yield keys
    if len(keys) > 1 and keys[-2] == "training" and keys[-1] in UNREAD:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*keys, key))
    if isinstance(value, list):
        for index in sorted({0, len(value) - 1} & set(range(len(value)))):
            yield from places(value[index], (*keys, index))


def with_value(document: Any, keys: Keys, value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    if value is MISSING:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return copy


def outcome(kind: Kind, folder: Path, document: Any) -> tuple[object, str]:
    """What a document opens to, or the refusal."""
    path = folder / kind.document
    path.write_text(json.dumps(document).replace(f'"{HUGE_FLOAT}"', "1e999"))
    try:
        return kind.read(folder), ""
    except SnnToolError as error:
        return None, str(error)


def refused_well(message: str, document: str, keys: Keys) -> bool:
    """One printable line of some length that names the file, and the key or the part that no longer fits."""
    file = Path(document).name.removesuffix(".json")
    key = keys[0] if "function_sha256 does" in message else [k for k in keys if isinstance(k, str)][-1]
    assert isinstance(key, str)
    named = key.removesuffix("s") in message or re.search(r"(synapse|population|tensor|`\w+`) ", message)
    return file in message and bool(named) and message.isprintable() and len(message) < 1500


def swept(kind: Kind, folder: Path) -> Iterator[tuple[Keys, Any, object, str]]:
    """For every place and every value what came of it."""
    path = folder / kind.document
    text = path.read_text()
    document = json.loads(text)
    try:
        for keys in places(document):
            for value in BAD if not kind.within or keys[0] == kind.within else ():
                yield keys, value, *outcome(kind, folder, with_value(document, keys, value))
    finally:
        path.write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", OLD)
def test_every_value_opens_or_is_one_line(old: Path, name: str) -> None:
    """Also in files of before the hash over the numbers, where the schema alone decides."""
    kind = OLD[name]
    wrong = [
        (keys, value, message)
        for keys, value, _, message in swept(kind, old)
        if message and not refused_well(message, kind.document, keys)
    ]
    assert not wrong, "\n".join(map(str, wrong[:40]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["integers", "graded integers", "foreign integers", "student", "teacher"])
def test_no_value_changes_the_function_unnoticed(old: Path, tmp_path: Path, name: str) -> None:
    """Files that are written today: what opens is what was written."""
    kind = OLD[name]
    tensors = (old / kind.document).with_suffix(".safetensors")
    path = (tmp_path / kind.document).with_suffix(".safetensors")
    if name == "student":
        save_student(path, *load_student(tensors))
    elif name == "teacher":
        network, description = load_teacher(tensors)
        save_teacher(path, network, *(description[key] for key in ("architecture", "options", "training")))
    else:
        save_integer_network(path, *load_integer_network(tensors))
    expected = kind.read(tmp_path)
    assert expected == kind.read(old)
    wrong = [
        (keys, value, message)
        for keys, value, found, message in swept(kind, tmp_path)
        if (keys[0] != "function_sha256" or value is not MISSING)
        and not (refused_well(message, kind.document, keys) if message else found == expected)
    ]
    assert not wrong, "\n".join(map(str, wrong[:40]))


def test_a_doubled_threshold_is_found(old: Path, tmp_path: Path) -> None:
    """It changes every spike, lies in the range, and was believed."""
    path = tmp_path / "a.int.safetensors"
    save_integer_network(path, *load_integer_network(old / "lif-chain.int.safetensors"))
    sidecar = tmp_path / "a.int.json"
    document = json.loads(sidecar.read_text())
    document["populations"][0]["threshold"] *= 2
    sidecar.write_text(json.dumps(document))
    with pytest.raises(
        ArtifactError, match=r"a\.int\.json: function_sha256 does not fit its numbers.*populations"
    ):
        load_integer_network(path)


def test_form_and_order_do_not_matter_to_the_hash(old: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.int.safetensors"
    save_integer_network(path, *load_integer_network(old / "lif-chain.int.safetensors"))
    sidecar = tmp_path / "a.int.json"
    document = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(dict(reversed(document.items())), separators=(",", ":")))
    assert integers(path) == integers(old / "lif-chain.int.safetensors")


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("synapses", 0, "stride"), 0, "synapses[0].stride = 0"),
        (("timesteps",), 10**7, "timesteps = 10000000 is not allowed; use a whole number from 1 to 4096"),
        (("synapses", 1, "exponent"), 2**31, "synapses[1].exponent = 2147483648 is not allowed"),
        (("synapses", 1, "kernel"), 3000, "synapses[1].kernel = 3000 is not allowed"),
        (("provenance",), MISSING, "provenance is missing; it is a table"),
        (("provenance", "training"), None, "provenance.training = null is not allowed; use a table"),
        (("populations",), [], "populations = [] is not allowed; use a list of tables, not empty"),
        (("populations", 0, "threshold"), 0, "population layer1_in: threshold 0"),
        (("populations", 0, "threshold"), 2**63, "populations[0].threshold = 9223372036854775808"),
        (("neuron",), "x", "neuron = 'x' is not allowed; use one of graded, lif"),
        (("populations", 0, "downscale"), 0, "populations[0].downscale = 0 is not allowed"),
    ],
)  # fmt: skip
def test_single_edits_that_hung_or_died(old: Path, tmp_path: Path, keys: Keys, value: Any, said: str) -> None:
    """Of shipped files of earlier versions: SIGFPE, runs without end, tracebacks, or nothing at all."""
    shutil.copyfile(old / "lif-chain.int.safetensors", tmp_path / "lif-chain.int.safetensors")
    document = json.loads((old / "lif-chain.int.json").read_text())
    _, message = outcome(OLD["integers"], tmp_path, with_value(document, keys, value))
    assert message.startswith(f"{tmp_path / 'lif-chain.int.json'}: {said}")
    assert "is not allowed; use" in message or "is missing" in message


@pytest.mark.slow
def test_cards_are_checked_too(tmp_path: Path) -> None:
    for path in FOLDER.glob("denoise-25.*"):
        shutil.copyfile(path, tmp_path / path.name)
    kind = Kind("denoise-25.card.json", lambda folder: card_text(read_card("denoise-25", folder)))
    wrong = [
        (keys, value, message)
        for keys, value, _, message in swept(kind, tmp_path)
        if message and not refused_well(message, kind.document, keys)
    ]
    assert not wrong, "\n".join(map(str, wrong[:40]))


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.int.json")))
def test_shipped_students_carry_the_hash_of_their_function(name: str) -> None:
    document = json.loads((FOLDER / name).read_text())
    tensors = (FOLDER / name).with_suffix(".safetensors")
    defining = {
        key: value
        for key, value in document.items()
        if key not in ("kind", "schema", "tool_version", "sha256", "function_sha256", "provenance")
    }
    canonical = json.dumps(
        {"sha256": sha256_file(tensors), **defining}, sort_keys=True, separators=(",", ":")
    )
    assert hashlib.sha256(canonical.encode()).hexdigest() == document["function_sha256"]
