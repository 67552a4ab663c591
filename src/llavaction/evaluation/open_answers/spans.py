"""Spans of time: what an answer says of when something happens, and how much two spans share."""

from __future__ import annotations

import re

Span = tuple[float, float]

_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?"
_TIME = rf"({_CLOCK}|\d+(?:\.\d+)?)\s*(?:s|sec|secs|second|seconds)?\b"
_BETWEEN = r"\s*(?:-|–|—|~|to|until|till|and|through)\s*"
_PAIR = re.compile(rf"(?<![\d:.]){_TIME}{_BETWEEN}(?:the\s+)?{_TIME}", re.IGNORECASE)
_EDGE = r"[^\d]{0,40}?"
_START = re.compile(rf"\b(?:start|starts|starting|begin|begins|beginning|from){_EDGE}{_TIME}", re.IGNORECASE)
_STOP = re.compile(rf"\b(?:end|ends|ending|stop|stops|finish|finishes|until|till){_EDGE}{_TIME}", re.IGNORECASE)
_BARE = re.compile(rf"\W*{_TIME}[\s,;]+{_TIME}\W*", re.IGNORECASE)


def read_span(text: str) -> Span | None:
    """The span of time that an answer names, in seconds; None where it names none, or several different ones.

    Understood are "24.3 - 30.4 seconds", "from 0:12 to 0:18", "starts at 00:00:18 and ends at 00:00:23" and
    "[3.0, 7.5]". A span that ends before it begins is turned round, as the public evaluators do.

    Examples:
        >>> read_span("The event happens in the 24.3 - 30.4 seconds.")
        (24.3, 30.4)
    """
    spans = {_ordered(_seconds(match[1]), _seconds(match[2])) for match in _PAIR.finditer(text)}
    if not spans:
        starts, stops = _START.findall(text), _STOP.findall(text)
        if len(starts) == 1 and len(stops) == 1:
            spans = {_ordered(_seconds(starts[0]), _seconds(stops[0]))}
    if not spans and (bare := _BARE.fullmatch(text.strip().strip("[]()"))):
        spans = {_ordered(_seconds(bare[1]), _seconds(bare[2]))}
    return spans.pop() if len(spans) == 1 else None


def overlap(one: Span, other: Span) -> float:
    """Intersection over union of two spans of time; 0 where they do not meet."""
    union = max(one[1], other[1]) - min(one[0], other[0])
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0])) / union if union > 0 else 0.0


def _seconds(text: str) -> float:
    value = 0.0
    for part in text.split(":"):
        value = 60 * value + float(part)
    return value


def _ordered(start: float, stop: float) -> Span:
    return (start, stop) if start <= stop else (stop, start)
