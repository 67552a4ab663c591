"""Chat: a user's text as the model's own turn-taking format, and where an answer letter then begins."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from llavaction.base.errors import InputError
from llavaction.models.checkpoint import Checkpoint
from llavaction.models.tokenisation import END, START, TurnForm
from llavaction.models.user_text import Part, TextEncoder

PLAIN_TEMPLATE = (
    "{%- for message in messages %}"
    "{{ 'USER: ' if message.role == 'user' else 'ASSISTANT: ' }}"
    "{%- for part in message.content %}{{ part.text if part.type == 'text' else '' }}{%- endfor %}{{ '\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{%- endif %}"
)
"""For checkpoints without a chat template of their own, on request."""

_MARKER = "what is asked"
_WORDS = "\ue000the words of the user\ue001"
"""Stands for the user's text while a template writes around it."""
_SWITCH = "enable_thinking"
_OPENED = re.compile(
    r"(?P<left><\|?|\[|◁)(?P<name>(?:\w+:)?(?:think|thinking|thought|reason|reasoning))(?P<right>\|?>|\]|▷)",
    re.IGNORECASE,
)
"""The mark by which a template opens a thought: <think>, [THINK], ◁think▷ and their kind."""

Thinking = Literal["none", "disabled by the template", "closed"]
"""What is done so that an answer begins where it is read: nothing is needed; the template's own switch is turned off;
the thought that the template opens is closed."""


