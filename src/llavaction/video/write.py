"""Writing video files: H.264 in MP4 by default, the same bytes for the same frames."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from llavaction.base.errors import InputError
from llavaction.base.files import Part, unwritable
from llavaction.video.opening import file_url, reason
from llavaction.video.rates import exact_rate

FINE_CLOCK = Fraction(1, 90_000)
"""Tick of files whose frames are timed one by one; the video clock of MPEG."""

QUALITY_OPTION = {"libx264", "libx265", "libvpx-vp9", "libsvtav1"}
"""Encoders that take ``crf``."""

STEADY = {"mbtree": "0"}
"""Settings without which the same frames did not always give the same bytes.

On one virtual machine with AVX-512, encoding identical frames through PyAV 18.1 gave differing files in about one of
1,200 to 6,000 writes; without x264's macroblock tree, in none of 4,500. Whether x264 or the machine is at fault is
not known.
"""


class VideoWriter:
    """Writes frames to a video file, which appears under its name only once it is complete.

    Use as a context manager; leaving it by an exception leaves no file.

    Args:
        path: the file; its suffix names the container (".mp4", ".mkv", ".avi", ".webm", ...).
        fps: frames per second; also the nominal rate where frames are timed one by one.
        crf: quality, smaller is better; 18 is hardly told from the source, 28 is small. For encoders that have it.
        gop: most frames from one keyframe to the next. Reading a clip decodes up to this many for one.
        codec: FFmpeg's name of the encoder.
        preset: speed of x264 and x265; None leaves the encoder's default.
        pixel_format: how pictures are stored; "yuv420p" plays everywhere.
        rotation: degrees clockwise by which players are told to turn the picture: 0, 90, 180 or 270.
        timed: each frame comes with its own time.
        threads: of the encoder; the bytes depend on it, so the default is 1.
        metadata: written into the file, such as {"title": "..."}.
        options: further options of the encoder by FFmpeg's names, such as {"bf": "0"}.

    Raises:
        InputError: an argument is out of range, or FFmpeg has no such encoder or container.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: float | Fraction,
        crf: int = 23,
        gop: int = 50,
        codec: str = "libx264",
        preset: str | None = "veryfast",
        pixel_format: str = "yuv420p",
        rotation: int = 0,
        timed: bool = False,
        threads: int = 1,
        metadata: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        if fps <= 0 or gop < 1 or rotation not in (0, 90, 180, 270):
            problem = f"needs fps > 0, gop >= 1 and rotation 0, 90, 180 or 270; found {fps}, {gop}, {rotation}"
            raise InputError(problem, file=path)
        self.path = Path(path)
        self._shape: tuple[int, ...] | None = None
        self._timed, self._last_tick = timed, -1
        self._reformatter = VideoReformatter()
        rate = fps if isinstance(fps, Fraction) else exact_rate(fps)
        settings = {"crf": str(crf)} if codec in QUALITY_OPTION else {}
        if codec == "libx264":
            settings.update(STEADY)
        if preset and codec in {"libx264", "libx265"}:
            settings["preset"] = preset
        try:
            self._part = Part(self.path, suffix=f".part{self.path.suffix}")
        except OSError as error:  # the folder may be none
            raise unwritable(self.path, error) from None
        try:
            self._container = av.open(file_url(self._part.path), "w", container_options={"fflags": "+bitexact"})
            stream: Any = self._container.add_stream(codec, rate=rate, options={**settings, **(options or {})})
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._part.drop()
            raise InputError(f"cannot be written with {codec}: {reason(error)}", file=self.path) from None
        self._container.metadata.update(metadata or {})
        self._stream = stream
        self._stream.pix_fmt, self._stream.gop_size = pixel_format, gop
        self._stream.codec_context.thread_type, self._stream.codec_context.thread_count = "FRAME", threads
        if timed:
            self._stream.time_base = self._stream.codec_context.time_base = FINE_CLOCK
        if rotation:
            self._stream.set_display_rotation(-rotation)

    def add(self, image: NDArray[np.uint8], time: float | None = None) -> None:
        """Append a frame.

        Args:
            image: uint8 [height, width, 3] RGB; all frames of a file have one shape.
            time: seconds at which it begins, later than the frame before; given exactly where the file is ``timed``.

        Raises:
            InputError: shape, type or time is not as it has to be.
        """
        if self._shape is None:
            self._start(image)
        if image.shape != self._shape or image.dtype != np.uint8:
            raise InputError(f"expected frames uint8 {self._shape}, found {image.dtype} {image.shape}", file=self.path)
        if (time is not None) != self._timed:
            raise InputError("every frame needs its time in a timed video, and none has one otherwise", file=self.path)
        ticks = self._last_tick + 1 if time is None else round(time / FINE_CLOCK)
        if ticks <= self._last_tick:
            raise InputError(f"the frame at {time} s does not begin after the one before", file=self.path)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = self._reformatter.reformat(frame, format=self._stream.pix_fmt, threads=1)
        frame.pts, self._last_tick = ticks, ticks
        if self._timed:
            frame.time_base = FINE_CLOCK
        self._mux(frame)

    def _start(self, image: NDArray[np.uint8]) -> None:
        if image.ndim != 3 or image.shape[2] != 3:
            raise InputError(f"expected frames uint8 [height, width, 3], found {image.shape}", file=self.path)
        height, width, _ = image.shape
        if "420" in self._stream.pix_fmt and (height % 2 or width % 2):
            raise InputError(
                f"{width}x{height} pictures cannot be stored as {self._stream.pix_fmt}: sides must be even",
                file=self.path,
                hint="crop or pad by one pixel, or use pixel_format='yuv444p'",
            )
        self._shape = image.shape
        self._stream.height, self._stream.width = height, width

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise unwritable(self.path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._shape is None:
                    raise InputError("no frame was given to write", file=self.path)
                self._mux(None)
                self._container.close()
                self._part.take_place()
        except (av.error.FFmpegError, OSError) as problem:
            raise unwritable(self.path, problem) from None
        finally:
            with contextlib.suppress(av.error.FFmpegError, OSError):  # a full disk does not take the end either
                self._container.close()
            self._part.drop()


def write_video(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: float | Fraction,
    *,
    times: Iterable[float] | None = None,
    **settings: Any,
) -> Path:
    """Write all frames (uint8 [height, width, 3] RGB) to a file and return its path.

    Args:
        path: the file.
        frames: the pictures in order.
        fps: frames per second.
        times: seconds at which each frame begins, for a video of variable frame rate.
        settings: further arguments of :class:`VideoWriter`.

    Raises:
        InputError: see :class:`VideoWriter`; or there are not as many times as frames.
    """
    with VideoWriter(path, fps=fps, timed=times is not None, **settings) as writer:
        if times is None:
            for image in frames:
                writer.add(image)
        else:
            try:
                for image, time in zip(frames, times, strict=True):
                    writer.add(image, float(time))
            except ValueError as error:
                raise InputError(f"each frame needs one time ({error})", file=path) from None
    return Path(path)
