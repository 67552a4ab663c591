"""Sharded safetensors: what the library writes is read, what is written here the library reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from llavaction.base.errors import InputError
from llavaction.models import shards
from llavaction.models.shards import StoredTensor, open_weights, read_header, same_bytes, write_weights

TENSORS = {
    "wide": torch.arange(12, dtype=torch.float64).reshape(3, 4) / 7,
    "half": torch.linspace(-1, 1, 5).to(torch.bfloat16),
    "bytes": torch.tensor([1, 2, 255], dtype=torch.uint8),
    "scalar": torch.tensor(2.5),
    "nothing": torch.zeros(0, 3),
    "flags": torch.tensor([[True], [False]]),
    "long": torch.tensor([-(2**40)]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "model.safetensors")
    return tmp_path


def test_tensors_are_read_as_the_library_wrote_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PIECE", 5)  # pieces that end inside elements
    found = open_weights(folder)
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].shape == tuple(tensor.shape)
        assert found[name].total_bytes == tensor.nbytes
        assert found[name].is_float == tensor.is_floating_point()
        assert found[name].load().dtype == tensor.dtype
        assert torch.equal(found[name].load(), tensor)
        assert max([0, *map(len, found[name].pieces())]) <= 5


def test_the_library_reads_what_is_written(folder: Path, tmp_path: Path) -> None:
    found = open_weights(folder)
    for limit, files in ((10**9, 1), (100, 3), (1, len(TENSORS))):
        out = tmp_path / str(limit)
        out.mkdir()
        assert write_weights(out, {f"new.{name}": tensor for name, tensor in found.items()}, limit) == files
        paths = sorted(out.glob("*.safetensors"))
        assert len(paths) == files
        stored = {name: tensor for path in paths for name, tensor in load_file(path).items()}
        assert stored.keys() == {f"new.{name}" for name in TENSORS}
        assert all(torch.equal(stored[f"new.{name}"], tensor) for name, tensor in TENSORS.items())
        for path in paths:
            with safe_open(path, "pt") as opened:
                assert opened.metadata() == {"format": "pt"}
            for tensor in read_header(path).values():
                assert tensor.offset % tensor.item_bytes == 0
        again = open_weights(out)
        assert all(same_bytes(again[f"new.{name}"], tensor) for name, tensor in found.items())


def test_zeros_that_are_in_no_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PIECE", 7)
    out = tmp_path / "out"
    out.mkdir()
    zeros = StoredTensor("zeros", "F32", (2, 3), None)
    write_weights(out, {"half": open_weights(folder)["half"], "zeros": zeros}, 10**9)
    stored = load_file(out / "model.safetensors")
    assert torch.equal(stored["zeros"], torch.zeros(2, 3))
    assert torch.equal(stored["half"], TENSORS["half"])
    assert same_bytes(open_weights(out)["zeros"], zeros)


def test_difference_of_a_single_bit_is_seen(folder: Path, tmp_path: Path) -> None:
    tensor = open_weights(folder)["wide"]
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[tensor.offset + tensor.total_bytes - 1] ^= 1
    (tmp_path / "flipped.safetensors").write_bytes(data)
    flipped = read_header(tmp_path / "flipped.safetensors")
    assert not same_bytes(flipped["wide"], tensor)
    assert same_bytes(flipped["half"], open_weights(folder)["half"])
    assert not same_bytes(StoredTensor("x", "F32", (24,), None), tensor)


def _rewritten(file: Path, header: str) -> Path:
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    file.write_bytes(len(header).to_bytes(8, "little") + header.encode() + data[8 + length :])
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"half"', '"wide"'), "'wide' occurs twice"),
        (lambda text: text.replace('"F64"', '"F12"'), "tensor 'wide' is of type F12"),
        (lambda text: text.replace("[3,4]", "[3,5]"), "'wide' is not where it should be"),
        (lambda text: text.replace("[3,4]", '"many"'), "its header is damaged"),
        (lambda text: "[1, 2, 3]", "its header is damaged"),
        (lambda text: json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}), "not where it should"),
    ],
)
def test_damaged_headers(folder: Path, change: object, message: str) -> None:
    file = folder / "model.safetensors"
    length = int.from_bytes(file.read_bytes()[:8], "little")
    header = file.read_bytes()[8 : 8 + length].decode().rstrip()
    changed = change(header)  # type: ignore[operator]
    assert changed != header
    with pytest.raises(InputError, match=message):
        read_header(_rewritten(file, changed))


def test_a_file_that_shrinks_while_it_is_read(folder: Path) -> None:
    found = open_weights(folder)
    last = max(found.values(), key=lambda tensor: tensor.offset)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"ends inside the tensor '{last.name}'"):
        last.load()
    with pytest.raises(InputError, match="is cut short: 1 of"):
        read_header(file)
