"""What guards the words while the first layers learn to see."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from helpers.small_models import MINI, MINI_TEXTS, mini_model
from kitchen_mini.lessons.reading import Reading
from kitchen_mini.model.depth import add_layers_below, first_layers
from kitchen_mini.model.mini import write_mini
from llavaction.base.errors import InputError

LABELS = [[3, 5, 7], [-1, -1, -1], [2, 4, -1]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini(tmp_path_factory.mktemp("mini"), MINI_TEXTS, MINI)


class Case:
    """A model with two new layers, three rows with an action token, and what is found in them."""

    def __init__(self, folder: Path, layers: int = 2) -> None:
        self.model, self.layers = mini_model(folder, "eager"), layers
        add_layers_below(self.model, layers)
        self.reading = Reading(self.model, layers)
        action = self.model.action.token_ids[0]
        ids = torch.tensor([[300, action, 301, 302, 303], [304, 305, action, 306, 0], [action, 307, 308, 0, 0]])
        self.inputs = {
            "input_ids": ids,
            "attention_mask": torch.tensor([[1] * 5, [1] * 4 + [0], [1] * 3 + [0] * 2]),
            "labels": torch.full_like(ids, -100),
            "action_labels": torch.tensor(LABELS),
        }

    def found(self, shallow: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """The differences as shares of what should be there."""
        with first_layers(self.model, self.layers) if shallow else nullcontext():
            outputs = self.model(**self.inputs, output_hidden_states=True)
            told, said = self.reading(self.inputs, outputs["hidden_states"])
        words, names = self.reading.wanted(self.inputs)
        return told / words, said / (names or 1)

    def disturb(self, strength: float) -> None:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for layer in self.model.model.language_model.layers[: self.layers]:
                weight = layer.mlp.down_proj.weight
                weight.copy_(strength * torch.randn(weight.shape, generator=generator))


def test_layers_that_change_nothing(folder: Path) -> None:
    case = Case(folder)
    told, said = case.found()
    assert told.item() == 0
    table = case.model.get_input_embeddings()
    token = table.action_token.weight[0].detach()
    names = torch.stack([
        case.model.verb_head.weight[verb] + case.model.noun_head.weight[noun] for verb, noun in ((3, 5), (2, 4))
    ]).detach()  # fmt: skip
    expected = names.square().mean() / (token + names).square().mean()
    assert said.item() == pytest.approx(expected.item(), rel=1e-5) and said.item() > 0.1


def test_it_grows_with_what_is_changed(folder: Path) -> None:
    case = Case(folder)
    found = []
    for strength in (0.0, 0.02, 0.05, 0.1):
        case.disturb(strength)
        found.append(case.found()[0].item())
    assert found == sorted(found) and found[1] > 1e-4 and found[3] > 3 * found[2] > 9 * found[1]
    case.inputs["input_ids"] = case.inputs["input_ids"].masked_fill(case.inputs["attention_mask"] == 0, 309)
    assert case.found()[0].item() == pytest.approx(found[3], rel=1e-6)  # padding has no part in it


def test_what_the_names_say_is_no_distance(folder: Path) -> None:
    case = Case(folder)
    with torch.no_grad():
        for head in (case.model.verb_head, case.model.noun_head):
            head.weight.zero_()
    assert [value.item() for value in case.found()] == [0, 0]


def test_rows_without_labels_have_nothing_to_say(folder: Path) -> None:
    case = Case(folder)
    case.disturb(0.1)
    both = case.found()
    case.inputs["action_labels"] = torch.tensor([[-1, -1, -1], [-1, 2, -1], [4, -1, 3]])
    told, said = case.found()
    assert said.item() == 0 and torch.equal(told, both[0])
    whole, case.inputs["action_labels"] = case.inputs, torch.tensor(LABELS)
    rows = {name: value[[0, 2]] for name, value in whole.items()}
    case.inputs = rows
    assert case.found()[1].item() == pytest.approx(both[1].item(), rel=1e-5)


@pytest.mark.parametrize("strength", [0.0, 0.1])
def test_the_layers_above_need_not_run(folder: Path, strength: float) -> None:
    case = Case(folder)
    case.disturb(strength)
    deep, shallow = case.found(), case.found(shallow=True)
    assert all(torch.equal(one, other) for one, other in zip(deep, shallow, strict=True))


def test_what_should_be_there(folder: Path) -> None:
    case = Case(folder)
    table = case.model.get_input_embeddings()
    vectors = table(case.inputs["input_ids"]).detach()
    token = case.model.action.token_ids[0]
    spoken = case.inputs["attention_mask"].bool() & (case.inputs["input_ids"] != token)
    words, names = case.reading.wanted(case.inputs)
    assert words == pytest.approx(float(vectors[spoken].square().sum()), rel=1e-6)
    parts = [case.reading.wanted({key: value[row : row + 1] for key, value in case.inputs.items()}) for row in range(3)]
    assert parts[1][1] == 0 and parts[1][0] > 0  # its verb and noun are not known
    assert (words, names) == pytest.approx(tuple(sum(column) for column in zip(*parts, strict=True)), rel=1e-6)


def test_what_is_refused(folder: Path) -> None:
    case = Case(folder)
    Reading(case.model, 3)
    with pytest.raises(InputError, match=r"seeing\.layers is 4, but the language model has 4 layers"):
        Reading(case.model, 4)
    case.model.config.action = None
    with pytest.raises(InputError, match="seeing: the model has no action token"):
        Reading(case.model, 2)


def test_gradients_reach_the_first_layers_alone(folder: Path) -> None:
    case = Case(folder)
    case.disturb(0.05)
    sum(case.found()).backward()  # type: ignore[union-attr]
    reached = {name for name, value in case.model.named_parameters() if value.grad is not None and value.grad.any()}
    table = {name for name in reached if "embed_tokens" in name}
    assert reached - table and all(".layers.0." in name or ".layers.1." in name for name in reached - table)
    assert not any("head" in name for name in reached)
