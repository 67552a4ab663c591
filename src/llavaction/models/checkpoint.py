"""Hugging Face checkpoint folders: opened without network, without pickles, with errors that name what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as _IMAGE_TEXT_MODELS
from transformers.utils import logging as transformers_logging

from llavaction.base.bounded import read_text
from llavaction.base.errors import InputError
from llavaction.base.fingerprints import digest_of_files
from llavaction.base.records import read_json
from llavaction.models.family_table import FAMILIES
from llavaction.models.registry import register

_PARTS = {
    "weights": ("*.safetensors", "*.safetensors.index.json"),
    "configuration": ("config.json", "generation_config.json", "adapter_config.json"),
    "tokenizer": ("tokenizer*", "vocab.*", "merges.txt", "added_tokens.json", "special_tokens_map.json", "*.model"),
    "chat template": ("chat_template.*",),
    "processor": ("*processor_config.json",),
}
"""Files that decide a checkpoint's answers."""

TRAINED_FRAMES = "trained_frames"
"""Key of ``config.json`` for the frames per clip that a model was last trained with."""
MOST_TEMPLATE = 1 << 20
"""Bytes of a chat template."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder without its weights.

    Attributes:
        folder: where it is.
        config: the model's configuration.
        tokenizer: the tokenizer.
        chat_template: the Jinja text that turns messages into a prompt, or None where the folder has none.
        image_settings: settings of the image processor as stored; empty where there are none.
        video_settings: those of the video processor, or else of the image processor.
    """

    folder: Path
    config: Any
    tokenizer: Any
    chat_template: str | None
    image_settings: Mapping[str, Any]
    video_settings: Mapping[str, Any]

    @property
    def context(self) -> int | None:
        """Longest sequence of the text model in tokens; None where the configuration does not say."""
        return getattr(self.config.get_text_config(), "max_position_embeddings", None)

    @property
    def trained_frames(self) -> int | None:
        """Frames per clip the model was trained with; None where the configuration does not say.

        Raises:
            InputError: what it says is not a number of frames.
        """
        frames = getattr(self.config, TRAINED_FRAMES, None)
        if frames is None or (isinstance(frames, int) and frames > 0):
            return frames
        raise InputError(f"{TRAINED_FRAMES} is {frames!r}, expected 1 or more", file=self.folder / "config.json")

    def token(self, field: str) -> str:
        """The text of the special token whose id the configuration holds under ``field``.

        Raises:
            InputError: the configuration lacks the field, or the tokenizer has no such id.
        """
        index = getattr(self.config, field, None)
        text = None if index is None else self.tokenizer.convert_ids_to_tokens(index)
        if not isinstance(text, str):
            raise InputError(
                f"{field} is {index}, but the tokenizer ({len(self.tokenizer)} tokens) has no such token",
                file=self.folder / "config.json",
                hint="the tokenizer files are not those of this model",
            )
        return text


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's own progress bars off the terminal while weights are read or written."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def open_checkpoint(folder: str | Path) -> Checkpoint:
    """Read everything of a checkpoint but its weights.

    Raises:
        InputError: the folder is missing or is no checkpoint, its model takes no images, or a file is damaged.
    """
    ours = register()
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("no such folder", file=folder, hint="give a local checkpoint folder; nothing is downloaded")
    if not (folder / "config.json").is_file():
        raise InputError("has no config.json, so it is not a Hugging Face checkpoint folder", file=folder)
    stored = read_json(folder / "config.json")
    kind = stored.get("model_type") if isinstance(stored, dict) else None
    if kind == "llava_qwen":
        raise InputError(
            "is a checkpoint in the published format (model_type 'llava_qwen')",
            file=folder / "config.json",
            hint="convert it once: llavaction convert FOLDER NEW_FOLDER",
        )
    facts = FAMILIES.get(str(kind))
    if facts is not None and facts.clip_as == "refused":
        raise InputError(
            f"model_type '{kind}' ({facts.model}) is none that AutoModelForImageTextToText of transformers "
            f"{transformers.__version__} loads",
            file=folder / "config.json",
            hint=f"use {facts.remark}",
        )
    if not isinstance(kind, str) or (kind not in _IMAGE_TEXT_MODELS and kind not in ours):
        raise InputError(
            f"model_type {kind!r} is not an image-text-to-text model of transformers {transformers.__version__}",
            file=folder / "config.json",
            hint="needed is a vision-language checkpoint, such as model_type 'llava_onevision' or 'qwen2_5_vl'",
        )
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            "has no .safetensors weights",
            file=folder,
            hint="pickled weights (.bin, .pt) are never loaded; save the model again with save_pretrained",
        )
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise InputError(f"is refused by transformers: {_first_line(error)}", file=folder / "config.json") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise InputError(f"its tokenizer cannot be loaded: {_first_line(error)}", file=folder) from error
    processor = _settings(folder / "processor_config.json")
    image = processor.get("image_processor") or _settings(folder / "preprocessor_config.json")
    video = processor.get("video_processor") or _settings(folder / "video_preprocessor_config.json") or image
    if not isinstance(image, dict) or not isinstance(video, dict):
        raise InputError("its image or video settings are no mapping", file=folder / "processor_config.json")
    return Checkpoint(folder, config, tokenizer, _chat_template(folder, processor, tokenizer), image, video)


def fingerprint(folder: str | Path) -> dict[str, str]:
    """What a checkpoint is known by: a digest of the whole content of each of its parts.

    Returns:
        "weights", "configuration", "tokenizer", "chat template", "processor" to hex digests; parts without files are
        left out. Other files of the folder (logs, a trainer's state) do not count.
    """
    folder = Path(folder)
    parts = {name: {path for pattern in patterns for path in folder.glob(pattern)} for name, patterns in _PARTS.items()}
    return {name: digest_of_files(files)[:32] for name, files in parts.items() if files}


def load_model(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype, attention: str | None = None
) -> Any:
    """Load the weights, in evaluation mode.

    Args:
        checkpoint: see :func:`open_checkpoint`.
        device, dtype: where and in which precision.
        attention: "eager", "sdpa" or "flash_attention_2"; None leaves the choice to the library.

    Raises:
        InputError: a file is damaged, or tensors are missing or of the wrong shape (they would be random).
    """
    loaded: Any
    try:
        with quiet():
            loaded = AutoModelForImageTextToText.from_pretrained(
                checkpoint.folder,
                config=checkpoint.config,
                dtype=dtype,
                attn_implementation=attention,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:
        raise InputError(f"its weights cannot be loaded: {_first_line(error)}", file=checkpoint.folder) from error
    model, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        raise InputError(
            f"its weights lack {len(missing)} tensors of the model, first '{missing[0]}'",
            file=checkpoint.folder,
            hint="weights and config.json do not belong together, or a shard is missing",
        )
    return model.to(device).eval()


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError("expected a JSON object", file=path)
    return values


def _chat_template(folder: Path, processor: Mapping[str, Any], tokenizer: Any) -> str | None:
    """The processor's template goes before the tokenizer's: only it knows how to write a video."""
    if (folder / "chat_template.jinja").is_file():
        return read_text(folder / "chat_template.jinja", MOST_TEMPLATE)
    for template in (
        _settings(folder / "chat_template.json").get("chat_template"),
        processor.get("chat_template"),
        tokenizer.chat_template,
    ):
        text = template.get("default") if isinstance(template, dict) else template
        if text:
            return str(text)
    return None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
