"""Conversion both ways: nothing is lost, nothing is guessed, nothing half-written remains."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from helpers.golden_cases import golden_cases
from helpers.published_checkpoints import (
    HEADS,
    TINY,
    TOWER,
    Sizes,
    assert_same_tensors,
    copied,
    load_folder,
    published_settings,
    published_shapes,
    save_in_files,
    tower_settings,
    write_published,
)
from llavaction.base.errors import InputError
from llavaction.models import verification
from llavaction.models.convert import convert
from llavaction.models.shards import read_header
from llavaction.models.towers import TowerConfig
from llavaction.testing.tiny import build_tokenizer

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied": {"tie_word_embeddings": True, "mm_newline_position": "one_token"},
    "one_token": {"vision_supervision": "one_token", "mm_spatial_pool_mode": "average", **HEADS},
    "three_tokens": {"vision_supervision": "three_tokens", "mm_newline_position": "frame", **HEADS},
    "newline": {"vision_supervision": "newline", "mm_spatial_pool_mode": "max", "tie_word_embeddings": True, **HEADS},
    "no_token": {"mm_newline_position": "no_token", "vision_supervision": "one_token", **HEADS},
    "flat": {"mm_patch_merge_type": "flat"},
    "bfloat16": {"dtype": torch.bfloat16, "vision_supervision": "one_token", **HEADS},
    "window": {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    "sharded": {"files": 5, "vision_supervision": "one_token", **HEADS},
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sharded checkpoint with action token and tokenizer."""
    folder = tmp_path_factory.mktemp("published")
    return write_published(folder, files=3, tokenizer=True, vision_supervision="one_token", vocab_size=520, **HEADS,
                           sizes=Sizes(vocab=520))  # fmt: skip


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    return copied(published, tmp_path / "copy")


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("name", VARIANTS)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    source = write_published(tmp_path / "source", **VARIANTS[name])
    there = convert(source, tmp_path / "ours", verify=True)
    back = convert(tmp_path / "ours", tmp_path / "back")
    assert (there.to, back.to) == ("ours", "published")
    assert_same_tensors(load_folder(source), load_folder(tmp_path / "back"))
    assert _config(tmp_path / "back") == _config(source)
    assert there.verified
    assert there.difference is not None
    assert there.difference < 2e-5
    assert not back.verified
    model, report = AutoModelForImageTextToText.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.dtype == VARIANTS[name].get("dtype", torch.float32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "ours", "source"]


def test_golden_cases_there_and_back(shared: Path, tmp_path: Path) -> None:
    for case in golden_cases(shared / "golden"):
        there = convert(case, tmp_path / case.name / "ours", verify=True)
        assert there.difference is not None
        assert there.difference < 2e-5
        convert(tmp_path / case.name / "ours", tmp_path / case.name / "back")
        back = tmp_path / case.name / "back"
        assert_same_tensors(load_file(case / "model.safetensors"), load_folder(back))
        assert _config(back) == _config(case)
        assert TowerConfig.read(back / "siglip_config.json") == TowerConfig.read(case / "siglip_config.json")


def test_verification_without_memory_compares_bits_alone(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "available_memory", lambda: 1000)
    done = convert(published, tmp_path / "ours", verify=True)
    assert done.verified
    assert done.difference is None
    assert any("does not fit into memory" in note for note in done.notes)


def test_placeholders_are_numbered_by_the_tokenizer(published: Path, tmp_path: Path) -> None:
    convert(published, tmp_path / "ours")
    words = len(build_tokenizer())
    config = _config(tmp_path / "ours")
    assert words < config["text_config"]["vocab_size"] == 520
    assert (config["image_token_index"], config["video_token_index"]) == (words, words + 1)
    assert config["action"]["token_ids"] == [words + 2]
    processor = AutoProcessor.from_pretrained(tmp_path / "ours")
    assert processor.tokenizer.convert_tokens_to_ids(["<image>", "<video>", "<|action|>"]) == [
        words, words + 1, words + 2,
    ]  # fmt: skip
    for name in ("chat_template.jinja", "processor_config.json", "preprocessor_config.json", "generation_config.json"):
        assert (tmp_path / "ours" / name).is_file()
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "ours")
    frames = torch.randint(0, 256, (2, 40, 60, 3), dtype=torch.uint8).numpy()
    inputs = processor(text="<video>\nWhat?", videos=[frames])
    made = model.generate(**inputs, max_new_tokens=2, do_sample=False)
    assert made.shape[1] == inputs["input_ids"].shape[1] + 2
    convert(tmp_path / "ours", tmp_path / "back")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "back" / name).read_bytes() == (published / name).read_bytes()


