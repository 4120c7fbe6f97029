"""`snn-tool verify`: the folder of any target against golden integers, and on photographs."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from snn_tool.deploy.export import VERIFICATION
from snn_tool.deploy.photographs import PhotographOptions, verify_inputs, verify_photographs
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.folder import GOLDEN
from snn_tool.exporters.contract.target_folder import is_target_folder, read_target_folder
from snn_tool.exporters.contract.targets import DEFAULT, Context
from snn_tool.exporters.lava.netx import NETX, read_netx_folder
from snn_tool.exporters.loihi.bundle import MANIFEST, read_bundle
from snn_tool.exporters.verify.report import KIND, VerificationReport, verify_golden, write_verification
from snn_tool.exporters.verify.running import Runner
from snn_tool.files.ownership import is_kind, refuse_foreign
from snn_tool.inputs.options import InputOptions

UNRECORDED = {"task": "denoise", "sigma": [25.0, 25.0]}
"""What the tiles of an export are taken to be degraded by that does not say it."""


def open_export(folder: Path) -> Export:
    """Read the folder of an export after every file was held against its hash.

    Raises:
        ArtifactError: it is no export that keeps golden tiles, or one that is damaged.
    """
    if (folder / MANIFEST).is_file():
        return read_bundle(folder)
    if is_target_folder(folder):
        return read_target_folder(folder)
    if (folder / NETX).is_file() or (folder / GOLDEN).is_file():
        return read_netx_folder(folder)
    raise ArtifactError(
        f"{folder}: neither a Loihi-style bundle ({MANIFEST}) nor a netx folder ({NETX}), nor of another "
        "package's target; make one with 'snn-tool export --target loihi' or '--target netx'"
    )


def exported_for(export: Export) -> Mapping[str, Any]:
    """`describe()` of the degradation of the golden tiles, which is what the student was trained for."""
    return export.origin.get("degradation") or UNRECORDED


def verify_export(
    export: Export,
    backends: Sequence[str] | None = None,
    photographs: PhotographOptions | None = None,
    context: Context = DEFAULT,
    out: Path | None = None,
    inputs: InputOptions | None = None,
    limit: int = 0,
) -> VerificationReport:
    """Verify a folder on its golden tiles, and on photographs if some are given; write the report.

    Args:
        export: of `open_export`.
        backends: names; None takes those that are usual for the target.
        photographs: further images.
        context: how backends run.
        inputs: further arrays or recordings, instead of photographs.
        limit: largest number of these, 0 for all.
        out: file of the report; None takes `verification.json` in the folder.

    Raises:
        ConfigError: a backend is unknown, or has no use for the compiler; or a file stands at the report's
            place that is none.
        VerificationError: an implementation refuses the network.
        DataError: an image is damaged, or none is as large as the network's.
    """
    chosen = export.usual if backends is None else backends
    if context.cc and "c" not in chosen:
        raise ConfigError(f"--cc {context.cc} belongs to backend c; leave it out for {', '.join(chosen)}")
    target = out or export.folder / VERIFICATION
    if os.path.lexists(target) and not is_kind(target, KIND):
        refuse_foreign([target])
    report = verify_golden(export, backends, context)
    runner = Runner(export, context)
    if photographs:
        report = replace(report, photographs=verify_photographs(runner, chosen, photographs))
    elif inputs and inputs.inputs:
        report = replace(report, photographs=verify_inputs(runner, chosen, inputs, limit))
    write_verification(target, report)
    return report
