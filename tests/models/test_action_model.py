"""The action token over every backbone: positions, loss, gradients, and what LoRA trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import AutoModelForImageTextToText, AutoTokenizer

from helpers.small_models import SIZES, VIDEO, action_values, batch_of, row_of, small_model, small_video
from llavaction.base.errors import InputError
from llavaction.models.action_model import initialise_action_parts
from llavaction.models.action_token import TRAINED_WHOLE, ActionPositions, ActionTokenConfig, TokenEmbedding
from llavaction.models.add_action_token import add_action_token
from llavaction.testing.tiny import write_tiny
from llavaction.training.losses import count

BACKBONES = ("llava_onevision", "qwen2_5_vl", "qwen3_vl")
MODES = ("all_layers", "last_layer", "first_layer", "normal_distillation", "reverse_distillation")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("backbones")
    return {family: write_tiny(home / family, family) for family in BACKBONES}


def joined(folder: Path, supervision: str = "one_token", training: str = "all_layers") -> tuple[Any, Any]:
    """A tiny model of another family with a fresh action token, and its tokenizer."""
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    settings = ActionTokenConfig.from_mapping({"supervision": supervision, "training": training, **SIZES})
    return add_action_token(model, tokenizer, settings).eval(), tokenizer


def by_hand(outputs: Any, model: Any, places: list[tuple[int, list[int]]], labels: torch.Tensor) -> tuple[float, float]:
    """Both losses from the formulas of the reference, written out one video at a time."""
    states = outputs.hidden_states
    training = model.action.training
    heads = (model.verb_head, model.noun_head, model.action_head)
    used = {"last_layer": states[-1:], "first_layer": states[:1]}.get(training, states)
    total = 0.0
    for state in used:
        for number, (head, weight) in enumerate(zip(heads, (0.5, 0.5, 0.1), strict=True)):
            losses = []
            for (row, columns), label in zip(places, labels.tolist(), strict=True):
                if label[number] >= 0:
                    logits = head(state[row, columns[min(number, len(columns) - 1)]])
                    losses.append(-logits.log_softmax(-1)[label[number]].item())
            total += weight * (sum(losses) / len(losses) if losses else 0.0)
    distilled = 0.0
    if training.endswith("distillation"):
        teacher, students = (states[0], states[1:]) if training.startswith("rev") else (states[-1], states[:-1])
        for student in students:
            for row, columns in places:
                for column in columns:
                    target = teacher[row, column].softmax(-1)
                    divergence = target * (target.log() - student[row, column].log_softmax(-1))
                    distilled += divergence.sum().item() / len(places)
    return total / (len(used) + 1), distilled / len(states)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("training", MODES)
@pytest.mark.parametrize("supervision", ["one_token", "three_tokens", "newline"])
def test_losses_follow_the_formulas_in_a_batch_of_every_kind(supervision: str, training: str, left: bool) -> None:
    """Rows with two videos, none, one without label, one partly labelled, and one cut off."""
    model = small_model(action=action_values(supervision, training), newline_position="one_token")
    config = model.config
    rows = [
        row_of(config, [1, 2], 2, [3], 1, [4]),
        row_of(config, [5, 6]),
        row_of(config, [7], 2, [8, 9, 10]),
        row_of(config, [11], 1, [12]),
        row_of(config, [13], 2)[:-4],  # whatever the heads would read is cut off
    ]
    videos = [small_video(frames, seed) for seed, frames in enumerate((2, 1, 2, 1, 2))]
    inputs = batch_of(rows, videos, left)
    labels = torch.tensor(
        [[[0, 1, 2], [3, 4, 5]], [[-1] * 3] * 2, [[-1] * 3] * 2, [[4, -1, 8], [-1] * 3], [[1, 1, 1], [-1] * 3]]
    )
    with torch.no_grad():
        outputs = model(**inputs, action_labels=labels, output_hidden_states=True)
        plain = model(**inputs)
    ids = inputs["input_ids"].tolist()
    number = max(len(config.action["token_ids"]), 1)
    marker = config.action["token_ids"][0] if config.action["token_ids"] else VIDEO
    places = []
    for row in (0, 0, 2, 3):
        taken = [columns[0] for other, columns in places if other == row]
        found = [
            column
            for column, token in enumerate(ids[row])
            if token == marker and (marker != VIDEO or ids[row][column + 1] != VIDEO) and column not in taken
        ]
        places.append((row, list(range(found[0], found[0] + number))))
    action, distilled = by_hand(
        outputs, model, places, torch.stack([labels[0, 0], labels[0, 1], labels[2, 0], labels[3, 0]])
    )
    assert outputs.verb_logits.shape == (4, SIZES["verbs"])
    assert outputs.action_logits.shape == (4, SIZES["actions"])
    assert float(outputs.action_loss) == pytest.approx(action, abs=1e-5)
    assert float(outputs.distillation_loss) == pytest.approx(distilled, abs=1e-5)
    assert (distilled > 0) == training.endswith("distillation")
    assert float(outputs.lm_loss) == pytest.approx(float(plain.loss), abs=1e-6)
    assert float(outputs.loss) == pytest.approx(float(plain.loss) + 0.1 * action + 0.1 * distilled, abs=1e-5)


def test_one_label_per_row_serves_all_its_videos() -> None:
    positions = ActionPositions.of_tokens(torch.tensor([[1, 9, 2, 9], [3, 3, 3, 3], [9, 0, 0, 0]]), [9])
    assert positions.rows.tolist() == [0, 0, 2]
    assert positions.columns.tolist() == [[1], [3], [0]]
    assert positions.labels(torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])).tolist() == [
        [1, 2, 3],
        [1, 2, 3],
        [7, 8, 9],
    ]
    each = torch.tensor([[[1, 2, 3]], [[4, 5, 6]], [[7, 8, 9]]])
    assert positions.labels(each).tolist() == [[1, 2, 3], [-1, -1, -1], [7, 8, 9]]


def test_a_split_group_of_tokens_is_not_taken() -> None:
    positions = ActionPositions.of_tokens(torch.tensor([[1, 7, 8, 9], [0, 0, 7, 8], [8, 9, 7, 9]]), [7, 8, 9])
    assert positions.rows.tolist() == [0]
    assert positions.columns.tolist() == [[1, 2, 3]]


def test_a_batch_without_labels_still_gives_every_action_weight_a_gradient() -> None:
    model = small_model(action=action_values())
    model(**batch_of([row_of(model.config, [1, 2])], []), action_labels=torch.full((1, 3), -1)).loss.backward()
    for name in TRAINED_WHOLE:
        weights = [item for key, item in model.named_parameters() if f"{name}.weight" in key]
        assert len(weights) == 1
        assert weights[0].grad is not None
        assert not weights[0].grad.any()


def test_ids_beyond_the_table_are_only_allowed_for_placeholders() -> None:
    table = torch.nn.Embedding(10, 4)
    embedding = TokenEmbedding(table, action_ids=(12, 13), placeholders=(10, 11))
    vectors = embedding(torch.tensor([[3, 10, 11, 12, 13]]))
    assert torch.equal(vectors[0, 0], table.weight[3])
    assert torch.equal(vectors[0, 3:], embedding.action_token.weight)
    assert embedding.weight is table.weight
    with pytest.raises(IndexError):
        embedding(torch.tensor([14]))


@pytest.mark.parametrize("family", BACKBONES)
@pytest.mark.parametrize("supervision", ["one_token", "three_tokens"])
def test_other_backbones_compute_the_same_losses(folders: dict[str, Path], family: str, supervision: str) -> None:
    model, _ = joined(folders[family], supervision, "normal_distillation")
    tokens = list(model.action.token_ids)
    rows = [[5, 6, *tokens, 7, 8], [9, 10], [11, *tokens, 12]]
    length = max(map(len, rows))
    ids = torch.tensor([[0] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    targets = ids.masked_fill(mask == 0, -100)
    labels = torch.tensor([[1, 2, 3], [-1, -1, -1], [4, 5, 6]])
    with torch.no_grad():
        outputs = model(
            input_ids=ids, attention_mask=mask, labels=targets, action_labels=labels, output_hidden_states=True
        )
    places = [(row, [ids[row].tolist().index(token) for token in tokens]) for row in (0, 2)]
    action, distilled = by_hand(outputs, model, places, labels[[0, 2]])
    assert len(outputs.hidden_states) == model.config.get_text_config().num_hidden_layers + 1
    assert float(outputs.action_loss) == pytest.approx(action, abs=1e-5)
    assert float(outputs.distillation_loss) == pytest.approx(distilled, abs=1e-5)
    expected = functional.cross_entropy(
        outputs.logits[:, :-1].flatten(0, 1).float(), targets[:, 1:].flatten(), ignore_index=-100
    )
    assert float(outputs.lm_loss) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("family", BACKBONES)
def test_adding_the_token_changes_nothing_else_and_survives_saving(
    folders: dict[str, Path], family: str, tmp_path: Path
) -> None:
    plain = AutoModelForImageTextToText.from_pretrained(folders[family], attn_implementation="eager").eval()
    model, tokenizer = joined(folders[family], "three_tokens")
    ids = torch.tensor([tokenizer("wash pan")["input_ids"]])
    tokens = model.action.token_ids
    assert tokenizer.convert_ids_to_tokens(list(tokens)) == ["<|verb|>", "<|noun|>", "<|action|>"]
    assert tokenizer("pan<|verb|><|noun|><|action|>")["input_ids"][-3:] == list(tokens)
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, plain(input_ids=ids).logits)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, attn_implementation="eager")
    assert type(loaded) is type(model)
    follow = torch.cat([ids, torch.tensor([tokens])], dim=1)
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=follow).logits, model(input_ids=follow).logits)
    made = model.generate(input_ids=follow, attention_mask=torch.ones_like(follow), max_new_tokens=3, do_sample=False)
    assert made.shape[1] <= follow.shape[1] + 3


@pytest.mark.parametrize("family", ["llava_video", *BACKBONES])
def test_lora_trains_the_token_and_the_heads_alone_and_merges(folders: dict[str, Path], family: str) -> None:
    if family == "llava_video":
        model = small_model(action=action_values())
    else:
        model, _ = joined(folders[family])
    token = model.action.token_ids[0]
    ids = torch.tensor([[5, 6, token, 7, 8]])
    before = {name: item.clone() for name, item in model.state_dict().items()}
    tuned = get_peft_model(
        model, LoraConfig(r=2, target_modules=r".*language_model.*q_proj", modules_to_save=list(TRAINED_WHOLE))
    )
    trained = [name for name, item in tuned.named_parameters() if item.requires_grad]
    assert {name.rsplit(".modules_to_save", 1)[0].rsplit(".", 1)[-1] for name in trained if "lora" not in name} == set(
        TRAINED_WHOLE
    )
    optimizer = torch.optim.SGD([item for item in tuned.parameters() if item.requires_grad], lr=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        tuned(
            input_ids=ids, labels=ids.masked_fill(ids == token, -100), action_labels=torch.tensor([[1, 2, 3]])
        ).loss.backward()
        optimizer.step()
    tuned.eval()
    with torch.no_grad():
        expected = tuned(input_ids=ids, output_hidden_states=True)
        merged = tuned.merge_and_unload()
        outputs = merged(input_ids=ids, output_hidden_states=True)
    torch.testing.assert_close(outputs.logits, expected.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs.verb_logits, expected.verb_logits, atol=1e-5, rtol=0)
    after = merged.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert "model.language_model.embed_tokens.action_token.weight" in changed
    assert "model.language_model.embed_tokens.weight" not in changed
    assert all("q_proj" in name or name.split(".")[-2] in TRAINED_WHOLE for name in changed)


def test_fresh_tokens_look_like_words() -> None:
    model = small_model(action=action_values("three_tokens"))
    table = model.get_input_embeddings()
    table.weight.data.mul_(0.5).add_(3.0)
    initialise_action_parts(model, seed=1)
    drawn = table.action_token.weight.clone()
    assert (drawn - 3.0).abs().max() < 5 * float(table.weight.detach().std())
    assert float(drawn.std()) == pytest.approx(float(table.weight.detach().std()), rel=0.3)
    initialise_action_parts(model, seed=1)
    assert torch.equal(table.action_token.weight, drawn)
    initialise_action_parts(model, seed=2)
    assert not torch.equal(table.action_token.weight, drawn)


def test_wrong_requests_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no newline"):
        joined(folders["qwen2_5_vl"], "newline")
    model, tokenizer = joined(folders["llava_onevision"])
    with pytest.raises(InputError, match="already"):
        add_action_token(model, tokenizer, ActionTokenConfig(**SIZES))
    other = AutoModelForImageTextToText.from_pretrained(write_tiny(tmp_path, "internvl"))
    with pytest.raises(InputError, match="no action token for models of type 'internvl'"):
        add_action_token(other, tokenizer, ActionTokenConfig(**SIZES))
    with pytest.raises(InputError, match="has no token_ids"):
        small_model(action=action_values() | {"token_ids": []})
    with pytest.raises(InputError, match="consecutive"):
        small_model(action=action_values("three_tokens") | {"token_ids": [102, 104, 105]})


def test_labels_that_do_not_suit_are_refused() -> None:
    model = small_model(action=action_values())
    inputs = batch_of([row_of(model.config, [1], 1, [2])] * 2, [small_video(1, 1)] * 2)
    with pytest.raises(InputError, match=r"action_labels of \[1, 3\] for 2 rows"):
        model(**inputs, action_labels=torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(InputError, match="noun label 6, but its head has 6 classes"):
        model(**inputs, action_labels=torch.tensor([[1, 6, 1], [0, 0, 0]]))


@pytest.mark.parametrize("supervision", ["one_token", "three_tokens"])
def test_words_are_added_to_the_action_token(supervision: str) -> None:
    model = small_model(action=action_values(supervision))
    tokens = list(model.action.token_ids)
    inputs = batch_of([[5, 6, *tokens, 7, 8]], [])
    words = torch.tensor([[20, 21, -1]])
    table = model.get_input_embeddings()
    with torch.no_grad():
        outputs = model(**inputs, action_words=words, output_hidden_states=True)
        vectors = table(inputs["input_ids"]).clone()
        vectors[0, 2] = table.action_token.weight[0] + table.weight[20] + table.weight[21]
        by_hand = model(attention_mask=inputs["attention_mask"], labels=inputs["labels"], inputs_embeds=vectors)
        silent = model(**inputs)
        none = model(**inputs, action_words=torch.full((1, 3), -1))
    torch.testing.assert_close(outputs.logits, by_hand.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(outputs.hidden_states[0], vectors)
    assert outputs.verb_logits.shape == (1, SIZES["verbs"])
    assert torch.equal(none.logits, silent.logits)
    assert (outputs.logits[0, 2:] - silent.logits[0, 2:]).abs().max() > 0.1
    assert torch.equal(outputs.logits[0, :2], silent.logits[0, :2])


def test_gradients_reach_the_words() -> None:
    model = small_model(action=action_values())
    inputs = batch_of([[5, 6, *model.action.token_ids, 7, 8]], [])
    table = model.get_input_embeddings()
    for words, reached in (([[20, 21, -1]], True), ([[-1, -1, -1]], False)):
        model.zero_grad()
        model(**inputs, action_words=torch.tensor(words), action_labels=torch.full((1, 3), -1)).loss.backward()
        assert [bool(table.weight.grad[word].any()) for word in (20, 21, 22)] == [reached, reached, False]
        assert not table.weight.grad[0].any()
        assert not model.verb_head.weight.grad.any()
        assert table.action_token.weight.grad.any()
    model.zero_grad()
    model(**inputs, action_words=torch.tensor([[20, 20, -1]])).loss.backward()
    twice = table.weight.grad[20]
    torch.testing.assert_close(twice, 2 * table.action_token.weight.grad[0])


@pytest.mark.parametrize("left", [False, True])
def test_rows_with_words_keep_company_with_videos(left: bool) -> None:
    model = small_model(action=action_values())
    rows = [
        row_of(model.config, [1, 2], 2, [3]),
        [5, *model.action.token_ids, 6, 7],
        [8, 9],
        [4, 4, *model.action.token_ids, 10],
    ]
    words = torch.tensor([[-1, -1], [20, 21], [-1, -1], [22, -1]])
    batch = batch_of(rows, [small_video(2, 1)], left)

    def states(inputs: dict[str, torch.Tensor], own: torch.Tensor) -> torch.Tensor:
        positions = (inputs["attention_mask"].cumsum(-1) - 1).clamp_min(0)
        with torch.no_grad():
            return model(**inputs, action_words=own, position_ids=positions, output_hidden_states=True).logits

    together = states(batch, words)
    assert count(model, batch | {"action_words": words, "action_labels": torch.full((4, 3), -1)}).videos == 3
    for number, row in enumerate(rows):
        alone = states(batch_of([row], [small_video(2, 1)] if number == 0 else []), words[number : number + 1])
        own = together[number][batch["attention_mask"][number] == 1]
        torch.testing.assert_close(own, alone[0], atol=1e-4, rtol=0)


def test_words_that_do_not_suit_are_refused(folders: dict[str, Path]) -> None:
    words = torch.tensor([[20, 21]])
    inputs = batch_of([[1, 2, 3]], [])
    for action in (None, action_values("newline")):
        with pytest.raises(InputError, match="action_words for a model without an action token"):
            small_model(action=action)(**inputs, action_words=words)
    model = small_model(action=action_values())
    with pytest.raises(InputError, match="row 0 has action_words but no action token"):
        model(**inputs, action_words=words)
    with pytest.raises(InputError, match=r"action_words of \[2, 2\] for 1 rows"):
        model(**inputs, action_words=words.repeat(2, 1))
    other, _ = joined(folders["llava_onevision"])
    with pytest.raises(InputError, match="'llava_onevision_action' cannot take action_words"):
        other(**inputs, action_words=words)


def test_nothing_to_learn_is_a_loss_of_zero() -> None:
    model = small_model(action=action_values())
    inputs = batch_of([row_of(model.config, [1], 1, [2])], [small_video(1, 1)])
    inputs["labels"].fill_(-100)
    outputs = model(**inputs, action_labels=torch.full((1, 3), -1))
    outputs.loss.backward()
    assert float(outputs.loss.detach()) == 0
    assert all(item.grad is None or bool(torch.isfinite(item.grad).all()) for item in model.parameters())


def test_noise_on_words_in_training_alone() -> None:
    noises = []
    for noise in (0.0, 0.2, 0.4):
        model = small_model(action=action_values() | {"word_noise": noise})
        action, words = model.action.token_ids[0], torch.tensor([[20, 21, -1], [-1, -1, -1]])
        ids = torch.tensor([[5, action, 6], [7, action, 8]]).repeat(200, 1)
        words = words.repeat(200, 1)
        with torch.no_grad():
            expected = model.with_words(ids, words)
            torch.manual_seed(0)
            disturbed = model.train().with_words(ids, words) - expected
        assert not disturbed[:, [0, 2]].any() and not disturbed[1::2].any()  # other tokens, and rows without words
        spread = model.get_input_embeddings().weight.std() * 2**0.5  # of two words
        noises.append(float(disturbed[::2, 1].std() / spread))
    assert noises[0] == 0
    assert noises[1:] == pytest.approx([0.2, 0.4], rel=0.03)
