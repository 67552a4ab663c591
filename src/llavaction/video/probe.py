"""What a video file holds; no more than its first frame is decoded to know it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llavaction.video.pictures import orientation
from llavaction.video.reader import VideoReader


@dataclass(frozen=True)
class VideoInfo:
    """A video file, as one stream of it shows.

    Attributes:
        path: the file.
        width: pixels, of the picture as seen (after rotation).
        height: pixels, of the picture as seen.
        rotation: degrees clockwise by which the stored picture is turned to be seen: 0, 90, 180 or 270.
        frames: how many there are, counted in the file's tables or packets, never taken from a stated total.
        begins: seconds at which the first frame is shown, as a player counts: not 0 where sound begins before it.
        duration: seconds from the beginning to the end of the last frame.
        rate: frames per second; the average where the rate varies.
        variable_frame_rate: whether some frames are not one period apart.
        codec: FFmpeg's name of the decoder.
        pixel_format: FFmpeg's name of the stored format, such as "yuv420p".
        video_streams: how many video streams the file has.
        has_audio: whether it has sound.
    """

    path: Path
    width: int
    height: int
    rotation: int
    frames: int
    begins: float
    duration: float
    rate: float
    variable_frame_rate: bool
    codec: str
    pixel_format: str
    video_streams: int
    has_audio: bool


def probe(path: str | Path, stream: int | None = None) -> VideoInfo:
    """Look into a video file.

    Args:
        path: the file.
        stream: place among its video streams, from 0; None takes the main one.

    Raises:
        MissingVideoError: there is no such file.
        CorruptVideoError: it is no video, holds no frame, or its first frame cannot be decoded.
        VideoError: it has no such stream.
    """
    with VideoReader(path, stream=stream) as video:
        timeline = video.timeline
        picture = video.first_picture()
        quarter_turn, flip_x, flip_y = orientation(picture)
        size = (picture.height, picture.width) if quarter_turn else (picture.width, picture.height)
        variable = timeline.is_variable
        return VideoInfo(
            path=video.path,
            width=size[0],
            height=size[1],
            rotation=_clockwise(quarter_turn, flip_x, flip_y),
            frames=len(timeline),
            begins=float(timeline.times[0]),
            duration=timeline.duration,
            rate=(len(timeline) - 1) / float(np.ptp(timeline.times)) if variable else float(timeline.rate),
            variable_frame_rate=variable,
            codec=video.codec,
            pixel_format=picture.format.name,
            video_streams=video.video_streams,
            has_audio=video.has_audio,
        )


def _clockwise(quarter_turn: bool, flip_x: bool, flip_y: bool) -> int:
    if quarter_turn:
        return 90 if flip_x else 270
    return 180 if flip_y else 0
