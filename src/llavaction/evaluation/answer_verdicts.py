"""What an answer says of options other than that they are chosen: that they are wrong, possible, or only discussed.

Such passages are found before anything else is read, and are left out of what is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from llavaction.evaluation.answer_words import either, spaced

LETTER_BEGINS = r"(?<![A-Za-z0-9_À-ɏ'’])"
LETTER_END = r"(?![A-Za-z0-9_À-ɏ'’]|-[A-Za-z]{2})"
CLOSED = r"[*_\"'`’”»」』》】)\]}]{0,8}"
_OPENED = r"[*_\"'`‘“«「『《【(\[{]{0,6}"
_FIRST, _LEFT_OUT = "\ue000", "\uf8ff"
"""Stand for the first option's text, and for what is left out; they are of private use, so that no text has them."""
_PRIVATE = f"{_FIRST}-{_LEFT_OUT}"
_TEXT = f"[{_FIRST}-\ue0ff]+"
_LETTER = re.compile(rf"{LETTER_BEGINS}(?:[A-HJ-Z]|I(?=[.):\]])|(?<=[(\[])[a-z](?=[)\]])){LETTER_END}")
_OPTION = (
    rf"(?>{_OPENED}(?:{_LETTER.pattern}{CLOSED}"
    rf"(?:[ \t]?[.):,–—-]{{0,2}}{CLOSED}[ \t]?{_OPENED}{_TEXT}{CLOSED})?"
    rf"|{_TEXT}{CLOSED}(?:[ \t]?[(\[][A-Z][)\]])?))"
)
"""A letter, an option's text, or both."""
_THE = r"(?i:the|die|der|la|el|a|o|de|het)"
_CALLED = (
    rf"(?>(?:(?:{_THE}[ \t]+|[lL]['’])?(?i:{either('option')})[ \t]*)?{_OPTION}(?:[ \t]*(?i:{either('option')}))?)"
)
_JOIN = rf"(?>\s*(?:(?:[,/&+、]|(?i:{either('joined')}))\s*){{1,3}}+(?:{_THE}\s+)?)"
_OPTIONS = (
    rf"{_CALLED}(?:{_JOIN}{_CALLED}"
    rf"(?!\s+(?i:is|was|does|shows|would|fits|matches|seems|looks|remains|best|better|describes|ist|passt|est|es|è|é)\b)){{0,9}}+"
)
"""One option or a list of them; in "B or C is right" the last is none of the list."""
_GAP = r"[ \t*_\"'`]{0,4}"
_BE = (
    rf"(?>(?i:{either('link')}|{either('filler')}|{either('also')}|{either('option')}|{either('correct')}|n['’](?=\w)|"
    r"(?<!\w)(?:does|do|did|are|can|could|be|seems?|looks?|both|all|even|a|an|now|es|so|ce|kann|sein|sind|sont|sono|são|"
    r"nie\s+jest)(?!\w)))"
)
"""What may stand between an option and what is said of it."""
_LED = (
    rf"(?>(?i:{either('answer')}|{either('link')}|{either('filler')}|{either('choose')}|{either('option')}|"
    rf"{either('correct')}|l['’]|认为|認為|觉得|覺得|能|会|會|可能|应|應|该|該|说|們|们|一下|의|"
    r"(?<!\w)(?:think|believe|say|agree|see|certain|likely|possible|know|mean|feel|expect|pense|that|it|this|i|would|to|be|a|an|of|"
    r"wir|us|is|ist|the\s+case|dass|que|che|phải)(?!\w)))"
)
"""What may stand between a word and the option that it is about."""
_REASON = r"(?:because|since|as|weil|da|parce|car|porque|perché|pois|так|потому)"
_AND = r"(?:(?:and|und|et|y|e)\s+)?"
_SO_IS = (
    rf"(?:[,;.]?\s*{_AND}(?i:so|as|neither|nor|{either('also')})\s+(?:(?i:too|{either('link')}|are|does|do)\s+)?{_OPTIONS}|"
    rf"[,;，]?\s*{_AND}{_CALLED}\s*(?i:{either('also')})(?!\w))?"
)
"""Another option of which the same is said: "so is D", "D too"."""
_END = rf"(?=\s*(?:[.,;!?。，；！)\]}}|\n]|$|{_OPENED}{LETTER_BEGINS}[A-Z]{LETTER_END}))"
"""Where a verdict ends."""
_COLON = rf"(?:[:=?|(.–—-]|->|→|=>)+(?!{_GAP}(?i:{spaced('denied')}){_GAP}{_OPTION}(?!\s*[:=]))"
"""What stands between an option and its verdict, unless a denial of the next option follows."""