@dataclass(frozen=True)
class LetterTokens:
    """How the option letters are written at the start of an answer.

    Attributes:
        lead: token ids that come before every letter (empty for nearly every tokenizer).
        ids: the token id of each letter, A first.
    """

    lead: tuple[int, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Rendered:
    """A prompt in the chat format, the user's words kept apart from what the template writes.

    Attributes:
        pieces: what stands before, between and after the places of the user's words.
        words: of the user.
    """

    pieces: tuple[str, ...]
    words: str = ""

    @property
    def text(self) -> str:
        """The whole prompt."""
        return self.words.join(self.pieces)

    @property
    def parts(self) -> list[Part]:
        """The whole prompt in parts."""
        sections = [Part(self.pieces[0])]
        for piece in self.pieces[1:]:
            sections += [Part(self.words, of_user=True), Part(piece)]
        return sections

    def count(self, mark: str) -> int:
        """How often the template has written ``mark``."""
        return sum(piece.count(mark) for piece in self.pieces)

    def replaced(self, mark: str, text: str) -> Rendered:
        """The same with ``text`` wherever the template has written ``mark``."""
        return replace(self, pieces=tuple(piece.replace(mark, text) for piece in self.pieces))


class Chat:
    """Puts user texts into the checkpoint's chat format, the assistant's turn opened.

    A template that knows ``enable_thinking`` is told not to; where the opened turn still begins with a thought, the
    thought is closed. An answer, letter, label or written text, thus begins where it is read.

    Args:
        checkpoint: whose tokenizer and template are used.
        plain: use ``PLAIN_TEMPLATE`` instead of the checkpoint's template.

    Attributes:
        thinking: what was done about thoughts, see :data:`Thinking`.

    Raises:
        InputError: the checkpoint has no template and ``plain`` was not asked for.
    """

    def __init__(self, checkpoint: Checkpoint, *, plain: bool = False) -> None:
        self.tokenizer = checkpoint.tokenizer
        self._folder = checkpoint.folder
        template = PLAIN_TEMPLATE if plain else checkpoint.chat_template
        if template is None:
            raise InputError(
                "has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json)",
                file=checkpoint.folder,
                hint="if it was not trained to chat, ask for chat='plain': USER: ... ASSISTANT:",
            )
        self._template = template
        self._switches = {_SWITCH: False} if _SWITCH in template else {}
        self.thinking: Thinking = "disabled by the template" if self._switches else "none"
        self._closing = ""
        try:
            rendered = self._apply([{"type": "text", "text": _MARKER}])
        except InputError:
            rendered = ""
        self._takes_parts = _MARKER in rendered and "'text'" not in rendered  # else it is a template for plain text
        try:
            opening = self.opening
        except InputError:  # said when a question is asked
            opening = ""
        if closing := closing_of(opening, template):
            self._closing, self.thinking = closing, "closed"

    @cached_property
    def encoder(self) -> TextEncoder:
        """What makes tokens of texts."""
        return TextEncoder(self.tokenizer)

    @property
    def opening(self) -> str:
        """What stands between the user's words and the answer."""
        return self.render(_MARKER).rpartition(_MARKER)[2]

    @property
    def blank(self) -> str:
        """What an answer follows: nothing after a line break, a blank or a special token, else a blank."""
        opening = self.opening
        marks = (*self.tokenizer.all_special_tokens, *self.encoder.control)
        return "" if opening[-1:].isspace() or any(map(opening.endswith, marks)) else " "

    def render(self, prompt: str, visuals: tuple[str, ...] = ()) -> str:
        """The text the model continues; see :meth:`lay_out`."""
        return self.lay_out(prompt, visuals).text

    def lay_out(self, prompt: str, visuals: tuple[str, ...] = (), *, before: str = "") -> Rendered:
        """What the model continues. A template that knows no visuals leaves them out.

        Args:
            prompt: the user's text; what it says is text, even where it reads like a token of the model.
            visuals: what comes before it, each "video" or "image".
            before: comes right before the user's text and is not the user's, such as a placeholder.

        Raises:
            InputError: the template stops on these messages.
        """

        def rendered(text: str) -> str:
            parts = [*({"type": kind} for kind in visuals), {"type": "text", "text": before + text}]
            return self._apply(parts if self._takes_parts else before + text)

        words = prompt.strip()  # a template may trim
        direct = rendered(prompt)
        pieces = tuple(rendered(prompt.replace(words, _WORDS, 1)).split(_WORDS)) if words else (direct,)
        if words.join(pieces) != direct and not self.encoder.names_token(prompt):
            return Rendered((direct,))  # a template that changes what is said
        return Rendered(pieces, words)

    def _apply(self, content: Any) -> str:
        try:
            text = str(
                self.tokenizer.apply_chat_template(
                    [{"role": "user", "content": content}],
                    chat_template=self._template,
                    add_generation_prompt=True,
                    tokenize=False,
                    **self._switches,
                )
            )
        except Exception as error:
            raise InputError(f"its chat template fails: {error}", file=self._folder) from error
        return text + self._closing

    def gap(self, placeholder: str) -> str:
        """What the template writes between a clip and the user's words."""
        return self.render(_MARKER, ("video",)).partition(placeholder)[2].partition(_MARKER)[0]

    def turns(self, placeholder: str) -> tuple[TurnForm, str | None]:
        """How the template writes turns, and what it says before the first one of the user; None for nothing.

        Args:
            placeholder: of a clip.

        Raises:
            InputError: they are no ChatML turns.
        """
        shown, text_only = self.render(_MARKER, ("video",)), self.render(_MARKER)
        user, assistant, header = f"{START}user", f"{START}assistant", f"{START}system\n"
        if any(mark not in text for mark in (user, assistant) for text in (shown, text_only)):
            raise InputError(
                "its chat template writes no ChatML turns, in which training records are written",
                hint="training takes models whose turns are written as '<|im_start|>user' and '<|im_start|>assistant'",
            )
        after, _, before_answer = text_only.rpartition(_MARKER)[2].partition(assistant)
        form = TurnForm(
            before_text=text_only.rpartition(user)[2].partition(_MARKER)[0],
            before_video=shown.rpartition(user)[2].partition(placeholder)[0],
            after=after,
            before_answer=before_answer,
        )
        before = shown.partition(user)[0]
        system = before.removeprefix(header).removesuffix("\n").removesuffix(END) if before.startswith(header) else None
        return form, system

    def adds_start(self, text: str) -> bool:
        """Whether the tokenizer has to add its special tokens: not where the template has written the start token."""
        start = self.tokenizer.bos_token
        return start is None or not text.startswith(start)

    def encode(self, prompt: str | Rendered) -> list[int]:
        """Token ids of a prompt; the start token is added where the template leaves it out.

        Args:
            prompt: as laid out, or a text that is no user's.

        Raises:
            InputError: the user's words name a token of the model, and its tokenizer cannot spell it out.
        """
        laid = Rendered((prompt,)) if isinstance(prompt, str) else prompt
        return self.encoder.ids(laid.parts, start=self.adds_start(laid.pieces[0]))

    def letter_tokens(self) -> LetterTokens:
        """The tokens by which an answer that begins with an option letter begins.

        A letter directly follows a line break, a blank or a special token that ends the opened turn; after anything
        else ("ASSISTANT:") it follows a blank, as in the texts such models were trained on, if the tokenizer tells the
        letters apart that way.

        Raises:
            InputError: the tokenizer does not tell the letters apart by one token.
        """
        opening = self.opening
        before = self._ids(opening)
        for blank in dict.fromkeys((self.blank, "")):
            token_rows = []
            for letter in string.ascii_uppercase:
                ids = self._ids(opening + blank + letter)
                joined = ids[: len(before)] != before  # the letter has merged with what precedes it
                token_rows.append(self._ids(letter) if joined else ids[len(before) :])
            lead = _shared_start(token_rows)
            firsts = [tokens[len(lead)] for tokens in token_rows if len(tokens) > len(lead)]
            if len(set(firsts)) == len(string.ascii_uppercase):
                return LetterTokens(tuple(lead), tuple(firsts))
        raise InputError(
            "its tokenizer does not write the letters A to Z as tokens that differ, so they cannot be scored",
            file=self._folder,
        )

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _shared_start(sequences: list[list[int]]) -> list[int]:
    start = []
    for items in zip(*sequences, strict=False):
        if len(set(items)) > 1:
            break
        start.append(items[0])
    return start


def closing_of(opening: str, template: str) -> str:
    """What closes the thought that an opened turn ends in, in the template's own form; empty where none is open.

    Args:
        opening: what stands between the user's words and the answer.
        template: the Jinja text, which may say how a thought is closed.
    """
    opened = list(_OPENED.finditer(opening))
    if not opened:
        return ""
    left, name, right = opened[-1].group("left", "name", "right")
    mark = f"{left}/{name}{right}"
    if mark in opening[opened[-1].end() :]:
        return ""
    breaks = r"((?:\\n|\n)*)"
    forms = re.findall(breaks + re.escape(mark) + breaks, template)
    before, after = max(forms, key=lambda form: len(form[0] + form[1]), default=("\n", "\n\n"))
    if not after:
        before, after = "\n", "\n\n"
    return f"{before}{mark}{after}".replace("\\n", "\n")
