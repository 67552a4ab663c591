from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from llavaction.actions.synonyms import Synonyms
from llavaction.actions.vocabulary import ActionVocabulary, LabelClass, published_order
from llavaction.base.errors import InputError
from llavaction.datasets.epic_kitchens import EpicKitchens


def test_action_ids_follow_the_published_string_order():
    assert published_order([(0, 2), (0, 10), (10, 0), (9, 1), (0, 2)]) == ((0, 10), (0, 2), (10, 0), (9, 1))


def test_names(annotations: Path):
    vocabulary = EpicKitchens(annotations).vocabulary
    assert vocabulary.noun_name(1) == "chopping board"
    assert vocabulary.action_name((6, 1)) == "cut chopping board"
    assert LabelClass(id=0, key="a:b:c").name == "b c a"
    with pytest.raises(InputError, match="not in the vocabulary"):
        vocabulary.action_id((96, 299))


def test_counts_and_narrations_by_split(annotations: Path):
    vocabulary = EpicKitchens(annotations).vocabulary
    assert sum(vocabulary.counts["validation"].values()) == 720
    action = vocabulary.actions[0]
    together = vocabulary.narrations_of(action)
    assert together == vocabulary.narrations_of(action, ["train"]) + vocabulary.narrations_of(action, ["validation"])
    assert vocabulary.count(action, "nowhere") == 0


def test_synonyms_come_from_the_class_files(annotations: Path):
    synonyms = Synonyms(EpicKitchens(annotations).vocabulary)
    assert synonyms.verbs(1) == {1, 2}  # "put-in" is an instance of insert
    assert synonyms.nouns(3) == {3, 4}  # "peel:garlic" and "garlic:peel"
    assert synonyms.verbs(0) == {0}
    assert synonyms.also_true((2, 3), [5]) == {(v, n) for v in (1, 2) for n in (3, 4, 5)}


def test_real_vocabulary_has_the_published_ids(shared: Path):
    dataset = EpicKitchens(shared / "data" / "ek100")
    with (shared / "data" / "ek100" / "rulstm_ek100" / "actions.csv").open() as stream:
        official = {(int(row["verb"]), int(row["noun"])) for row in csv.DictReader(stream)}
    assert len(dataset.vocabulary.actions) == 3806
    assert set(dataset.vocabulary.actions) == official

    golden = json.loads((shared / "golden" / "text" / "labelmap.json").read_text())["maps"]
    validation = published_order(segment.action for segment in dataset.segments("validation"))
    ids = {f"{verb}:{noun}": i for i, (verb, noun) in enumerate(validation)}
    digest = hashlib.sha256(json.dumps(ids, ensure_ascii=False).encode()).hexdigest()
    assert digest == golden["GT_random_narration"]["vn2act_sha256"]


def test_real_noun_names_are_the_published_ones(shared: Path):
    golden = json.loads((shared / "golden" / "text" / "labelmap.json").read_text())["maps"]["official_key"]
    vocabulary = EpicKitchens(shared / "data" / "ek100").vocabulary
    nouns = {str(i): vocabulary.noun_name(i) for i in vocabulary.nouns}
    verbs = {str(i): vocabulary.verb_name(i) for i in vocabulary.verbs}
    for names, expected in ((nouns, dict(golden["noun_maps"])), (verbs, dict(golden["verb_maps"]))):
        assert hashlib.sha256(json.dumps(names, ensure_ascii=False).encode()).hexdigest() == expected["sha256"]


def test_most_frequent_narrations_are_the_published_labels(shared: Path):
    golden = json.loads((shared / "golden" / "text" / "labelmap.json").read_text())["maps"]["GT_random_narration"]
    dataset = EpicKitchens(shared / "data" / "ek100")
    splits = {"validation": dataset.segments("validation")}
    vocabulary = ActionVocabulary.from_segments(dataset.verbs.values(), dataset.nouns.values(), splits)
    for key, expected in dict(golden["labels_first5"]).items():
        verb, noun = map(int, key.split(":"))
        ordered = Counter(vocabulary.narrations_of((verb, noun))).most_common()
        assert [text for text, _ in ordered][: len(expected)] == expected
