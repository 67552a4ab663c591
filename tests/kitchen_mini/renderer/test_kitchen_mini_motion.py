"""One frame does not tell kitchen_mini's verbs apart; time and motion do. Measured on pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from helpers.kitchen_mini_scenes import film, kitchen_state, on_board, over_pan, there_and_back
from kitchen_mini.renderer.config import KitchenMiniConfig
from kitchen_mini.renderer.looks import kitchen, participant
from kitchen_mini.renderer.motion import layers
from kitchen_mini.renderer.render import Renderer
from kitchen_mini.renderer.scene import Hand
from kitchen_mini.renderer.script import scripts
from kitchen_mini.renderer.state import Step

PEOPLE = tuple(f"P{number:02d}" for number in range(1, 9))


@pytest.mark.parametrize("verb", ["open", "take", "turn-on"])
def test_an_action_backwards_is_its_reverse(verb: str) -> None:
    forth, back = (film(*action) for action in there_and_back(verb))
    count = len(forth)
    mirrored = [np.abs(forth[index] - back[count - index]).mean() for index in range(1, count)]
    assert max(mirrored) < 2, "each frame of one is a frame of the other"
    assert np.mean(np.abs(forth - back)) > 5 * np.mean(mirrored), "in order they differ"
    assert np.abs(forth[1] - back[-1]).mean() < 1, "the first frame of one is the last of the other"
    assert np.abs(forth[-1] - forth[1]).mean() > 1, "the action changes the kitchen"


def test_middle_frame_is_ambiguous_and_time_is_not() -> None:
    """Opening or closing a drawer, many people and kitchens, moving camera: what a classifier gets from each."""
    clips, labels, people = [], [], []
    for index in range(20):
        name = f"P{index:02d}"
        for label, (state, step) in enumerate(there_and_back("open")):
            clips.append(
                film(state, step, still=False, participant=name, name=f"{step.verb}{index}")[:, ::2, ::2].mean(-1)
            )
            labels.append(label)
            people.append(name)
    middle = np.array([clip[len(clip) // 2].ravel() for clip in clips])
    change = np.array([(clip[-2] - clip[1]).ravel() for clip in clips])

    def auc(features: np.ndarray) -> float:
        model = ExtraTreesClassifier(200, random_state=0)
        chance = cross_val_predict(model, features, labels, groups=people, cv=GroupKFold(5), method="predict_proba")
        return float(roc_auc_score(labels, chance[:, 1]))

    assert auc(middle) < 0.72
    assert auc(change) > 0.95


def test_shaking_moves_more_than_pouring() -> None:
    def activity(clip: np.ndarray) -> float:
        return float(np.abs(np.diff(clip[8:17], axis=0)).mean())

    found = {
        verb: [
            activity(film(*over_pan(verb, noun), participant=person, name=person))
            for person in PEOPLE
            for noun in ("bottle", "milk")
        ]
        for verb in ("pour", "shake")
    }
    assert max(found["pour"]) < min(found["shake"])


def test_cutting_goes_up_and_down_and_peeling_along() -> None:
    def direction(clip: np.ndarray) -> float:
        """1 where what moves most goes up and down, -1 where it goes sideways, by matching shifted frames."""
        grey = clip.mean(-1)[7:18]
        hot = grey.std(0) > np.quantile(grey.std(0), 0.9)
        steps = range(-4, 5)
        across = down = 0
        for before, after in itertools.pairwise(grey):
            _, x, y = min(
                (((np.roll(before, (y, x), (0, 1)) - after)[hot] ** 2).mean() + 1e-3 * (abs(x) + abs(y)), x, y)
                for x in steps
                for y in steps
            )
            across, down = across + abs(x), down + abs(y)
        return (down - across) / max(1, down + across)

    for person in PEOPLE[:5]:
        assert direction(film(*on_board("cut", "potato"), participant=person, name=person)) > 0.2
        assert direction(film(*on_board("peel", "potato"), participant=person, name=person)) < -0.2


def test_squeezing_changes_the_shape_in_time() -> None:
    state = kitchen_state(bowl="slot2", lemon="hand")
    clip = film(state, Step("squeeze", "lemon", "hand", partner="bowl", relation="over"))
    yellow = (clip[..., 0] > 170) & (clip[..., 1] > 150) & (clip[..., 2] < 120)
    size = yellow[9:17].sum((1, 2))
    assert size.min() < 0.85 * size.max()


def test_hands_come_from_below_and_leave() -> None:
    settings = KitchenMiniConfig(train_videos=30, validation_videos=0, test_videos=0)
    seen = 0
    for script in scripts(settings, 0):
        renderer = Renderer(script, settings, 0)
        for scene in renderer.scenes:
            edge = scene.focus[1] + scene.half_height
            for phase in (0.0, 1.0):
                hands = [layer for layer in layers(scene, phase) if isinstance(layer, Hand)]
                assert all(hand.at[1] > edge - 8 for hand in hands), (scene.step, phase)
            reach = [layer.at[1] for layer in layers(scene, 0.5) if isinstance(layer, Hand)]
            assert min(reach) < edge - 10, scene.step
            seen += 1
    assert seen > 120


def test_people_and_kitchens_differ() -> None:
    people = [participant(f"P{number:02d}", 0) for number in range(1, 41)]
    assert len({person.skin for person in people}) > 20
    assert {person.side for person in people} == {1, -1}
    assert 0.1 < np.mean([person.sleeve_from == 1 for person in people]) < 0.7
    rooms = [kitchen(f"P{number:02d}", 0) for number in range(1, 41)]
    assert len({room.stations for room in rooms}) == 6
    assert len({room.worktop[0] for room in rooms}) == 3
    assert participant("P01", 0) == people[0]
    assert participant("P01", 1) != people[0]
