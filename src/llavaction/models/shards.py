"""Sharded safetensors, read and written piece by piece: a checkpoint of any size passes through a small buffer.

The files are checked more strictly than the library does (a cut file, a hole, a tensor twice), and nothing is mapped
into memory, so what a conversion takes is what it holds.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from llavaction.base.bounded import MOST_VALUES
from llavaction.base.errors import InputError
from llavaction.base.progress import progress
from llavaction.base.records import read_json, write_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
LONGEST_NAME = 200
"""Letters of a shard's name."""
PIECE = 16 << 20
"""Bytes held at a time."""

_TORCH_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_LONGEST_HEADER = 100_000_000  # the format's own limit


@dataclass(frozen=True)
class StoredTensor:
    """A tensor's place on disk.

    Attributes:
        name: its key.
        dtype: the format's code, such as "BF16".
        shape: its shape.
        file: the file it is in; None for a tensor of zeros that is in no file.
        offset: of its first byte in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path | None
    offset: int = 0

    @property
    def item_bytes(self) -> int:
        """Bytes of one element."""
        return _TORCH_TYPES[self.dtype].itemsize

    @property
    def total_bytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * self.item_bytes

    @property
    def is_float(self) -> bool:
        """Whether its elements are floating-point numbers."""
        return _TORCH_TYPES[self.dtype].is_floating_point

    def pieces(self) -> Iterator[memoryview]:
        """Its bytes in order, at most ``PIECE`` at a time; a piece is overwritten by the next one.

        Raises:
            InputError: the file ends too soon.
        """
        left = self.total_bytes
        buffer = memoryview(bytearray(min(left, PIECE)))
        if self.file is None:
            for start in range(0, left, PIECE):
                yield buffer[: left - start]
            return
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            while left:
                piece = buffer[:left]
                if stream.readinto(piece) < len(piece):
                    raise InputError(f"ends inside the tensor '{self.name}'", file=self.file)
                yield piece
                left -= len(piece)

    def load(self) -> torch.Tensor:
        """The whole tensor in memory, in its stored type."""
        data = bytearray(self.total_bytes)
        position = 0
        for piece in self.pieces():
            data[position : position + len(piece)] = piece
            position += len(piece)
        if not data:
            return torch.zeros(self.shape, dtype=_TORCH_TYPES[self.dtype])
        return torch.frombuffer(data, dtype=_TORCH_TYPES[self.dtype]).reshape(self.shape)


def same_bytes(one: StoredTensor, other: StoredTensor) -> bool:
    """Whether two tensors agree in type, shape and every bit."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return all(mine == theirs for mine, theirs in zip(one.pieces(), other.pieces(), strict=True))


def open_weights(folder: Path) -> dict[str, StoredTensor]:
    """Find every tensor of a checkpoint folder: one ``model.safetensors``, or shards and their index.

    Raises:
        InputError: there are none, a shard is missing, cut short or damaged, a tensor is in two shards, or the index
            and the shards disagree.
    """
    single, index = folder / SINGLE, folder / INDEX
    if single.is_file() and index.is_file():
        raise InputError(f"holds both {SINGLE} and {INDEX}", file=folder, hint="take away the one that is out of date")
    if single.is_file():
        return read_header(single)
    if index.is_file():
        return _read_shards(folder, _read_index(index))
    if any(folder.glob("*.safetensors")):
        raise InputError(f"holds shards but no {INDEX}", file=folder, hint="the download is not complete")
    pickled = sorted(path.name for kind in ("*.bin", "*.pt", "*.pth") for path in folder.glob(kind))
    raise InputError(
        "has no .safetensors weights" + (f", only pickled ones ('{pickled[0]}')" if pickled else ""),
        file=folder,
        hint="pickled weights are never loaded; save the model again with save_pretrained" if pickled else None,
    )


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Find the tensors of one safetensors file.

    Raises:
        InputError: the file is cut short, damaged, or names a tensor twice.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, _LONGEST_HEADER):
            raise InputError("is cut short, or is no safetensors file", file=file)
        raw = stream.read(length)
    try:
        if sum(map(raw.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise InputError(f"its header has more than {MOST_VALUES:,} values", file=file)
        header = json.loads(raw.decode(), object_pairs_hook=_without_twins)
        header.pop("__metadata__", None)
        entries = sorted(
            (*map(int, entry["data_offsets"]), name, str(entry["dtype"]), tuple(map(int, entry["shape"])))
            for name, entry in header.items()
        )
        if any(len(entry) != 5 or any(length < 0 for length in entry[-1]) for entry in entries):
            raise ValueError("a tensor has other than two offsets, or a negative shape")
        "".join(header).encode()
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"its header is damaged ({type(error).__name__}: {error})", file=file) from None
    tensors, end = {}, 0
    for begin, stop, name, dtype, shape in entries:
        if dtype not in _TORCH_TYPES:
            raise InputError(f"tensor '{name}' is of type {dtype}, which is not known here", file=file)
        tensors[name] = StoredTensor(name, dtype, shape, file, 8 + length + begin)
        if begin != end or stop - begin != tensors[name].total_bytes:
            raise InputError(f"its header is damaged: '{name}' is not where it should be", file=file)
        end = stop
    if size != 8 + length + end:
        lack = 8 + length + end - size
        raise InputError(
            f"is cut short: {lack} of {size + lack} bytes are missing" if lack > 0 else f"has {-lack} bytes too many",
            file=file,
            hint="the download or the copy is not complete" if lack > 0 else None,
        )
    return tensors


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in names if names.count(name) > 1)}' occurs twice")
    return values


