"""`snn-tool verify`: an exported folder of either kind, recognised by its files, against golden integers."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from snn_tool.deploy.export import VERIFICATION
from snn_tool.deploy.photographs import PhotographOptions, verify_photographs
from snn_tool.errors import ArtifactError
from snn_tool.exporters.contract.folder import GOLDEN, Manifest
from snn_tool.exporters.contract.targets import plugin_names
from snn_tool.exporters.lava import netx as netx_folder
from snn_tool.exporters.lava.netx import NETX, read_netx_folder
from snn_tool.exporters.loihi import bundle as loihi_bundle
from snn_tool.exporters.loihi.bundle import MANIFEST, read_bundle
from snn_tool.exporters.verify import netx as netx_verification
from snn_tool.exporters.verify import report as verification
from snn_tool.exporters.verify import target_folder
from snn_tool.exporters.verify.netx import verify_netx_folder
from snn_tool.exporters.verify.report import VerificationReport, verify_bundle, write_verification
from snn_tool.exporters.verify.runners import BundleRunner, LavaOptions, NetxRunner
from snn_tool.exporters.verify.target_folder import (
    is_target_folder,
    known_backends,
    read_target_folder,
    verify_target_folder,
)
from snn_tool.files.ownership import is_kind, refuse_foreign

UNRECORDED = {"task": "denoise", "sigma": [25.0, 25.0]}
"""What the tiles of an export are taken to be degraded by that does not say it."""


class Checks(Protocol):
    """What can be done with one kind of export."""

    @property
    def known(self) -> tuple[str, ...]:
        """Names of all its implementations."""

    @property
    def usual(self) -> tuple[str, ...]:
        """Those that are independent of the engine which usually made the golden integers."""

    def on_golden(self, backends: Sequence[str], lava: LavaOptions) -> VerificationReport:
        """Compare on the golden tiles."""

    def runner(self, lava: LavaOptions) -> BundleRunner:
        """The implementations, for other images."""


class LoihiChecks:
    """Of a Loihi-style bundle."""

    usual = verification.BACKENDS

    def __init__(self, folder: Path) -> None:
        self.bundle = read_bundle(folder)
        self.known = (*verification.KNOWN_BACKENDS, *plugin_names())

    def on_golden(self, backends: Sequence[str], lava: LavaOptions) -> VerificationReport:
        """Compare on the golden tiles."""
        return verify_bundle(self.bundle, backends, conv=lava.conv, log=lava.log)

    def runner(self, lava: LavaOptions) -> BundleRunner:
        """The implementations, for other images."""
        return BundleRunner(self.bundle.folder, lava)


class NetxChecks:
    """Of a netx folder."""

    usual = netx_verification.BACKENDS

    def __init__(self, folder: Path) -> None:
        self.netx = read_netx_folder(folder)
        self.known = (*netx_verification.KNOWN_BACKENDS, *plugin_names())

    def on_golden(self, backends: Sequence[str], lava: LavaOptions) -> VerificationReport:
        """Compare on the golden tiles."""
        return verify_netx_folder(self.netx, backends, conv=lava.conv, log=lava.log)

    def runner(self, lava: LavaOptions) -> BundleRunner:
        """The implementations, for other images."""
        return NetxRunner(self.netx, lava)


class TargetChecks:
    """Of an export by another package's target."""

    def __init__(self, folder: Path) -> None:
        self.export = read_target_folder(folder)
        self.known, self.usual = known_backends(self.export), self.export.usual

    def on_golden(self, backends: Sequence[str], lava: LavaOptions) -> VerificationReport:
        """Compare on the golden tiles."""
        return verify_target_folder(self.export, backends)

    def runner(self, lava: LavaOptions) -> BundleRunner:
        """The implementations, for other images; Lava is not among `known`."""
        return BundleRunner(self.export.folder, lava)


def open_export(folder: Path) -> Checks:
    """The checks of a folder.

    Raises:
        ArtifactError: it is no export that keeps golden tiles, or one that is damaged.
    """
    if (folder / MANIFEST).is_file():
        return LoihiChecks(folder)
    if is_target_folder(folder):
        return TargetChecks(folder)
    if (folder / NETX).is_file() or (folder / GOLDEN).is_file():
        return NetxChecks(folder)
    raise ArtifactError(
        f"{folder}: neither a Loihi-style bundle ({MANIFEST}) nor a netx folder ({NETX}), nor of another "
        "package's target; make one with 'snn-tool export --target loihi' or '--target netx'"
    )


def exported_for(folder: Path) -> Mapping[str, Any]:
    """`describe()` of the degradation of the golden tiles, which is what the student was trained for."""
    manifest: Manifest
    if (folder / MANIFEST).is_file():
        manifest = loihi_bundle.read_manifest(folder)
    elif is_target_folder(folder):
        manifest = target_folder.read_manifest(folder)
    else:
        manifest = netx_folder.read_manifest(folder)
    return manifest.golden.get("degradation") or UNRECORDED


def verify_export(
    folder: Path,
    checks: Checks,
    backends: Sequence[str],
    photographs: PhotographOptions | None,
    lava: LavaOptions,
) -> VerificationReport:
    """Verify a folder on its golden tiles, and on photographs if some are given; write `verification.json`.

    Raises:
        VerificationError: an implementation refuses the network.
        DataError: an image is damaged, or none is as large as the network's.
    """
    target = folder / VERIFICATION
    if os.path.lexists(target) and not is_kind(target, verification.KIND):
        refuse_foreign([target])
    report = checks.on_golden(backends, lava)
    if photographs:
        found = verify_photographs(checks.runner(lava), backends, photographs)
        report = replace(report, photographs=found)
    write_verification(target, report)
    return report


def unknown_backends(checks: Checks, names: Sequence[str]) -> str:
    """Those of `names` that this export cannot be verified by, joined; empty if there is none."""
    return ", ".join(name for name in names if name not in checks.known)