def test_tokenizer_from_elsewhere(published: Path, tmp_path: Path) -> None:
    bare = write_published(tmp_path / "bare")
    without = convert(bare, tmp_path / "without")
    assert any("no tokenizer" in note for note in without.notes)
    assert _config(tmp_path / "without")["video_token_index"] == TINY.vocab + 1
    assert not (tmp_path / "without" / "tokenizer.json").exists()
    assert (tmp_path / "without" / "preprocessor_config.json").is_file()
    convert(bare, tmp_path / "with", tokenizer=published)
    assert (
        AutoProcessor.from_pretrained(tmp_path / "with").video_token_id
        == _config(tmp_path / "with")["video_token_index"]
    )
    convert(tmp_path / "without", tmp_path / "back", tokenizer=published)
    assert (tmp_path / "back" / "tokenizer.json").read_bytes() == (published / "tokenizer.json").read_bytes()
    with pytest.raises(InputError, match="has no tokenizer"):
        convert(bare, tmp_path / "x", tokenizer=bare)


def test_a_trained_model_goes_back(published: Path, tmp_path: Path) -> None:
    convert(published, tmp_path / "ours")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "ours")
    with torch.no_grad():
        model.verb_head.weight += 1
        model.get_input_embeddings().action_token.weight += 2
    model.config.action = model.config.action | {"training": "last_layer"}
    model.save_pretrained(tmp_path / "trained")
    convert(tmp_path / "trained", tmp_path / "back", verify=True)
    before, after = load_folder(published), load_folder(tmp_path / "back")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"verb_head.weight", "model.action_supervision"}
    assert _config(tmp_path / "back") == _config(published) | {"vision_token_training": "last_layer"}


