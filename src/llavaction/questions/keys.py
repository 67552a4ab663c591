"""What is true, apart from what is asked: for baselines that know it, by question id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llavaction.actions.vocabulary import Action
from llavaction.questions.schema import Question

RightAnswers = Mapping[str, str]
"""Question id to the text of the right option; what a backend answers is ``llavaction.backends.asking.Answers``."""

OptionClasses = Mapping[str, Mapping[str, Action]]
"""Question id to the options that have an action class, and theirs, by their texts."""


def right_answers(questions: Iterable[Question]) -> RightAnswers:
    """The right answers of questions, those that are not hidden."""
    return {question.question_id: question.right_option.text for question in questions if question.answer is not None}


def option_classes(questions: Iterable[Question]) -> OptionClasses:
    """The action classes of the options of questions."""
    return {
        question.question_id: {option.text: option.action for option in question.options if option.action is not None}
        for question in questions
    }
