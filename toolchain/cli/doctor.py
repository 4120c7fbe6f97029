"""`snn-tool doctor`: what is installed, what works, and how to get what is missing."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from snn_tool import __version__
from snn_tool.errors import SnnToolError, first_line

REQUIRED = (
    "torch",
    "lightning",
    "torchmetrics",
    "nir",
    "h5py",
    "numpy",
    "safetensors",
    "scikit-image",
)
BROKEN = (ImportError, RuntimeError, AttributeError, OSError)
"""What an import raises when compiled packages do not fit each other."""
INSTALL = "pip install -c constraints.txt snn-tool"


OF_EXTRA = "pip install 'snn-tool[{}]'"
SIMULATORS = {
    "norse": OF_EXTRA.format("simulators"),
    "snntorch": OF_EXTRA.format("simulators"),
    "spikingjelly": OF_EXTRA.format("simulators"),
    "sinabs": "pip install --no-deps sinabs",
    "nirtorch": INSTALL,
}
"""Backends that are packages, and the command for each; sinabs declares a nir that no resolver has for it."""
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+).*;\s*extra == ['\"](?P<extra>[\w.-]+)['\"]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        works: True, False, or None where it is optional and absent.
        remedy: what to do; empty when nothing is needed.
    """

    name: str
    works: bool | None
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything; nothing is installed and no network is used."""
    checks: tuple[Callable[[], Finding], ...] = (
        *(_python, _torchvision, _accelerator, _training, _onnxruntime, _nir),
    )
    ours = [*(_package(name) for name in REQUIRED), *(check() for check in checks)]
    isolated = [*_lava(), _sanafe(), _zigzag(), _compiler(), _wasm()]
    return [*ours, *isolated, *(_simulator(*pair) for pair in SIMULATORS.items()), *_extras(), *_plugins()]


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", INSTALL)


def _python() -> Finding:
    return Finding("python", True, f"{platform.python_version()} on {sys.platform}, snn-tool {__version__}")


def _torchvision() -> Finding:
    """A torchvision that does not fit torch breaks torchmetrics and lightning, which import it if it can."""
    if importlib.util.find_spec("torchvision") is None:
        return Finding("torchvision", None, "absent (not needed)")
    try:
        version = importlib.import_module("torchvision").__version__
    except BROKEN as error:
        detail = f"does not fit this torch: {first_line(error)}"
        return Finding("torchvision", False, detail, "pip uninstall torchvision")
    return Finding("torchvision", True, version)


def _accelerator() -> Finding:
    """Training is imported for it, so this can fail where `_training` does."""
    try:
        import torch
        from snn_tool.training.fit import native_bf16
    except BROKEN as error:
        return Finding("device", False, f"torch or lightning does not import: {first_line(error)}", INSTALL)
    if torch.cuda.is_available():
        return Finding("device", True, f"cuda: {torch.cuda.get_device_name()}")
    bf16 = "native bf16" if native_bf16() else "no native bf16: training uses fp32"
    return Finding("device", True, f"cpu, {torch.get_num_threads()} threads, {bf16}")


def _training() -> Finding:
    """The packages that break together are imported together."""
    try:
        importlib.import_module("snn_tool.training.module")
    except BROKEN as error:
        return Finding("training", False, f"does not import: {first_line(error)}", INSTALL)
    return Finding("training", True, "lightning and torchmetrics import")


def _onnxruntime() -> Finding:
    """It sends usage data unless told not to, so the line says what it was told."""
    try:
        from snn_tool.models.teachers.onnx import TELEMETRY_OFF, onnx_runtime

        version = onnx_runtime().__version__
    except BROKEN as error:
        return Finding("onnxruntime", False, f"does not import: {first_line(error)}", INSTALL)
    setting = os.environ[TELEMETRY_OFF]
    telemetry = (
        f"telemetry off ({TELEMETRY_OFF}=1)" if setting == "1" else f"{TELEMETRY_OFF}={setting} is set"
    )
    return Finding("onnxruntime", True, f"{version}, {telemetry}")


def _nir() -> Finding:
    try:
        importlib.import_module("snn_tool.exporters.nir.interpreter")
    except BROKEN as error:
        return Finding("backend nir", False, f"does not import: {first_line(error)}", INSTALL)
    return Finding("backend nir", True, "interpreter of exported files")


def _lava() -> tuple[Finding, Finding]:
    """Lava, and lava-dl's netx in the same interpreter."""
    from snn_tool.exporters.lava.environment import find_lava

    remedy = "snn-tool backend install lava"
    try:
        environment = find_lava()
    except SnnToolError as error:
        return Finding("backend lava", False, str(error), remedy), _no_netx("needs Lava", remedy)
    if environment is None:
        return Finding("backend lava", None, "not installed", remedy), _no_netx("needs Lava", remedy)
    shim = ", unsupported Python, shimmed" if environment.shimmed else ""
    detail = (
        f"lava-nc {environment.version}, Python {environment.python_version}{shim} ({environment.origin})"
    )
    lava = Finding("backend lava", True, detail)
    if not environment.lava_dl:
        return lava, _no_netx(environment.netx_fault, environment.netx_remedy)
    return lava, Finding(
        "backend netx", True, f"lava-dl {environment.lava_dl}, .net files load without torch"
    )


