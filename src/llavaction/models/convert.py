"""Conversion between the published format and ours, both ways, byte for byte.

Tensors only change their names, so nothing is ever decoded: a plan says which bytes go where, all of it is checked
before a file is written, and the bytes pass through a buffer of a few megabytes. The result is put together in a
neighbouring folder that takes the final name at the end.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from transformers import AutoTokenizer, Qwen2Config
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from llavaction.base.errors import InputError
from llavaction.base.files import Part, unwritable
from llavaction.base.records import read_json, write_json
from llavaction.models.llava_video import LlavaVideoConfig, LlavaVideoProcessor, add_visual_tokens
from llavaction.models.published import (
    IMAGE_NEWLINE,
    LM_HEAD,
    MODEL_TYPE,
    PUBLISHED_TOWER,
    WORD_TABLE,
    PublishedConfig,
    our_config,
    published_config,
    published_name,
    tensor_shapes,
)
from llavaction.models.shards import StoredTensor, open_weights, same_bytes, write_weights
from llavaction.models.towers import TOWER_CONFIG, TowerConfig, find_tower_config, tower_tensors
from llavaction.models.verification import compare_arithmetic

Format = Literal["ours", "published"]

KEPT = "published"
"""Folder inside ours with the published tokenizer's files as they were, for the way back."""

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
)
_GENERATION = "generation_config.json"
_NAMED = 10  # tensors an error names; the others are counted


@dataclass(frozen=True)
class Conversion:
    """What was done.

    Attributes:
        folder: the folder that was written.
        to: its format.
        tensors: how many tensors it holds.
        total_bytes: their size.
        shards: in how many files they are.
        seconds: how long it took, verification included.
        verified: whether every tensor was read again and found equal bit for bit.
        difference: largest difference between both layouts' logits on a random clip; None where they were not run.
        notes: what a person should know.
    """

    folder: Path
    to: Format
    tensors: int
    total_bytes: int
    shards: int
    seconds: float
    verified: bool
    difference: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """What is to be written.

    Attributes:
        to: the format.
        tensors: new name to the tensor whose bytes it gets.
        published: the published configuration, read or to be written.
        config: our configuration, to be written or read.
        tower: the configuration of the tower, which counts the dropped layer.
        copies: further files by their path in the new folder.
        tokenizer: for our format, the tokenizer with the placeholders; None where there is none.
        notes: what a person should know.
    """

    to: Format
    tensors: dict[str, StoredTensor]
    published: Mapping[str, Any]
    config: LlavaVideoConfig
    tower: TowerConfig
    copies: dict[str, Path]
    tokenizer: Any = None
    notes: list[str] = field(default_factory=list)


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    to: Format | None = None,
    vision_tower: Path | None = None,
    tower_config: Path | None = None,
    tokenizer: Path | None = None,
    shard_bytes: int = 4_000_000_000,
    verify: bool = False,
) -> Conversion:
    """Write a checkpoint folder in the other format.

    Args:
        source: a checkpoint folder in the published format or in ours.
        destination: a folder that does not exist yet, or is empty.
        to: the format to write; the other one by default.
        vision_tower: a SigLIP checkpoint, for a published folder that names its tower but does not contain it.
        tower_config: the tower's own ``config.json``; by default that of ``vision_tower``, the folder's
            ``siglip_config.json``, or what is known of a tower of that name.
        tokenizer: a folder with the published tokenizer; by default the one that comes with ``source``.
        shard_bytes: largest size of a weight file.
        verify: read everything again and, where memory allows, run both layouts on a random clip in float32.

    Raises:
        InputError: the source is of another family, damaged or incomplete; its tensors are not those of its
            configuration; the destination is taken; or the verification failed. Nothing remains of the destination.
    """
    began = time.perf_counter()
    source, destination = Path(source), Path(destination).resolve()
    kind = _format(source)
    if to == kind:
        raise InputError(f"is in the format '{kind}' already", file=source)
    if kind == "published":
        plan = _plan_ours(source, vision_tower, tower_config, tokenizer)
    elif vision_tower or tower_config:
        raise InputError("our format contains the vision tower and its configuration", hint="leave these options out")
    else:
        plan = _plan_published(source, tokenizer)
    total = sum(tensor.total_bytes for tensor in plan.tensors.values())
    with _put_together(destination, total) as folder:
        shards = write_weights(folder, plan.tensors, shard_bytes)
        _write_files(plan, folder)
        difference = _verify(plan, source, folder) if verify else None
    return Conversion(
        folder=destination,
        to=plan.to,
        tensors=len(plan.tensors),
        total_bytes=total,
        shards=shards,
        seconds=time.perf_counter() - began,
        verified=verify,
        difference=difference,
        notes=tuple(plan.notes),
    )


