"""The doctor reports broken installations instead of breaking with them."""

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from snn_tool import __version__
from snn_tool.cli import doctor
from snn_tool.cli.doctor import Finding, examine
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.lava import environment as lava_environment
from snn_tool.exporters.lava.environment import LavaEnvironment
from snn_tool.exporters.sanafe import environment as sanafe_environment
from snn_tool.exporters.zigzag import environment as zigzag_environment


@pytest.fixture(autouse=True)
def no_lava(monkeypatch: pytest.MonkeyPatch) -> None:
    """No search for other interpreters."""
    monkeypatch.setattr(lava_environment, "find_lava", lambda: None)
    monkeypatch.setattr(sanafe_environment, "find_sanafe", lambda: None)
    monkeypatch.setattr(zigzag_environment, "find_zigzag", lambda: None)


def finding(name: str) -> Finding:
    (found,) = (found for found in examine() if found.name == name)
    return found


def extras() -> list[str]:
    """As the project declares them."""
    declared = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    return sorted(declared["project"]["optional-dependencies"])


def one_line(found: Finding) -> bool:
    return all(len(text.splitlines()) <= 1 for text in (found.name, found.detail, found.remedy))


def torchvision(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """A package of that name, first on the path, forgotten afterwards."""
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)


@pytest.fixture
def forget_torchvision() -> Iterator[None]:
    before = sys.modules.get("torchvision")
    yield
    if before is None:
        sys.modules.pop("torchvision", None)


def test_the_tested_environment_is_healthy() -> None:
    findings = examine()
    assert [found.name for found in findings] == [
        *doctor.REQUIRED,
        "python",
        "torchvision",
        "device",
        "training",
        "onnxruntime",
        "backend nir",
        "backend lava",
        "backend netx",
        "backend sanafe",
        "backend zigzag",
        "backend c",
        "backend wasm",
        *(f"backend {name}" for name in doctor.SIMULATORS),
        *(f"extra {name}" for name in extras()),
    ]
    assert all(one_line(found) for found in findings)
    for found in findings:
        optional = (
            "torchvision",
            "lava",
            "netx",
            "sanafe",
            "zigzag",
            "c",
            "wasm",
            *extras(),
            *doctor.SIMULATORS,
        )
        if found.name.split()[-1] not in optional:
            assert found.works is True and not found.remedy, found
    details = {found.name: found.detail for found in findings}
    assert details["numpy"] == np.__version__
    assert f"{sys.version_info.major}.{sys.version_info.minor}." in details["python"]
    assert __version__ in details["python"]


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "REQUIRED", ("numpy", "no-such-package"))
    assert finding("numpy").works is True
    missing = finding("no-such-package")
    assert (missing.works, missing.detail) == (False, "not installed")
    assert missing.remedy == "pip install -c constraints.txt snn-tool"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "raise RuntimeError('operator torchvision::nms does not exist\\nlong story')",
            "operator torchvision::nms",
        ),
        ("raise ImportError('undefined symbol: _ZN3c10')", "undefined symbol: _ZN3c10"),
        ("raise ImportError", "ImportError"),
        ("import torch; torch.no_such_name", "has no attribute 'no_such_name'"),
        ("raise OSError('libcudart.so.12: cannot open shared object file')", "libcudart.so.12"),
    ],
)
def test_a_torchvision_that_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_torchvision: None, source: str, reason: str
) -> None:
    """The ways in which a mismatched pair fails: at an operator, a symbol, a name, a library."""
    torchvision(tmp_path, monkeypatch, source)
    found = finding("torchvision")
    assert found.works is False and found.remedy == "pip uninstall torchvision"
    assert found.detail.startswith("does not fit this torch: ") and reason in found.detail
    assert one_line(found)


def test_a_torchvision_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_torchvision: None
) -> None:
    """Also without the metadata of an installed distribution."""
    torchvision(tmp_path, monkeypatch, "__version__ = '0.99'")
    assert finding("torchvision") == Finding("torchvision", True, "0.99")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch", "device"),
        ("snn_tool.training.fit", "device"),
        ("snn_tool.training.module", "training"),
        ("snn_tool.exporters.nir.interpreter", "backend nir"),
    ],
)
def test_what_does_not_import_is_a_line_among_the_others(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    healthy = {found.name for found in examine()}
    monkeypatch.setitem(sys.modules, module, None)
    found = finding(name)
    assert found.works is False and "not import" in found.detail
    assert found.remedy == doctor.INSTALL and one_line(found)
    assert {found.name for found in examine()} == healthy


def test_lava_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    install = "snn-tool backend install lava"
    assert finding("backend lava") == Finding("backend lava", None, "not installed", install)

    def broken() -> None:
        raise BackendUnavailableError("SNN_TOOL_LAVA_PYTHON names no interpreter")

    monkeypatch.setattr(lava_environment, "find_lava", broken)
    expected = Finding("backend lava", False, "SNN_TOOL_LAVA_PYTHON names no interpreter", install)
    assert finding("backend lava") == expected
    assert finding("backend netx") == Finding("backend netx", None, "needs Lava", install)
    there = LavaEnvironment(Path("/py"), "0.10.0", "3.12.1", True, "cache", "0.6.0", "")
    monkeypatch.setattr(lava_environment, "find_lava", lambda: there)
    found = finding("backend lava")
    assert found.works is True and not found.remedy
    assert found.detail == "lava-nc 0.10.0, Python 3.12.1, unsupported Python, shimmed (cache)"
    assert finding("backend netx").detail.startswith("lava-dl 0.6.0")
    without = replace(there, lava_dl="", netx_fault="lava-dl is not installed")
    monkeypatch.setattr(lava_environment, "find_lava", lambda: without)
    found = finding("backend netx")
    assert (found.works, found.detail) == (None, "lava-dl is not installed")
    assert found.remedy == "/py -m pip install --ignore-requires-python --no-deps lava-dl==0.6.0"
    assert finding("backend lava").works is True


def test_a_simulator_and_an_extra_that_are_missing_say_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: REQUIRES)
    there = {"numpy": "2.1", "norse": "1.1"}

    def version(name: str) -> str:
        if name not in there:
            raise doctor.importlib.metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    assert doctor._simulator("norse", "x") == Finding("backend norse", True, "norse 1.1")
    assert doctor._simulator("sinabs", "x") == Finding("backend sinabs", None, "not installed", "x")
    simulators, teachers = doctor._extras()
    expected = Finding("extra simulators", None, "without snntorch", "pip install 'snn-tool[simulators]'")
    assert simulators == expected
    assert teachers == Finding("extra teachers", True, "numpy")


REQUIRES = [
    "numpy>=2.0",
    "norse>=1.1; extra == 'simulators'",
    'snntorch>=1.0; extra == "simulators"',
    "numpy>=2; extra == 'teachers'",
]