def _read_index(index: Path) -> dict[str, str]:
    stored = read_json(index)
    places = stored.get("weight_map") if isinstance(stored, dict) else None
    if not isinstance(places, dict) or not places:
        raise InputError("has no weight_map", file=index)
    for name, shard in places.items():
        if not isinstance(shard, str) or Path(shard).name != shard or len(shard) > LONGEST_NAME:
            raise InputError(f"'{name}' is said to be in {shard!r:.100}, which is no file of this folder", file=index)
    return places


def _read_shards(folder: Path, places: Mapping[str, str]) -> dict[str, StoredTensor]:
    shards = sorted(set(places.values()))
    absent = [shard for shard in shards if not (folder / shard).is_file()]
    if absent:
        raise InputError(
            f"names {len(absent)} of {len(shards)} shards that are not there, first '{absent[0]}'",
            file=folder / INDEX,
            hint="the download is not complete",
        )
    tensors: dict[str, StoredTensor] = {}
    for shard in shards:
        for name, tensor in read_header(folder / shard).items():
            if name in tensors:
                raise InputError(f"tensor '{name}' is also in '{tensors[name].file}'", file=folder / shard)
            tensors[name] = tensor
    for name in sorted(tensors.keys() | places.keys()):
        where = tensors[name].file if name in tensors else None
        if where != (folder / places[name] if name in places else None):
            raise InputError(
                f"tensor '{name}' is in {where.name if where else 'no shard'}, "
                f"the index says {places.get(name, 'nothing of it')}",
                file=folder / INDEX,
            )
    return tensors


def write_weights(folder: Path, tensors: Mapping[str, StoredTensor], shard_bytes: int) -> int:
    """Write tensors under new names, byte for byte.

    Args:
        folder: an existing folder.
        tensors: new name to the tensor it is read from, in the order in which they fill the shards.
        shard_bytes: largest size of a shard; a tensor that is larger gets one of its own.

    Returns:
        How many shards were written: one without an index, or several with one.
    """
    shards: list[dict[str, StoredTensor]] = [{}]
    room = shard_bytes
    for name, tensor in tensors.items():
        if shards[-1] and tensor.total_bytes > room:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = tensor
        room -= tensor.total_bytes
    if len(shards) == 1:
        _write_shard(folder / SINGLE, shards[0])
        return 1
    names = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(progress(names, "writing shards"), shards, strict=True):
        _write_shard(folder / name, shard)
    places = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
    total = sum(tensor.total_bytes for tensor in tensors.values())
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))})
    return len(shards)


def _write_shard(file: Path, tensors: Mapping[str, StoredTensor]) -> None:
    # wide types first: every tensor then begins at a multiple of its element's size
    order = sorted(tensors.items(), key=lambda item: -item[1].item_bytes)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in order:
        begin, end = end, end + tensor.total_bytes
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.writelines(piece for _, tensor in order for piece in tensor.pieces())
        stream.flush()
        os.fsync(stream.fileno())
