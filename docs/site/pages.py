"""Pages of the site that are made of the code when it is built: command line, API, schemas, and the examples.

mkdocs calls `on_files` (mkdocs.yml, `hooks`); what it returns stands nowhere in the repository. Each function
that ends in `_page` gives one page as Markdown.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import snn_tool
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

EXAMPLES = Path(__file__).parents[2] / "examples"
GLOBAL = "Options of every command"
CLI_HEAD = """# The command line

Made from the commands themselves when this page was built. Each command prints the same with `--help`.
[Options of every command](#options-of-every-command) stand before its name, as in `snn-tool --json models`.
Exit codes: 0 done; 1 a fault of input or environment, one line on stderr; 2 usage; 3 it ran but a check
failed; 128 and its number after a signal.
"""
API_HEAD = """# The Python API

Every public name of `import snn_tool as st`, with its docstring. The [tutorial](../tutorials/python.md) uses
them in order and has them in one table.
"""
SCHEMA_HEAD = """# JSON schemas

The JSON files that are read back are read by a schema: an unknown key, a missing one or a value out of range
is refused and named. Here are those schemas, as JSON Schema, made from the code when this page was built.
[Files](files.md) says which command writes which file; [energy.json](energy-json.md) has a page of its own.
"""
SECTIONS = {
    "From images to verified files": (
        "load",
        "train_teacher",
        "distill",
        "quantize",
        "export",
        "verify",
        "audit",
    ),
    "What they return": ("Student", "Teacher", "Run", "Bundle", "Report", "Audit"),
    "A training loop of your own": (
        *("TrainingSettings", "StudentConfig", "LossWeights", "patches", "optimizer_for"),
        *("DistillationLoss", "quantization_aware", "build_student"),
    ),
    "Networks": ("Network", "Topology", "Synapse", "Population", "LifNeuron", "GradedNeuron"),
    "Integers": ("IntegerNetwork", "IntegerEngine", "read_program"),
    "Counting": ("count_spikes", "SpikeCount", "count_table"),
    "Targets of other packages": ("Target", "Backend"),
}
DOCUMENTS = {
    "A model's file beside its tensors (`student.json`, `teacher.json`, `student.int.json`)": (
        "models.checkpoints",
        "Sidecar",
    ),
    "The card of a student that comes along (`NAME.card.json`)": ("networks.shipped", "CardDocument"),
    "The card of a teacher that comes along": ("networks.teachers", "TeacherCardDocument"),
    "What an export holds (`export.json`)": ("exporters.contract.folder", "Manifest"),
    "The plan of a Loihi-style bundle (`plan.json`)": ("exporters.loihi.plan_file", "PlanDocument"),
    "The range proof of a bundle (`ranges.json`)": ("exporters.loihi.ranges", "RangesDocument"),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of code."""
    for path, text in (
        ("reference/cli.md", cli_page()),
        ("reference/api.md", api_page()),
        ("reference/schemas.md", schema_page()),
    ):
        files.append(File.generated(config, path, content=text))
    for script in sorted(EXAMPLES.glob("*.py")):
        page = example_page(script.name, script.read_text(encoding="utf-8"))
        files.append(File.generated(config, f"tutorials/{script.stem}.md", content=page))
    return files


def example_page(name: str, script: str) -> str:
    """A script in jupytext's percent format as a page: its text as text, its code in blocks."""
    parts = []
    for cell in re.split(r"^# %%", script, flags=re.MULTILINE)[1:]:
        kind, _, body = cell.partition("\n")
        if kind.strip() == "[markdown]":
            parts.append(
                "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines()).strip()
            )
        elif body.strip():
            parts.append(f"```python\n{body.strip()}\n```")
    return (
        "\n\n".join([*parts, f"*This page is `examples/{name}`, which is a notebook, too (jupytext).*"])
        + "\n"
    )


def cli_page() -> str:
    """Every command with its options, in the groups that its help shows."""
    from snn_tool.cli.app import app

    root = typer.main.get_command(app)
    parts = [CLI_HEAD]
    for path, command in _commands(root, ("snn-tool",)):
        parts += [f"## {' '.join(path[1:])}", _text(command.help), f"    {_usage(path, command)}"]
        parts += _options(command.params)
    return "\n\n".join([*parts, f"## {GLOBAL}", *_options(root.params)]) + "\n"


def _commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        elif not command.hidden:
            yield (*path, name), command


def _usage(path: tuple[str, ...], command: Any) -> str:
    arguments = (str(each.name).upper() for each in command.params if each.param_type_name == "argument")
    return " ".join([*path, *arguments, "[OPTIONS]"])


def _options(parameters: list[Any]) -> Iterator[str]:
    """A table for each group of options."""
    groups: dict[str, list[Any]] = {}
    for each in parameters:
        if not getattr(each, "hidden", False) and each.name != "help":
            groups.setdefault(getattr(each, "rich_help_panel", None) or "", []).append(each)
    for title, members in groups.items():
        head = f"**{title}**\n\n" if title else ""
        rows = [f"| {_names(each)} | {_cell(each.help)} |" for each in members]
        yield head + "\n".join(["| option | what it is |", "|---|---|", *rows])


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{str(parameter.name).upper()}`"
    return " ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _text(help_text: str | None) -> str:
    """Help without rich's escapes."""
    return inspect.cleandoc(help_text or "").replace("\\[", "[")


def _cell(help_text: str | None) -> str:
    return re.sub(r"([|*_<>\[\]])", r"\\\1", " ".join(_text(help_text).split()))


def api_page() -> str:
    """A directive of mkdocstrings for every public name."""
    parts = [API_HEAD]
    for title, names in sections().items():
        parts.append(f"## {title}")
        parts += [f"::: snn_tool.{snn_tool._HOMES[name]}.{name}" for name in names]
    return "\n\n".join(parts) + "\n"


def sections() -> Mapping[str, tuple[str, ...]]:
    """The public names by subject; what no subject names is an error of this tool, or it is forgotten.

    Raises:
        ValueError: a name has no place.
    """
    errors = tuple(name for name in snn_tool.__all__ if snn_tool._HOMES[name] == "errors")
    found = {**SECTIONS, "Errors": errors}
    missing = set(snn_tool.__all__) - {name for names in found.values() for name in names}
    if missing:
        raise ValueError(f"docs/site/pages.py: no section names {', '.join(sorted(missing))}")
    return found


def schema_page() -> str:
    """The schema of every document that is read by one."""
    from importlib import import_module

    import msgspec

    parts = [SCHEMA_HEAD]
    for title, (module, name) in DOCUMENTS.items():
        document = getattr(import_module(f"snn_tool.{module}"), name)
        schema = msgspec.json.schema(document, schema_hook=lambda kind: {})
        about = inspect.cleandoc(document.__doc__ or "").partition("\n\n")[0]
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        parts += [f"## {title}", about, f"```json\n{text}\n```"]
    return "\n\n".join(parts) + "\n"
