"""What is asked, apart from what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.base.text import same_when_read
from llavaction.questions.prompt_template import PromptTemplate
from llavaction.questions.subtitles import Subtitle

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class PriorAction:
    """An action that came before the one asked about.

    Attributes:
        narration: what was done.
        offset: seconds from its start to the start of the current action; printed as Python prints the number.
    """

    narration: str
    offset: float


@dataclass(frozen=True)
class Asked:
    """What is asked about one clip; nothing in it tells the right answer.

    Attributes:
        query_id: what the answer is filed under.
        clip: the span of the video.
        question: in words.
        options: texts to choose among; none where the answer is to be in free words.
        caption: what the one who is asked wrote of the clip before; "" where nothing was.
        prior: what is told of the actions before, oldest first.
        template: the official prompt of its benchmark; None where it has none.
        subtitles: what is said in the clip, oldest first, where that is to be told.
        subtitles_at_frames: whether only what is said while a frame is shown is told.
    """

    query_id: str
    clip: Clip
    question: str
    options: tuple[str, ...] = ()
    caption: str = ""
    prior: tuple[PriorAction, ...] = ()
    template: PromptTemplate | None = None
    subtitles: tuple[Subtitle, ...] = ()
    subtitles_at_frames: bool = False

    @property
    def lettered_options(self) -> list[str]:
        """The options as "A. wash plate", "B. ..."."""
        return lettered(self.options)

    def turned(self, turn: int) -> Asked:
        """The same with its first ``turn`` options put last."""
        return self if turn == 0 else replace(self, options=self.options[turn:] + self.options[:turn])


def lettered(options: Sequence[str]) -> list[str]:
    """Options as "A. wash plate", "B. ..."."""
    return [f"{LETTERS[i]}. {text}" for i, text in enumerate(options)]


def checked_options(options: Sequence[str]) -> tuple[str, ...]:
    """Options as a person gave them, without blanks around them.

    Raises:
        InputError: there is only one, too many, an empty one, or one twice.
    """
    texts = tuple(text.strip() for text in options)
    if texts and (
        len(texts) == 1 or "" in texts or len(set(map(same_when_read, texts))) < len(texts) or len(texts) > len(LETTERS)
    ):
        raise InputError(
            f"--options are {list(texts)}; needed are 2 to {len(LETTERS)} different texts",
            hint="--options 'take plate' --options 'put plate', or --options 'take plate, put plate'",
        )
    return texts
