"""Opening a video file, as a file and as nothing else, and choosing the stream that moves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from llavaction.video.errors import CorruptVideoError, MissingVideoError, VideoError
from llavaction.video.mp4 import check_claims

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,mxf,dv,rm,nut,ivf,obu,"
    "yuv4mpegpipe,mjpeg,h264,hevc,m4v,mp3,flac"
)
"""What FFmpeg may take a file for: containers and bare streams that hold their pictures themselves. Playlists, scripts,
image sequences and subtitles name other files. (Songs are opened to be told from videos.)"""

MOST_PIXELS = 1 << 26
"""Pixels of a picture that is decoded, 8192 x 8192; a header may claim 65535 x 65535, which takes 12 GB."""

LONGEST_HOLE = 1 << 30
"""Bytes of a transport stream without a packet behind which one is still looked for; FFmpeg gives up after 64 kB."""

STREAMS = 64
"""Streams whose decoding is bounded while a file is opened."""

STILL_CODECS = {"mjpeg", "png", "bmp", "gif", "webp", "tiff"}
"""How cover pictures are coded."""

RETICENT = {"mjpeg", "ffv1"}
"""Codecs whose decoder shows what lay in memory in the place of damaged parts unless it is told to refuse."""

OPENING_FAULTS = (av.error.FFmpegError, OSError, ValueError)
"""What PyAV raises on files that are not what they should be."""


def open_container(path: str | Path, *, quickly: bool = False) -> InputContainer:
    """Open a video file.

    Args:
        path: the file. Whatever its name, it is a file: neither an address nor a pattern.
        quickly: spare FFmpeg the decoding of the first frames, by which it guesses how far frames are reordered. It
            takes most of the time of opening a large video; a stream that does not state its reordering may then
            lose frames, which the caller has to notice.

    Raises:
        MissingVideoError: there is no such file.
        CorruptVideoError: it is no video FFmpeg can open, or none of the kinds of file that are opened.
    """
    path = Path(path)
    if not path.is_file():
        kind = "is a folder, not a video file" if path.is_dir() else "no such video file"
        raise MissingVideoError(kind, file=path)
    each: dict[str, str] = {"max_pixels": str(MOST_PIXELS)}
    if quickly and path.suffix.lower() in {".mp4", ".mov", ".m4v"}:
        each["skip_frame"] = "all"
    try:
        status = path.stat()
        _check_once(str(path), status.st_size, status.st_mtime_ns)
        try:
            return _open(path, [each] * STREAMS)
        except ValueError:  # containers that name their streams only as they come take no settings for each
            return _open(path, [])
    except OPENING_FAULTS as error:
        size = path.stat().st_size
        hint = "the file is empty" if size == 0 else "it may be cut off (an unfinished download or copy) or no video"
        raise CorruptVideoError(f"cannot be opened as a video: {reason(error)}", file=path, hint=hint) from None


@lru_cache(maxsize=1024)
def _check_once(path: str, size: int, changed: int) -> None:
    """Look at a file's claims; ``size`` and ``changed`` keep an old verdict from being used for a new file."""
    del size, changed
    check_claims(path)


def _open(path: Path, stream_options: Any) -> InputContainer:
    limits = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file", "resync_size": str(LONGEST_HOLE)}
    return av.open(file_url(path), container_options=limits, stream_options=stream_options, metadata_errors="replace")


def file_url(path: Path) -> str:
    """A path as FFmpeg takes it for nothing but a file, whatever its name."""
    return f"file:{path.absolute()}"


def reason(error: Exception) -> str:
    """What FFmpeg says, without the error number and the file name, which our message has already."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def choose_stream(container: InputContainer, stream: int | None, path: str | Path) -> VideoStream:
    """A video stream of an open file.

    Args:
        container: the open file.
        stream: its place among the video streams, from 0; None takes the one FFmpeg holds for the main one. Cover
            pictures are never taken for it.
        path: for the message.

    Raises:
        CorruptVideoError: the file holds no video, or nothing but sound and its cover picture.
        VideoError: it holds fewer video streams.
    """
    streams = container.streams.video
    if not streams:
        raise CorruptVideoError("holds no video stream (sound only?)", file=path)
    if stream is None:
        moving = [candidate for candidate in streams if not is_cover(candidate)]
        if not moving:
            raise CorruptVideoError("holds sound and its cover picture, no video", file=path)
        moving = [candidate for candidate in moving if candidate.frames != 1] or moving  # a cover may not be marked
        best: Any = container.streams.best("video")
        film = next((candidate for candidate in moving if best is not None and candidate.index == best.index), None)
        film = film or moving[0]
    elif 0 <= stream < len(streams):
        film = streams[stream]
    else:
        raise VideoError(f"has {len(streams)} video stream(s), numbered from 0; there is no {stream}", file=path)
    if film.codec_context is None:
        raise CorruptVideoError("is coded in a way this FFmpeg cannot decode", file=path)
    return film


def decoder_options(codec: str) -> dict[str, str]:
    """How the decoder of a codec is to be set: bounded, and open about damage where it would else show anything."""
    bound = {"max_pixels": str(MOST_PIXELS)}
    return bound | {"err_detect": "crccheck+explode"} if codec in RETICENT else bound


def is_cover(stream: AudioStream | VideoStream) -> bool:
    """Whether a stream is a picture that goes with the file, not a video."""
    return bool(stream.disposition & Disposition.attached_pic)


def packets_of(container: InputContainer, stream: VideoStream, *, strict: bool = False) -> Iterator[Packet]:
    """The packets of a stream that hold something, until the end of the file or the first one that is unreadable.

    Args:
        container: the file.
        stream: the stream.
        strict: raise what makes a packet unreadable.
    """
    return (packet for packet in all_packets(container, stream, strict=strict) if packet.size)


def all_packets(container: InputContainer, *streams: VideoStream, strict: bool = False) -> Iterator[Packet]:
    """The packets of some streams or of all, also empty ones, until the end or the first one that is unreadable."""
    while True:
        try:
            yield from container.demux(*streams)
        except IndexError:
            continue  # a stream that was not announced begins here, which PyAV takes amiss: go on behind its packet
        except av.error.FFmpegError:
            if strict:
                raise
        return
