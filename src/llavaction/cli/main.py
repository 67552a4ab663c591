"""``llavaction``: finds the command, imports only that, and prints errors for people."""

from __future__ import annotations

import sys
from typing import Any

import click

from llavaction.base.errors import LlavactionError
from llavaction.base.files import is_full, unwritable
from llavaction.base.registry import resolve, suggestion
from llavaction.base.text import safe_output, shown
from llavaction.base.version import __version__

COMMANDS = {
    "benchmark": ("llavaction.cli.benchmark:benchmark", "Make and audit multiple-choice benchmarks."),
    "data": ("llavaction.cli.data:data", "Make data: kitchen_mini, simulated specialists, training records."),
    "specialist": ("llavaction.cli.specialist:specialist", "Train classifiers that propose actions; let them predict."),
    "eval": ("llavaction.cli.evaluate:evaluate", "Ask a model every question of a benchmark."),
    "recognise": (
        "llavaction.cli.recognise:recognise",
        "Name each segment's action: a specialist proposes, a model chooses.",
    ),
    "ask": ("llavaction.cli.ask:ask", "Ask a model one question about one video."),
    "train": ("llavaction.cli.train:train", "Train a model by a recipe."),
    "report": ("llavaction.cli.report:report", "Write report.html for one or several runs."),
    "compare": ("llavaction.cli.compare:compare", "Test whether one run is better than another."),
    "convert": ("llavaction.cli.convert:convert", "Convert checkpoints of the published format to ours, and back."),
    "demo": ("llavaction.cli.demo:demo", "The whole way, from new made-up videos to a report."),
}
"""Command name to where it is and what it does; imported only when called."""
EXTRAS = {"accelerate": "train", "peft": "train", "tensorboard": "train", "matplotlib": "figures"}
"""Packages that not all need, and so are not always there, with the extra that brings them."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and suggests one when a name is misspelt."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = resolve({cmd_name: COMMANDS[cmd_name][0]}, cmd_name, "command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"no such command '{args[0]}'; {suggestion(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; no label, id or file name that it prints can steer the terminal."""
        with safe_output():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llavaction")
def cli() -> None:
    """Study actions in video with multimodal language models: benchmarks, training, recognition, reports."""


def main() -> None:
    """Entry point. Conditions the user can act on are printed without a traceback and end with status 1."""
    try:
        cli(standalone_mode=False)
    except LlavactionError as error:
        click.echo(shown(f"error: {error}", lines=True), err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        extra = EXTRAS[error.name]
        click.echo(f"error: {error.name} is not installed\n  hint: pip install 'llavaction[{extra}]'", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except Exception as error:
        if not is_full(error):
            raise
        place = getattr(error, "filename", None) or "standard output or a temporary file"
        click.echo(shown(f"error: {unwritable(place, error)}", lines=True), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
