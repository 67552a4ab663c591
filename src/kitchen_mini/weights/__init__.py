"""The weights that come along: a video-language model and a specialist, both of kitchen_mini."""

from __future__ import annotations

from pathlib import Path

from llavaction.base.errors import InputError

_HERE = Path(__file__).resolve().parent


def model_folder() -> Path:
    """The checkpoint folder of the bundled video-language model.

    Raises:
        InputError: this copy of the package lacks it.
    """
    return _complete(_HERE / "mini", "video-language model", "train one with: llavaction train --config kitchen-mini")


def specialist_folder() -> Path:
    """The folder of the bundled specialist.

    Raises:
        InputError: this copy of the package lacks it.
    """
    hint = "train one with: llavaction specialist train --annotations DIR --videos DIR --output DIR"
    return _complete(_HERE / "specialist", "specialist", hint)


def fusion_file() -> Path:
    """Weights that join the bundled specialist, the model's heads and its letters, fitted on validation."""
    return _HERE / "fusion.json"


def _complete(folder: Path, kind: str, hint: str) -> Path:
    missing = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"this copy of llavaction has no bundled {kind}: {missing[0]} is missing in weights/{folder.name}",
            hint=hint,
        )
    return folder
