"""Made-up annotation folders in the EPIC-KITCHENS-100 form."""

from __future__ import annotations

from pathlib import Path

import numpy as np

VERBS = (
    ("take", ["take", "pick-up", "grab"], "retrieve"),
    ("put", ["put", "put-down", "place"], "leave"),
    ("insert", ["insert", "put-in"], "leave"),
    ("wash", ["wash", "rinse"], "clean"),
    ("open", ["open"], "access"),
    ("close", ["close", "shut"], "block"),
    ("cut", ["cut", "slice"], "split"),
)
NOUNS = (
    ("plate", ["plate", "dish"], "crockery"),
    ("board:chopping", ["board:chopping", "board"], "utensils"),
    ("knife", ["knife", "knives"], "cutlery"),
    ("garlic", ["garlic", "peel:garlic"], "vegetables"),
    ("skin", ["skin", "garlic:peel"], "rubbish"),
    ("pan", ["pan", "pans"], "cookware"),
    ("drawer", ["drawer"], "furniture"),
    ("cupboard", ["cupboard"], "furniture"),
    ("onion", ["onion"], "vegetables"),
    ("lid", ["lid"], "cookware"),
)
HEADER = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,"
    "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"
)


def stamp(seconds: float) -> str:
    """Seconds as EPIC-KITCHENS-100 writes them."""
    return f"{int(seconds // 3600):02d}:{int(seconds // 60 % 60):02d}:{seconds % 60:05.2f}"


def segment_row(
    number: int,
    video: str,
    start: float,
    stop: float,
    verb: int,
    noun: int,
    *,
    nouns: tuple[int, ...] = (),
    text: str = "",
) -> str:
    """One line of a segment file."""
    label = " ".join(reversed(NOUNS[noun][0].split(":")))
    all_nouns = (noun, *nouns)
    cells = (
        f"{video}_{number}", video[:3], video, stamp(start), stamp(start), stamp(stop), "1", "2",
        text or f"{VERBS[verb][0]} {label}", VERBS[verb][0], str(verb), NOUNS[noun][0], str(noun),
        f'"{[NOUNS[n][0] for n in all_nouns]}"', f'"{list(all_nouns)}"',
    )  # fmt: skip
    return ",".join(cells)


def write_annotations(folder: Path, rows: dict[str, list[str]]) -> Path:
    """An annotation folder in the EPIC-KITCHENS-100 form; ``rows`` are lines by split."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, classes in (("verb", VERBS), ("noun", NOUNS)):
        lines = [f'{i},{key},"{words}",{category}' for i, (key, words, category) in enumerate(classes)]
        text = "\n".join(["id,key,instances,category", *lines])
        (folder / f"EPIC_100_{name}_classes.csv").write_text(text + "\n")
    for split, lines in rows.items():
        (folder / f"EPIC_100_{split}.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    return folder


def random_rows(videos: int, per_video: int, seed: int) -> list[str]:
    """Segments one after the other with classes drawn unevenly; each video prefers classes of its own."""
    rng = np.random.default_rng(seed)
    rows = []
    for v in range(videos):
        favour = rng.dirichlet(np.full(len(VERBS) * len(NOUNS), 0.4))
        for i in range(per_video):
            verb, noun = divmod(int(rng.choice(len(favour), p=favour)), len(NOUNS))
            rows.append(segment_row(i, f"P{v % 3 + 1:02d}_{v:02d}", 2.0 * i, 2.0 * i + 1.5, verb, noun))
    return rows
