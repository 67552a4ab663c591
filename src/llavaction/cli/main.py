"""``llavaction``: finds the command, imports only that, and prints errors for people."""

from __future__ import annotations

import sys
from typing import Any

import click

from llavaction.base.errors import LlavactionError
from llavaction.base.files import is_full, unwritable
from llavaction.base.text import safe_output, shown
from llavaction.base.version import __version__
from llavaction.cli.lazy import LazyGroup

COMMANDS = {
    "benchmark": ("llavaction.cli.benchmark:benchmark", "Make and audit multiple-choice benchmarks."),
    "data": ("llavaction.cli.data:data", "Make data: training records, made-up predictions; rendered videos."),
    "specialist": ("llavaction.cli.specialist:specialist", "Train classifiers that propose actions; let them predict."),
    "eval": ("llavaction.cli.evaluate:evaluate", "Ask a model every question of a benchmark."),
    "suite": ("llavaction.cli.suite:suite", "Run several benchmarks; one table beside published figures."),
    "judge": ("llavaction.cli.judge:judge", "Let a language model judge answers in free words."),
    "recognise": (
        "llavaction.cli.recognise:recognise",
        "Name each segment's action: candidates first, then a choice among them.",
    ),
    "fuse": ("llavaction.cli.fuse:fuse", "Fit the weights that join the stages of a recognition."),
    "multilabel": (
        "llavaction.cli.multilabel:multilabel",
        "Say which actions each clip shows, be they several.",
    ),
    "ask": ("llavaction.cli.ask:ask", "Ask a model one question about one video."),
    "train": ("llavaction.cli.train:train", "Train a model by a recipe."),
    "report": ("llavaction.cli.report:report", "Write report.html for one or several runs."),
    "compare": ("llavaction.cli.compare:compare", "Test whether one run is better than another."),
    "explain": ("llavaction.cli.explain:explain", "Say what moves how many points between runs, or parsers."),
    "power": ("llavaction.cli.power:power", "Say which difference a run can find, before it is made."),
    "convert": ("llavaction.cli.convert:convert", "Convert checkpoints of the published format to ours, and back."),
}
"""Command name to where it is and what it does; imported only when called. Plug-ins add to them."""
EXTRAS = {"accelerate": "train", "peft": "train", "tensorboard": "train", "matplotlib": "figures"}
"""Packages that not all need, and so are not always there, with the extra that brings them."""


class Cli(LazyGroup):
    """The group of all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; no label, id or file name that it prints can steer the terminal."""
        with safe_output():
            return super().invoke(ctx)


@click.group(cls=Cli, lazy=COMMANDS, plugins="COMMANDS", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llavaction")
def cli() -> None:
    """Study actions in video with multimodal language models: benchmarks, training, recognition, reports."""


def main() -> None:
    """Entry point. Conditions the user can act on are printed without a traceback; they end with their status."""
    try:
        cli(standalone_mode=False)
    except LlavactionError as error:
        click.echo(shown(f"error: {error}", lines=True), err=True)
        sys.exit(error.status)
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
