"""A clip as parts of a message: the very frames that were decoded, never a video file that a server samples anew."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llavaction.backends.base import Query, QuestionError
from llavaction.backends.endpoint.config import EndpointConfig
from llavaction.video.decoded import DecodedClip

TICKS = 1000
"""Grid of the times of ``video_jpeg`` per second: a frame's index on it is its time in milliseconds."""


def clip_of(query: Query, frames: int) -> DecodedClip | None:
    """The clip of a query; None where nobody looks.

    Raises:
        QuestionError: there are no frames, or they are no pictures.
    """
    if not frames:
        return None
    name, clip = query.query_id, query.clip
    if clip is None or not len(clip.frames):
        problem = f"question '{name}': no frames, but this backend looks at {frames}"
        raise QuestionError(problem, question_id=name, hint="frames=0 asks without video")
    shown = clip.frames
    if shown.dtype != np.uint8 or shown.ndim != 4 or shown.shape[3] != 3 or 0 in shown.shape:
        problem = (
            f"question '{name}': frames are {shown.dtype} {list(shown.shape)}, expected uint8 [n, height, width, 3]"
        )
        raise QuestionError(problem, question_id=name)
    if len(clip.times) != len(shown):
        raise QuestionError(f"question '{name}': {len(shown)} frames but {len(clip.times)} times", question_id=name)
    return clip


def known_by(clip: DecodedClip | None) -> list[Any]:
    """What a clip is known by in a request: its shape, its times and a digest of its pixels."""
    if clip is None:
        return []
    pixels = hashlib.sha256(np.ascontiguousarray(clip.frames).tobytes()).hexdigest()
    return [list(clip.frames.shape), [round(float(time), 6) for time in clip.times], round(clip.duration, 6), pixels]


def content(prompt: str, clip: DecodedClip | None, config: EndpointConfig) -> list[dict[str, Any]]:
    """The parts of the user's turn: the clip, and behind it what is asked."""
    text = {"type": "text", "text": prompt}
    if clip is None:
        return [text]
    coded = [_coded(frame, config) for frame in clip.frames]
    if config.media == "video_jpeg":
        # the server opens every frame by what is in it, so that PNG will do under this name
        return [{"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{','.join(coded)}"}}, text]
    more = {"modalities": "video"} if config.media == "sglang_video" else {}
    parts: list[dict[str, Any]] = []
    for time, picture in zip(clip.times, coded, strict=True):
        if config.frame_times:
            parts.append({"type": "text", "text": f"{time:.2f} s"})
        url = f"data:image/{config.image_format};base64,{picture}"
        parts.append({"type": "image_url", "image_url": {"url": url}, **more})
    return [*parts, text]


def media_fields(clip: DecodedClip | None, config: EndpointConfig) -> dict[str, Any]:
    """The fields that go with a clip beside the messages: for ``video_jpeg`` all frames, and when they were taken.

    The names are those of vLLM's VideoMediaIO (vllm/multimodal/media/video.py), whose ``num_frames`` would otherwise
    cut after 32.
    """
    if clip is None or config.media != "video_jpeg":
        return {}
    places = [round(float(time) * TICKS) for time in clip.times]
    total = max(round(clip.duration * TICKS), *(place + 1 for place in places), len(places))
    video = {
        "num_frames": -1,
        "fps": TICKS,
        "frames_indices": places,
        "total_num_frames": total,
        "duration": round(clip.duration, 6),
    }
    return {"media_io_kwargs": {"video": video}}


def _coded(frame: NDArray[np.uint8], config: EndpointConfig) -> str:
    buffer = io.BytesIO()
    picture = Image.fromarray(frame)
    if config.image_format == "png":
        picture.save(buffer, "PNG", compress_level=1)
    else:
        picture.save(buffer, "JPEG", quality=config.jpeg_quality, subsampling=0)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