class _Said:
    """A way in which options are spoken of.

    Attributes:
        words: what it takes; a text without is not searched any further.
        patterns: the passages.
    """

    def __init__(self, words: re.Pattern[str], *patterns: re.Pattern[str]) -> None:
        self.words, self.patterns = words, patterns


def _any_of(*fields: str) -> re.Pattern[str]:
    return re.compile("(?i)" + "|".join(map(either, fields)))


_VERDICT = _Said(
    _any_of("yes", "denied", "denied_behind"),
    re.compile(
        rf"{_CALLED}(?:[ \t]*{_BE}){{0,3}}\s?{_COLON}{_GAP}(?:(?i:{either('yes')})(?P<yes>)|"
        rf"(?i:{either('denied')}|{either('denied_behind')})(?:[ \t]+[a-z]+)?){CLOSED}{_END}"
    ),
)
"""An option, a colon, and "yes" or "no"."""
_ALL_OF_THEM = r"(?i:(?:are|were|do|sind|sont|son|sono|são|zijn|są|jsou)\b|(?=(?:are|were|do)n['’]t)|都|均)"
_SWALLOWED = rf"(?>[ \t]*(?i:{either('filler')}|{either('correct')}|\bit\b)){{0,4}}"
_BUT = rf"(?P<but>\s*[,，、;；]?\s*(?i:{either('but')})[ \t]*)?"
_DENIED = _Said(
    _any_of("denied", "denied_behind"),
    re.compile(
        rf"(?:(?i:{either('but')}|{either('joined')}|{either('also')})[ \t]*)?(?i:{either('denied')})"
        rf"(?:{_GAP}{_LED}){{0,8}}?{_GAP}{_OPTIONS}{_BUT}"
    ),
    re.compile(
        rf"(?:{_OPTIONS}\s*{_ALL_OF_THEM}|{_CALLED})(?:[ \t]*{_BE}){{0,4}}"
        rf"(?:[ \t]+(?!(?i:{_REASON}|{either('joined')}|{either('but')})(?!\w))[^\W\d_]+)?[ \t]*"  # any verb
        rf"(?i:(?:{either('denied')}|n['’]t\b)(?!(?:{_GAP}{_LED}){{0,2}}{_GAP}{_OPTION})|"
        rf"{either('denied_behind')}(?P<behind>\s*[,،、]?\s*)){_SWALLOWED}{_SO_IS}{_BUT}"
    ),
)
"""Options that are denied: by what stands before them, and by what stands behind."""
_DOUBTED = _Said(
    _any_of("doubted", "condition"),
    re.compile(rf"(?i:{either('doubted')}|{either('condition')}),?(?:{_GAP}{_LED}){{0,6}}?{_GAP}{_OPTIONS}"),
    re.compile(
        rf"(?im:^|(?<=[.!?。]\s))(?i:{either('condition')})(?!\s+(?i:i|we|you|one|forced|ich|wir|man|je|on|nous)\b)"
        rf"[^.!?\n;。]{{0,80}}?{_OPTIONS}"
    ),
    re.compile(
        rf"{_OPTIONS}(?:[ \t]*{_BE}){{0,3}}\s?(?:[,;:(–—-]{{0,2}}\s?(?i:{either('condition')})|"
        rf"[,.;:(–—-]{{0,2}}\s?(?i:(?:but|aber|mais|pero|ma|mas|但)\s+)?(?i:(?:i\s+am|i['’]m|it)\s+)?(?i:{either('doubted')}))"
    ),
)  # fmt: skip
"""Options that are only possible, or depend on something."""
_ASKED = _Said(
    re.compile(r"\?"),
    re.compile(rf"{_OPTIONS}[^.!?\n。！？,]{{0,80}}\?+"),
)
"""Options that are asked about."""
_JOINED = _Said(
    _any_of("joined"),
    re.compile(
        rf"{_CALLED}(?:\s*[,/、]\s*{_CALLED}){{0,9}}+\s*[,(]?\s*(?i:{either('joined')})\s*(?:[,(]\s*)?(?:{_THE}\s+)?{_CALLED}"
    ),
)
"""Options of which each may be meant."""
_MENTIONED = _Said(
    _any_of("mentioned", "mentioned_behind"),
    re.compile(rf"(?i:{either('mentioned')})[:,]?(?:{_GAP}{_LED}){{0,4}}?{_GAP}{_OPTIONS}"),
    re.compile(rf"{_OPTIONS}[ \t]*(?i:{either('mentioned_behind')})(?:[\s:\"'“‘]{{0,4}}{_TEXT})?"),
    re.compile(rf"(?i:{either('mentioned')})(?:[ \t]+\w+){{1,3}}?[ \t]+(?i:{either('option')})\w{{0,3}}[.:]"),
    re.compile(r"(?i)(?<!\w)z\.\s?B\.(?=\s)"),
)
"""Options that are only discussed, and that all of them are going to be."""


