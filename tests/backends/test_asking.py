"""Asking a real (tiny) model many questions: one that cannot be asked fails alone and moves no other's scores."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from helpers.asking import make_frames, make_question
from llavaction.actions.segments import Clip
from llavaction.backends.asking import (
    captioned_scores,
    check_capability,
    check_frames,
    frames_wanted,
    option_answers,
    option_scores,
    query,
    written_answers,
)
from llavaction.backends.base import Capability, OptionScores, Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.base.errors import InputError, LlavactionError
from llavaction.models.families.base import question
from llavaction.questions.prompts import caption_prompt
from llavaction.testing.tiny import FAMILIES, write_tiny
from llavaction.video.decoded import DecodedClip, Frames

Make = Callable[..., HuggingFaceBackend]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("short"), "llava_onevision", context=300)


@pytest.mark.parametrize("options", [{}, {"shared_passes": True}, {"rule": "texts"}])
def test_bad_questions_move_no_other_scores(short: Path, options: dict[str, object]) -> None:
    backend = HuggingFaceBackend(
        HuggingFaceConfig.from_mapping({"path": short, "frames": 4, "device": "cpu", "max_new_tokens": 4, **options})
    )
    batch = [make_question(number, 3).asked for number in range(5)]
    batch[1] = replace(batch[1], question="What happens " + "now " * 200)
    batch[2] = replace(batch[2], options=("take<|im_end|><video>", "put <|im_start|>"))
    looks = [DecodedClip(make_frames(number, 4), np.arange(4.0), 2.0) for number in range(5)]
    looks[3] = replace(looks[3], frames=make_frames(3, 4).astype(np.float32))  # type: ignore[arg-type]
    style = "open" if "rule" in options else "letters"
    found = option_scores(backend, batch, looks, style, orders=2)
    assert sorted(found.by_place) == [0, 2, 4] and sorted(found.refused) == [1, 3]
    assert "context holds 300" in found.refused[1] and "float32" in found.refused[3]
    kept = [0, 2, 4]
    alone = option_scores(backend, [batch[i] for i in kept], [looks[i] for i in kept], style, orders=2)
    for place, i in enumerate(kept):
        assert found.by_place[i].log_probabilities.tolist() == alone.by_place[place].log_probabilities.tolist()
    written = written_answers(backend, batch, looks, style)
    assert sorted(written.by_place) == [0, 2, 4] and sorted(written.refused) == [1, 3]


def test_a_label_of_which_nothing_comes(make: Make) -> None:
    batch = [make_question(number, 3).asked for number in range(3)]
    batch[1] = replace(batch[1], options=(" ", "put"))
    looks = [DecodedClip(make_frames(number, 4), np.arange(4.0), 2.0) for number in range(3)]
    found = option_scores(make(rule="texts"), batch, looks, "open")
    assert sorted(found.by_place) == [0, 2]
    assert "the text ' ' is empty" in found.refused[1]


@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_5_vl"])
@pytest.mark.parametrize("orders", [1, 3])
def test_the_mass_on_the_letters_is_that_of_the_whole_vocabulary(make: Make, family: str, orders: int) -> None:
    backend, asked = make(family), make_question(0, 3).asked
    seen = DecodedClip(make_frames(0, 4), np.arange(4.0) / 2, 2.0)
    found = option_scores(backend, [asked], [seen], "letters", orders=orders).by_place[0]
    masses = []
    for turn in range(orders):
        form = query(asked.turned(turn), seen, "letters")
        logits = backend._forward([backend.inputs(form)]).logits[0, -1].double()
        letters = [backend.checkpoint.tokenizer.get_vocab()[letter] for letter in "ABC"]
        masses.append(float(logits.softmax(-1)[letters].sum()))
    assert found.letter_mass == pytest.approx(np.mean(masses), rel=1e-4)
    assert 0 < np.mean(masses) < 0.5


def test_label_texts_have_no_letters(make: Make) -> None:
    seen = DecodedClip(make_frames(0, 4), np.arange(4.0), 2.0)
    assert (
        option_scores(make(rule="texts"), [make_question(0, 3).asked], [seen], "open").by_place[0].letter_mass is None
    )


@pytest.mark.parametrize(("tail", "thinking"), [("<think>\\n", "closed"), (None, "disabled by the template")])
def test_a_thinking_template_is_recorded(tiny: dict[str, Path], tmp_path: Path, tail: str, thinking: str) -> None:
    folder = Path(shutil.copytree(tiny["qwen3_vl"], tmp_path / "thinking"))
    opened = "{{ '<|im_start|>assistant\\n' }}"
    hybrid = (
        "{%- if enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{%- else %}{{ '<think>\\n' }}{%- endif %}"
    )
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(
        template.replace(opened, opened + (hybrid if tail is None else f"{{{{ '{tail}' }}}}"))
    )
    backend = HuggingFaceBackend(HuggingFaceConfig(path=folder, frames=2, device="cpu"))
    assert backend.settings["thinking"] == thinking
    prepared = backend.inputs(
        query(make_question(0).asked, DecodedClip(make_frames(0, 2), np.arange(2.0), 2.0), "letters")
    )
    end = backend.checkpoint.tokenizer.decode(prepared.ids)
    assert end.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


class Nothing:
    """A library that is not to be read."""

    def read(self, clip: Clip, count: int, *, segment_id: str | None = None) -> Frames:
        raise AssertionError


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_that_can_never_fit_are_refused_before_decoding(make: Make, family: str) -> None:
    backend = make(family)
    check_frames(backend, 16)
    begun = time.process_time()
    with pytest.raises(InputError, match=r"100000 frames per clip take at least \d+ tokens, the model's context holds"):
        frames_wanted(backend, 100000, Nothing())
    assert time.process_time() - begun < 10


def test_the_fewest_tokens_are_counted(tmp_path: Path) -> None:
    backend = HuggingFaceBackend(HuggingFaceConfig(path=write_tiny(tmp_path, context=300), device="cpu"))
    # 9 tokens a frame, one newline and the words around them
    words = len(backend.family.inputs(question("?", with_clip=False)).ids)
    most = (300 - words - 2) // 9
    check_frames(backend, most)
    with pytest.raises(InputError, match=rf"{most + 1} frames per clip take at least 30\d tokens"):
        check_frames(backend, most + 1)


@dataclass
class Half:
    """Scores what it is told to, or only speaks."""

    capabilities: frozenset[Capability] = frozenset({"score"})
    scores: tuple[float, ...] = (0.0, 0.0, 0.0)
    name: str = "half"
    needs_frames: int = 0
    decision_rule: str = "none"

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        return [OptionScores(np.array(self.scores)) for _ in queries]

    def generate(self, queries: Sequence[Query]) -> list[str]:
        raise AssertionError


def test_what_a_backend_cannot_do_is_said() -> None:
    check_capability(Half(), "score")
    with pytest.raises(InputError, match=r"'half' does not answer in words\n  hint: .*--decision likelihood"):
        check_capability(Half(), "generate")
    with pytest.raises(InputError, match=r"'half' does not say how likely options are\n  hint: .*--decision gen"):
        check_capability(Half(frozenset({"generate"})), "score")


def test_scores_that_are_no_numbers_fail_and_a_wrong_number_of_them_is_the_backends_fault() -> None:
    asked = make_question(0, 3).asked
    broken = option_scores(Half(scores=(0.0, np.nan, 0.0)), [asked], [None], "letters")
    assert not broken.by_place and "not all numbers: [0.0, nan, 0.0]" in broken.refused[0]
    sure = option_scores(Half(scores=(0.0, -np.inf, -np.inf)), [asked], [None], "letters")
    assert sure.by_place[0].log_probabilities.tolist() == [0.0, -np.inf, -np.inf]
    with pytest.raises(LlavactionError, match=r"shape \(2,\) for 'q0', which has 3 options"):
        option_answers(Half(scores=(0.0, 0.0)), [query(asked, None, "letters")])


def test_a_model_answers_behind_its_own_caption(make: Make) -> None:
    """The scores are those of the prompt with the caption in it, on the very frames that the caption was written of."""
    backend = make(max_new_tokens=6)
    batch = [make_question(number, 3).asked for number in range(3)]
    clips = [DecodedClip(make_frames(number, 4), np.arange(4.0), 2.0) for number in range(3)]
    clips[1] = replace(clips[1], error="cannot be read")
    for style in ("letters", "published"):
        answers = captioned_scores(backend, batch, clips, style, orders=2)
        assert sorted(answers.by_place) == [0, 2] and answers.refused == {1: "cannot be read"}
        for i, scores in answers.by_place.items():
            prompt = caption_prompt(style)
            assert [scores.caption] == backend.generate([Query(batch[i].query_id, prompt, (), clips[i])])
            assert scores.caption
            again = replace(batch[i], caption=scores.caption)
            alone = option_scores(backend, [again], [clips[i]], style, orders=2).by_place[0]
            np.testing.assert_allclose(scores.log_probabilities, alone.log_probabilities, atol=1e-5)
            blind = option_scores(backend, [batch[i]], [clips[i]], style, orders=2).by_place[0]
            assert np.abs(blind.log_probabilities - alone.log_probabilities).max() > 1e-4


def test_a_caption_stands_before_the_prompt() -> None:
    asked = make_question(0, 3).asked
    plain, noted = (query(form, None, "letters").prompt for form in (asked, replace(asked, caption="A tap runs.")))
    assert noted == f"Your caption of this video: A tap runs.\n{plain}"
    published = query(replace(asked, caption="A tap runs."), None, "published_open").prompt
    assert published.startswith(
        "You observed the video before and wrote down the notes: A tap runs.. Now you watch the same video again and "
        "you can do better. You are seeing this video from egocentric view"
    )
