"""The film's own images are found in a folder, whatever else it holds and however they are counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.cli.main import cli
from llavaction.video.errors import MissingVideoError, ShortVideoError, VideoError
from llavaction.video.library import VideoLibrary
from llavaction.video.rates import Rate, Rates, read_rates


def shade(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)


def seen(root: Path, start: float, stop: float, count: int = 4, fps: Rates | None = 10) -> list[int]:
    """Shades of the frames of the clip of the only video."""
    library = VideoLibrary(root, fps=fps)
    (video,) = library.video_ids
    found = library.read(Clip(video_id=video, start=start, stop=stop), count, strict=True)
    return [int(value) for value in found.images[:, 0, 0, 0]]


NAMINGS: dict[str, Callable[[int], str]] = {
    "from one": lambda n: f"frame_{n + 1:010d}.png",
    "from zero": lambda n: f"{n:06d}.png",
    "unpadded": lambda n: f"frame{n}.png",
    "film's numbers": lambda n: f"frame_{n + 500:05d}.png",
    "every tenth": lambda n: f"frame_{n * 10 + 10:06d}.png",
    "every seventh from 3": lambda n: f"{n * 7 + 3:06d}.png",
    "seconds": lambda n: f"{n / 10:.1f}.png",
    "seconds with a name": lambda n: f"t{n / 10 + 3:.2f}.png",
    "shot and number": lambda n: f"shot2.{n + 1:04d}.png",
    "video's name": lambda n: f"P01_01_frame_{n + 1:05d}.png",
    "number first": lambda n: f"{n:05d}_img.png",
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_numbering_begins_anywhere_and_rises_by_any_step(tmp_path: Path, naming: str) -> None:
    for n in range(60):
        shade(tmp_path / "v" / NAMINGS[naming](n), n)
    assert seen(tmp_path, 1.0, 3.0) == [12, 17, 22, 27]


@pytest.mark.parametrize(
    ("own", "others"),
    [
        ("img_{:05d}.png", ["flow_x_{:05d}.png", "flow_y_{:05d}.png"]),
        ("frame_{:05d}.png", ["frame_{:05d}_mask.png", "depth_{:05d}.png"]),
        ("{:05d}.png", ["{:05d}_seg.png", "left_{:05d}.png"]),
        ("rgb_{:05d}.png", ["ir_{:05d}.png", "camera_{:05d}.png"]),
        ("P01_{:05d}.png", ["P01_flow_{:05d}.png"]),
        ("color{:05d}.png", ["Depth{:05d}.png"]),
        ("thermal_{:05d}.png", ["thermal_mask_{:05d}.png"]),
    ],
)
def test_the_film_s_own_images_are_taken(tmp_path: Path, own: str, others: list[str]) -> None:
    for n in range(40):
        shade(tmp_path / "v" / own.format(n + 1), n)
        for other in others:
            shade(tmp_path / "v" / other.format(n), 200)
    assert seen(tmp_path, 1.0, 3.0) == [12, 17, 22, 27]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["left_{:05d}.png", "right_{:05d}.png"], r"left_\*\.png \(20\), right_\*\.png \(20\)"),
        (["img_{:05d}.png", "image_{:05d}.png"], "several sequences"),
        (["flow_x_{:05d}.png", "flow_y_{:05d}.png"], "no sequence"),
        (["depth_{:05d}.png"], "no sequence"),
        (["{:05d}.png", "{:05d}.bmp"], "several sequences"),
    ],
)
def test_where_names_do_not_tell_none_is_taken(tmp_path: Path, names: list[str], told: str) -> None:
    for n in range(20):
        for name in names:
            shade(tmp_path / "v" / name.format(n), n)
    found = VideoLibrary(tmp_path, fps=10).read(Clip(video_id="v", start=0, stop=1), 4)
    assert found.status == "none"
    with pytest.raises(VideoError, match=told):
        seen(tmp_path, 0, 1)


def test_which_sequence_can_be_said(tmp_path: Path) -> None:
    for n in range(40):
        shade(tmp_path / "v" / f"left_{n + 1:05d}.png", n)
        shade(tmp_path / "v" / f"right_{n + 1:05d}.png", 100 + n)
    (tmp_path / "fps.json").write_text(json.dumps({"v": {"fps": 10, "images": "right_"}}))
    assert seen(tmp_path, 1.0, 3.0, fps=None) == [112, 117, 122, 127]
    with pytest.raises(VideoError, match="no sequence"):
        seen(tmp_path, 1.0, 3.0, fps={"v": Rate(fps=10, images="up_")})


def test_rate_of_the_images_or_of_the_film(tmp_path: Path) -> None:
    """Every 30th frame of a film of 30 fps: one image a second. A rate that cannot be the images' is refused."""
    for n in range(60):
        shade(tmp_path / "v" / f"frame_{n * 30:06d}.png", n)
    assert seen(tmp_path, 10, 30, fps=1.0) == [12, 17, 22, 27]
    assert seen(tmp_path, 10, 30, fps={"v": Rate(film_fps=30)}) == [12, 17, 22, 27]
    with pytest.raises(VideoError, match="in steps of 30"):
        seen(tmp_path, 0, 1, fps=30)


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    for n in range(40):
        if n not in (12, 22):
            shade(tmp_path / "v" / f"{n * 5 + 100}.png", n)
    found = VideoLibrary(tmp_path, fps=10).read(Clip(video_id="v", start=1.0, stop=3.0), 4)
    assert isinstance(found.error, MissingVideoError) and "image number 160" in str(found.error)
    assert (found.status, found.stand_ins) == ("partial", (0, 2))
    assert found.images[:, 0, 0, 0].tolist() == [17, 17, 17, 27]


