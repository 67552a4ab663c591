"""Files of several actions a clip, to be damaged: what writes good ones, which are damaged, what reads them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from helpers.workbooks import CLASSES, CLIPS, animal_sheets, write_workbook
from llavaction.base.records import write_records
from llavaction.datasets.multi_label import open_multi_label
from llavaction.recognition.clip_scores import ClipScores, load_scores
from llavaction.recognition.multi_label import Thresholds


def _workbook(folder: Path) -> None:
    write_workbook(folder / "AR_metadata.xlsx", animal_sheets())


def _parts(folder: Path) -> None:
    """The workbook's parts as files, so that damage comes to the XML and not to a checksum."""
    with zipfile.ZipFile(write_workbook(folder / "whole.xlsx", animal_sheets())) as archive:
        for name in archive.namelist():
            (folder / name.replace("/", "%")).write_bytes(archive.read(name))
    (folder / "whole.xlsx").unlink()


def _read_parts(folder: Path) -> None:
    with zipfile.ZipFile(folder / "AR_metadata.xlsx", "w") as archive:
        for part in folder.glob("xl%*"):
            archive.write(part, part.name.replace("%", "/"))
    _read_annotations(folder)


def _frames(folder: Path) -> None:
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    for name, split in (("train", "train"), ("val", "test")):
        rows = [(video, labels) for video, of, labels in CLIPS if of == split]
        lines = [f'{video} 1 {n} {video}/{n}.jpg "{labels}" {split}' for video, labels in rows for n in (1, 2)]
        (folder / f"{name}.csv").write_text("\n".join(["original_vido_id video_id frame_id path labels type", *lines]))


def _table(folder: Path) -> None:
    (folder / "classes.csv").write_text("".join(f"{n},{name}\n" for n, name in [("id", "name"), *enumerate(CLASSES)]))
    lines = [f'{video}.mp4,{n},{n + 1.5},{split},"{labels}"' for n, (video, split, labels) in enumerate(CLIPS)]
    (folder / "clips.csv").write_text("\n".join(["video,start,stop,split,labels", *lines]) + "\n")


def _read_annotations(folder: Path) -> None:
    found = open_multi_label(folder)
    for split in found.splits:
        found.truth(found.of_split(split))


def _scores(folder: Path) -> None:
    scores = np.arange(12.0).reshape(2, 6)
    np.savez(folder / "s.npz", scores=scores, clips=np.array(["a", "b"]), classes=np.array(CLASSES))
    rows = [dict(zip(CLASSES, row, strict=True)) for row in scores.tolist()]
    write_records(folder / "s.jsonl", [ClipScores(clip_id=f"c{n}", scores=row) for n, row in enumerate(rows)])
    Thresholds(classes=CLASSES, thresholds=(0.5,) * 6, positives=(3,) * 6).save(folder / "t.json")


def _read_scores(folder: Path) -> None:
    for name in ("s.npz", "s.jsonl"):
        table = load_scores(folder / name, CLASSES)
        assert table.scores.shape == (len(table.clips), 6) and np.isfinite(table.scores).all()
    assert len(Thresholds.load(folder / "t.json").thresholds) == len(Thresholds.load(folder / "t.json").classes)


MULTI_LABEL: dict[str, tuple[Callable[[Path], object], str, Callable[[Path], object]]] = {
    "multi-label workbook": (_workbook, "*.xlsx", _read_annotations),
    "multi-label workbook's parts": (_parts, "xl%*", _read_parts),
    "multi-label frames": (_frames, "*.*", _read_annotations),
    "multi-label table": (_table, "*.csv", _read_annotations),
    "clip scores": (_scores, "*.*", _read_scores),
}
"""By name: writer of a folder, pattern of the files to damage, reader of the folder."""
