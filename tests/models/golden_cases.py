"""The golden cases of the published implementation, laid out as this project's models want them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from llavaction.models.llava_video import LlavaVideoConfig

IGNORED = -100


@dataclass(frozen=True)
class Row:
    """One row before padding: ids and labels, and which videos and images of the case it still holds."""

    ids: list[int]
    labels: list[int]
    videos: list[int]
    images: list[int]


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

    def batch(self, config: LlavaVideoConfig) -> dict[str, torch.Tensor]:
        """Model inputs of the whole case, with labels."""
        mask = self.inputs["attention_mask"]
        labels = [row[keep].tolist() for row, keep in zip(self.inputs["labels"], mask, strict=True)]
        available = list(range(len(self.notes["modalities"])))
        placeholders = sum(row.count(self.notes["image_token_index"]) for row in self.rows)
        spare = len(available) > placeholders  # the published batches hold an unused image for a row of text
        laid: list[Row] = []
        for ids, targets in zip(self.rows, labels, strict=True):
            number = ids.count(self.notes["image_token_index"])
            own, available = available[:number], available[number:]
            if number == 0 and spare:
                available = available[1:]
            laid.append(self.lay_out(config, ids, targets, own))
        inputs = self.collate(laid)
        if "actions" in self.inputs:
            inputs["action_labels"] = self.inputs["actions"]
        return inputs

    def prompt(self, config: LlavaVideoConfig, number: int) -> dict[str, torch.Tensor]:
        """Inputs of one of the case's generations, without labels."""
        ids = self.inputs[f"gen_input_ids.{number}"][0].tolist()
        row = self.lay_out(config, ids, ids, self.notes["generate"][number]["images"])
        inputs = self.collate([row])
        del inputs["labels"]
        return inputs

    def lay_out(self, config: LlavaVideoConfig, ids: list[int], labels: list[int], visuals: list[int]) -> Row:
        """Expand the placeholders of one row, add the action tokens, and cut it to the published length."""
        new_ids: list[int] = []
        new_labels: list[int] = []
        starts: dict[int, int] = {}
        waiting = list(visuals)
        actions = () if config.action is None else tuple(config.action["token_ids"])
        for token, label in zip(ids, labels, strict=True):
            if token != self.notes["image_token_index"]:
                new_ids.append(token)
                new_labels.append(label)
                continue
            visual = waiting.pop(0)
            starts[visual] = len(new_ids)
            if self.notes["modalities"][visual] == "video":
                frames = len(self.inputs[f"images.{visual}"])
                tokens = [config.video_token_id] * config.visual_tokens(frames) + list(actions)
            else:
                tokens = [config.image_token_id] * config.image_tokens
            new_ids += tokens
            new_labels += [IGNORED] * len(tokens)
        limit = self.settings.get("tokenizer_model_max_length") or len(new_ids)
        kept = [visual for visual, start in starts.items() if start < limit]
        return Row(
            new_ids[:limit],
            new_labels[:limit],
            [visual for visual in kept if self.notes["modalities"][visual] == "video"],
            [visual for visual in kept if self.notes["modalities"][visual] != "video"],
        )

    def collate(self, rows: list[Row]) -> dict[str, torch.Tensor]:
        """Pad on the published side and stack."""
        length = max(len(row.ids) for row in rows)
        left = self.settings.get("tokenizer_padding_side", "right") == "left"

        def padded(values: list[int], filler: int) -> list[int]:
            padding = [filler] * (length - len(values))
            return padding + values if left else values + padding

        inputs = {
            "input_ids": torch.tensor([padded(row.ids, self.notes["pad_token_id"]) for row in rows]),
            "labels": torch.tensor([padded(row.labels, IGNORED) for row in rows]),
            "attention_mask": torch.tensor([padded([1] * len(row.ids), 0) for row in rows]),
        }
        videos = [self.inputs[f"images.{number}"] for row in rows for number in row.videos]
        images = [self.inputs[f"images.{number}"] for row in rows for number in row.images]
        if videos:
            inputs["pixel_values_videos"] = torch.nn.utils.rnn.pad_sequence(videos, batch_first=True)
            inputs["video_frame_counts"] = torch.tensor([len(video) for video in videos])
        if images:
            inputs["pixel_values"] = torch.cat([image[:1] for image in images])
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
        return one_each and videos and whole and self.settings.get("tokenizer_padding_side", "right") == "right"


def golden_cases(folder: Path) -> list[Path]:
    """The folders of the cases."""
    return sorted(path.parent for path in folder.glob("*/expected.safetensors"))
