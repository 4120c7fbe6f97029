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
from snn_tool.exporters.c.steps import StepPlan, by_steps, make_step_plan
from snn_tool.exporters.c.steps_source import step_network_files, step_values
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
            UnsupportedLayerError: as of `make_plan` and `make_step_plan`.
        """
        compiler, program = need_wasm_compiler(), read_program(network)
        plan = (
            make_step_plan(program)
            if by_steps(program)
            else make_plan(program, densities(read_golden(folder / GOLDEN)))
        )
        write_module(plan, compiler, folder)
        for name in ("snn.d.ts", "README.md"):
            (folder / name).write_text(text_of(form_of(plan) + name), encoding="utf-8")


def form_of(plan: Plan | StepPlan) -> str:
    """What the names of a form's own templates begin with."""
    return "steps_" if isinstance(plan, StepPlan) else ""


def write_module(plan: Plan | StepPlan, compiler: WasmCompiler, folder: Path) -> None:
    """Write snn.wasm, snn.js, and package.json, by which node takes it for an ES module.

    Raises:
        BackendUnavailableError: the compiler fails.
    """
    (folder / MODULE).write_bytes(compiled(plan, compiler))
    told = json.dumps(step_about(plan) if isinstance(plan, StepPlan) else about(plan), indent=2)
    script = f"{text_of(form_of(plan) + 'engine.js')}\nexport const about = {told};\n{text_of('module.js')}"
    (folder / SCRIPT).write_text(script, encoding="utf-8")
    (folder / "package.json").write_text(json.dumps(PACKAGE, indent=2) + "\n", encoding="utf-8")


def text_of(name: str) -> str:
    """A file that comes with this room."""
    return (files("snn_tool.exporters.wasm") / "templates" / name).read_text(encoding="utf-8")


def compiled(plan: Plan | StepPlan, compiler: WasmCompiler) -> bytes:
    """The module of a plan.

    Raises:
        BackendUnavailableError: the compiler fails.
    """
    return compiler.compile(step_wasm_files(plan) if isinstance(plan, StepPlan) else wasm_files(plan))


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


def step_wasm_files(plan: StepPlan) -> Mapping[str, str]:
    """The same of a network that is given one timestep at a time."""
    neurons = ", ".join(str(turn.neurons) for turn in plan.turns)
    values = step_values(plan, PREFIX) | {"populations": len(plan.turns), "neurons": neurons}
    face = Template(text_of("steps_wasm.c")).substitute(values)
    return {**step_network_files(plan, PREFIX), "wasm.c": face, "string.h": text_of("string.h")}


def step_about(plan: StepPlan) -> dict[str, Any]:
    """The same of a network that is given one timestep at a time."""
    program, last = plan.program, plan.turns[-1].node
    size = {"height": program.height, "width": program.width, "channels": program.channels}
    return {
        "inputs": {**size, "low": program.input_low, "high": program.input_high},
        "outputs": {"height": last.height, "width": last.width, "channels": last.channels},
        "timesteps": program.timesteps,
        "overTime": program.over_time,
        "populations": [
            {"name": node.name, "channels": node.channels, "width": node.width, "height": node.height}
            for node in program.populations
        ],
    }
