"""Ways of training in a stage, and models that are made where a training starts: what plug-ins may add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from llavaction.base.errors import InputError
from llavaction.base.plugins import plugin_name, plugins, with_plugins
from llavaction.base.records import Strict
from llavaction.base.registry import attribute, resolve

if TYPE_CHECKING:
    from llavaction.training.config import StageConfig


class StageKind:
    """A way of training in a stage.

    Attributes:
        settings: what a stage of this kind may say under ``extra``; None for nothing.
        run: where the function is that does it, "module:function", called with the training's and the stage's
            configuration and three folders: the checkpoint to start from, that of the stage's own checkpoints, and the
            one to write the model to. :func:`llavaction.training.run.train_stage` is one, and takes an
            :class:`~llavaction.training.additions.Addition` besides.
        records: whether it learns from records, and is asked a benchmark in between.
    """

    settings: ClassVar[type[Strict] | None] = None
    run: ClassVar[str] = "llavaction.training.run:train_stage"
    records: ClassVar[bool] = True

    @classmethod
    def check(cls, stage: StageConfig) -> None:
        """Make sure that a stage's other settings go with it.

        Raises:
            ValueError: one does not.
        """

    @classmethod
    def places(cls, stage: StageConfig) -> Sequence[tuple[str, Path]]:
        """Files and folders that have to be there before the training begins, each with what it is."""
        return ()


class ModelStart:
    """A model with new weights, made where a training starts.

    Attributes:
        settings: what a recipe may say of it under ``start``; None for nothing.
        write: where the function is that writes the checkpoint, "module:function", called with the folder and the
            training's configuration.
    """

    settings: ClassVar[type[Strict] | None] = None
    write: ClassVar[str]


KINDS = {"records": "llavaction.training.kinds:StageKind"}
"""Our kinds of stages."""


def stage_kind(name: str) -> type[StageKind]:
    """The kind of stage that is called so.

    Raises:
        InputError: none is (suggests the nearest).
    """
    kind: type[StageKind] = resolve(with_plugins("STAGE_KINDS", KINDS), name, "kind of stage")
    return kind


def model_start(name: str) -> type[ModelStart] | None:
    """What makes the model of a name; None where the name is of another kind."""
    starts = with_plugins("MODEL_STARTS")
    return attribute(starts[name]) if name in starts else None


def plugin_settings() -> dict[str, dict[str, type[Strict]]]:
    """What plug-ins add to a recipe.

    Returns:
        By the plug-in's name: where settings stand and with what ("extra, with kind: lesson"), and their class.
    """
    classes: dict[str, dict[str, type[Strict]]] = {}
    for plugin in plugins():
        for registry, place in (("MODEL_STARTS", "start, with model: "), ("STAGE_KINDS", "extra, with kind: ")):
            for name, where in getattr(plugin, registry, {}).items():
                if (settings := attribute(where).settings) is not None:
                    classes.setdefault(plugin_name(plugin), {})[place + name] = settings
    return classes


def complete(settings: type[Strict] | None, values: Mapping[str, Any], key: str, owner: str) -> dict[str, Any]:
    """The settings of a plug-in, validated and with their defaults.

    Args:
        settings: their class, or None.
        values: what the recipe says.
        key: under which key it says it.
        owner: whose they are.

    Raises:
        ValueError: they are not as they have to be.
    """
    if settings is None:
        if values:
            raise ValueError(f"{key}: {owner} takes no settings of its own, found '{next(iter(values))}'")
        return {}
    try:
        return settings.from_mapping(values).model_dump()
    except InputError as error:
        raise ValueError(f"{key}: {error.problem}") from None
