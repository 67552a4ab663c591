"""SigLIP vision towers: their configurations, which no published checkpoint contains, and their own checkpoints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field

from llavaction.base.errors import InputError
from llavaction.base.records import Strict, read_json
from llavaction.models.shards import StoredTensor, open_weights

if TYPE_CHECKING:
    from llavaction.models.llava_video import LlavaVideoConfig

TOWER_CONFIG = "siglip_config.json"
"""Where a published folder may describe its tower; its ``num_hidden_layers`` counts the layer that is dropped."""

_WIDTHS = {  # hidden size, intermediate size, layers, heads
    "base": (768, 3072, 12, 12),
    "large": (1024, 4096, 24, 16),
    "so400m": (1152, 4304, 27, 16),
}
_TOWER_NAME = re.compile(rf"siglip-({'|'.join(_WIDTHS)})-patch(\d+)-(\d+)")
_BESIDES = ("text_model.", "logit_scale", "logit_bias", "head.")  # of a SigLIP checkpoint, not of a tower that is run


class TowerConfig(Strict):
    """What the conversion needs of a SigLIP vision tower's own configuration; defaults are the library's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hidden_size: int = Field(default=768, ge=1, description="Width of the encoder.")
    intermediate_size: int = Field(default=3072, ge=1, description="Width inside the MLPs.")
    num_hidden_layers: int = Field(
        default=12, ge=2, description="Number of encoder layers, the dropped last one included."
    )
    num_attention_heads: int = Field(default=12, ge=1, description="Number of attention heads.")
    num_channels: int = Field(default=3, ge=1, description="Number of colour channels.")
    image_size: int = Field(default=224, ge=1, description="Side of a frame in pixels.")
    patch_size: int = Field(default=16, ge=1, description="Side of a patch in pixels.")
    hidden_act: str = Field(default="gelu_pytorch_tanh", description="Activation inside the MLPs.")
    layer_norm_eps: float = Field(default=1e-6, gt=0, description="Epsilon of the layer norms.")
    attention_dropout: float = Field(default=0.0, ge=0, description="Dropout of the attention weights in training.")

    @classmethod
    def read(cls, file: Path) -> TowerConfig:
        """Read the ``config.json`` of a SigLIP checkpoint, whole or vision part alone.

        Raises:
            InputError: the file is missing, or describes something else.
        """
        stored = read_json(file)
        kind = stored.get("model_type") if isinstance(stored, dict) else None
        if kind == "siglip":
            stored = stored.get("vision_config") or {}
        elif kind != "siglip_vision_model":
            raise InputError(f"model_type {kind!r} is not a SigLIP vision tower", file=file)
        return cls.from_mapping(stored, file=file)

    @classmethod
    def known(cls, name: str) -> TowerConfig | None:
        """The configuration of a tower of Google's that is named ``name``, which may be a path; None if it is none."""
        match = _TOWER_NAME.fullmatch(name.rstrip("/").rsplit("/", 1)[-1])
        if match is None:
            return None
        hidden, intermediate, layers, heads = _WIDTHS[match[1]]
        return cls(
            hidden_size=hidden,
            intermediate_size=intermediate,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            patch_size=int(match[2]),
            image_size=int(match[3]),
        )

    @classmethod
    def of_model(cls, config: LlavaVideoConfig) -> TowerConfig:
        """The configuration of a model's tower before its last layer was dropped."""
        vision: Any = config.vision_config
        values = {name: getattr(vision, name) for name in cls.model_fields}
        return cls.from_mapping(values | {"num_hidden_layers": vision.num_hidden_layers + 1})

    def as_run(self) -> dict[str, Any]:
        """The library's configuration of what is run: no last layer, no pooling head."""
        fewer = {"num_hidden_layers": self.num_hidden_layers - 1}
        return {"model_type": "siglip_vision_model", "vision_use_head": False} | self.model_dump() | fewer

    def as_file(self) -> dict[str, Any]:
        """The content of ``siglip_config.json``."""
        return {"model_type": "siglip_vision_model"} | self.model_dump()


def find_tower_config(source: Path, name: str, folder: Path | None, file: Path | None) -> TowerConfig:
    """The configuration of a published checkpoint's tower, from the first place that has one.

    Args:
        source: the checkpoint; may hold a ``siglip_config.json``.
        name: what its configuration calls the tower.
        folder: a checkpoint of the tower, or None.
        file: a configuration of the tower, or None.

    Raises:
        InputError: there is none and the name is not a known one.
    """
    for place in (file, folder and folder / "config.json"):
        if place is not None:
            return TowerConfig.read(place)
    if (source / TOWER_CONFIG).is_file():
        return TowerConfig.read(source / TOWER_CONFIG)
    config = TowerConfig.known(name)
    if config is None:
        raise InputError(
            f"nothing is known of the vision tower '{name}' (its heads cannot be told from its weights)",
            file=source / "config.json",
            hint="give the config.json of that SigLIP model as --tower-config",
        )
    return config


def tower_tensors(folder: Path, config: TowerConfig, prefix: str) -> dict[str, StoredTensor]:
    """The tensors of a SigLIP checkpoint that are run, under ``prefix``: no text model, pooling head or last layer.

    Raises:
        InputError: the weights cannot be read; see :func:`open_weights`.
    """
    dropped = f"encoder.layers.{config.num_hidden_layers - 1}."
    tensors = {name.removeprefix("vision_model."): tensor for name, tensor in open_weights(folder).items()}
    return {prefix + name: tensor for name, tensor in tensors.items() if not name.startswith((*_BESIDES, dropped))}
