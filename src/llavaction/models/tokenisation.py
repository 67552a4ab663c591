"""Conversations as token ids: turns in the ChatML form the Qwen models speak, and which of their tokens are learnt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from llavaction.base.errors import InputError
from llavaction.base.records import Strict
from llavaction.base.registry import suggestion
from llavaction.models.user_text import Part, TextEncoder

SYSTEM = "You are a helpful assistant."
"""What the published models are told before the first turn."""

VIDEO, IMAGE = "<video>", "<image>"
"""What stands for a video and for a still image in a text."""

IGNORED = -100
"""The label of a token that is not learnt."""

START, END = "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{%- if not messages or messages[0].role != 'system' %}"
    f"{{{{ '{START}system\\n{SYSTEM}{END}\\n' }}}}"
    "{%- endif %}"
    "{%- for message in messages %}"
    f"{{{{ '{START}' + message.role + '\\n' }}}}"
    "{%- if message.content is string %}{{ message.content }}"
    "{%- else %}{%- for part in message.content %}"
    f"{{%- if part.type == 'video' %}}{{{{ '{VIDEO}\\n' }}}}"
    f"{{%- elif part.type == 'image' %}}{{{{ '{IMAGE}\\n' }}}}"
    "{%- else %}{{ part.text }}{%- endif %}"
    "{%- endfor %}{%- endif %}"
    f"{{{{ '{END}\\n' }}}}"
    "{%- endfor %}"
    f"{{%- if add_generation_prompt %}}{{{{ '{START}assistant\\n' }}}}{{%- endif %}}"
)
"""The same turns for inference (Jinja); a video or an image of a message's parts takes a line of its own."""

_ROLES = {"human": "user", "gpt": "assistant"}
_KNOWN_ROLES = ("system", "user", "assistant")


class TokenisationConfig(Strict):
    """How conversations become training examples."""

    supervise: Literal["published", "answer", "nothing"] = Field(
        default="published",
        description="Tokens that are learnt: published is the assistant's whole turn, its header included, and "
        "every line break and turn marker anywhere; answer is the assistant's text and the marker that ends it; "
        "nothing is none.",
    )
    system: str | None = Field(
        default=SYSTEM,
        description="Text before the first turn of a conversation that brings none; null for no such turn.",
    )
    max_length: int | None = Field(
        default=None,
        ge=1,
        description="Longest row in tokens, the visual ones counted; longer ones are cut at the end. By default "
        "none are.",
    )


@dataclass(frozen=True)
class TurnForm:
    """How a chat template writes turns, where that is not as in ``CHAT_TEMPLATE``.

    Attributes:
        before_text: between the user's role and a text.
        before_video: between the user's role and a video that begins the turn.
        after: what ends a turn.
        before_answer: between the assistant's role and its text: a line break, and a thought that is over, as the
            template writes it where the model is asked.
    """

    before_text: str = "\n"
    before_video: str = "\n"
    after: str = f"{END}\n"
    before_answer: str = "\n"


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        role: "system", "user" or "assistant".
        text: what is said, with ``VIDEO`` and ``IMAGE`` in it.
    """

    role: str
    text: str


@dataclass(frozen=True)
class Example:
    """A tokenised conversation.

    Attributes:
        ids: token ids, one per video or image.
        labels: equally many, ``IGNORED`` where nothing is learnt.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]