def test_messages_say_how_images_are_counted(tmp_path: Path) -> None:
    for n in range(10):
        shade(tmp_path / "v" / f"{n * 5 + 100}.png", n)
    found = VideoLibrary(tmp_path, fps=10).read(Clip(video_id="v", start=4.0, stop=5.0), 4)
    assert isinstance(found.error, ShortVideoError)
    assert "numbered 100 to 145 in steps of 5; number 100 is shown at 0 s" in str(found.error)
    assert seen(tmp_path, 2.0, 2.8, fps={"v": Rate(fps=10, first=0)}) == [1, 3, 5, 7]


def test_numbers_that_count_something_else_are_refused(tmp_path: Path) -> None:
    for n in range(5):
        shade(tmp_path / "v" / f"{1403636579763555584 + n * 50_000_001 + n * n}.png", n)
    with pytest.raises(VideoError, match="counts something else"):
        seen(tmp_path, 0, 1)


def test_rates_by_video(tmp_path: Path) -> None:
    for video, step in (("a", 1), ("b", 2)):
        for n in range(40):
            shade(tmp_path / video / f"{n * step}.png", n)
    (tmp_path / "fps.json").write_text('\ufeff{"A": 10, "b": {"film_fps": 40}}', encoding="utf-8")
    library = VideoLibrary(tmp_path)
    for video, expected in (("a", [5, 15]), ("b", [10, 30])):
        stop = 2.0
        found = library.read(Clip(video_id=video, start=0, stop=stop), 2, strict=True)
        assert found.images[:, 0, 0, 0].tolist() == expected
    table = tmp_path / "EPIC_100_video_info.csv"
    table.write_text("video_id,duration,fps,resolution\na,4.0,10.0,8x8\nb,2.0,20,8x8\n")
    assert read_rates(table) == {"a": Rate(fps=10), "b": Rate(fps=20)}
    table.write_text("video_id;FPS\na;29,97\n")
    assert read_rates(table) == {"a": Rate(fps=29.97)}
    unlisted = VideoLibrary(tmp_path, fps=read_rates(table)).read(Clip(video_id="b", start=0, stop=1), 2)
    assert "no frame rate is known" in str(unlisted.error)


@pytest.mark.parametrize(
    ("name", "text", "told", "line"),
    [
        ("fps.json", "{", "not JSON", 1),
        ("fps.json", "[30]", "expected", None),
        ("fps.json", '{"a": 0}', "frame rate of 'a' is 0", None),
        ("fps.json", '{"a": NaN}', "frame rate of 'a' is nan", None),
        ("fps.json", '{"a": "fast"}', "'fast'", None),
        ("fps.json", '{"a": {"rate": 3}}', "'rate' is unknown", None),
        ("fps.json", '{"a": {"fps": 3, "film_fps": 3}}', "fps or film_fps", None),
        ("fps.json", "{}", "names no video", None),
        ("fps.csv", "video,fps\na,3\n", "video_id", 1),
        ("fps.csv", "video_id,fps\na,3\nb,\n", "frame rate of 'b'", 3),
        ("fps.csv", "video_id,fps\na,3\na,4\n", "two frame rates", 3),
        ("fps.csv", 'video_id,fps\na,"1,000"\n', "is '1,000'", 2),
        ("fps.csv", "video_id,x,fps\na,3\n", "frame rate of 'a' is ''", 2),
    ],
)
def test_files_of_rates_are_refused_with_their_line(
    tmp_path: Path, name: str, text: str, told: str, line: int | None
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as fault:
        read_rates(path)
    assert told in str(fault.value) and name in str(fault.value)
    assert fault.value.line == line


def test_the_option_takes_a_number_or_a_file(tmp_path: Path) -> None:
    """Wrong values of --fps are told by every command that has it."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "fps.csv").write_text("video_id,fps\na,minus\n")
    command = ["report", str(tmp_path), "--benchmark", str(tmp_path), "--output", str(tmp_path / "r.html")]
    for value, told in (("nothing.json", "neither a number nor a file"), ("-3", "more than 0"), ("fps.csv", "minus")):
        given = str(tmp_path / value) if value == "fps.csv" else value
        result = CliRunner().invoke(cli, [*command, "--fps", given])
        assert result.exit_code != 0
        assert told in f"{result.output} {result.exception}"


def test_images_named_by_time_need_no_rate(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    for number in range(6):
        Image.new("RGB", (16, 16), (40 * number, 0, 0)).save(tmp_path / "v" / f"{number / 2}.png")
    for fps in (None, 99.0, {"other": 30.0}):
        seen = VideoLibrary(tmp_path, fps=fps).read(Clip(video_id="v", start=0, stop=2), 2)
        assert seen.error is None and seen.times.tolist() == [0.5, 1.5]


@pytest.mark.parametrize("every", [60, 1500, 3600, 86400])
def test_a_picture_now_and_then(tmp_path: Path, every: int) -> None:
    (tmp_path / "v").mkdir()
    for number in range(8):
        Image.new("RGB", (16, 16), (30 * number, 0, 0)).save(tmp_path / "v" / f"{number:05d}.png")
    seen = VideoLibrary(tmp_path, fps=1 / every).read(Clip(video_id="v", start=0, stop=8 * every), 8)
    assert seen.error is None
    assert seen.times == pytest.approx([number * every for number in range(8)], rel=1e-6)
    assert seen.images[:, 0, 0, 0].tolist() == [30 * number for number in range(8)]