def _format(source: Path) -> Format:
    if not source.is_dir():
        raise InputError("no such folder", file=source, hint="give a local checkpoint folder; nothing is downloaded")
    stored = read_json(source / "config.json")
    kind = stored.get("model_type") if isinstance(stored, dict) else None
    if kind not in (MODEL_TYPE, LlavaVideoConfig.model_type):
        raise InputError(
            f"model_type {kind!r} is neither '{MODEL_TYPE}' (published) nor '{LlavaVideoConfig.model_type}' (ours)",
            file=source / "config.json",
            hint="converted are checkpoints of LLaVA-Video, LLaVA-OneVision and LLaVAction with SigLIP and Qwen2",
        )
    return "published" if kind == MODEL_TYPE else "ours"


def _plan_ours(
    source: Path, vision_tower: Path | None, tower_config: Path | None, tokenizer_folder: Path | None
) -> _Plan:
    stored = read_json(source / "config.json")
    with _blaming(source / "config.json"):
        published = PublishedConfig.from_mapping(stored)
    tower = find_tower_config(source, published.mm_vision_tower, vision_tower, tower_config)
    tokenizer_files = _tokenizer_files(tokenizer_folder or source, required=tokenizer_folder is not None)
    tokenizer, ids = None, None
    if tokenizer_files:
        tokenizer = _open_tokenizer(tokenizer_folder or source)
        ids = list(add_visual_tokens(tokenizer, published.action_tokens).values())
    with _blaming(source / "config.json"):
        config = our_config(stored, tower, ids)
        shapes = tensor_shapes(config)
    source_tensors = open_weights(source)
    if not any(name.startswith(PUBLISHED_TOWER) for name in source_tensors):
        if vision_tower is None:
            raise InputError(
                f"does not contain its vision tower '{published.mm_vision_tower}'",
                file=source,
                hint="give the folder of that SigLIP checkpoint as --vision-tower",
            )
        source_tensors |= tower_tensors(vision_tower, tower, PUBLISHED_TOWER)
    elif vision_tower is not None:
        raise InputError("contains its vision tower already", file=source, hint="leave --vision-tower out")
    notes = _drop_twin(source_tensors, published_name(WORD_TABLE), config)
    newline = None if published.has_newline_vector else shapes.pop(IMAGE_NEWLINE)
    _check(source_tensors, {published_name(name): shape for name, shape in shapes.items()}, source)
    tensors = {name: source_tensors[published_name(name)] for name in shapes}
    if newline is not None:  # ours has the vector even where it is not used
        tensors[IMAGE_NEWLINE] = StoredTensor(IMAGE_NEWLINE, tensors[WORD_TABLE].dtype, newline, None)
    if tokenizer is None:
        notes.append("no tokenizer was found, so there is none in the new folder; give one with --tokenizer")
    copies = {f"{KEPT}/{name}": path for name, path in tokenizer_files.items()}
    return _Plan("ours", tensors, stored, config, tower, copies | _generation(source), tokenizer, notes)


def _plan_published(source: Path, tokenizer_folder: Path | None) -> _Plan:
    with _blaming(source / "config.json"):
        config = LlavaVideoConfig.from_pretrained(source, local_files_only=True)
        tower = TowerConfig.of_model(config)
        stored = published_config(config)
        shapes = tensor_shapes(config)
    source_tensors = open_weights(source)
    notes = _drop_twin(source_tensors, WORD_TABLE, config)
    _check(source_tensors, shapes, source)
    if not PublishedConfig.from_mapping(stored).has_newline_vector:
        del shapes[IMAGE_NEWLINE]
    copies = _tokenizer_files(tokenizer_folder or source / KEPT, required=tokenizer_folder is not None)
    if not copies:
        notes.append("the published tokenizer is not known, so there is none in the new folder; see --tokenizer")
    tensors = {published_name(name): source_tensors[name] for name in shapes}
    return _Plan("published", tensors, stored, config, tower, copies | _generation(source), None, notes)


@contextmanager
def _blaming(file: Path) -> Iterator[None]:
    """Say that it is this file whose values are refused, by us or by transformers."""
    try:
        yield
    except InputError as error:
        raise InputError(error.problem, file=file, hint=error.hint) from None
    except Exception as error:
        raise InputError(f"is refused by transformers: {error}", file=file) from error


