"""`--target wasm`: a module for pages and node, compiled of the C that `--target c` writes."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from snn_tool.exporters.c.memory import lay_out
from snn_tool.exporters.c.plan import Plan, make_plan
from snn_tool.exporters.c.source import image_values, network_files
from snn_tool.exporters.c.target import densities
from snn_tool.exporters.contract.folder import GOLDEN, read_golden
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.wasm.compiler import WasmCompiler, need_wasm_compiler

DESCRIPTION = "WebAssembly with an ES module and its types, for pages and node"
PREFIX = "network"
PACKAGE = {"type": "module", "main": "snn.js", "types": "snn.d.ts"}
MODULE, SCRIPT = "snn.wasm", "snn.js"


class WasmTarget:
    """Compiles a network for pages and node."""

    description = DESCRIPTION

    def export(self, network: Path, folder: Path) -> None:
        """Write the folder's files; golden.npz lies in it and tells how dense spikes are.

        Raises:
            BackendUnavailableError: there is no compiler, or it fails.
            UnsupportedLayerError: as of `make_plan`.
        """
        compiler = need_wasm_compiler()
        plan = make_plan(read_program(network), densities(read_golden(folder / GOLDEN)))
        write_module(plan, compiler, folder)
        for name in ("snn.d.ts", "README.md"):
            (folder / name).write_text(text_of(name), encoding="utf-8")


def write_module(plan: Plan, compiler: WasmCompiler, folder: Path) -> None:
    """Write snn.wasm, snn.js, and package.json, by which node takes it for an ES module.

    Raises:
        BackendUnavailableError: the compiler fails.
    """
    (folder / MODULE).write_bytes(compiled(plan, compiler))
    told = json.dumps(about(plan), indent=2)
    script = f"{text_of('engine.js')}\nexport const about = {told};\n{text_of('module.js')}"
    (folder / SCRIPT).write_text(script, encoding="utf-8")
    (folder / "package.json").write_text(json.dumps(PACKAGE, indent=2) + "\n", encoding="utf-8")


def text_of(name: str) -> str:
    """A file that comes with this room."""
    return (files("snn_tool.exporters.wasm") / "templates" / name).read_text(encoding="utf-8")


def compiled(plan: Plan, compiler: WasmCompiler) -> bytes:
    """The module of a plan.

    Raises:
        BackendUnavailableError: the compiler fails.
    """
    return compiler.compile(wasm_files(plan))


def wasm_files(plan: Plan) -> Mapping[str, str]:
    """Contents by file name of all that is compiled."""
    values: dict[str, Any] = {
        **image_values(plan, lay_out(plan), PREFIX),
        "state": "state.pass[pass]" if plan.program.passes > 1 else "state",
        "first": "state.pass[0]" if plan.program.passes > 1 else "state",
        "populations": len(plan.layers),
        "channels_of": ", ".join(str(layer.node.channels) for layer in plan.layers),
        "widths_of": ", ".join(str(layer.source.width) for layer in plan.layers),
    }
    face = Template(text_of("wasm.c")).substitute(values)
    return {**network_files(plan, PREFIX), "wasm.c": face, "string.h": text_of("string.h")}


def about(plan: Plan) -> dict[str, Any]:
    """What snn.js has to know of a network."""
    values = image_values(plan, lay_out(plan), PREFIX)
    return {
        "channels": values["channels"],
        "outChannels": values["out_channels"],
        "outWidth": values["out_width"],
        "unitWidth": values["unit_width"],
        "unitHeight": values["unit_height"],
        "sameSize": bool(values["same_size"]),
        "timesteps": plan.program.timesteps,
        "passes": plan.program.passes,
        "populations": [
            {
                "name": layer.name,
                "channels": layer.node.channels,
                "width": layer.source.width,
                "height": layer.source.height,
            }
            for layer in plan.layers
        ],
    }
