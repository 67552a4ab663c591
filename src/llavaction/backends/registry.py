"""Backends by name: ``chance``, ``specialist:FILE``, ``transformers:FOLDER``, ``endpoint:URL``, ``bundled``, ..."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from llavaction.backends.base import Backend
from llavaction.base.errors import InputError
from llavaction.base.plugins import named_folder, with_plugins
from llavaction.base.registry import resolve, suggestion

BACKENDS: dict[str, str] = {
    "chance": "llavaction.backends.baselines:ChanceBackend",
    "endpoint": "llavaction.backends.endpoint.backend:EndpointBackend",
    "oracle": "llavaction.backends.baselines:OracleBackend",
    "prior": "llavaction.backends.baselines:PriorBackend",
    "specialist": "llavaction.backends.baselines:SpecialistBackend",
    "transformers": "llavaction.backends.huggingface:HuggingFaceBackend",
}
"""Name to class; imported when first made, so PyTorch is loaded only for ``transformers``."""


def parse_spec(spec: str) -> tuple[str, str | None]:
    """Split "name:argument"; the path of an existing folder stands for ``transformers:FOLDER``.

    Raises:
        InputError: the name is unknown, or a plug-in lacks the model it names.
    """
    folder = named_folder("CHECKPOINTS", spec)
    if folder is not None:
        return "transformers", str(folder)
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
    near = suggestion(name, (*BACKENDS, *with_plugins("CHECKPOINTS")))
    raise InputError(f"unknown backend '{name}'", hint=f"{near} The path of a checkpoint folder will also do.")


def make_backend(spec: str, **options: Any) -> Backend:
    """Make a backend.

    Args:
        spec: ``chance[:SEED]``, ``prior``, ``oracle[:ERROR_RATE]``, ``specialist:FILE``, ``transformers:FOLDER``,
            ``endpoint:URL``, the path of a checkpoint folder, or a name that a plug-in knows, such as ``bundled``.
        options: ``prior`` needs ``counts`` ((verb class, noun class) to training segments); it and ``specialist`` need
            ``classes`` and ``oracle`` needs ``answers``, see :mod:`llavaction.questions.keys`; ``specialist`` takes
            ``segment_ids`` and ``actions`` for files that refer to rows and class ids; ``transformers`` takes the
            fields of ``HuggingFaceConfig`` and ``endpoint`` those of ``EndpointConfig``. The others take the
            arguments of their class.

    Raises:
        InputError: the name, an option or what the backend needs is missing or wrong.
    """
    name, argument = parse_spec(spec)
    cls = resolve(BACKENDS, name, "backend")
    option_names = _options(cls)
    if option_names is not None:
        for option in options:
            if option not in option_names:
                raise InputError(
                    f"the {name} backend has no option '{option}'",
                    hint=suggestion(option, option_names) if option_names else "it has no options",
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
