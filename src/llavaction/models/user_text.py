"""Text of users as tokens: whatever it says, none of the model's own tokens comes of it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer

from llavaction.base.errors import InputError

_BRACKETS = re.compile(r"[<>\[\]{}|◁▷]")
"""An added token with one of these is a mark for the model; others (line breaks, words) are ordinary text."""


@dataclass(frozen=True)
class Part:
    """A piece of a text.

    Attributes:
        text: the piece.
        of_user: whether a person wrote it; special tokens in it are then spelled out.
    """

    text: str
    of_user: bool = False


class TextEncoder:
    """Encodes texts that are partly a template's and partly a user's.

    A text in which the user names no token of the model is encoded as the tokenizer does it. For others the tokens
    are renamed in a copy of the tokenizer and in the template's parts, so that the user's parts cannot name them.

    Args:
        tokenizer: of the model.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.control = {
            str(token.content): int(index)
            for index, token in tokenizer.added_tokens_decoder.items()
            if token.special or _BRACKETS.search(str(token.content))
        }
        self._control_ids = frozenset(self.control.values())

    def ids(self, parts: Sequence[Part], *, start: bool = False) -> list[int]:
        """Token ids of the parts as one text.

        Args:
            parts: pieces in their order.
            start: add the special tokens that the tokenizer puts around a text.

        Raises:
            InputError: the user's text names a token, and this kind of tokenizer cannot spell it out.
        """
        return self.many([parts], start=start)[0]

    def many(self, rows: Sequence[Sequence[Part]], *, start: bool = False) -> list[list[int]]:
        """Token ids of several texts; see :meth:`ids`."""
        encoded = self._encode(["".join(part.text for part in parts) for parts in rows], start)
        texts = [(row, part.text) for row, parts in enumerate(rows) for part in parts if part.of_user]
        token_rows = self._encode([text for _, text in texts], False)
        forged = {row for (row, _), ids in zip(texts, token_rows, strict=True) if not self._control_ids.isdisjoint(ids)}
        return [self._spelled(rows[row], ids, start) if row in forged else ids for row, ids in enumerate(encoded)]

    def names_token(self, text: str) -> bool:
        """Whether a token of the model would come of a text."""
        return not self._control_ids.isdisjoint(self._encode([text], False)[0])

    def _encode(self, texts: list[str], start: bool) -> list[list[int]]:
        if not texts:
            return []
        return [list(ids) for ids in self._tokenizer(texts, add_special_tokens=start)["input_ids"]]

    @cached_property
    def _renamed(self) -> tuple[Tokenizer, dict[str, str], dict[int, int]]:
        """A tokenizer that knows the model's tokens by other names; token to name; its ids to the model's."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise InputError(
                "a text names a special token of the model, which this kind of tokenizer cannot write as plain text",
                hint="leave the token out of questions, options and labels",
            )
        stored = json.loads(backend.to_str())
        secret = secrets.token_hex(8)  # no text can name it; results do not depend on it
        names = {content: f"\ue000{secret}.{index}\ue001" for content, index in self.control.items()}
        for token in stored["added_tokens"]:
            if token["content"] in names:
                token |= {"content": names[token["content"]], "normalized": False}
        copy = Tokenizer.from_str(json.dumps(stored))
        copy.no_truncation()
        copy.no_padding()
        added = {str(token.content): int(index) for index, token in self._tokenizer.added_tokens_decoder.items()}
        original = {copy.token_to_id(names.get(content, content)): index for content, index in added.items()}
        return copy, names, {new_id: index for new_id, index in original.items() if new_id is not None}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, sorted(self.control, key=len, reverse=True))))

    def _spelled(self, parts: Sequence[Part], ids: list[int], start: bool) -> list[int]:
        """Ids of the parts, the tokens that users name spelled out; ``ids`` are those with them."""
        copy, names, original = self._renamed
        marks = {copy.token_to_id(name) for name in names.values()}
        text = "".join(
            part.text if part.of_user else self._pattern.sub(lambda match: names[match[0]], part.text) for part in parts
        )
        new_ids = copy.encode(text, add_special_tokens=False).ids
        spelled = [original.get(index, index) for index in new_ids]
        if any(old in self._control_ids and index not in marks for old, index in zip(spelled, new_ids, strict=True)):
            raise InputError(
                "a text names a special token of the model, which its tokenizer cannot write as plain text",
                hint="leave the token out of questions, options and labels",
            )
        if not start:
            return spelled
        bare = self._encode(["".join(part.text for part in parts)], False)[0]
        added = len(ids) - len(bare)
        before = next((n for n in range(added + 1) if ids[n : n + len(bare)] == bare), 0)
        return [*ids[:before], *spelled, *ids[len(ids) - (added - before) :]]
