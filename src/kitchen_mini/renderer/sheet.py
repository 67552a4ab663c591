"""A picture of a dataset: some of its actions as rows, their frames in time as columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.base.files import whole
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.video.library import VideoLibrary

EXAMPLES = (
    ("open", "drawer"),
    ("close", "drawer"),
    ("take", "plate"),
    ("put", "plate"),
    ("cut", "carrot"),
    ("peel", "carrot"),
    ("pour", "milk"),
    ("shake", "milk"),
)
"""Actions in pairs that only time or motion tells apart."""
_GAP = 3
_LABEL_WIDTH = 92


def contact_sheet(
    folder: str | Path,
    path: str | Path,
    *,
    actions: Sequence[tuple[str, str]] = EXAMPLES,
    columns: int = 6,
    split: str = "train",
    colours: int = 112,
) -> Path:
    """Draw a PNG with one row per action: its narration, then ``columns`` frames from start to stop.

    Args:
        folder: a dataset with ``annotations/`` and ``videos/``.
        path: the PNG to write.
        actions: (verb key, noun key) pairs, "" for any noun; of each, a segment of the participant shown least so far.
        columns: frames per row.
        split: where the segments come from.
        colours: of the palette, which keeps the file small.

    Raises:
        InputError: the folder is no such dataset, or the split has no segment of an action.
    """
    folder, path = Path(folder), Path(path)
    data = EpicKitchens(folder / "annotations")
    videos = VideoLibrary(folder / "videos")
    rows, shown = [], list[str]()
    for verb, noun in actions:
        segment = _example(data, split, verb, noun, shown)
        shown.append(segment.participant_id)
        frames = videos.read(segment.clip, columns, segment_id=segment.segment_id, strict=True)
        rows.append((segment.narration, frames.images))
    if not rows:
        raise InputError("a contact sheet needs at least one action")
    height, width = rows[0][1].shape[1:3]
    size = (_LABEL_WIDTH + columns * (width + _GAP), len(rows) * (height + _GAP) - _GAP)
    sheet = Image.new("RGB", size, (255, 255, 255))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for index, (narration, images) in enumerate(rows):
        top = index * (height + _GAP)
        label = textwrap.fill(narration, 12)
        draw.multiline_text((_LABEL_WIDTH - 8, top + height / 2), label, (40, 40, 40), font, anchor="rm", align="right")
        for column, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (_LABEL_WIDTH + column * (width + _GAP), top))
    quantized = sheet.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    with whole(path) as part:
        quantized.save(part, format=Image.registered_extensions().get(path.suffix.lower(), "PNG"), optimize=True)
    return path


def _example(data: EpicKitchens, split: str, verb: str, noun: str, shown: Sequence[str]) -> Segment:
    """A segment of the action, by the participant shown least often so far."""
    segments = [
        segment
        for segment in data.segments(split)
        if data.verbs[segment.verb_class].key == verb and noun in ("", data.nouns[segment.noun_class].key)
    ]
    if not segments:
        raise InputError(f"the {split} split has no segment of '{verb} {noun}'", file=data.folder)
    return min(segments, key=lambda segment: shown.count(segment.participant_id))
