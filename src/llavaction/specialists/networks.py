"""What turns the frames of a segment into one feature vector: a small CNN, or transformers' VideoMAE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import VideoMAEConfig, VideoMAEModel

from llavaction.base.errors import InputError
from llavaction.base.records import read_json
from llavaction.specialists.config import TUBELET, SpecialistConfig

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, per colour channel, as VideoMAE's published checkpoints take them."""


class Pixels(nn.Module):
    """Bytes [batch, frames, height, width, 3] to normalised values [batch, frames, 3, height, width]."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Scale to 0..1 and normalise."""
        return (frames.permute(0, 1, 4, 2, 3).to(self.mean.dtype) / 255 - self.mean) / self.std


class Block(nn.Module):
    """Two convolutions with a shortcut; an eighth of the channels comes from the frame before, an eighth from the next.

    The exchange between frames costs nothing and lets 2-D convolutions see motion (temporal shift; Lin, Gan and Han,
    ICCV 2019).
    """

    def __init__(self, inside: int, outside: int, frames: int) -> None:
        super().__init__()
        self.frames, self.moved = frames, inside // 8
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[batch * frames, inside, h, w] to [batch * frames, outside, ceil(h / 2), ceil(w / 2)]."""
        return torch.relu(self.body(self._exchange(x)) + self.shortcut(x))

    def _exchange(self, x: Tensor) -> Tensor:
        clips = x.unflatten(0, (-1, self.frames))
        moved = torch.zeros_like(clips)
        moved[:, 1:, : self.moved] = clips[:, :-1, : self.moved]
        moved[:, :-1, self.moved : 2 * self.moved] = clips[:, 1:, self.moved : 2 * self.moved]
        moved[:, :, 2 * self.moved :] = clips[:, :, 2 * self.moved :]
        return moved.flatten(0, 1)


class FrameDifferenceCnn(nn.Module):
    """Convolutions over each frame and its difference from the one before, then over the frames' sequence.

    Args:
        config: ``frames`` and ``channels`` are used; any picture size is taken.
    """

    def __init__(self, config: SpecialistConfig) -> None:
        super().__init__()
        width = config.channels
        self.pixels = Pixels()
        self.stem = nn.Sequential(
            nn.Conv2d(6, width, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(
            Block(width, 2 * width, config.frames),
            Block(2 * width, 3 * width, config.frames),
            Block(3 * width, 4 * width, config.frames),
        )
        self.size = 8 * width
        self.sequence = nn.Sequential(
            nn.Linear(8 * width * config.frames, self.size), nn.LayerNorm(self.size), nn.GELU()
        )
        for weight in self.parameters():
            if weight.ndim == 4:
                weight.data = weight.contiguous(memory_format=torch.channels_last)  # a third faster on a CPU

    def forward(self, frames: Tensor) -> Tensor:
        """Bytes [batch, frames, height, width, 3] to features [batch, size]."""
        values = self.pixels(frames)
        before = torch.cat([values[:, :1], values[:, :-1]], dim=1)
        stacked = torch.cat([values, values - before], dim=2)
        maps = self.blocks(self.stem(stacked.flatten(0, 1)))
        pooled = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
        features: Tensor = self.sequence(pooled.unflatten(0, (len(frames), -1)).flatten(1))
        return features


class VideoMae(nn.Module):
    """Mean of VideoMAE's tokens, normalised.

    Args:
        config: of the encoder, as transformers knows it.
    """

    def __init__(self, config: VideoMAEConfig) -> None:
        super().__init__()
        self.pixels = Pixels()
        self.encoder = VideoMAEModel(config)
        self.size = config.hidden_size
        self.norm = nn.LayerNorm(self.size)

    def forward(self, frames: Tensor) -> Tensor:
        """Bytes [batch, frames, height, width, 3] to features [batch, size]."""
        features: Tensor = self.norm(self.encoder(self.pixels(frames)).last_hidden_state.mean(1))
        return features


def videomae_config(config: SpecialistConfig) -> VideoMAEConfig:
    """The encoder of a VideoMAE that is trained from nothing."""
    return VideoMAEConfig(
        image_size=(config.height, config.width),
        patch_size=config.patch,
        num_frames=config.frames,
        tubelet_size=TUBELET,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=4 * config.hidden,
        use_mean_pooling=True,
    )


def build_network(config: SpecialistConfig, encoder: dict[str, Any] | None = None) -> FrameDifferenceCnn | VideoMae:
    """A network with random weights.

    Args:
        config: of the specialist.
        encoder: the VideoMAE's stored configuration, where it is another than ``config`` describes.
    """
    if config.architecture == "cnn":
        return FrameDifferenceCnn(config)
    return VideoMae(videomae_config(config) if encoder is None else VideoMAEConfig(**encoder))


def with_checkpoint(config: SpecialistConfig) -> SpecialistConfig:
    """The settings with the frames and picture size of their checkpoint, where they name one.

    Raises:
        InputError: the checkpoint is no VideoMAE.
    """
    if config.checkpoint is None:
        return config
    stored = read_json(config.checkpoint / "config.json")
    kind = stored.get("model_type") if isinstance(stored, dict) else None
    if kind != "videomae":
        raise InputError(f"model_type {kind!r} is not VideoMAE", file=config.checkpoint / "config.json")
    try:
        encoder = VideoMAEConfig(**stored)
        side = encoder.image_size
        height, width = (side, side) if isinstance(side, int) else side
        settings = config.model_dump() | {"frames": encoder.num_frames, "height": height, "width": width}
    except Exception as error:  # the library checks its settings in many ways
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"is no VideoMAE's ({problem})", file=config.checkpoint / "config.json") from None
    return SpecialistConfig.from_mapping(settings)


def open_videomae(folder: Path) -> VideoMae:
    """A VideoMAE with the weights of a local checkpoint folder.

    Raises:
        InputError: the folder has no safetensors weights, or not all of a VideoMAE encoder's.
    """
    try:
        loaded: Any = VideoMAEModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot be loaded by transformers ({problem})", file=folder) from error
    encoder, report = loaded
    if report["missing_keys"]:
        raise InputError(f"lacks the weights {sorted(report['missing_keys'])[:3]}", file=folder)
    network = VideoMae(encoder.config)
    network.encoder = encoder
    return network
