"""The loss does not depend on how a global batch is cut up, and few logits give the same loss as all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from helpers.kitchenette import settings
from helpers.small_models import WORDS, action_values, batch_of, row_of, small_model, small_video
from llavaction.models.param_groups import param_group_of
from llavaction.models.tokenisation import IGNORED
from llavaction.training.config import TrainConfig
from llavaction.training.flops import FlopCounter, peak
from llavaction.training.losses import Counts, combine, count, with_few_logits
from llavaction.training.trainable_model import make_trainable_model, parameter_groups, start_folder

LABELS = [[1, 2, 3], [-1, -1, -1], [4, 5, 8], [0, 1, 2], [2, 2, 2]]


def micro(model: Any, numbers: list[int]) -> dict[str, torch.Tensor]:
    """Rows of different lengths; number 3 is text alone, number 4 has nothing to learn but its label."""
    rows, videos = [], []
    for number in numbers:
        parts = [list(range(2, 5 + 3 * number))] if number == 3 else [[7], 1 + number % 2, [9] * (2 + number)]
        rows.append(row_of(model.config, *parts))
        if number != 3:
            videos.append(small_video(1 + number % 2, number))
    batch = batch_of(rows, videos)
    for row, number in enumerate(numbers):
        if number == 4:
            batch["labels"][row] = IGNORED
    return batch | {"action_labels": torch.tensor([LABELS[number] for number in numbers])}


@pytest.mark.parametrize(
    ("supervision", "training"),
    [("one_token", "all_layers"), ("three_tokens", "reverse_distillation"), ("newline", "last_layer")],
)
def test_pieces_and_gradients_add_up(supervision: str, training: str) -> None:
    model = small_model(action=action_values(supervision, training))

    def share(numbers: list[int], whole: Counts | None) -> dict[str, torch.Tensor]:
        inputs = micro(model, numbers)
        own = count(model, inputs)
        outputs = model(**with_few_logits(inputs), num_items_in_batch=max((whole or own).tokens, 1))
        return combine(outputs, own, whole or own, model.action)

    together = share([0, 1, 2, 3, 4], None)
    reference = model(**micro(model, [0, 1, 2, 3, 4]))
    assert together["loss"].item() == pytest.approx(reference.loss.item(), abs=1e-5)
    together["loss"].backward()
    expected = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    whole = count(model, micro(model, [0, 1, 2, 3, 4]))
    assert whole.labelled == 3 and whole.videos == 4
    for pieces in ([[0, 3], [1, 2], [4]], [[2], [4, 0], [1, 3]]):
        model.zero_grad()
        shares = [share(numbers, whole) for numbers in pieces]
        for name in together:
            assert sum(item[name].item() for item in shares) == pytest.approx(together[name].item(), abs=1e-5)
        sum(item["loss"] for item in shares).backward()
        for name, value in model.named_parameters():
            if name in expected:
                torch.testing.assert_close(value.grad, expected[name], atol=2e-5, rtol=1e-3)
    assert float(together["action_loss"]) > 0.1
    assert (float(together["distillation_loss"]) > 0) == training.endswith("distillation")


def test_nothing_to_learn_costs_nothing() -> None:
    model = small_model(action=action_values())
    inputs = micro(model, [0])
    inputs["labels"][:], inputs["action_labels"][:] = IGNORED, -1
    own = count(model, inputs)
    assert own == Counts(0, 0, 1)
    pieces = combine(model(**with_few_logits(inputs), num_items_in_batch=1), own, own, model.action)
    assert pieces["loss"].item() == 0.0
    pieces["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_few_logits() -> None:
    model = small_model()
    inputs = micro(model, [0, 1, 2])
    few = with_few_logits(inputs)
    words = int((inputs["input_ids"] < WORDS).any(0).sum())
    assert len(few["logits_to_keep"]) < words < inputs["input_ids"].shape[1]
    inputs.pop("action_labels")
    few.pop("action_labels")
    assert model(**few).loss.item() == pytest.approx(model(**inputs).loss.item(), abs=1e-6)


def test_a_single_token_to_learn() -> None:
    model = small_model()
    inputs = micro(model, [0])
    inputs.pop("action_labels")
    inputs["labels"][:, :-1] = IGNORED
    few = with_few_logits(inputs)
    assert few["logits_to_keep"].tolist() == [inputs["labels"].shape[1] - 2]
    loss = model(**few).loss.item()
    assert loss > 0.1 and loss == pytest.approx(model(**inputs).loss.item(), abs=1e-6)


def test_operations_are_counted_as_the_profiler_counts_them() -> None:
    model = small_model(action=None).train()
    inputs = micro(model, [1, 1])
    inputs.pop("action_labels")
    counter = FlopCounter(model, model.config, adapters=False)
    few = with_few_logits(inputs)
    with FlopCounterMode(display=False) as profiler:
        model(**few).loss.backward()
    counted = counter(inputs, 2 * len(few["logits_to_keep"]))
    # counted in excess: the gradient of the pixels; in deficit: the half of attention that is masked
    assert counted == pytest.approx(profiler.get_total_flops(), rel=0.1)
    depth = model.config.text_config.num_hidden_layers
    language = counter(inputs, 0) - counter(inputs, 0, 0)
    assert counter(inputs, 0) - counter(inputs, 0, depth - 1) == pytest.approx(language / depth) and language > 0
    forward = counter.language.forward(100, 0)
    assert forward == 2 * 100 * counter.language.weights
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lm_head" in name)
    head_only = FlopCounter(model, model.config, adapters=False)(inputs, 10)
    assert 0.3 < head_only / counted < 0.7
    assert 1e8 < peak(torch.device("cpu"), "float32") < 1e15


def test_every_parameter_gets_the_rate_of_its_part(home: Path, tmp_path: Path) -> None:
    rates = {"vision_tower": None, "projector": 1e-3, "language_model": 1e-4, "action": 1e-2}
    for family in ("llava_video", "qwen3_vl"):
        heads = None if family == "llava_video" else {"verbs": 3, "nouns": 3, "actions": 3}
        values = settings(home, learning_rates=rates, weight_decay=0.1, action=heads)
        stage = TrainConfig.from_mapping(values).resolved()[0]
        trainable = make_trainable_model(
            start_folder(
                TrainConfig.from_mapping(
                    {"model": f"tiny:{family}", "output": tmp_path / family, "records": [{"path": "none"}]}
                )
            ),
            stage,
            seed=0,
        )
        groups = parameter_groups(trainable.model, stage)
        by_part: dict[str, int] = {}
        for group in groups:
            assert group["lr"] == rates[group["name"]]
            assert group["weight_decay"] == (0.1 if group["params"][0].dim() > 1 else 0.0)
            by_part[group["name"]] = by_part.get(group["name"], 0) + sum(item.numel() for item in group["params"])
        assert set(by_part) == {"projector", "language_model", "action"}
        total = sum(item.numel() for item in trainable.model.parameters())
        frozen = sum(
            item.numel() for name, item in trainable.model.named_parameters() if param_group_of(name) == "vision_tower"
        )
        assert frozen > 1000 and sum(by_part.values()) == total - frozen
        classes = sum(trainable.sizes or ())
        assert by_part["action"] == 64 * (classes + 1)  # the token and the heads
