"""Commands that are imported when they are used: torch and scikit-learn take seconds, and `hwnas --help` needs neither."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import did_you_mean
from .examples import epilog


@dataclass(frozen=True)
class Command:
    """Where a command is (`module:function`, or `module:group`, in this package), and its line in the list of commands."""

    where: str
    summary: str  # the first paragraph of its docstring, which is read only when the command is used; tests compare them

    def load(self) -> Any:
        """The function, or the typer.Typer of a group."""
        module, _, name = self.where.partition(":")
        return getattr(import_module(f"hwnas.cli.{module}"), name)


class LazyGroup(TyperGroup):
    """The group of COMMANDS; only the command that is run is imported."""

    lazy: dict[str, Command] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A loaded command, or for the list of commands one that only has a name and a summary."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        return TyperCommand(cmd_name, help=self.lazy[cmd_name].summary) if cmd_name in self.lazy else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in self.lazy:
            raise did_you_mean("command", name, self.lazy)
        self.commands[name] = _loaded(name, self.lazy[name].load())
        return super().resolve_command(ctx, args)


def lazy_group(commands: dict[str, Command]) -> type[LazyGroup]:
    """A class of groups, as typer.Typer(cls=...) wants it, with these commands."""
    return type("Commands", (LazyGroup,), {"lazy": commands})


def _loaded(name: str, found: Any) -> Any:
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
        found.command(name)(function)
    command = typer.main.get_command(found)
    command.name, command.epilog = name, epilog(name)
    for sub, below in getattr(command, "commands", {}).items():
        below.epilog = epilog(f"{name} {sub}")
    return command
