"""Every golden case of the published implementation: converted, run forwards and backwards, and generated from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.golden_cases import GoldenCase, golden_cases
from llavaction.models.convert import convert
from llavaction.models.llava_video import LlavaVideoForConditionalGeneration
from llavaction.models.published import published_name

_GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
CLOSE = {"atol": 1e-4, "rtol": 0}

if not golden_cases(_GOLDEN):
    pytest.skip("needs ../shared/golden (numbers of the published implementation)", allow_module_level=True)


class Run:
    """One case, converted and computed."""

    def __init__(self, folder: Path, home: Path, attention: str = "eager") -> None:
        self.case = GoldenCase.read(folder)
        convert(folder, home / folder.name, tower_config=folder / "siglip_config.json")
        self.model = LlavaVideoForConditionalGeneration.from_pretrained(
            home / folder.name, attn_implementation=attention
        ).eval()
        self.inputs = self.case.batch(self.model.config)
        self.model.zero_grad()
        self.outputs = self.model(**self.inputs, output_hidden_states=True)
        self.outputs.loss.backward()
        self.places_hold = self.case.action_places_hold(self.model.config)


@pytest.fixture(scope="module", params=golden_cases(_GOLDEN), ids=lambda folder: folder.name)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(request.param, tmp_path_factory.mktemp("converted"))


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found.detach(), expected, **CLOSE)


def test_visual_features(run: Run) -> None:
    model, expected = run.model.model, run.case.expected
    videos = run.case.notes["modalities"]
    frames = torch.cat([run.case.pictures(number) for number in range(len(videos))])
    tower = model.vision_tower
    close(tower.encoder(inputs_embeds=tower.embeddings(frames)).last_hidden_state, expected["vision_tower_out"])
    close(model.project(frames), expected["projector_out"])
    moving = [run.case.pictures(number) for number, kind in enumerate(videos) if kind == "video"]
    if moving:
        close(model.pool(model.project(torch.cat(moving))).flatten(1, 2), expected["pooled_out"])


def test_sequence_and_states(run: Run) -> None:
    expected = run.case.expected
    mask = expected["attention_mask"].bool()
    assert torch.equal(run.inputs["attention_mask"].bool(), mask)
    assert torch.equal(run.inputs["labels"][mask], expected["labels"][mask])
    close(run.outputs.hidden_states[0][mask], expected["inputs_embeds"][mask])
    assert len(run.outputs.hidden_states) == run.case.figures["num_hidden_states"]
    for number, states in enumerate(run.outputs.hidden_states):
        close(states[mask], expected[f"hidden_states.{number}"][mask])
    close(run.outputs.logits[mask], expected["logits"][mask])


def test_action_heads(run: Run) -> None:
    if run.model.action is None:
        assert "verb_logits" not in run.case.expected
        return
    if not run.places_hold:
        pytest.skip("the published positions of the action token are wrong in a case of this kind")
    positions = run.model.action_positions(**{k: v for k, v in run.inputs.items() if k != "action_labels"})
    assert torch.equal(positions.columns, run.case.expected["action_idx"].long().view_as(positions.columns))
    for name in ("verb", "noun", "action"):
        close(run.outputs[f"{name}_logits"], run.case.expected[f"{name}_logits"])
        head = getattr(run.model, f"{name}_head")
        token = min(("verb", "noun", "action").index(name), positions.columns.shape[1] - 1)
        every = torch.stack([head(positions.take(states)[:, token]) for states in run.outputs.hidden_states])
        close(every, run.case.expected[f"{name}_logits_all_layers"])


def test_losses(run: Run) -> None:
    figures = run.case.figures
    lm_loss = run.outputs.loss if run.model.action is None else run.outputs.lm_loss
    assert float(lm_loss.detach()) == pytest.approx(figures["lm_loss"], abs=1e-4)
    if run.model.action is None or run.places_hold:
        assert float(run.outputs.loss.detach()) == pytest.approx(figures["loss"], abs=1e-4)
    if run.model.action is not None and run.places_hold:
        assert float(run.outputs.action_loss.detach()) == pytest.approx(figures["vision_supervision_loss"], abs=1e-4)
        distilled = float(run.outputs.distillation_loss.detach())
        assert distilled == pytest.approx(figures.get("distillation_loss", 0.0), abs=1e-4)


def test_gradients(run: Run) -> None:
    if run.model.action is not None and not run.places_hold:
        pytest.skip("the published gradients are those of wrong positions in a case of this kind")
    ours: dict[str, Any] = {published_name(name): item.grad for name, item in run.model.named_parameters()}
    published = run.case.figures["grad_norms"]
    if "model.image_newline" not in published:  # flat models have none, ours has one that nothing uses
        assert ours.pop("model.image_newline") is None
    assert ours.keys() == published.keys()
    for name, norm in published.items():
        found = 0.0 if ours[name] is None else float(ours[name].norm())
        assert found == pytest.approx(norm or 0.0, abs=1e-4), name
    for name, gradient in load_file(run.case.folder / "grads.safetensors").items():
        close(ours[name], gradient)


def test_greedy_continuations(run: Run) -> None:
    for number, generated in enumerate(run.case.figures["generate"]):
        expected = generated["ids"][0]
        inputs = run.case.prompt(run.model.config, number)
        made = run.model.generate(
            **inputs, max_new_tokens=len(expected), do_sample=False, output_logits=True, return_dict_in_generate=True
        )
        close(made.logits[0], run.case.expected[f"generated_first_step_logits.{number}"])
        found = made.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        sure = next((n for n, gap in enumerate(generated["top2_margins"]) if gap <= 1e-3), len(expected))
        assert found[:sure] == expected[:sure]


def test_sdpa_gives_the_same(run: Run, tmp_path: Path) -> None:
    other = Run(run.case.folder, tmp_path, attention="sdpa")
    mask = run.case.expected["attention_mask"].bool()
    close(other.outputs.logits[mask], run.case.expected["logits"][mask])
    if run.case.settings.get("tokenizer_padding_side", "right") == "right":
        # under left padding the first token is predicted from padding, which attends to nothing: kernels differ there
        assert float(other.outputs.loss.detach()) == pytest.approx(float(run.outputs.loss.detach()), abs=1e-4)
