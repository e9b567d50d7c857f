"""The commands, the way from an argument to a recipe, and the exit statuses."""

import importlib
import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from tracetune.base.config import from_mapping, read_yaml, settings
from tracetune.base.disk import is_disk_full
from tracetune.base.errors import InputError, Remark, unknown_name
from tracetune.base.processes import is_main_process, leave_processes
from tracetune.base.setting_names import near_settings
from tracetune.base.signals import Stopped, stopped_by_signals
from tracetune.cli.commands import COMMANDS, Variant
from tracetune.cli.flags import signature, values_of, with_lists_repeated
from tracetune.cli.task_choice import chosen_task


class _Command(TyperCommand):
    """A command that names the nearest flags where one is unknown."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {flag for parameter in self.params for flag in (*parameter.opts, *parameter.secondary_opts)} | {
            "--help"
        }
        before_end = args[: args.index("--")] if "--" in args else args
        for flag in (word.partition("=")[0] for word in before_end):
            if flag.startswith("--") and flag not in known:
                names = [name[2:].replace("-", "_") for name in known if name.startswith("--")]
                nearest = [f"--{name.replace('_', '-')}" for name in near_settings(flag, names)]
                near = f" Did you mean {' or '.join(nearest)}?" if nearest else ""
                hint = _tasks_with(str(self.name), flag) or near
                raise InputError(f"There is no flag {flag}.{hint} All flags: tracetune {self.name} --help")
        lists = {flag for each in self.params if getattr(each, "multiple", False) for flag in each.opts}
        switches = {flag for each in self.params if getattr(each, "is_flag", False) for flag in each.opts}
        switches |= {flag for each in self.params for flag in each.secondary_opts} | {"--help"}
        try:
            return super().parse_args(ctx, with_lists_repeated(args, lists, switches))
        except Exception as error:
            if not hasattr(error, "format_message"):  # the class of Typer's own errors is private
                raise
            raise InputError(f"{error.format_message()} All flags: tracetune {self.name} --help") from error


def _tasks_with(name: str, flag: str) -> str:
    """Return in words for which tasks a command has a flag that it lacks for the chosen one; empty where for none."""
    setting, tasks = flag[2:].replace("-", "_"), COMMANDS[name].tasks
    others = [task for task in tasks if setting in settings(config_of(name, task))]
    return f" It is a flag of {' and '.join(f'--task {task}' for task in others)}." if others else ""


class _Commands(TyperGroup):
    """The commands by name; only the one that is asked for is built."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Build one command as it is without ``--task``; refuse unknown names with the nearest."""
        return build_command(_known(cmd_name), next(iter(COMMANDS[cmd_name].variants)))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str, Any, list[str]]:
        """Build the command that the arguments name, for the task that they mean."""
        name, *rest = args
        return name, build_command(_known(name), chosen_task(name, rest)), rest


def _known(name: str) -> str:
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    return name


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
        print(f"tracetune {version('tracetune')} (Python {sys.version.split()[0]}, {libraries})")
        raise typer.Exit


@app.callback()
def _describe(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Fine-tune time-series foundation models with few parameters."""


def config_of(name: str, task: str) -> type:
    """Return the configuration class of the command ``name`` for a task, "" where it has none."""
    found: type = _imported(f"tracetune.recipes.{COMMANDS[name].variants[task].config}")
    return found


def build_command(name: str, task: str) -> Any:
    """Return the Typer command ``name`` for a task, whose flags are the settings of its configuration."""
    command, config_class = COMMANDS[name], config_of(name, task)
    variant = command.variants[task]

    def run(config: str | None, task: str | None = None, **flags: object) -> None:
        del task  # it has chosen the variant, from here or from the file
        values = read_yaml(config) if config else {}
        if command.tasks:
            values.pop("task", None)
        chosen: object = from_mapping(config_class, values | values_of(flags, config_class))
        _say_what_begins(variant, chosen)
        _imported(f"tracetune.recipes.{variant.recipe}")(chosen)

    run.__signature__ = signature(config_class, command.tasks)  # type: ignore[attr-defined]
    run.__doc__ = command.summary + (f" These are the flags for {task}." if len(command.tasks) > 1 else "")
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name, cls=_Command, short_help=command.summary)(run)
    return typer.main.get_command(single)


def main() -> None:
    """Run the command line; exit status 0 is good, 1 a failure, 2 wrong use or unusable input.

    Where a signal ended it, 128 and its number: 130 (SIGINT), 143 (SIGTERM), 129 (SIGHUP).
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Messages())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its notes are for Python callers
    # Read when PyTorch is loaded: threads that wait by spinning take turns from those they wait for on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with stopped_by_signals():
            try:
                app()
            finally:
                leave_processes()
    except Stopped as stop:
        _leave(str(stop) if hasattr(stop, "__notes__") else f"{stop} Nothing was kept.", stop.status)
    except InputError as error:
        _leave(error.for_command_line(), 2)
    except Exception as error:
        if is_disk_full(error):
            _leave(f"The disk is full ({error}). Free some disk space and run the same command again.", 2)
        if isinstance(error, OSError):
            _leave(str(error), 1)
        if os.environ.get("TRACETUNE_DEBUG"):
            raise
        _leave(f"{type(error).__name__}: {error} (set TRACETUNE_DEBUG=1 for the traceback)", 1)


class _Messages(logging.Formatter):
    """Write log messages without level and time, in the words of the command line where they have some."""

    def format(self, record: logging.LogRecord) -> str:
        return record.msg.for_command_line() if isinstance(record.msg, Remark) else super().format(record)


def _say_what_begins(variant: Variant, config: object) -> None:
    """Print at once what the command does first, since importing PyTorch takes seconds."""
    source = getattr(config, "source", None)
    words = f"Reading {source.data or source.dataset} ..." if source is not None else variant.first_words
    if words and is_main_process():
        Console(highlight=False).print(words, markup=False)


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _leave(message: str, status: int) -> None:
    if is_main_process() or status == 1:  # what all processes refuse is said once
        Console(stderr=True, highlight=False).print(f"Error: {message}", style="red", markup=False, soft_wrap=True)
    sys.exit(status)
