"""The command line: global options, the commands, and the one place where errors become exit codes.

0 done; 1 a fault of input or environment (one line on stderr); 2 usage; 3 it ran but the check failed;
128 and a signal's number if one ended it, e.g. 130 for Ctrl-C; 141 nobody reads stdout any more. A bug keeps
its traceback. Heavy packages are imported inside the commands.
"""

import gc
import sys
from typing import Annotated

import typer
from snn_tool import __version__
from snn_tool.cli.deploy import (
    CHECK_FAILED,
    backend_app,
    check,
    conformance,
    export,
    finetune,
    import_nir,
    quantize,
    resources,
    verify,
)
from snn_tool.cli.energy import audit_app, energy_app
from snn_tool.cli.options import Command, CommandGroup
from snn_tool.cli.refusals import reason
from snn_tool.cli.train import distill, train
from snn_tool.cli.use import degrade, demo, doctor, evaluate, models, playground, restore
from snn_tool.errors import ExportDiffersError, Interrupted, SnnToolError, is_out_of_memory
from snn_tool.ranks import is_first
from snn_tool.signals import Stopped, stoppable
from snn_tool.terminal import NO_READER, Terminal, configure_logging, prepare_streams, say

USAGE, INTERRUPTED = 2, 130
# Typer vendors click in newer versions and imports it in older ones; usage errors share this base.
UsageFault: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    help="Distil an image-restoration network into a spiking one, prove what a Loihi-class chip would "
    "compute, and audit its energy.",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        Terminal().result(f"snn-tool {__version__}", {})
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Write the result as JSON to stdout.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No bars, notes, warnings; only errors.")
    ] = False,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="More log lines.")] = 0,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options that every command shares."""
    configure_logging(-1 if quiet else verbose)
    context.obj = Terminal(as_json=as_json, quiet=quiet or not is_first())


for _name, _command in (
    ("train", train),
    ("distill", distill),
    ("quantize", quantize),
    ("import", import_nir),
    ("finetune", finetune),
    ("export", export),
    ("verify", verify),
    ("conformance", conformance),
    ("check", check),
    ("resources", resources),
    ("degrade", degrade),
    ("restore", restore),
    ("evaluate", evaluate),
    ("models", models),
    ("demo", demo),
    ("playground", playground),
    ("doctor", doctor),
):
    app.command(_name, cls=Command)(_command)
app.add_typer(energy_app, name="energy")
app.add_typer(audit_app, name="audit")
app.add_typer(backend_app, name="backend")


def main() -> None:
    """Run the command line and exit with the code that the outcome deserves."""
    prepare_streams()
    try:
        with stoppable():
            code = run(sys.argv[1:])
    except Stopped as stopped:  # just before or after
        code = stopped.code
    gc.freeze()  # or the interpreter, ending, looks for cycles in all that torch made: half a second
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        code = int(app(arguments, prog_name="snn-tool", standalone_mode=False) or 0)
        if code == INTERRUPTED:
            say("interrupted")
        return code
    except SystemExit as ended:  # typer, too, ends so when the reader of its help has gone
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        return NO_READER
    except UsageFault as error:
        if text := error.format_message():  # type: ignore[attr-defined]
            say(f"usage: {text}{reason(error)}{_hint(error)}")
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    except Stopped as stopped:
        say(str(stopped))
        return stopped.code
    except Interrupted as error:
        say(str(error))
        return error.code
    except ExportDiffersError as error:
        say(f"error: {error}")
        return CHECK_FAILED
    except SnnToolError as error:
        say(f"error: {error}")
        return 1
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        say("error: out of memory; use a smaller --batch, --patch, --tile, --crop or --size")
        return 1


def _hint(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"; see '{context.command_path if context else 'snn-tool'} --help'"
