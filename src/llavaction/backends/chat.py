"""Chat: a user's text as the model's own turn-taking format, and where an answer letter then begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llavaction.base.errors import InputError
from llavaction.models.checkpoint import Checkpoint
from llavaction.questions.schema import LETTERS

PLAIN_TEMPLATE = (
    "{%- for message in messages %}"
    "{{ 'USER: ' if message.role == 'user' else 'ASSISTANT: ' }}"
    "{%- for part in message.content %}{{ part.text if part.type == 'text' else '' }}{%- endfor %}{{ '\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{%- endif %}"
)
"""For checkpoints without a chat template of their own, on request."""

_PROBE = "what is asked"


@dataclass(frozen=True)
class LetterTokens:
    """How the option letters are written at the start of an answer.

    Attributes:
        lead: token ids that come before every letter (empty for nearly every tokenizer).
        ids: the token id of each letter, A first.
    """

    lead: tuple[int, ...]
    ids: tuple[int, ...]


class Chat:
    """Puts user texts into the checkpoint's chat format, the assistant's turn opened.

    Args:
        checkpoint: whose tokenizer and template are used.
        plain: use ``PLAIN_TEMPLATE`` instead of the checkpoint's template.

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
        try:
            probe = self._apply([{"type": "text", "text": _PROBE}])
        except InputError:
            probe = ""
        self._takes_parts = _PROBE in probe and "'text'" not in probe  # else it is a template for plain text

    def render(self, prompt: str, visuals: tuple[str, ...] = ()) -> str:
        """The text the model continues. A template that knows no visuals leaves them out.

        Args:
            prompt: the user's text.
            visuals: what comes before it, each "video" or "image".

        Raises:
            InputError: the template stops on these messages.
        """
        parts = [*({"type": kind} for kind in visuals), {"type": "text", "text": prompt}]
        return self._apply(parts if self._takes_parts else prompt)

    def _apply(self, content: Any) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    [{"role": "user", "content": content}],
                    chat_template=self._template,
                    add_generation_prompt=True,
                    tokenize=False,
                )
            )
        except Exception as error:
            raise InputError(f"its chat template fails: {error}", file=self._folder) from error

    def adds_start(self, text: str) -> bool:
        """Whether the tokenizer has to add its special tokens: not where the template has written the start token."""
        start = self.tokenizer.bos_token
        return start is None or not text.startswith(start)

    def encode(self, text: str) -> list[int]:
        """Token ids of a rendered text; the start token is added where the template leaves it out."""
        return list(self.tokenizer(text, add_special_tokens=self.adds_start(text))["input_ids"])

    def letter_tokens(self) -> LetterTokens:
        """The tokens by which an answer that begins with an option letter begins.

        A letter directly follows a line break, a blank or a special token that ends the opened turn; after anything
        else ("ASSISTANT:") it follows a blank, as in the texts such models were trained on, if the tokenizer tells the
        letters apart that way.

        Raises:
            InputError: the tokenizer does not tell the letters apart by one token.
        """
        opening = self.render(_PROBE).rpartition(_PROBE)[2]
        fresh = opening[-1:].isspace() or any(opening.endswith(token) for token in self.tokenizer.all_special_tokens)
        before = self._ids(opening)
        for blank in ("",) if fresh else (" ", ""):
            written = []
            for letter in LETTERS:
                ids = self._ids(opening + blank + letter)
                joined = ids[: len(before)] != before  # the letter has merged with what precedes it
                written.append(self._ids(letter) if joined else ids[len(before) :])
            lead = _shared_start(written)
            firsts = [tokens[len(lead)] for tokens in written if len(tokens) > len(lead)]
            if len(set(firsts)) == len(LETTERS):
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
