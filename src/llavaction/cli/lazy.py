"""Groups whose commands are imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from llavaction.base.plugins import with_plugins
from llavaction.base.registry import attribute, suggestion


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and suggests one when a name is misspelt.

    Args:
        lazy: name to where a command is and what it does.
        plugins: the registry by which plug-ins add further ones, see base/plugins.py.
        rest: as click takes it.
    """

    def __init__(self, *, lazy: Mapping[str, tuple[str, str]], plugins: str, **rest: Any) -> None:
        super().__init__(**rest)
        self._own, self._plugins = lazy, plugins

    @property
    def _lazy(self) -> dict[str, tuple[str, str]]:
        return with_plugins(self._plugins, self._own)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the group's own, then those of plug-ins."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in self._lazy:
            return None
        command: click.Command = attribute(self._lazy[cmd_name][0])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        if args and not args[0].startswith("-") and args[0] not in self._lazy:
            ctx.fail(f"no such command '{args[0]}'; {suggestion(args[0], self._lazy)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])