def test_shards_are_no_larger_than_asked(published: Path, tmp_path: Path) -> None:
    done = convert(published, tmp_path / "ours", shard_bytes=40_000)
    files = sorted((tmp_path / "ours").glob("*.safetensors"))
    assert len(files) == done.shards > 3
    index = json.loads((tmp_path / "ours" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == done.total_bytes
    assert set(index["weight_map"].values()) == {file.name for file in files}
    sizes = {file: sum(t.total_bytes for t in read_header(file).values()) for file in files}
    assert sum(sizes.values()) == done.total_bytes
    for file, size in sizes.items():
        assert size <= 40_000 or len(read_header(file)) == 1
    assert not AutoModelForImageTextToText.from_pretrained(tmp_path / "ours", output_loading_info=True)[1][
        "missing_keys"
    ]
    convert(tmp_path / "ours", tmp_path / "back")
    assert (tmp_path / "back" / "model.safetensors").is_file()
    assert_same_tensors(load_folder(published), load_folder(tmp_path / "back"))


def _siglip(kind: str) -> torch.nn.Module:
    vision = tower_settings()
    for key in ("model_type", "image_mean"):
        del vision[key]
    if kind == "vision":
        return SiglipVisionModel(SiglipVisionConfig(**vision))
    text = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2}
    return SiglipModel(SiglipConfig(vision_config=vision, text_config=text | {"vocab_size": 50}))


@pytest.mark.parametrize("kind", ["vision", "whole", "prefixed"])
def test_tower_that_is_named_but_not_contained(kind: str, tmp_path: Path) -> None:
    source = write_published(tmp_path / "source", tower=False, tower_config=False)
    with pytest.raises(InputError, match="nothing is known of the vision tower"):
        convert(source, tmp_path / "ours")
    torch.manual_seed(0)
    tower = _siglip("whole" if kind == "whole" else "vision")
    tower.save_pretrained(tmp_path / "tower")  # type: ignore[operator]
    if kind == "prefixed":  # as older versions of the library wrote it
        stored = load_folder(tmp_path / "tower")
        save_in_files(tmp_path / "tower", {f"vision_model.{name}": tensor for name, tensor in stored.items()})
    done = convert(source, tmp_path / "ours", vision_tower=tmp_path / "tower", verify=True)
    assert done.difference is not None
    assert done.difference < 2e-5
    convert(tmp_path / "ours", tmp_path / "back")
    weights = (tower.vision_model if kind == "whole" else tower).state_dict()  # type: ignore[union-attr]
    shapes = published_shapes(TINY, published_settings())
    expected = {name: weights[name.removeprefix(TOWER)] for name in shapes if name.startswith(TOWER)}
    assert len(expected) == 5 + 16 * (TINY.tower_layers - 1)
    assert_same_tensors(load_folder(source) | expected, load_folder(tmp_path / "back"))


def test_tower_is_asked_for(tmp_path: Path) -> None:
    source = write_published(tmp_path / "source", tower=False)
    with pytest.raises(
        InputError, match=r"does not contain its vision tower 'tiny/siglip-patch14-70'[\s\S]*--vision-tow"
    ):
        convert(source, tmp_path / "ours")
    whole = write_published(tmp_path / "whole", tower_config=False)
    (tmp_path / "tower.json").write_text(json.dumps(tower_settings()))
    convert(whole, tmp_path / "ours", tower_config=tmp_path / "tower.json")
    _siglip("vision").save_pretrained(tmp_path / "tower")  # type: ignore[operator]
    with pytest.raises(InputError, match="contains its vision tower already"):
        convert(whole, tmp_path / "x", vision_tower=tmp_path / "tower")
    with pytest.raises(InputError, match="our format contains the vision tower"):
        convert(tmp_path / "ours", tmp_path / "x", vision_tower=tmp_path / "tower")


def test_wrong_tower_is_refused_by_name(tmp_path: Path) -> None:
    source = write_published(tmp_path / "source")
    (tmp_path / "tower.json").write_text(json.dumps(tower_settings() | {"num_hidden_layers": 4}))
    with pytest.raises(InputError, match=rf"16 tensors are missing.*'{TOWER}encoder.layers.2"):
        convert(source, tmp_path / "ours", tower_config=tmp_path / "tower.json")


def test_output_layer_that_is_tied_and_stored(tmp_path: Path) -> None:
    source = write_published(tmp_path / "source", tie_word_embeddings=True)
    tensors = load_folder(source)
    save_in_files(source, tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()})
    done = convert(source, tmp_path / "ours", verify=True)
    assert any("lm_head.weight" in note for note in done.notes)
    convert(tmp_path / "ours", tmp_path / "back")
    assert_same_tensors(tensors, load_folder(tmp_path / "back"))
    save_in_files(source, tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"] + 1})
    with pytest.raises(InputError, match=r"'lm_head.weight' differs from 'model.embed_tokens.weight'"):
        convert(source, tmp_path / "other")


Damage = Callable[[Path], object]
SHARD = "model-00002-of-00003.safetensors"


def _edit_index(change: Callable[[dict[str, str]], object]) -> Damage:
    def damage(folder: Path) -> None:
        file = folder / "model.safetensors.index.json"
        index = json.loads(file.read_text())
        change(index["weight_map"])
        file.write_text(json.dumps(index))

    return damage


def _edit_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        tensors = load_folder(folder)
        change(tensors)
        for file in (*folder.glob("*.safetensors"), folder / "model.safetensors.index.json"):
            file.unlink()
        save_in_files(folder, tensors, 3)

    return damage


def _edit_config(**changes: Any) -> Damage:
    return lambda folder: (folder / "config.json").write_text(json.dumps(_config(folder) | changes))


def _cut(bytes_kept: int) -> Damage:
    return lambda folder: (folder / SHARD).write_bytes((folder / SHARD).read_bytes()[:bytes_kept])


def _twin(folder: Path) -> None:
    save_file({"lm_head.weight": torch.zeros(520, 32)}, folder / "model-00009-of-00003.safetensors")
    _edit_index(lambda places: places.update({"extra": "model-00009-of-00003.safetensors"}))(folder)


def _pickled(folder: Path) -> None:
    for file in (*folder.glob("*.safetensors"), folder / "model.safetensors.index.json"):
        file.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"never read")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "missing": (
        _edit_tensors(lambda t: t.pop("model.norm.weight")),
        r"1 tensors are missing, 0 surplus, 0 misshapen: 'model.norm.weight' is missing",
    ),
    "surplus": (
        _edit_tensors(lambda t: t.update({TOWER + "head.probe": torch.zeros(1)})),
        rf"0 tensors are missing, 1 surplus, 0 misshapen: '{TOWER}head.probe' is surplus \(in model-0000\d-of-00003",
    ),
    "misshapen": (
        _edit_tensors(lambda t: t.update({"noun_head.weight": torch.zeros(5, 32)})),
        r"1 misshapen: 'noun_head.weight' is F32 \[5, 32\], expected is \[4, 32\] in floating point \(in model-",
    ),
    "not numbers": (
        _edit_tensors(lambda t: t.update({"noun_head.weight": torch.zeros(4, 32, dtype=torch.int8)})),
        r"1 misshapen: 'noun_head.weight' is I8",
    ),
    "many": (
        _edit_tensors(lambda t: [t.pop(name) for name in list(t) if name.startswith("model.layers.")]),
        r"24 tensors are missing.*; and 14 more",
    ),
    "cut in its data": (_cut(5000), rf"{SHARD}: (is cut short: \d+ of \d+ bytes are missing|its header)"),
    "cut in its header": (_cut(100), rf"{SHARD}: is cut short, or is no safetensors file"),
    "empty": (_cut(0), rf"{SHARD}: is cut short, or is no safetensors file"),
    "too long": (lambda f: (f / SHARD).write_bytes((f / SHARD).read_bytes() + b"1234"), "has 4 bytes too many"),
    "noise": (lambda f: (f / SHARD).write_bytes(b"\x10" + b"\0" * 7 + b"x" * 900), "its header is damaged"),
    "absent": (lambda f: (f / SHARD).unlink(), rf"names 1 of 3 shards that are not there, first '{SHARD}'"),
    "twice": (_twin, r"tensor 'lm_head.weight' is also in"),
    "unlisted": (_edit_index(lambda p: p.pop("model.norm.weight")), r"'model.norm.weight' is in .* nothing of it"),
    "listed only": (_edit_index(lambda p: p.update({"a": SHARD})), r"'a' is in no shard, the index says"),
    "elsewhere": (_edit_index(lambda p: p.update({"a": "../x.safetensors"})), "which is no file of this folder"),
    "no index": (
        lambda f: (f / "model.safetensors.index.json").unlink(),
        "holds shards but no model.safetensors.index",
    ),
    "empty index": (lambda f: (f / "model.safetensors.index.json").write_text("[]"), "has no weight_map"),
    "both": (lambda f: (f / "model.safetensors").write_bytes(b""), "holds both model.safetensors and"),
    "pickled": (_pickled, r"only pickled ones \('pytorch_model.bin'\)[\s\S]*never loaded"),
    "other family": (_edit_config(model_type="qwen2_vl"), r"config.json: model_type 'qwen2_vl' is neither"),
    "bad setting": (_edit_config(hidden_size="x"), r"config.json: not a valid PublishedConfig: hidden_size"),
    "other heads": (_edit_config(num_attention_heads=5), r"14 misshapen: 'model.layers.0.self_attn.q_proj.weight'"),
    "bad type": (_edit_config(torch_dtype="float99"), r"config.json: is refused by transformers"),
    "no action types": (_edit_config(action_types=None), r"config.json: vision_supervision is set"),
    "no config": (lambda f: (f / "config.json").unlink(), "no such file"),
    "not JSON": (lambda f: (f / "config.json").write_text("{"), "not JSON"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_refused_and_nothing_remains(name: str, copy: Path, tmp_path: Path) -> None:
    damage, message = DAMAGES[name]
    damage(copy)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        convert(copy, tmp_path / "ours")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_at_most_ten_tensors_are_named(copy: Path, tmp_path: Path) -> None:
    DAMAGES["many"][0](copy)
    with pytest.raises(InputError) as caught:
        convert(copy, tmp_path / "ours")
    assert str(caught.value).count("is missing") == 10


def test_damage_of_our_format_is_refused(published: Path, tmp_path: Path) -> None:
    convert(published, tmp_path / "ours")
    file = tmp_path / "ours" / "model.safetensors"
    tensors = load_folder(tmp_path / "ours")
    del tensors["model.language_model.embed_tokens.action_token.weight"]
    save_file(tensors | {"model.vision_tower.head.probe": torch.zeros(2)}, file)
    with pytest.raises(InputError, match=r"1 tensors are missing, 1 surplus.*embed_tokens.action_token.weight"):
        convert(tmp_path / "ours", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_failure_while_writing_leaves_nothing(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> float:
        assert list(tmp_path.glob(".ours.*.part/model*.safetensors"))
        raise InputError("its logits differ")

    monkeypatch.setattr("llavaction.models.convert.compare_arithmetic", fails)
    with pytest.raises(InputError, match="its logits differ"):
        convert(published, tmp_path / "ours", verify=True)
    assert not list(tmp_path.iterdir())


def test_destination(published: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    convert(published, tmp_path / "empty")
    with pytest.raises(InputError, match="exists already"):
        convert(published, tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="exists already"):
        convert(published, tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written"):
        convert(published, tmp_path / "file" / "below")
    convert(published, tmp_path / "deep" / "down", to="ours")
    with pytest.raises(InputError, match="is in the format 'ours' already"):
        convert(tmp_path / "empty", tmp_path / "x", to="ours")
    with pytest.raises(InputError, match="no such folder"):
        convert(tmp_path / "nowhere", tmp_path / "x")


def test_full_disk_is_noticed_before_writing(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 5000))
    with pytest.raises(InputError, match=r"[\d,]+ bytes are needed, 5,000 are free"):
        convert(published, tmp_path / "ours")
    assert not list(tmp_path.iterdir())


_MEASURE = """
import sys
from pathlib import Path
from llavaction.models.convert import convert

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

small, large, out = map(Path, sys.argv[1:4])
convert(small, out / "small")  # everything is imported and warm
before = status("VmRSS:")
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
convert(large, out / "large", shard_bytes=int(sys.argv[4]))
there = status("VmHWM:") - before
Path("/proc/self/clear_refs").write_text("5")
convert(out / "large", out / "back", shard_bytes=int(sys.argv[4]))
print(there, status("VmHWM:") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure memory")
def test_memory_stays_below_one_and_a_half_shards(tmp_path: Path) -> None:
    """Peak resident memory above the warm process's own, of 270 MB in shards of 64 MB; nothing is memory-mapped."""
    sizes = Sizes(vocab=16_000, hidden=1024, inner=2816, layers=3)
    total = 4 * sum(math.prod(shape) for shape in published_shapes(sizes, published_settings(sizes)).values())
    assert total > 260e6
    large = write_published(tmp_path / "large", sizes, files=5)
    small = write_published(tmp_path / "small")
    shard = 64_000_000
    arguments = [str(small), str(large), str(tmp_path / "out"), str(shard)]
    done = subprocess.run([sys.executable, "-c", _MEASURE, *arguments], capture_output=True, text=True, check=True)
    there, back = map(int, done.stdout.split())
    print(f"peak above baseline: {there / 1e6:.0f} MB there, {back / 1e6:.0f} MB back")
    assert max(there, back) < 1.5 * shard
    assert len(list((tmp_path / "out" / "large").glob("*.safetensors"))) >= 5
    assert_same_tensors(load_folder(large), load_folder(tmp_path / "out" / "back"))
