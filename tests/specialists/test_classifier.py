from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import VideoMAEConfig, VideoMAEModel

from llavaction.actions.segments import Segment
from llavaction.base.errors import InputError
from llavaction.specialists.challenge import SupervisionLevels
from llavaction.specialists.classifier import CONFIG, WEIGHTS, Specialist, fingerprint
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.labels import SpecialistLabels
from llavaction.specialists.networks import MEAN, STD, FrameDifferenceCnn, Pixels
from llavaction.specialists.workflows import Source, predict_split, train_split


def frames(config: SpecialistConfig, clips: int = 2) -> torch.Tensor:
    shape = (clips, config.frames, config.height, config.width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": 8},
        {"channels": 8, "action_share": 0.0},
        {"architecture": "videomae", "patch": 8, "hidden": 48, "layers": 1},
    ],
)
def test_saved_and_loaded_scores_are_equal(toy: Source, settings: dict[str, object], tmp_path: Path):
    config = SpecialistConfig.from_mapping({"height": 24, "width": 40, "frames": 4, **settings})
    specialist = Specialist.untrained(config, toy.labels).eval()
    specialist.facts = {"licence": "any"}
    specialist.save(tmp_path / "a")
    loaded = Specialist.load(tmp_path / "a")
    logits = specialist(frames(config))
    sizes = [7, 10, 6] if config.action_share else [7, 10]
    assert [tuple(part.shape) for part in logits] == [(2, size) for size in sizes]
    assert all(torch.equal(a, b) for a, b in zip(logits, loaded(frames(config)), strict=True))
    assert loaded.facts == {"licence": "any"}
    assert loaded.labels == toy.labels
    loaded.save(tmp_path / "b")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    with torch.no_grad():
        loaded.verb_head.bias[0] += 1
    loaded.save(tmp_path / "b")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


def test_the_cnn_sees_the_order_of_frames(tiny: SpecialistConfig):
    torch.manual_seed(0)
    network = FrameDifferenceCnn(tiny).eval()
    clip = frames(tiny)
    assert (network(clip) - network(clip.flip(1))).abs().max() > 1e-3


def test_pixels_are_normalised_per_channel():
    values = Pixels()(torch.tensor([0, 128, 255], dtype=torch.uint8).expand(1, 2, 4, 5, 3))
    assert values.shape == (1, 2, 3, 4, 5)
    wanted = [(byte / 255 - mean) / std for byte, mean, std in zip((0, 128, 255), MEAN, STD, strict=True)]
    assert values[0, 1, :, 2, 3].tolist() == pytest.approx(wanted, abs=1e-6)


def local_videomae(folder: Path) -> VideoMAEModel:
    shape = VideoMAEConfig(
        image_size=32, patch_size=16, num_frames=4, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64,
    )  # fmt: skip
    model = VideoMAEModel(shape)
    model.save_pretrained(folder)
    return model


def test_a_local_videomae_is_started_from(toy: Source, tmp_path: Path):
    given = local_videomae(tmp_path / "given")
    config = SpecialistConfig(architecture="videomae", checkpoint=tmp_path / "given", frames=16)
    specialist = Specialist.untrained(config, toy.labels).eval()
    assert (specialist.config.frames, specialist.config.height, specialist.config.width) == (4, 32, 32)
    clip = frames(specialist.config)
    encoder = specialist.network.encoder
    values = specialist.network.pixels(clip)
    assert torch.equal(given.eval()(values).last_hidden_state, encoder(values).last_hidden_state)
    specialist.save(tmp_path / "made")
    (tmp_path / "given" / "model.safetensors").unlink()
    assert torch.equal(Specialist.load(tmp_path / "made")(clip)[0], specialist(clip)[0])
    with pytest.raises(InputError, match="cannot be loaded by transformers"):
        Specialist.untrained(config, toy.labels)
    (tmp_path / "given" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="'bert' is not VideoMAE"):
        Specialist.untrained(config, toy.labels)


def test_a_specialist_from_a_checkpoint_trains_and_predicts_without_it(toy: Source, tmp_path: Path):
    local_videomae(tmp_path / "given")
    config = SpecialistConfig(architecture="videomae", checkpoint=tmp_path / "given", epochs=1)
    train_split(toy, config, tmp_path / "made", log=print)
    (tmp_path / "given" / "config.json").unlink()
    options = {"top_k": 3, "all_pairs": False, "scores": None, "challenge": None, "levels": SupervisionLevels()}
    found = predict_split(tmp_path / "made", toy, tmp_path / "p.jsonl", **options, log=print)
    assert found["predicted"] == 48


def test_damaged_folders_are_refused(toy: Source, tiny: SpecialistConfig, tmp_path: Path):
    with pytest.raises(InputError, match="not a specialist's folder"):
        Specialist.load(tmp_path)
    Specialist.untrained(tiny, toy.labels).save(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"settings": config["settings"] | {"channels": 16}}))
    with pytest.raises(InputError, match=r"model\.safetensors: does not fit"):
        Specialist.load(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps(config | {"settings": config["settings"] | {"chanels": 8}}))
    with pytest.raises(InputError, match="did you mean 'channels'"):
        Specialist.load(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps(config))
    (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:100])
    with pytest.raises(InputError, match="damaged"):
        Specialist.load(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps({"model_type": "videomae"}))
    with pytest.raises(InputError, match="is not the configuration of a specialist"):
        Specialist.load(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 12}, "multiple of 8"),
        ({"checkpoint": "x"}, "architecture=videomae"),
        ({"architecture": "videomae", "frames": 7}, "must be even"),
        ({"architecture": "videomae", "patch": 7}, "must divide"),
        ({"architecture": "videomae", "hidden": 97}, "multiple of 2"),
        ({"epoch": 3}, "did you mean 'epochs'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        SpecialistConfig.from_mapping(settings)


def test_labels_refuse_other_classes(toy: Source):
    labels = toy.labels
    assert labels.sizes == (7, 10, 6)
    assert len(labels.pairs) == 70
    segment = toy.segments[0]
    assert labels.targets([segment]).tolist() == [
        [segment.verb_class, segment.noun_class, labels.actions.index(segment.action)]
    ]
    unmet = Segment.model_validate(segment.model_dump() | {"noun_class": 9})
    assert labels.targets([unmet])[0, 2] == -1
    strange = Segment.model_validate(segment.model_dump() | {"verb_class": 7})
    with pytest.raises(InputError, match=f"'{segment.segment_id}' has verb class 7; this specialist knows 7"):
        labels.targets([strange])
    labels.check(toy.dataset.vocabulary, "here")
    renamed = SpecialistLabels.model_validate(
        labels.model_dump() | {"nouns": [{"id": i, "key": "x"} for i in range(10)]}
    )
    with pytest.raises(InputError, match="noun class 0 is 'plate' there and 'x'"):
        renamed.check(toy.dataset.vocabulary, "here")
