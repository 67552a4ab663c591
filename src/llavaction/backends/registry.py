"""Backends by name: ``chance``, ``prior``, ``oracle``, ``specialist:FILE``, ``transformers:FOLDER``, ``bundled``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from llavaction.backends.base import Backend
from llavaction.base.errors import InputError
from llavaction.base.registry import resolve, suggestion
from llavaction.bundled import BUNDLED, model_folder

BACKENDS: dict[str, str] = {
    "chance": "llavaction.backends.baselines:ChanceBackend",
    "oracle": "llavaction.backends.baselines:OracleBackend",
    "prior": "llavaction.backends.baselines:PriorBackend",
    "specialist": "llavaction.backends.baselines:SpecialistBackend",
    "transformers": "llavaction.backends.huggingface:HuggingFaceBackend",
}
"""Name to class; imported when first made, so PyTorch is loaded only for ``transformers``."""


def parse_spec(spec: str) -> tuple[str, str | None]:
    """Split "name:argument"; the path of an existing folder stands for ``transformers:FOLDER``.

    Raises:
        InputError: the name is unknown, or the bundled model is not there.
    """
    if spec == BUNDLED:
        return "transformers", str(model_folder())
    name, colon, argument = spec.partition(":")
    if name in BACKENDS:
        return name, argument if colon else None
    if Path(spec).is_dir():
        return "transformers", spec
    if "/" in spec and not colon:
        raise InputError(
            "no such checkpoint folder, and no backend has this name",
            file=spec,
            hint="a model of the hub is downloaded first, e.g. with: hf download OWNER/NAME --local-dir FOLDER",
        )
    raise InputError(
        f"unknown backend '{name}'",
        hint=f"{suggestion(name, (*BACKENDS, BUNDLED))} The path of a checkpoint folder will also do.",
    )


def make_backend(spec: str, **options: Any) -> Backend:
    """Make a backend.

    Args:
        spec: ``chance[:SEED]``, ``prior``, ``oracle[:ERROR_RATE]``, ``specialist:FILE``, ``transformers:FOLDER``, the
            path of a checkpoint folder, or ``bundled`` for the model that comes with the package.
        options: ``prior`` needs ``counts`` ((verb class, noun class) to training segments); it and ``specialist`` need
            ``classes`` and ``oracle`` needs ``answers``, see :mod:`llavaction.questions.keys`; ``specialist`` takes
            ``segment_ids`` and ``actions`` for files that refer to rows and class ids; ``transformers`` takes the
            fields of ``HuggingFaceConfig``. The others take the arguments of their class.

    Raises:
        InputError: the name, an option or what the backend needs is missing or wrong.
    """
    name, argument = parse_spec(spec)
    cls = resolve(BACKENDS, name, "backend")
    known = _options(cls)
    if known is not None:
        for option in options:
            if option not in known:
                raise InputError(
                    f"the {name} backend has no option '{option}'",
                    hint=suggestion(option, known) if known else "it has no options",
                )
    backend: Backend = cls.from_spec(argument, **options)
    return backend


def _options(cls: Any) -> set[str] | None:
    """Names a baseline's constructors take; None where a configuration class checks them itself."""
    names: set[str] = set()
    for function in (cls.__init__, cls.from_spec):
        names |= {
            name for name in inspect.signature(function).parameters if name not in ("self", "argument", "options")
        }
    return None if "config" in names else names
