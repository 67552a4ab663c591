"""What a coded H.264 picture says about itself (ITU-T H.264, 7.3.1 and D.1.8), without decoding it.

FFmpeg marks every picture made of I slices as a keyframe where the container does not know better, but pictures after
it may refer to pictures before it unless it says otherwise. And it is told here which pictures none refers to.
"""

from __future__ import annotations

from collections.abc import Iterator

SLICE, IDR_SLICE, SUPPLEMENT = 1, 5, 6
RECOVERY_POINT = 6
START_CODE = b"\x00\x00\x01"


def length_size(extradata: bytes | None, codec: str = "h264") -> int | None:
    """Bytes of the length before each unit, by the decoder configuration; None where start codes separate the units."""
    at = {"h264": 4, "hevc": 21}.get(codec)
    if extradata and at is not None and len(extradata) > at and extradata[0] == 1:
        return (extradata[at] & 3) + 1
    return None


def units(picture: memoryview, prefix: int | None) -> Iterator[memoryview]:
    """The units of a coded picture, each from its header byte on."""
    if prefix is not None:
        at = 0
        while at + prefix < len(picture):
            begin = at + prefix
            at = begin + int.from_bytes(picture[at:begin], "big")
            yield picture[begin:at]
    else:
        data = bytes(picture)
        begin = data.find(START_CODE)
        while begin >= 0:
            end = data.find(START_CODE, begin + 3)
            yield picture[begin + 3 : end if end >= 0 else len(data)]
            begin = end


def without_pictures(picture: memoryview, prefix: int | None) -> bytes:
    """The units of a coded picture that are no slices: parameters, and what the encoder says of itself."""
    headers = [bytes(unit) for unit in units(picture, prefix) if len(unit) and not SLICE <= unit[0] & 31 <= IDR_SLICE]
    return b"".join((len(unit).to_bytes(prefix, "big") if prefix else START_CODE) + unit for unit in headers)


def is_unreferenced(picture: memoryview, prefix: int | None) -> bool:
    """Whether no other picture refers to this one: its slices are plain ones marked so. False where unclear."""
    has_slice = False
    for unit in units(picture, prefix):
        if not len(unit):
            return False
        kind = unit[0] & 31
        if SLICE <= kind <= IDR_SLICE:
            if kind != SLICE or unit[0] >> 5 != 0:
                return False
            has_slice = True
    return has_slice


def can_begin(picture: memoryview, prefix: int | None) -> bool:
    """Whether decoding can begin here: an IDR picture, or one that says all is exact from here on.

    A recovery point may lie pictures ahead (intra refresh) or be approximate; those are not begun at.
    """
    for unit in units(picture, prefix):
        if not len(unit):
            return False
        kind = unit[0] & 31
        if kind == IDR_SLICE or (kind == SUPPLEMENT and _recovers_at_once(unit[1:])):
            return True
        if kind == SLICE:
            return False
    return False


def _recovers_at_once(messages: memoryview) -> bool:
    at = 0
    while at + 2 < len(messages):
        numbers = []
        for _ in range(2):
            number = 0
            while at < len(messages) and messages[at] == 255:
                number, at = number + 255, at + 1
            if at >= len(messages):
                return False
            number, at = number + messages[at], at + 1
            numbers.append(number)
        if numbers[0] == RECOVERY_POINT:  # recovery_frame_cnt 0 is the bit 1; then exact_match_flag
            return at < len(messages) and messages[at] >> 6 == 0b11
        at += numbers[1]
    return False
