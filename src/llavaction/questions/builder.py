"""From annotated segments to a benchmark folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from llavaction.actions.segments import Segment
from llavaction.actions.vocabulary import Action, ActionVocabulary
from llavaction.base.errors import InputError
from llavaction.base.fingerprints import joined_sources
from llavaction.base.progress import progress
from llavaction.base.seeding import hashed_rng
from llavaction.base.version import __version__
from llavaction.base.workers import process_pool
from llavaction.datasets.base import AnnotatedDataset
from llavaction.questions.config import BuildConfig
from llavaction.questions.filters import REASONS, TruthFilter
from llavaction.questions.miners import Mined, Miner, MiningTask, make_miner
from llavaction.questions.prompts import QUESTION
from llavaction.questions.schema import (
    Benchmark,
    BenchmarkCard,
    ClassFacts,
    Facts,
    Option,
    Provenance,
    Question,
)
from llavaction.questions.texts import make_texts
from llavaction.specialists.predictions import Expected, Predictions, check_classes, load_predictions

MOST_NAMED = 20
"""Rows of the annotations that were left out are named in the card up to here; they are counted there, too."""


def build_benchmark(dataset: AnnotatedDataset, config: BuildConfig, workers: int = 1) -> Benchmark:
    """Make one question of every segment of a split.

    Args:
        dataset: the annotation folder.
        config: what to make.
        workers: processes; the result does not depend on it.

    Returns:
        The benchmark, questions in the order of the annotation file; not yet saved.

    Raises:
        InputError: the split, miner or text protocol does not exist, predictions do not fit, or classes are too few.
    """
    table, vocabulary = dataset.segments(config.split), dataset.vocabulary
    listed = set(vocabulary.actions)
    classes = (*vocabulary.actions, *sorted({s.action for s in table} - listed))
    predictions: Predictions | None = None
    unsaid: list[str] = []
    if config.predictions is not None:
        ids = [segment.segment_id for segment in table]
        expected = Expected.of(table, vocabulary)
        predictions = load_predictions(
            config.predictions, ids, vocabulary.actions, expected=expected, say=unsaid.append
        )
        check_classes(predictions, dataset.vocabulary, config.predictions)
    truth = TruthFilter(table, vocabulary)
    task = MiningTask(list(table), classes, truth, config.options - 1, config.seed, predictions, config.settings)
    miner = make_miner(config.miner, task)
    texts = make_texts(config.text, vocabulary, config.split, config.seed)

    mined = {result.segment_id: result for result in _mine(miner, workers)}
    questions, short = [], []
    for segment in table:
        distractors = mined[segment.segment_id].actions
        if len(distractors) < config.options - 1:
            short.append(segment.segment_id)
            continue
        actions = [segment.action, *distractors]
        questions.append(_question(segment, actions, texts.write(segment, actions), config))
    if not questions:
        raise InputError(
            f"no segment has {config.options - 1} distractors that the filter lets through",
            hint="ask for fewer --options, or use predictions with more classes",
        )
    reasons = [reason for reason in REASONS if not (vocabulary.one_label and reason == "other noun")]
    card = BenchmarkCard(
        name=f"{dataset.name}-MQA",
        split=config.split,
        miner=config.miner,
        text=config.text,
        options=config.options,
        seed=config.seed,
        licence=dataset.licence,
        made_by=f"llavaction {__version__}",
        sources=_sources(dataset, config),
        counts=_counts(questions, short, dataset),
        settings={
            "miner": miner.resolved_settings(),
            "miner report": _report(mined.values()),
            "filter": {reason: sum(m.rejections.get(reason, 0) for m in mined.values()) for reason in reasons},
        },
        notes=(*dataset.notes, *unsaid, *[str(remark) for remark in dataset.remarks if remark.refused][:MOST_NAMED]),
    )
    used = sorted({option.action for q in questions for option in q.options if option.action is not None})
    facts = Facts(
        classes=tuple(_class_facts(action, vocabulary) for action in used),
        train_texts=_used_texts(texts.train_counts(used), questions),
        groups={name: tuple(sorted(ids)) for name, ids in sorted(dataset.groups(config.split).items())},
    )
    return Benchmark(questions, card, facts)


def _mine(miner: Miner, workers: int) -> Iterator[Mined]:
    blocks = miner.blocks()
    if workers <= 1:
        for block in progress(blocks, "mining distractors"):
            yield from miner.mine(block)
        return
    largest_first = sorted(blocks, key=len, reverse=True)
    with process_pool(workers, _start_worker, miner) as pool:
        for results in progress(pool.map(_mine_block, largest_first), "mining distractors", total=len(blocks)):
            yield from results


_worker_miner: Miner | None = None


def _start_worker(miner: Miner) -> None:
    global _worker_miner  # noqa: PLW0603  # the one object a worker process is there for
    _worker_miner = miner


def _mine_block(block: Sequence[Segment]) -> list[Mined]:
    assert _worker_miner is not None
    return _worker_miner.mine(block)


def _question(segment: Segment, actions: Sequence[Action], texts: Sequence[str], config: BuildConfig) -> Question:
    order = hashed_rng("option order", config.seed, segment.segment_id).permutation(len(actions))
    options = [Option(text=text, action=action) for text, action in zip(texts, actions, strict=True)]
    rank = tuple(int(i) - 1 for i in order)
    provenance = Provenance(miner=config.miner, rank=rank, text_pool=config.text, seed=config.seed)
    return Question.of_segment(segment, QUESTION, options, order, provenance)


def _sources(dataset: AnnotatedDataset, config: BuildConfig) -> dict[str, str]:
    sources = dataset.sources(*dict.fromkeys(("train", config.split)))
    return sources if config.predictions is None else joined_sources(sources, [config.predictions])


def _counts(questions: Sequence[Question], short: Sequence[str], dataset: AnnotatedDataset) -> dict[str, int]:
    return {
        "questions": len(questions),
        "videos": len({question.clip.video_id for question in questions}),
        "answer classes": len({question.right_option.action for question in questions}),
        "segments left out: too few distractors": len(short),
        "rows of the annotations left out": sum(remark.refused for remark in dataset.remarks),
    }


def _report(mined: Iterable[Mined]) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for result in sorted(mined, key=lambda m: m.segment_id):
        for name, value in result.report.items():
            totals[name] += value
    return {name: round(value, 4) for name, value in totals.items()}


def _class_facts(action: Action, vocabulary: ActionVocabulary) -> ClassFacts:
    return ClassFacts(
        action=action,
        verb=vocabulary.verb_name(action[0]),
        noun=vocabulary.noun_name(action[1]),
        train_count=vocabulary.count(action, "train"),
    )


def _used_texts(counts: Counter[str], questions: Iterable[Question]) -> dict[str, int]:
    used = {option.text for question in questions for option in question.options}
    return {text: counts.get(text, 0) for text in sorted(used)}
