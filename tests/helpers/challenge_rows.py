"""A made-up split of the challenge's size in classes, and the challenge's accuracies worked out in plain Python."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llavaction.datasets.epic_kitchens import EpicKitchens

VERBS, NOUNS, HANDS = 97, 300, 3
"""Classes; the last few nouns, hands and the like, are no part of the challenge."""
HEADER = "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,narration,verb_class,noun_class"

Ranked = Mapping[str, tuple[Sequence[int], Sequence[int], Sequence[tuple[int, int]]]]
"""Verbs, nouns and actions of each segment, best first."""


@dataclass(frozen=True)
class Row:
    """A segment of the split."""

    name: str
    participant: str
    verb: int
    noun: int


@dataclass(frozen=True)
class Split:
    """A validation split.

    Attributes:
        rows: its segments.
        tail_verbs, tail_nouns, unseen: classes and participants that the challenge measures apart.
    """

    rows: Sequence[Row]
    tail_verbs: frozenset[int]
    tail_nouns: frozenset[int]
    unseen: frozenset[str]

    def write(self, folder: Path) -> EpicKitchens:
        """The annotation folder; in training there is one segment of every tenth pair."""
        folder.mkdir(parents=True)
        train = [Row(f"P90_01_{i}", "P90", i // 3 % VERBS, i * 7 % NOUNS) for i in range(600)]
        for split, rows in (("train", train), ("validation", self.rows)):
            lines = [
                f"{row.name},{row.participant},{row.participant}_01,{2.0 * i},{2.0 * i + 1.5},x,{row.verb},{row.noun}"
                for i, row in enumerate(rows)
            ]
            (folder / f"EPIC_100_{split}.csv").write_text("\n".join([HEADER, *lines]) + "\n")
        tables = {
            "verb_classes": ["id,key", *(f"{i},verb-{i}" for i in range(VERBS))],
            "noun_classes_v2": ["id,key", *(f"{i},noun-{i}" for i in range(NOUNS + HANDS))],
            "tail_verbs": ["verb", *map(str, sorted(self.tail_verbs))],
            "tail_nouns": ["noun", *map(str, sorted(self.tail_nouns))],
            "unseen_participant_ids_validation": ["participant_id", *sorted(self.unseen)],
        }
        for name, lines in tables.items():
            (folder / f"EPIC_100_{name}.csv").write_text("\n".join(lines) + "\n")
        return EpicKitchens(folder)


def random_split(count: int, seed: int) -> Split:
    """So many segments of any class."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        participant = f"P{draw.randrange(1, 9):02d}"
        rows.append(Row(f"{participant}_01_{number}", participant, draw.randrange(VERBS), draw.randrange(NOUNS)))
    tails = (frozenset(draw.sample(range(size), size // 4)) for size in (VERBS, NOUNS))
    return Split(rows, *tails, frozenset({"P02", "P05"}))


def official_accuracies(split: Split, ranked: Ranked) -> dict[str, dict[str, dict[str, float | int]]]:
    """The challenge's table: row by row over all segments, those of unseen participants, those of tail classes."""
    groups = {
        "overall": [lambda row: True] * 3,
        "unseen participants": [lambda row: row.participant in split.unseen] * 3,
        "tail": [
            lambda row: row.verb in split.tail_verbs,
            lambda row: row.noun in split.tail_nouns,
            lambda row: row.verb in split.tail_verbs or row.noun in split.tail_nouns,
        ],
    }
    table: dict[str, dict[str, dict[str, float | int]]] = {}
    for name, members in groups.items():
        table[name] = {}
        for side, (part, member) in enumerate(zip(("verb", "noun", "action"), members, strict=True)):
            counted = [row for row in split.rows if member(row)]
            hits = {1: 0, 5: 0}
            for row in counted:
                wanted = (row.verb, row.noun, (row.verb, row.noun))[side]
                for k in hits:
                    hits[k] += row.name in ranked and wanted in list(ranked[row.name][side])[:k]
            shares = {f"top-{k}": round(hit / len(counted), 6) for k, hit in hits.items()}
            table[name][part] = {**shares, "segments": len(counted)}
    return table
