"""Prompts against the published ones, and our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llavaction.actions.segments import Clip
from llavaction.base.errors import InputError
from llavaction.questions.asked import Asked
from llavaction.questions.prompts import (
    PriorAction,
    format_task_related_prompt,
    format_time_instruction,
    multiple_choice_prompt,
)
from llavaction.questions.schema import Option, Provenance, Question

OPTIONS = ["A. wash plate", "B. put down knife"]
PRIOR = (PriorAction("open drawer", 4.53), PriorAction("take knife", 1.2))


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "golden/text/prompts.json").read_text())


def _prior(args: dict[str, Any]) -> tuple[PriorAction, ...]:
    meta = args["meta_data"]
    if args["learn_neighbor_actions"] != "prior" or meta is None:
        return ()
    return (
        PriorAction(meta["prev2_narration"], meta["prev2_offset"]),
        PriorAction(meta["prev1_narration"], meta["prev1_offset"]),
    )


def test_every_golden_task_prompt(golden: dict[str, Any]) -> None:
    cases = golden["format_task_related_prompt"]
    refused = 0
    for case in cases:
        args = case["args"]

        def ours(args: dict[str, Any] = args, draw: float = case.get("random_random_returns", 0.0)) -> str:
            return format_task_related_prompt(
                args["question"],
                args["question_type"],
                perspective=args.get("perspective", "first_person"),
                prior_actions=_prior(args),
                draw=draw,
            )

        if case.get("output") is None:  # the published function returns None or stops on an assertion
            refused += 1
            with pytest.raises(InputError):
                ours()
        else:
            assert ours() == case["output"], args
    assert (len(cases), refused) == (137, 9)


def test_every_golden_time_instruction(golden: dict[str, Any]) -> None:
    for case in golden["format_time_instruction"]:
        assert format_time_instruction(**case["args"]) == case["output"]


def test_every_golden_llava_prompt(golden: dict[str, Any]) -> None:
    for case in golden["format_llava_prompt"]:
        args, timing = case["args"], ""
        if args["include_time_instruction"]:
            timing = format_time_instruction(
                args["video_duration"], args["n_frames"], include_frame_time=args["include_frame_time"]
            )
        task = format_task_related_prompt(
            args["question"],
            args["question_type"],
            perspective=args["perspective"],
            prior_actions=_prior(args),
            draw=case["random_random_returns"],
        )
        assert f"{args['image_token']}\n{timing}{task}" == case["output"], args
    assert len(golden["format_llava_prompt"]) == 192


def test_the_published_sentence_on_the_clip_begins_the_prompt() -> None:
    asked = Asked("q", Clip(video_id="v", start=0, stop=2), "What?", ("wash plate", "put down knife"))
    plain = multiple_choice_prompt(asked, "published")
    timed = multiple_choice_prompt(asked, "published_timed", seen=(2.0, 4))
    assert timed == format_time_instruction(2.0, 4) + plain
    frames = multiple_choice_prompt(asked, "published_frame_times", seen=(2.0, 4))
    assert frames == format_time_instruction(2.0, 4, include_frame_time=True) + plain
    assert "lasts for 2.000 seconds, and 4 frames" in timed and "0.00s, 0.50s, 1.00s, 1.50s" in frames
    with pytest.raises(InputError, match="tells a clip's length, and none is shown"):
        multiple_choice_prompt(asked, "published_timed")


def test_blanks_of_the_published_openings() -> None:
    first = format_task_related_prompt(OPTIONS, "mc_")
    third = format_task_related_prompt(OPTIONS, "mc_", perspective="third_person")
    assert "doing? Given" in first
    assert "doing?Given" in third
    assert first.endswith("selecting:\nA. wash plate, B. put down knife")


def test_draw_decides_on_prior_actions() -> None:
    with_prior = format_task_related_prompt(OPTIONS, "mc_", prior_actions=PRIOR, draw=0.29)
    assert "4.53 seconds ago, you started an action open drawer. 1.2 seconds ago" in with_prior
    assert format_task_related_prompt(OPTIONS, "mc_", prior_actions=PRIOR, draw=0.3) == format_task_related_prompt(
        OPTIONS, "mc_"
    )
    assert "seconds ago" in format_task_related_prompt(OPTIONS, "temporal_cot_pseudo", prior_actions=PRIOR, draw=0.9)


def test_frame_times_are_starts_of_equal_parts() -> None:
    assert "located at 0.00s, 0.50s. The video" in format_time_instruction(1.0, 2, include_frame_time=True)


@pytest.mark.parametrize(
    ("question", "kind", "message"),
    [
        (OPTIONS, "mcc_", "mc_"),
        (OPTIONS, "captoin", "caption"),
        ("A. wash plate", "mc_", "list of lettered options"),
        ([], "cot_mc", "list of lettered options"),
        (OPTIONS, "open-ended", "one text"),
    ],
)
def test_refusals_say_what_is_needed(question: Any, kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        format_task_related_prompt(question, kind)


def _question(texts: list[str]) -> Question:
    return Question(
        question_id="q",
        clip=Clip(video_id="P01_01", start=0, stop=1),
        question="What is the person doing?",
        options=tuple(Option(text=text) for text in texts),
        answer=0,
        provenance=Provenance(miner="random", text_pool="clean"),
    )


def test_multiple_choice_styles() -> None:
    question = _question(["wash plate", "put down knife"])
    assert multiple_choice_prompt(question) == (
        "What is the person doing?\nA. wash plate\nB. put down knife\nAnswer with the option's letter."
    )
    assert multiple_choice_prompt(question, "published") == format_task_related_prompt(OPTIONS, "mc_")
    with pytest.raises(InputError, match="did you mean 'letters'"):
        multiple_choice_prompt(question, "leters")  # type: ignore[arg-type]


def test_open_styles_do_not_tell_the_options() -> None:
    question = _question(["wash plate", "put down knife"])
    assert multiple_choice_prompt(question, "open") == "What is the person doing?\nAnswer in a few words."
    published = multiple_choice_prompt(question, "published_open", perspective="third_person")
    assert published == format_task_related_prompt("", "direct_narration", perspective="third_person")
    assert published.endswith("Give a short sentence such as 'move knife'.")


def test_twenty_six_options_reach_z() -> None:
    assert "\nZ. action 25\n" in multiple_choice_prompt(_question([f"action {i}" for i in range(26)]))
