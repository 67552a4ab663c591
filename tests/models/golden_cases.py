"""The golden cases of the published implementation, laid out as this project's models want them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from llavaction.models.action_token import TOKENS
from llavaction.models.collator import Collator, CollatorConfig, LaidOut
from llavaction.models.llava_video import LlavaVideoConfig
from llavaction.models.processor import LlavaVideoProcessor, Row
from llavaction.models.tokenisation import IGNORED, IMAGE, VIDEO


def golden_processor(case: GoldenCase, config: LlavaVideoConfig) -> LlavaVideoProcessor:
    """The project's processor over bare token ids, with a case's stored pixels in the place of those it would make.

    A case holds no pictures that could be scaled, only what the published code had made of some: a picture of which
    every byte is ``number`` stands for ``images.{number}``.
    """
    actions = () if config.action is None else TOKENS[config.action["supervision"]]
    ids = () if config.action is None else config.action["token_ids"]
    named = {VIDEO: config.video_token_id, IMAGE: config.image_token_id, **dict(zip(actions, ids, strict=True))}
    entries = max(config.text_config.vocab_size, *(index + 1 for index in named.values()))
    words = {f"<{index}>": index for index in range(entries) if index not in named.values()}
    pad = f"<{case.notes['pad_token_id']}>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(words | named, pad)), pad_token=pad)
    processor = LlavaVideoProcessor.for_config(config, tokenizer)
    stored = [case.pixels(number) for number in range(len(case.notes["modalities"]))]
    processor.pixels = lambda frames: stored[int(frames.flat[0])][: len(frames)]  # type: ignore[method-assign]
    return processor


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

    def pixels(self, number: int) -> torch.Tensor:
        """Pixel values of a video or a still image, [frames, 3, height, width]."""
        stored = self.inputs[f"images.{number}"]
        return stored if stored.ndim == 4 else stored[None]  # a still image may be stored as [3, height, width]

    def batch(self, config: LlavaVideoConfig) -> dict[str, torch.Tensor]:
        """Model inputs of the whole case, with labels."""
        mask = self.inputs["attention_mask"]
        labels = [row[keep].tolist() for row, keep in zip(self.inputs["labels"], mask, strict=True)]
        available = list(range(len(self.notes["modalities"])))
        placeholders = sum(row.count(self.notes["image_token_index"]) for row in self.rows)
        spare = len(available) > placeholders  # the published batches hold an unused image for a row of text
        rows: list[Row] = []
        for ids, targets in zip(self.rows, labels, strict=True):
            number = ids.count(self.notes["image_token_index"])
            own, available = available[:number], available[number:]
            if number == 0 and spare:
                available = available[1:]
            rows.append(self.row(config, ids, targets, own))
        inputs = self.collate(config, rows, self.inputs["actions"].tolist() if "actions" in self.inputs else None)
        if self.padding_side == "left":  # the published loss has a row's first token predicted from padding, ours not
            starts = inputs["attention_mask"].argmax(1)
            for own, start, row in zip(inputs["labels"], starts, rows, strict=True):
                assert own[start] == IGNORED
                own[start] = row.labels[0] if row.labels and row.ids[0] != config.video_token_id else IGNORED
        return inputs

    def prompt(self, config: LlavaVideoConfig, number: int) -> dict[str, torch.Tensor]:
        """Inputs of one of the case's generations, without labels."""
        ids = self.inputs[f"gen_input_ids.{number}"][0].tolist()
        inputs = self.collate(config, [self.row(config, ids, ids, self.notes["generate"][number]["images"])], None)
        del inputs["labels"]
        return inputs

    @property
    def padding_side(self) -> Literal["left", "right"]:
        """On which side the published batch is padded."""
        return "left" if self.settings.get("tokenizer_padding_side", "right") == "left" else "right"

    def row(self, config: LlavaVideoConfig, ids: list[int], labels: list[int], visuals: Sequence[int]) -> Row:
        """A published row as the project's processor takes it."""
        placeholders = iter(visuals)
        kinds = {"video": config.video_token_id, "image": config.image_token_id}
        own = list(ids)
        videos, images = [], []
        for place, token in enumerate(ids):
            if token != self.notes["image_token_index"]:
                continue
            visual = next(placeholders)
            kind = "video" if self.notes["modalities"][visual] == "video" else "image"
            own[place] = kinds[kind]
            picture = np.full((len(self.pixels(visual)), 8, 8, 3), visual, np.uint8)
            if kind == "video":
                videos.append(picture)
            else:
                images.append(picture[0])
        return Row(own, labels, videos, images)

    def collate(
        self, config: LlavaVideoConfig, rows: Sequence[Row], classes: Sequence[list[int]] | None
    ) -> dict[str, torch.Tensor]:
        """Rows expanded, cut, padded and stacked by the project's processor and collator."""
        processor = golden_processor(self, config)
        limit = self.settings.get("tokenizer_model_max_length")
        collator = Collator(processor, CollatorConfig(max_length=limit, padding_side=self.padding_side))
        none = [[-1, -1, -1]] * len(rows)
        laid = [LaidOut(processor.laid_out(row, limit), own) for row, own in zip(rows, classes or none, strict=True)]
        inputs = collator.batch(laid)
        if classes is None:
            del inputs["action_labels"]
        return inputs

    def action_places_hold(self, config: LlavaVideoConfig) -> bool:
        """Whether the published positions of the action token are right in this case.

        They are wrong under left padding and truncation, and where a row has not exactly one video.
        """
        rows = self.rows
        one_each = all(row.count(self.notes["image_token_index"]) == 1 for row in rows)
        videos = all(kind == "video" for kind in self.notes["modalities"])
        longest = int(self.expected["attention_mask"].sum(1).max())
        whole = longest < (self.settings.get("tokenizer_model_max_length") or longest + 1)
        return one_each and videos and whole and self.padding_side == "right"


def golden_cases(folder: Path) -> list[Path]:
    """The folders of the cases."""
    return sorted(path.parent for path in folder.glob("*/expected.safetensors"))