@dataclass
class Verdicts:
    """What is said of the options.

    Attributes:
        text: the text without what it says of options that are not chosen.
        right: options that have the verdict "yes".
        wrong: options that are denied.
        doubted: options that are only possible.
        discussed: options that are only spoken about.
    """

    text: str
    right: set[int] = field(default_factory=set)
    wrong: set[int] = field(default_factory=set)
    doubted: set[int] = field(default_factory=set)
    discussed: set[int] = field(default_factory=set)


def verdicts(text: str, options: Sequence[str], index: Callable[[str], int]) -> Verdicts:
    """Take what a text says of options that are not chosen out of it.

    A semicolon is left in its place, a question mark where an option is only possible, and nothing where the sentence
    goes on with another option ("not A but B").

    Args:
        text: the text.
        options: the options' words.
        index: the option of a letter.
    """
    text = re.sub(f"[{_PRIVATE}]", " ", text)
    masked = _option_texts(tuple(options)).sub(
        lambda match: chr(ord(_FIRST) + int((match.lastgroup or "")[1:])) * len(match[0]), text
    )
    result = Verdicts(text)

    def named(passage: str) -> set[int]:
        letters = {index(letter) for letter in _LETTER.findall(passage)}
        return (letters | {ord(mark) - ord(_FIRST) for mark in passage if _FIRST <= mark < _LEFT_OUT}) - {-1}

    def leave_out(said: _Said, noted: set[int], mark: str = ";", least: int = 0) -> None:
        def left_out(match: re.Match[str]) -> str:
            if len(options_named := named(match[0])) < least:
                return match[0]
            (result.right if has(match, "yes") else noted).update(options_named or range(len(options)))
            return ("" if has(match, "but") or has(match, "behind") else mark).rjust(len(match[0]), _LEFT_OUT)

        nonlocal masked
        for pattern in said.patterns if said.words.search(masked) else ():
            masked = pattern.sub(left_out, masked)

    def has(match: re.Match[str], group: str) -> bool:
        return match.groupdict().get(group) is not None

    leave_out(_VERDICT, result.wrong, least=1)
    leave_out(_DENIED, result.wrong, least=1)
    leave_out(_MENTIONED, result.discussed)
    leave_out(_DOUBTED, result.doubted, "?")
    leave_out(_JOINED, result.doubted, "?", least=2)
    leave_out(_ASKED, result.doubted, "?")
    chars = (mark if mark in ";?" else char for char, mark in zip(text, masked, strict=True) if mark != _LEFT_OUT)
    result.text = "".join(chars)
    return result


@lru_cache(maxsize=256)
def _option_texts(options: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern of the options' texts, the longest first, whose groups' names hold the options' numbers."""
    longest = sorted((i for i, option in enumerate(options) if len(option) > 1), key=lambda i: -len(options[i]))
    texts = (f"(?P<o{i}>" + r"[\W_]{1,3}".join(map(re.escape, options[i].split())) + ")" for i in longest)
    return re.compile(rf"(?i)(?<!\w)(?:{'|'.join(texts) or '(?!)'})(?!\w)")