def _simulator(name: str, remedy: str) -> Finding:
    """A simulator that is a package; it is not imported, for that takes seconds."""
    if version := _installed(name):
        return Finding(f"backend {name}", True, f"{name} {version}")
    return Finding(f"backend {name}", None, "not installed", remedy)


def _extras() -> list[Finding]:
    """What the package's own metadata calls extras, and what of each is missing."""
    try:
        lines = importlib.metadata.requires("snn-tool") or []
    except importlib.metadata.PackageNotFoundError:  # run from its folders
        return []
    extras: dict[str, list[str]] = {}
    for line in lines:
        if found := REQUIREMENT.match(line):
            extras.setdefault(found["extra"], []).append(found["name"])
    return [_extra(name, packages) for name, packages in sorted(extras.items())]


def _extra(name: str, packages: list[str]) -> Finding:
    missing = [package for package in packages if not _installed(package)]
    if not missing:
        return Finding(f"extra {name}", True, ", ".join(packages))
    return Finding(f"extra {name}", None, f"without {', '.join(missing)}", OF_EXTRA.format(name))


def _installed(package: str) -> str:
    """Its version; empty if it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _no_netx(why: str, remedy: str) -> Finding:
    return Finding("backend netx", None, why, remedy)


def _sanafe() -> Finding:
    """The simulator of a Loihi chip and its energies."""
    from snn_tool.exporters.sanafe.environment import REMEDY, find_sanafe

    try:
        found = find_sanafe()
    except SnnToolError as error:
        return Finding("backend sanafe", False, str(error), REMEDY)
    if found is None:
        return Finding("backend sanafe", None, "not installed", REMEDY)
    detail = f"sanafe {found.version}, Python {found.python_version} ({found.origin})"
    return Finding("backend sanafe", True, detail)


def _zigzag() -> Finding:
    """What maps dense layers onto an accelerator."""
    from snn_tool.exporters.zigzag.environment import REMEDY, find_zigzag

    try:
        found = find_zigzag()
    except SnnToolError as error:
        return Finding("backend zigzag", False, str(error), REMEDY)
    if found is None:
        return Finding("backend zigzag", None, "not installed", REMEDY)
    detail = f"zigzag-dse {found.version}, Python {found.python_version} ({found.origin})"
    return Finding("backend zigzag", True, detail)


def _compiler() -> Finding:
    """What compiles the backend `c`."""
    from snn_tool.exporters.c.backend import REMEDY, find_compiler

    try:
        found = find_compiler()
    except SnnToolError as error:
        return Finding("backend c", False, str(error), REMEDY)
    if found is None:
        return Finding("backend c", None, "no compiler", REMEDY)
    return Finding("backend c", True, f"{found.version} ({found.command[0]})")


def _wasm() -> Finding:
    """What compiles the target `wasm`, and runs it."""
    from snn_tool.exporters.wasm.backend import REMEDY as NODE_REMEDY
    from snn_tool.exporters.wasm.backend import find_node
    from snn_tool.exporters.wasm.compiler import REMEDY, find_wasm_compiler

    try:
        compiler, node = find_wasm_compiler(), find_node()
    except SnnToolError as error:
        return Finding("backend wasm", False, str(error), REMEDY)
    if compiler is None or node is None:
        missing = [name for name, found in (("compiler", compiler), ("node", node)) if found is None]
        return Finding(
            "backend wasm", None, f"no {' and no '.join(missing)}", NODE_REMEDY if compiler else REMEDY
        )
    return Finding("backend wasm", True, f"{compiler.version}; node {node.version}")


def _plugins() -> list[Finding]:
    """Targets and backends of other packages."""
    try:
        from snn_tool.deploy.backends import list_plugins
    except BROKEN:
        return []  # `_nir` says so
    return [
        Finding(f"plug-in {item.name}", False, item.fault, f"pip uninstall {item.package}")
        if item.fault
        else Finding(
            f"plug-in {item.name}",
            True,
            f"{' and '.join(item.roles)}, {item.package} {item.version}: {item.description}",
        )
        for item in list_plugins()
    ]
