"""What a coded H.264 picture says about itself (ITU-T H.264, 7.3.1 and D.1.8), without decoding it.

FFmpeg marks every picture made of I slices as a keyframe where the container does not know better, but pictures after
it may refer to pictures before it unless it says otherwise. And it is told here which pictures none refers to.
"""

from __future__ import annotations

from collections.abc import Iterator

SLICE, IDR_SLICE, SUPPLEMENT = 1, 5, 6
RECOVERY_POINT = 6
START_CODE = b"\x00\x00\x01"


def length_size(extradata: bytes | None) -> int | None:
    """Bytes of the length before each unit, by the decoder configuration; None where start codes separate the units."""
    if extradata and len(extradata) > 4 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    return None


def _units(picture: memoryview, prefix: int | None) -> Iterator[memoryview]:
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


def is_unreferenced(picture: memoryview, prefix: int | None) -> bool:
    """Whether no other picture refers to this one: its first slice is a plain one marked so. False where unclear."""
    for unit in _units(picture, prefix):
        if not len(unit):
            return False
        kind = unit[0] & 31
        if SLICE <= kind <= IDR_SLICE:
            return kind == SLICE and unit[0] >> 5 == 0
    return False


def can_begin(picture: memoryview, prefix: int | None) -> bool:
    """Whether decoding can begin here: an IDR picture, or one that carries a recovery point."""
    for unit in _units(picture, prefix):
        if not len(unit):
            return False
        kind = unit[0] & 31
        if kind == IDR_SLICE or (kind == SUPPLEMENT and _tells_recovery(unit[1:])):
            return True
        if kind == SLICE:
            return False
    return False


def _tells_recovery(messages: memoryview) -> bool:
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
        if numbers[0] == RECOVERY_POINT:
            return True
        at += numbers[1]
    return False