def _drop_twin(tensors: dict[str, StoredTensor], table: str, config: LlavaVideoConfig) -> list[str]:
    """Take the output layer out where it is tied to the word table but stored all the same; returns a note on it."""
    if not config.tie_word_embeddings or LM_HEAD not in tensors or table not in tensors:
        return []
    if not same_bytes(tensors[LM_HEAD], tensors[table]):
        raise InputError(
            f"'{LM_HEAD}' differs from '{table}', though tie_word_embeddings says they are one",
            file=tensors[LM_HEAD].file,
        )
    del tensors[LM_HEAD]
    return [f"'{LM_HEAD}' was stored though it is tied to '{table}'; it is left out"]


def _check(tensors: Mapping[str, StoredTensor], shapes: Mapping[str, tuple[int, ...]], folder: Path) -> None:
    """Refuse tensors that are missing, surplus or misshapen."""
    missing = [f"'{name}' is missing" for name in shapes if name not in tensors]
    surplus = [f"'{name}' is surplus ({_place(tensors[name])})" for name in tensors if name not in shapes]
    misshapen = [
        f"'{name}' is {tensors[name].dtype} {list(tensors[name].shape)}, expected is {list(shape)} in floating point "
        f"({_place(tensors[name])})"
        for name, shape in shapes.items()
        if name in tensors and (tensors[name].shape != shape or not tensors[name].is_float)
    ]
    wrong = [*missing, *surplus, *misshapen]
    if wrong:
        raise InputError(
            f"{len(missing)} tensors are missing, {len(surplus)} surplus, {len(misshapen)} misshapen: "
            + "; ".join(wrong[:_NAMED])
            + (f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""),
            file=folder,
            hint="weights and config.json (or the tower's configuration) do not belong together",
        )


def _place(tensor: StoredTensor) -> str:
    return "in no file" if tensor.file is None else f"in {tensor.file.name}"


def _tokenizer_files(folder: Path, *, required: bool) -> dict[str, Path]:
    files = {name: folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()}
    if required and not files:
        raise InputError("has no tokenizer", file=folder, hint=f"expected some of {', '.join(_TOKENIZER_FILES)}")
    return files


def _open_tokenizer(folder: Path) -> Any:
    try:  # with the configuration given, the folder's own, which the library does not know, is not looked at
        return AutoTokenizer.from_pretrained(folder, config=Qwen2Config(), local_files_only=True)
    except Exception as error:
        raise InputError(f"its tokenizer cannot be loaded: {error}", file=folder) from error


def _generation(source: Path) -> dict[str, Path]:
    return {_GENERATION: source / _GENERATION} if (source / _GENERATION).is_file() else {}


@contextmanager
def _put_together(destination: Path, total_bytes: int) -> Iterator[Path]:
    """A folder that becomes ``destination`` when all went well, and vanishes otherwise."""
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise InputError("exists already", file=destination, hint="give a new folder")
    part = None
    try:
        part = Part(destination, folder=True)
        free = shutil.disk_usage(part.path).free
        if free < total_bytes:
            raise InputError(
                f"{total_bytes:,} bytes are needed, {free:,} are free",
                file=destination,
                hint="make room on the disk, or give a folder on another one",
            )
        yield part.path
        part.take_place()
    except OSError as error:
        raise unwritable(destination, error) from error
    finally:
        if part is not None:
            part.drop()


def _write_files(plan: _Plan, folder: Path) -> None:
    """Everything but the weights."""
    for name, path in plan.copies.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / name)
    if plan.to == "published":
        write_json(folder / "config.json", plan.published)
        if TowerConfig.known(plan.published["mm_vision_tower"]) != plan.tower:
            write_json(folder / TOWER_CONFIG, plan.tower.as_file())
        return
    plan.config.save_pretrained(folder)
    if _GENERATION not in plan.copies:
        ends = {name: plan.published.get(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        write_json(folder / _GENERATION, {name: token for name, token in ends.items() if token is not None})
    side = plan.tower.image_size
    SiglipImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder)
    if plan.tokenizer is not None:
        LlavaVideoProcessor.for_config(plan.config, plan.tokenizer).save_pretrained(folder)


def _verify(plan: _Plan, source: Path, folder: Path) -> float | None:
    """Read the new tensors again, then run both layouts where they fit into memory.

    Returns:
        See :func:`compare_arithmetic`.
    """
    tensors = open_weights(folder)
    for name, tensor in plan.tensors.items():
        if name not in tensors or not same_bytes(tensors[name], tensor):
            raise InputError(f"'{name}' does not read back as it was written", file=folder)
    if plan.to == "ours":
        published, ours = {published_name(name): tensor for name, tensor in plan.tensors.items()}, folder
    else:
        published, ours = tensors, source
    difference = compare_arithmetic(published, plan.published, plan.tower, ours)
    if difference is None:
        plan.notes.append("the model does not fit into memory in float32, so the arithmetic was not compared")
    return difference
