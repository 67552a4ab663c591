"""A suite as data: which benchmarks, where their files lie, how each is asked, and what others published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from llavaction.base.bounded import read_yaml
from llavaction.base.errors import InputError
from llavaction.base.records import Strict
from llavaction.base.registry import suggestion


class Published(Strict):
    """A figure that somebody published."""

    model: str = Field(description="Whose figure it is, one of the suite's models.")
    value: float = Field(ge=0, le=100, description="The figure, in percent.")
    source: str = Field(min_length=1, description="Where it stands, so that it can be looked up.")
    figure: str = Field(default="", description="Which of the benchmark's figures it is, where it has several.")
    comparable: bool = Field(
        default=True, description="Whether it is of the same questions, so that our interval can tell something."
    )
    questions: int | None = Field(
        default=None, ge=1, description="Of how many questions it is. Where another number was asked nothing is told."
    )


class Entry(Strict):
    """A benchmark of a suite."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of its run folder, and of its folder of data."
    )
    title: str = Field(default="", description="What the table calls it. By default its name.")
    folder: str | None = Field(default=None, description="Folder of its data, where that is called otherwise.")
    like: str | None = Field(
        default=None, description="Description that says how its files are read. Without one it is a benchmark folder."
    )
    describe: Mapping[str, Any] = Field(
        default_factory=dict, description="Keys of the description besides, or all of it where it is like none."
    )
    beside: tuple[str, ...] = Field(
        default=(), description="Files that are needed, too, and that no key names, seen from the folder."
    )
    files: Mapping[str, str] = Field(
        default_factory=dict,
        description="Key of the description (with dots for keys within) to the file it needs, seen from the folder.",
    )
    optional: Mapping[str, str] = Field(
        default={"videos": "videos"}, description="The same for files and folders that may be missing."
    )
    get: str = Field(default="", description="Where the files are to be had.")
    settings: Mapping[str, Any] = Field(
        default_factory=dict, description="How it is run: fields of its task's configuration, such as frames or prompt."
    )
    figures: Mapping[str, str] = Field(
        default_factory=dict,
        description="Name of each figure to its place in metrics.json, keys with dots between. By default it is the "
        "official one.",
    )
    published: tuple[Published, ...] = Field(default=(), description="What others published.")

    @model_validator(mode="after")
    def _figures_are_known(self) -> Self:
        for published in self.published:
            if published.figure not in (self.figures or {"": ""}):
                raise ValueError(f"published figure '{published.figure}' is none of {list(self.figures) or ['']}")
        return self


class Suite(Strict):
    """Benchmarks that are run together."""

    name: str = Field(description="Name of the suite. By default the file's.")
    about: str = Field(default="", description="What it is for, in a sentence.")
    models: tuple[str, ...] = Field(default=(), description="Whose published figures are shown, in this order.")
    benchmarks: tuple[Entry, ...] = Field(min_length=1, description="The benchmarks, in the order they are run.")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        often = Counter(entry.name for entry in self.benchmarks)
        if twice := [name for name, count in often.items() if count > 1]:
            raise ValueError(f"two benchmarks are called '{twice[0]}'")
        for entry in self.benchmarks:
            for published in entry.published:
                if published.model not in self.models:
                    raise ValueError(f"'{published.model}' (of {entry.name}) is none of the suite's models")
        return self

    def only(self, names: tuple[str, ...]) -> Suite:
        """The suite with some of its benchmarks; all, where none is named.

        Raises:
            InputError: it has no benchmark of a name.
        """
        known = [entry.name for entry in self.benchmarks]
        for name in names:
            if name not in known:
                raise InputError(f"suite '{self.name}' has no benchmark '{name}'", hint=suggestion(name, known))
        kept = tuple(entry for entry in self.benchmarks if not names or entry.name in names)
        return self.model_copy(update={"benchmarks": kept})


def load_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        InputError: the file is no such description.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise InputError("expected a suite (name, models, benchmarks)", file=path)
    return Suite.from_mapping({"name": path.stem, **values}, file=path)
