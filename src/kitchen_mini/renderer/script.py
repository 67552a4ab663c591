"""What happens in each video: who, where, which actions when, and what an annotator wrote down about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kitchen_mini.renderer.config import SPLITS, KitchenMiniConfig
from kitchen_mini.renderer.goals import plan
from kitchen_mini.renderer.looks import Participant, participant
from kitchen_mini.renderer.state import State, Step
from kitchen_mini.renderer.world import NOUN_IDS, NOUNS, VERB_IDS, VERBS, spoken
from llavaction.base.seeding import hashed_rng


@dataclass(frozen=True)
class Event:
    """An action in a video. Times in seconds from the video's start.

    Attributes:
        step: the action.
        begin, end: when it is performed.
        start, stop: when the annotator says it is: off by up to 0.15 s.
        told: when the narrator mentions it.
        narration: what the narrator says.
        verb: the verb phrase used, as a class-file word ("pick-up").
        nouns: the noun phrases used, the main one first, as class-file words.
        noun_classes: the class of each.
    """

    step: Step
    begin: float
    end: float
    start: float
    stop: float
    told: float
    narration: str
    verb: str
    nouns: tuple[str, ...]
    noun_classes: tuple[int, ...]


@dataclass(frozen=True)
class Script:
    """A video before it is drawn.

    Attributes:
        video_id: such as "P01_03".
        split: "train", "validation" or "test".
        participant_id: who wears the camera; the kitchen has the same id.
        start: the kitchen before the first event.
        events: the actions in order.
        duration: length in seconds, a whole number of frames.
    """

    video_id: str
    split: str
    participant_id: str
    start: State
    events: tuple[Event, ...]
    duration: float


def scripts(settings: KitchenMiniConfig, seed: int) -> list[Script]:
    """Every video of a dataset, by split and number.

    What happens in a video depends on the seed, its split, its participant and its number among that participant's
    videos of the split: asking for more videos of one split leaves the others as they are but for their names.
    """
    script_list: list[Script] = []
    numbers: dict[str, int] = {}
    for split in SPLITS:
        cast = _cast(settings, split, seed)
        takes: dict[str, int] = {}
        for name in cast:
            takes[name] = takes.get(name, 0) + 1
            numbers[name] = numbers.get(name, 0) + 1
            rng = hashed_rng("kitchen_mini", "script", seed, split, name, takes[name])
            script_list.append(_script(f"{name}_{numbers[name]:02d}", split, participant(name, seed), settings, rng))
    return script_list


def unseen_participants(settings: KitchenMiniConfig, split: str) -> list[str]:
    """Ids of the people who occur in ``split`` only."""
    first = settings.train_participants + 1
    count = {
        "train": 0,
        "validation": settings.unseen_validation_participants,
        "test": settings.unseen_test_participants,
    }[split]
    if split == "test":
        first += settings.unseen_validation_participants
    return [f"P{number:02d}" for number in range(first, first + count)]


def _cast(settings: KitchenMiniConfig, split: str, seed: int) -> list[str]:
    """The participant of each video of a split."""
    train_names = [f"P{number:02d}" for number in range(1, settings.train_participants + 1)]
    unseen = unseen_participants(settings, split)
    count = settings.videos(split)
    new = round(count * settings.unseen_share) if unseen else 0
    order = hashed_rng("kitchen_mini", "cast", seed, split).permutation(len(train_names))
    names = [train_names[order[index % len(train_names)]] for index in range(count - new)]
    return sorted([*names, *(unseen[index % len(unseen)] for index in range(new))])


def _script(
    video_id: str, split: str, person: Participant, settings: KitchenMiniConfig, rng: np.random.Generator
) -> Script:
    count = int(rng.integers(settings.min_segments, settings.max_segments + 1))
    start, steps = plan(count, rng)
    events, now = [], float(rng.uniform(0.3, 0.8))
    for step in steps:
        seconds = VERBS[VERB_IDS[step.verb]].seconds / person.tempo * float(rng.uniform(0.85, 1.2))
        seconds = min(3.0, max(1.5, seconds))
        events.append(_noted(step, now, now + seconds, person, rng))
        now += seconds + float(rng.uniform(0.3, 0.9))
    return Script(video_id, split, person.name, start, tuple(events), round(now * settings.fps) / settings.fps)


def _noted(step: Step, begin: float, end: float, person: Participant, rng: np.random.Generator) -> Event:
    """An action as annotated: its span read off by eye, its words chosen by the narrator."""
    start = round(max(0.0, begin + float(rng.uniform(-0.15, 0.15))), 2)
    stop = round(end + float(rng.uniform(-0.15, 0.15)), 2)
    timestamp = round(max(0.0, begin + float(rng.uniform(-0.2, 0.8))), 3)
    verb = VERBS[VERB_IDS[step.verb]]
    linked = verb.linked.get(step.relation, ()) if step.partner else ()
    phrase = _choose(linked if linked and rng.random() < 0.55 else verb.phrases, rng)
    keys = [step.noun]
    words = [phrase]
    if phrase in linked:
        keys.append(step.partner)
        words = phrase.rsplit("-", 1)
    nouns = tuple(_called(key, person, rng) for key in keys)
    told_nouns = [spoken(noun) for noun in nouns]
    narration = " ".join(part for pair in zip(map(spoken, words), told_nouns, strict=True) for part in pair)
    classes = tuple(NOUN_IDS[key] for key in keys)
    return Event(step, begin, end, start, stop, timestamp, narration, phrase, nouns, classes)


def _choose(phrases: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of the phrases; the first is the most likely."""
    weights = 1.0 / np.arange(1, len(phrases) + 1)
    return phrases[int(rng.choice(len(phrases), p=weights / weights.sum()))]


def _called(noun: str, person: Participant, rng: np.random.Generator) -> str:
    """What a participant calls a thing: mostly their own word for it."""
    phrases = NOUNS[NOUN_IDS[noun]].phrases
    favourite = _choose(phrases, hashed_rng("kitchen_mini", "word", person.name, noun))
    return favourite if rng.random() < person.favourites else _choose(phrases, rng)
