"""Every setting of every configuration says what it is, in sentences: ``--keys`` and ``--help`` show nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import kitchen_mini
import llavaction
from llavaction.base.records import Record, Strict

NO_SETTINGS = ("Clip", "LabelClass", "Option", "Provenance", "ClassFacts", "Message", "ActionLabels", "ClassName",
               "SpecialistLabels", "WholeLabel", "ObjectBox", "KitchenMiniSummary")  # fmt: skip
"""Parts of records, not configurations."""


def configurations() -> Iterator[type[Strict]]:
    for package in (llavaction, kitchen_mini):
        home = Path(package.__file__).parent
        for path in home.rglob("*.py"):
            if "description=" in path.read_text(encoding="utf-8"):
                module = ".".join(path.relative_to(home.parent).with_suffix("").parts)
                found = vars(import_module(module.removesuffix(".__init__"))).values()
                yield from (
                    cls
                    for cls in found
                    if isinstance(cls, type) and issubclass(cls, Strict) and cls.__module__ == module
                )


def test_every_setting_is_a_sentence() -> None:
    names, wrong = set(), []
    for config in configurations():
        if issubclass(config, Record) or config.__name__ in NO_SETTINGS:
            continue
        names.add(config.__name__)
        for name, field in config.model_fields.items():
            said = field.description or ""
            if not (said[:1].isupper() and said.endswith(".")):
                wrong.append(f"{config.__module__}.{config.__name__}.{name}: {said!r}")
    assert not wrong
    assert names >= {
        "TrainConfig", "StageConfig", "LearningRates", "ActionTokenConfig", "RunConfig", "RecognitionConfig",
        "SpecialistConfig", "HuggingFaceConfig", "BuildConfig", "ExchangeableConfig", "NoiseModel", "LessonConfig",
        "CaptionSettings", "MixtureConfig",
    }  # fmt: skip
