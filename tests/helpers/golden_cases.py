"""The golden cases of the published implementation, laid out as this project's models want them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from llavaction.models.action_token import TOKENS
from llavaction.models.llava_video import LlavaVideoConfig, LlavaVideoProcessor, Row
from llavaction.models.tokenisation import IMAGE, VIDEO


class StoredPixels(LlavaVideoProcessor):
    """The project's processor, but for the pixels: frames are marked with a number and stand for stored values."""

    stored: dict[int, torch.Tensor]

    @classmethod
    def of(cls, config: LlavaVideoConfig, stored: dict[int, torch.Tensor], pad: int) -> StoredPixels:
        """For a converted model, with a tokenizer of as many words as it knows."""
        action = () if config.action is None else TOKENS[config.action["supervision"]]
        ids = [] if config.action is None else config.action["token_ids"]
        special = {VIDEO: config.video_token_id, IMAGE: config.image_token_id, **dict(zip(action, ids, strict=True))}
        words = {f"word{index}": index for index in range(max(config.text_config.vocab_size, *special.values()) + 1)}
        for index in special.values():
            del words[f"word{index}"]
        core = Tokenizer(WordLevel(words | special, unk_token=f"word{pad}"))
        made = cls.for_config(config, PreTrainedTokenizerFast(tokenizer_object=core, pad_token=f"word{pad}"))
        made.stored = stored
        return made

    def mark(self, number: int) -> np.ndarray:
        """Frames uint8 [frames, height, width, 3] that stand for those stored under a number."""
        count, _, height, width = self.stored[number].shape
        return np.full((count, height, width, 3), number, np.uint8)

    def pixels(self, frames: np.ndarray) -> torch.Tensor:
        """What is stored under the number the frames are marked with, as many of them."""
        values = self.stored[int(frames.flat[0])]
        assert len(frames) <= len(values)
        return values[: len(frames)]


@dataclass(frozen=True)
class GoldenCase:
    """A folder of ``golden``: a tiny published checkpoint, inputs, and what the published code computed."""

    folder: Path
    settings: dict[str, Any]
    inputs: dict[str, torch.Tensor]
    notes: dict[str, Any]
    expected: dict[str, torch.Tensor]
    figures: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> GoldenCase:
        def values(name: str) -> Any:
            return json.loads((folder / name).read_text(encoding="utf-8"))

        return cls(
            folder,
            values("config.json"),
            load_file(folder / "inputs.safetensors"),
            values("inputs.json"),
            load_file(folder / "expected.safetensors"),
            values("expected.json"),
        )

    @property
    def rows(self) -> list[list[int]]:
        """The rows' ids without padding, the published placeholder in the place of each video or image."""
        ids, mask = self.inputs["input_ids"], self.inputs["attention_mask"]
        return [row[keep].tolist() for row, keep in zip(ids, mask, strict=True)]

    def pictures(self, number: int) -> torch.Tensor:
        """Pixel values [frames, 3, height, width] of a video or an image; a still one may be stored without frames."""
        values = self.inputs[f"images.{number}"]
        return values if values.dim() == 4 else values[None]

    @property
    def left(self) -> bool:
        """Whether rows are filled up on the left."""
        return self.settings.get("tokenizer_padding_side", "right") == "left"

    def batch(self, config: LlavaVideoConfig) -> dict[str, torch.Tensor]:
        """Model inputs of the whole case, with labels, as the project's processor makes them."""
        mask = self.inputs["attention_mask"]
        labels = [row[keep].tolist() for row, keep in zip(self.inputs["labels"], mask, strict=True)]
        classes = self.inputs["actions"].tolist() if "actions" in self.inputs else [[-1] * 3] * len(labels)
        available = list(range(len(self.notes["modalities"])))
        placeholders = sum(row.count(self.notes["image_token_index"]) for row in self.rows)
        spare = len(available) > placeholders  # the published batches hold an unused image for a row of text
        processor = self.processor(config)
        laid = []
        for ids, targets in zip(self.rows, labels, strict=True):
            number = ids.count(self.notes["image_token_index"])
            own, available = available[:number], available[number:]
            if number == 0 and spare:
                available = available[1:]
            laid.append(processor.laid_out(self.row(processor, ids, targets, own), self.limit))
        made = processor.batch(laid, padding_side="left" if self.left else "right") | {"action_labels": classes}
        made = {name: torch.as_tensor(value) for name, value in made.items()}
        if self.left:  # the published loss counts each row's first token, predicted from the padding; ours does not
            for row, item in zip(made["labels"], laid, strict=True):
                row[len(row) - len(item.ids)] = item.labels[0]
        return made

    def prompt(self, config: LlavaVideoConfig, number: int) -> dict[str, torch.Tensor]:
        """Inputs of one of the case's generations, without labels."""
        ids = self.inputs[f"gen_input_ids.{number}"][0].tolist()
        processor = self.processor(config)
        row = self.row(processor, ids, None, self.notes["generate"][number]["images"])
        made = processor.batch([processor.laid_out(row, self.limit)])
        return {name: torch.as_tensor(value) for name, value in made.items()}

    @property
    def limit(self) -> int | None:
        """Tokens to which rows are cut."""
        return self.settings.get("tokenizer_model_max_length")

    def processor(self, config: LlavaVideoConfig) -> StoredPixels:
        """The processor of the case's converted model."""
        stored = {number: self.pictures(number) for number in range(len(self.notes["modalities"]))}
        return StoredPixels.of(config, stored, self.notes["pad_token_id"])

    def row(self, processor: StoredPixels, ids: list[int], labels: list[int] | None, visuals: list[int]) -> Row:
        """A row as the project writes it: the ids of its own placeholders, pictures to be read beside them."""
        waiting, kinds = iter(visuals), self.notes["modalities"]
        own = {True: processor.video_token_id, False: processor.image_token_id}
        written = [
            own[kinds[next(waiting)] == "video"] if token == self.notes["image_token_index"] else token for token in ids
        ]
        return Row(
            written,
            labels,
            [processor.mark(number) for number in visuals if kinds[number] == "video"],
            [processor.mark(number)[0] for number in visuals if kinds[number] != "video"],
        )

    def action_places_hold(self, config: LlavaVideoConfig) -> bool:
        """Whether the published positions of the action token are right in this case.

        They are wrong under left padding and truncation, and where a row has not exactly one video.
        """
        rows = self.rows
        one_each = all(row.count(self.notes["image_token_index"]) == 1 for row in rows)
        videos = all(kind == "video" for kind in self.notes["modalities"])
        longest = int(self.expected["attention_mask"].sum(1).max())
        whole = longest < (self.settings.get("tokenizer_model_max_length") or longest + 1)
        return one_each and videos and whole and not self.left


def golden_cases(folder: Path) -> list[Path]:
    """The folders of the cases."""
    return sorted(path.parent for path in folder.glob("*/expected.safetensors"))