def read_turns(conversation: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Read a conversation in either of two forms.

    Messages are ``{"role", "content"}``, the content a text or a list of parts (``{"type": "video"}``,
    ``{"type": "image"}``, ``{"type": "text", "text"}``), or LLaVA's ``{"from": "human" | "gpt", "value"}``. In the
    latter the only placeholder of a text moves to its start, onto a line of its own; an assistant's turn before the
    first of the user is left out. Both as published.

    Raises:
        InputError: a message is of another form (names its number), or nothing is left.
    """
    turns = [_turn(message, number) for number, message in enumerate(conversation, start=1)]
    first = next((number for number, turn in enumerate(turns) if turn.role != "assistant"), len(turns))
    if first == len(turns):
        raise InputError(f"a conversation of {len(turns)} turns in which no user speaks")
    return turns[first:]


def text_ids(tokenizer: Any, text: str, placeholders: Mapping[str, int]) -> list[int]:
    """Token ids of a text whose placeholders become the given ids, be they of the vocabulary or not (such as -200)."""
    pattern = "|".join(re.escape(placeholder) for placeholder in placeholders)
    ids: list[int] = []
    for piece in re.split(f"({pattern})", text) if pattern else [text]:
        if piece in placeholders:
            ids.append(placeholders[piece])
        elif piece:
            ids.extend(tokenizer(piece, add_special_tokens=False)["input_ids"])
    return ids


def padded(values: Sequence[int], fill: int, length: int, side: str) -> list[int]:
    """Values filled up to ``length`` on one side; longer ones stay as they are."""
    filling = [fill] * (length - len(values))
    return [*filling, *values] if side == "left" else [*values, *filling]


def shared_length(*sequences: Sequence[int]) -> int:
    """How many tokens all sequences begin with in common."""
    for length, items in enumerate(zip(*sequences, strict=False)):
        if len(set(items)) > 1:
            return length
    return min(map(len, sequences))


class ConversationTokeniser:
    """Turns conversations into training examples (published implementation, training tokenisation).

    What turns say is text: but for the placeholders, special tokens in it are spelled out.

    Args:
        tokenizer: a tokenizer that knows the turn markers.
        placeholders: the id of each placeholder of a text.
        config: which tokens are learnt.
        form: how turns are written.

    Raises:
        InputError: the tokenizer has no such turn markers.
    """

    def __init__(
        self,
        tokenizer: Any,
        placeholders: Mapping[str, int],
        config: TokenisationConfig | None = None,
        form: TurnForm | None = None,
    ) -> None:
        self.config, self._form = config or TokenisationConfig(), form or TurnForm()
        self._tokenizer, self._placeholders = tokenizer, dict(placeholders)
        self._start, self._end, self._newline = (self._single(text) for text in (START, END, "\n"))
        self._encoder = TextEncoder(tokenizer)
        self._header = len(self._ids(f"{START}assistant{self._form.before_answer}"))

    def __call__(self, conversation: Sequence[Mapping[str, Any]], video: str | None = None) -> Example:
        """Tokenise one conversation; see :func:`read_turns`.

        Args:
            conversation: its messages.
            video: what is written for ``VIDEO`` and the line break after it, special tokens and all; None where the
                placeholders have ids.

        Raises:
            InputError: the conversation is malformed, or there is no answer in it to learn.
        """
        turns = read_turns(conversation)
        if all(turn.role != "assistant" for turn in turns):
            raise InputError(f"a conversation of {len(turns)} turns in which no assistant answers")
        if turns[0].role != "system" and self.config.system is not None:
            turns.insert(0, Turn("system", self.config.system))
        ids: list[int] = []
        labels: list[int] = []
        for turn in turns:
            turn_ids = self._turn_ids(turn, video)
            ids.extend(turn_ids)
            labels.extend(self._labels(turn_ids, learnt=turn.role == "assistant"))
        return Example(tuple(ids), tuple(labels))

    def _labels(self, ids: list[int], *, learnt: bool) -> list[int]:
        """Labels of one turn's tokens; visual ones are never learnt."""
        if self.config.supervise == "published":
            markers = (self._start, self._end, self._newline)
            is_target = [learnt or token in markers for token in ids]
        elif self.config.supervise == "nothing":
            is_target = [False] * len(ids)
        else:
            stop = len(ids) - ids[::-1].index(self._end)  # what follows the last marker is only the line break
            is_target = [learnt and self._header <= place < stop for place in range(len(ids))]
        visual = self._placeholders.values()
        return [token if keep and token not in visual else IGNORED for token, keep in zip(ids, is_target, strict=True)]

    def _turn_ids(self, turn: Turn, video: str | None) -> list[int]:
        """Token ids of one turn; a text is cut at placeholders with ids, and what is between is encoded by itself."""
        pattern = "|".join(map(re.escape, self._placeholders)) if video is None else f"{VIDEO}\n?"
        pieces = re.split(f"({pattern})", turn.text) if pattern else [turn.text]
        begins = len(pieces) > 1 and not pieces[0]
        between = {
            "user": self._form.before_video if begins else self._form.before_text,
            "assistant": self._form.before_answer,
        }.get(turn.role, "\n")
        ids: list[int] = []
        parts = [Part(f"{START}{turn.role}{between}")]
        for place, piece in enumerate(pieces):
            if place % 2 == 0:
                parts.append(Part(piece, of_user=True))
            elif video is None:
                ids += [*self._encoder.ids(parts), self._placeholders[piece]]
                parts = []
            else:
                parts.append(Part(video))
        return ids + self._encoder.ids([*parts, Part(self._form.after)])

    def _ids(self, text: str) -> list[int]:
        return text_ids(self._tokenizer, text, self._placeholders)

    def _single(self, text: str) -> int:
        ids = self._ids(text)
        if len(ids) != 1:
            raise InputError(
                f"the tokenizer makes {len(ids)} tokens of {text!r}, expected 1",
                hint="training records are written in ChatML turns, as the Qwen tokenizers know them",
            )
        return ids[0]


def _turn(message: Mapping[str, Any], number: int) -> Turn:
    published = "from" in message
    speaker, content_key = ("from", "value") if published else ("role", "content")
    if speaker not in message or content_key not in message:
        raise InputError(
            f"turn {number} has the keys {sorted(message)}", hint="expected 'role' and 'content', or 'from' and 'value'"
        )
    role = str(message[speaker])
    role = _ROLES.get(role, role)
    if role not in _KNOWN_ROLES:
        raise InputError(f"turn {number} is spoken by '{role}'", hint=suggestion(role, (*_KNOWN_ROLES, *_ROLES)))
    content = message[content_key]
    if isinstance(content, str):
        return Turn(role, _placeholder_first(content) if published else content)
    if published or not isinstance(content, Sequence):
        raise InputError(f"turn {number}: '{content_key}' is a {type(content).__name__}, expected a text")
    return Turn(role, "".join(_part(part, number) for part in content))


def _part(part: Mapping[str, Any], number: int) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "video"}:
            return f"{VIDEO}\n"
        case {"type": "image"}:
            return f"{IMAGE}\n"
    raise InputError(
        f"turn {number} has a part {part!r:.80}", hint="a part's type is 'text' (with its 'text'), 'video' or 'image'"
    )


def _placeholder_first(text: str) -> str:
    """Move the only placeholder of a text to its start; several, or one already there, stay where they are."""
    placeholders = re.findall(f"{VIDEO}|{IMAGE}", text)
    if len(placeholders) != 1 or text.startswith(placeholders[0]):
        return text
    return f"{placeholders[0]}\n{text.replace(placeholders[0], '').strip()}".strip()
