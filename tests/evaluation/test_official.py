"""The public evaluators' parsers, on the faults that their descriptions name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.evaluation_fakes import CONFIG, FakeBackend, make_benchmark
from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.finished import FinishedRun
from llavaction.evaluation.official import OFFICIAL_PARSERS, official_parser
from llavaction.evaluation.official.outcomes import credit
from llavaction.evaluation.parsing import parse_answer
from llavaction.evaluation.runner import run
from llavaction.questions.schema import Benchmark, Source

FOUR = ["take plate", "put plate", "wash plate", "open door"]
ANY = frozenset(range(4))
A, B, C, D = range(4)


@pytest.mark.parametrize(
    ("parser", "text", "outcome"),
    [
        ("nextqa", "(C)", C),
        ("nextqa", "C. wash plate", C),
        ("nextqa", "Either (A) or (C)", C),  # the last one
        ("nextqa", "I do not know", "random"),
        ("nextqa", "", "random"),
        ("nextqa", "The person seems to wash plate by hand", C),
        ("nextqa", "wash plate", "random"),  # too short for a text to be looked for
        ("nextqa", "A plate is washed, so C", C),
        ("egoschema", "Either (A) or (C)", A),  # the first one
        ("egoschema", "A plate is washed, so C", A),
        ("egoschema", "no idea", "random"),
        ("mvbench", "C. wash plate", C),
        ("mvbench", "(C) wash plate", C),
        ("mvbench", "a person washes it: C", A),  # the article
        ("mvbench", "", "excluded"),
        ("mvbench", "nothing", None),
        ("mvbench_check_ans", "(C) wash plate", C),
        ("mvbench_check_ans", "C.", C),
        ("mvbench_check_ans", "", ANY),
        ("mvbench_check_ans", "(", ANY),
        ("mvbench_check_ans", ")", ANY),
        ("mvbench_check_ans", "The answer is (C)", None),
        ("mvbench_check_ans", "(a)(c) either", frozenset({A, C})),
        ("perceptiontest", "The answer is C.", C),
        ("perceptiontest", "c", None),
        ("perceptiontest", "A person opens it: D", A),
        ("videomme_2025", "Best option: C", B),
        ("videomme_2025", "Answer: C. Jade.", A),
        ("videomme_2025", "The best option is C", C),  # no capital from A to D stands before it
        ("videomme_2025", "The answer is C.", C),
        ("videomme_2025", "I can not tell", None),
        ("videomme", "Answer: C. Jade.", C),
        ("videomme", "Best option: C", B),
        ("videomme", "I can not tell", "excluded"),
        ("videomme_vlmevalkit", "I can not tell", None),
        ("videomme_2026", "Best option: C", C),
        ("videomme_2026", "Answer: C. Jade.", C),
        ("videomme_2026", "C", C),
        ("videomme_2026", "It was seen before.\nD", D),
        ("videomme_2026", "nothing", None),
        ("videomme_v2", "Based on the video, C", B),
        ("videomme_v2", "Final Answer: C", C),
        ("longvideobench", "Best option: C", C),
        ("longvideobench", "D. A book", D),
        ("longvideobench", "nothing", "random"),
        ("longvideobench", "E", None),  # no option has it
        ("lemonade", "", None),
        ("lemonade", "nothing", A),
        ("lemonade", "A: no. C: yes", C),
        ("lemonade", "(B) or (C)", C),
        ("tomato", "Based on the frames, Answer: D", A),
        ("tomato", "", A),
        ("tomato", "(A) or (C)", C),
        ("hd_epic", "The answer is C", None),
        ("hd_epic", "C", C),
        ("tvbench", "There is a jump first, so (C)", A),
        ("tvbench", "wash plate", C),
        ("tvbench", "", None),
        ("motionbench", "There is a jump first, so (C)", A),
        ("motionbench", "<think>A</think>The answer is C", C),
        ("motionbench", "", None),
        ("vinoground", "", None),  # the public code fails
        ("vinoground", "c is right", C),
        ("vinoground", "The answer is C", None),
    ],
)
def test_what_the_public_code_makes_of_it(parser: str, text: str, outcome: Any) -> None:
    assert official_parser(parser)(text, FOUR) == outcome


@pytest.mark.parametrize(
    ("outcome", "worth"),
    [("random", 0.25), ("excluded", None), (ANY, 1.0), (frozenset({A, B}), 0.0), (None, 0.0), (C, 1.0), (A, 0.0)],
)
def test_what_an_outcome_counts_for(outcome: Any, worth: float | None) -> None:
    assert credit(outcome, C, 4) == worth


@pytest.mark.parametrize("name", OFFICIAL_PARSERS)
def test_any_text_has_an_outcome_and_a_lone_letter_is_read(name: str) -> None:
    parse, rng = official_parser(name), hashed_rng("official", name)
    pieces = ["A", "(B)", " ", "\n", ".", "the answer is", "C:", "wash plate", "é", "\x00", "</think>", "(", "1,5"]
    for _ in range(300):
        outcome = parse("".join(rng.choice(pieces, size=int(rng.integers(0, 9)))), FOUR)
        worth = credit(outcome, int(rng.integers(4)), 4)
        assert worth is None or 0 <= worth <= 1
        assert not isinstance(outcome, int) or 0 <= outcome < 4
    assert [parse(letter, FOUR) for letter in "ABCD"] == [A, B, C, D]


def test_an_unknown_parser_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'nextqa'"):
        official_parser("nextq")


def test_a_run_read_officially(tmp_path: Path) -> None:
    benchmark = make_benchmark(questions=12, videos=4)
    ids = [question.question_id for question in benchmark.questions]
    texts = {ids[0]: "no idea", ids[1]: "?", ids[2]: "D. take"}
    config = RunConfig.from_mapping({"benchmark": "b", "backend": "fake", "decision": "generation"}
                                    | {"parsing": "official", "parser": "nextqa"})  # fmt: skip
    result = run(config, benchmark, FakeBackend(texts=texts), None, tmp_path)
    official = result.metrics["official"]
    hit = benchmark.questions[2].answer == D
    assert official["accuracy"]["value"] == pytest.approx((9 + hit + 2 * 0.25) / 12, abs=1e-6)
    assert (official["drawn"], official["left_out"]) == (2, 0)
    assert result.metrics["accuracy"]["value"] == pytest.approx((9 + hit) / 12, abs=1e-6)
    first = FinishedRun.load(tmp_path).predictions[0]
    assert (first.text, first.choice, first.credit) == ("no idea", None, 0.25)
    assert first.parse_rule == "official nextqa: drawn at random, counts for 1/4"
    assert first.decision_rule == "generated text, official parsing (nextqa)"


def test_the_benchmark_names_its_parser(tmp_path: Path) -> None:
    benchmark = make_benchmark()
    config = CONFIG.model_copy(update={"decision": "generation", "parsing": "official"})
    with pytest.raises(InputError, match="names none"):
        run(config, benchmark, FakeBackend(), None, tmp_path / "none")
    benchmark = Benchmark(benchmark.questions, benchmark.card.model_copy(update={"source": Source(parser="videomme")}))
    run(config, benchmark, FakeBackend(), None, tmp_path / "named")
    assert FinishedRun.load(tmp_path / "named").config["parser"] == "videomme"
    for settings in ({"parser": "nextqa"}, {"parsing": "official"}):
        with pytest.raises(InputError, match=r"parser|parsing"):
            RunConfig.from_mapping({"benchmark": "b", "backend": "fake", **settings})


OPTIONS = [*FOUR, "cut onion"]
FAULTS = [  # what public scorers read wrongly, and what a reader sees; never another option
    ("Best option: C", C),
    ("The best option is C", C),
    ("The correct option is D.", D),
    ("Best answer: B", B),
    ("Answer: C. Jade.", C),
    ("Answer: C. wash plate.", C),
    ("Option: D", D),
    ("There is a jump first, so (C)", C),
    ("Based on the frames, Answer: D", D),
    ("Based on the video, C", C),
    ("Because the door opens, D", D),
    ("The answer is C", C),
    ("It is a cup", None),
    ("D. A book", D),
    ("A person washes it.", None),
    ("a person washes it: C", C),
    ("", None),
    ("(", None),
    (")", None),
    (".", None),
    ("I do not know", None),
    ("Either (A) or (C)", None),
    ("NOT POSSIBLE TO DETERMINE.", None),
    ("Best option: (E)", 4),
    ("Final Answer: C", C),
    ("The answer: B", B),
    ("wash plate", C),
    ("c", C),
    (" B\n", B),
    ("'D'.", D),
    ("(C) wash plate", C),
    ("The person is washing it in the sink and puts it down again", None),
    ("Judging by what the hands do, (B).", B),
    ("The plate is held under the tap: C.", C),
    ("In the first part A, then C", None),
    ("The box is marked with a big letter, A", None),
    ("It may be, for all I see, C", None),
    ("This is not, as one may think, C", None),
    ("He moves from A, over B, C", None),
    ("The hands take plate, B", None),
]


@pytest.mark.parametrize(("text", "choice"), FAULTS)
def test_our_parser_has_none_of_these_faults(text: str, choice: int | None) -> None:
    found = parse_answer(text, OPTIONS)
    assert found.choice == choice, found


BEFORE = [
    "",
    "The hand moves to the left. ",
    "Looking at the frames, I see a kitchen. ",
    "Sure! ",
    "a person stands there. ",
]
FORMS = [
    "{}", "({})", "**{}**", "Answer: {}", "The answer is {}.", "Best option: {}", "The best option is ({})",
    "Option {}",
    "Based on the video, {}", "Final Answer: {}", "I choose {}.", "The correct answer is **{}**.", "{} is correct.",
    "<answer>{}</answer>", "\\boxed{{{}}}", "My guess is {}.",
]  # fmt: skip
AFTER = ["", ".", "\n", " ", "\nThe rest of the clip shows the room."]


def test_composed_answers_are_read_right_or_not_at_all() -> None:
    """Beginnings, forms and ends in all combinations: at least 97 % read right, none as another option."""
    right = wrong = total = 0
    for before in BEFORE:
        for form in FORMS:
            for after in AFTER:
                for place, letter in enumerate("ABCDE"):
                    found = parse_answer(before + form.format(letter) + after, OPTIONS).choice
                    right, wrong, total = right + (found == place), wrong + (found not in (place, None)), total + 1
    assert total == 2000
    assert wrong == 0
    assert right >= 0.97 * total, right / total


def test_two_answers_are_never_read_as_one() -> None:
    rng = hashed_rng("two answers")
    for _ in range(300):
        first, second = rng.choice(list("ABCDE"), size=2, replace=False)
        form = str(rng.choice(["{} or {}", "The answer is {} or {}", "Either ({}) or ({})", "{}\n{}", "{}, {}"]))
        assert parse_answer(form.format(first, second), OPTIONS).choice is None, form
