from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llavaction.base.bounded import DEEPEST, parse_json, parse_yaml, read_bytes, read_text
from llavaction.base.errors import InputError
from llavaction.base.json_stream import JsonCursor

IDS = "['a', 'b']"
GIB = 2**30


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str, float, float]]:
    """Of every bomb: its file, what its reader says, the memory taken beyond the imports in GiB, and CPU seconds."""
    made, script = {}, READING
    for name, (file, write, code, _) in BOMBS.items():
        path = made[name] = tmp_path_factory.mktemp("bomb") / file
        write(path)
        assert path.stat().st_size < 64 << 20
        script += f"attempt({name!r}, lambda path: {code}, Path({str(path)!r}))\n"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (8 * GIB, 8 * GIB))

    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, preexec_fn=limit)
    assert done.returncode == 0, done.stderr
    return {name: (made[name], *found) for name, found in map(json.loads, done.stdout.splitlines())}


READING = """
import json, resource, time
from pathlib import Path
import torch
from llavaction.base.errors import InputError
from llavaction.curation.llava import read_llava
from llavaction.curation.mixture import load_mixture
from llavaction.datasets.epic_kitchens import EpicKitchens
from llavaction.questions.schema import Benchmark
from llavaction.specialists.predictions import load_predictions

used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
before = used()

def attempt(name, read, path):
    begun = time.process_time()
    try:
        read(path)
        said = "read"
    except InputError as error:
        said = str(error)
    print(json.dumps([name, [said, used() - before, time.process_time() - begun]]))

"""


def zeros_npz(path: Path) -> None:
    """A few megabytes that stand for 3.9 GB of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, shape, dtype in (("verb_output", (10**7, 97), "<f4"), ("noun_output", (2, 300), "<f4")):
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(head, {"descr": dtype, "fortran_order": False, "shape": shape})
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                stream.write(head.getvalue())
                for _ in range(400 if name == "verb_output" else 0):
                    stream.write(bytes(970_000))


def nested_zip(path: Path) -> None:
    """A submission whose JSON is 33 million empty lists."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("test.json", "w", force_zip64=True) as stream,
    ):
        stream.write(b'{"results": {"a": {"verb": [')
        for _ in range(100):
            stream.write(b"[]," * 333_333)
        stream.write(b"0]}}}")


def blank_zip(path: Path) -> None:
    """A submission that begins after half a gigabyte of blanks."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("test.json", "w", force_zip64=True) as stream,
    ):
        for _ in range(500):
            stream.write(b" " * (1 << 20))
        stream.write(b"{}")


def long_header_npz(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        length = 500 << 20
        header = b"\x93NUMPY\x02\x00" + length.to_bytes(4, "little")
        archive.writestr("verb_output.npy", header + b" " * length)


def strided_pt(path: Path) -> None:
    import torch

    wide = torch.zeros(1, dtype=torch.float16).expand(20_000, 10_000)
    torch.save({"verb_output": wide, "noun_output": wide, "narration_id": ["a", "b"]}, path)


BOMBS: dict[str, tuple[str, Callable[[Path], object], str, str]] = {
    "npz of zeros": ("p.npz", zeros_npz, f"load_predictions(path, {IDS}, [])", "MiB|cut short"),
    "npz with a long header": (
        "p.npz",
        long_header_npz,
        f"load_predictions(path, {IDS}, [])",
        "uncommon version",
    ),
    "pt of one number": ("p.pt", strided_pt, f"load_predictions(path, {IDS}, [])", "more than 100,000,000"),
    "json of small entries": (
        "p.json",
        lambda path: path.write_text(f"{{{','.join(f'{chr(34)}{i}{chr(34)}:0' for i in range(100_000))}}}"),
        f"load_predictions(path, {IDS}, [])",
        "neither a challenge",
    ),
    "zip of lists": ("p.zip", nested_zip, f"load_predictions(path, {IDS}, [])", "not JSON|result of"),
    "zip of blanks": ("p.zip", blank_zip, f"load_predictions(path, {IDS}, [])", "GiB"),
    "class index": (
        "p.json",
        lambda path: path.write_text('{"results": {"a": {"verb": {"900000000": 1}, "noun": {"0": 1}}}}'),
        f"load_predictions(path, {IDS}, [])",
        "no class id",
    ),
    "aliases": (
        "m.yaml",
        lambda path: path.write_text(
            "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
            + "tasks: [*a8]\n"
        ),
        "load_mixture(path)",
        "more than 50,000 values",
    ),
    "deep yaml": ("m.yaml", lambda path: path.write_text("a: " + "[" * 90_000), "load_mixture(path)", "nested deeper"),
    "deep json": ("x.json", lambda path: path.write_text("[" * 10**6), "read_llava(path)", "nested deeper|not JSON"),
    "wide json": (
        "card.json",
        lambda path: path.write_text("[" + "[]," * 10**7 + "0]"),
        "Benchmark.load(path.parent)",
        "more than 3,000,000 values",
    ),
    "long csv": (
        "EPIC_100_verb_classes.csv",
        lambda path: path.write_text("id,key\n" + "\n" * 3_000_000),
        "EpicKitchens(path.parent)",
        "more than 2,000,000 lines",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BOMBS))
def test_small_files_do_not_take_all_memory(outcomes: dict[str, tuple[Path, str, float, float]], name: str) -> None:
    path, said, memory, seconds = outcomes[name]
    assert any(part in said for part in BOMBS[name][3].split("|")), said
    assert str(path) in said
    assert memory < 1.0
    assert seconds < 5


def test_a_number_of_json_is_never_a_surprise() -> None:
    with pytest.raises(InputError, match=r"x:1: not JSON"):
        parse_json("9" * 5000, file="x", line=1)
    with pytest.raises(InputError, match="nested deeper than 64"):
        parse_json("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)
    with pytest.raises(InputError, match=r"x:3: not JSON"):
        parse_json(b"{\n\n'a': 1}", file="x")


def test_a_key_stands_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x:7: .*the key 'a' stands twice"):
        parse_json('[{"b": {"a": 1, "c": 2, "a": 3}}]', file="x", line=7)
    cursor = JsonCursor(io.StringIO('{"a": 1,\n"b": 2,\n"a": 3}'), "x.json")
    with pytest.raises(InputError, match=r"x.json:3: .*the key 'a' stands twice"):
        for _ in cursor.object_keys():
            cursor.value()
    assert parse_json('[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("text", [r'"a\ud800"', r'{"\udc00": 1}', r'[[{"a": ["\ud83d"]}]]'])
def test_half_a_character_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="half a surrogate pair"):
        parse_json(text)
    with pytest.raises(InputError, match="half a surrogate pair"):
        parse_yaml(text)
    assert parse_json(r'"\ud83d\ude00"') == "😀"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "x:1: not readable as YAML"),
        ("a: 1\nb: 2\na: 3", "x:3: not readable as YAML .*'a' twice"),
        ("a: &a [1, *a]", "alias"),
        ("a: 2020-99-99", "not readable as YAML"),
        ("a: " + "9" * 5000, "not readable as YAML"),
        ("b: 1\na: 0x" + "f" * 8000, "x:2: .*a number of 8,002 characters"),
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: \0", "not readable as YAML"),
    ],
)
def test_yaml_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_yaml(text, file="x")


def test_yaml_keeps_its_conveniences() -> None:
    text = "base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  b: 3\nlist: [*base, *base]\n"
    assert parse_yaml(text)["mine"] == {"a": 1, "b": 3}
    assert parse_yaml("") is None


def test_text_is_utf8_with_or_without_mark(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfa")
    assert read_text(tmp_path / "x") == "a"
    (tmp_path / "x").write_bytes(b"a\nb\xe9c")
    with pytest.raises(InputError, match=r"x:2: is not UTF-8"):
        read_text(tmp_path / "x")
    with pytest.raises(InputError, match="larger than"):
        read_text(tmp_path / "x", most=3)
    with pytest.raises(InputError, match="no such file"):
        read_text(tmp_path / "y")
    with pytest.raises(InputError, match="cannot be read"):
        read_text("a\0b")


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
def test_a_stream_is_read_as_the_library_reads_it(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llavaction.base.json_stream.CHUNK", chunk)
    values = {"n": 12.5e3, "results": {"a": {"verb": {"0": -1.5}}, "b": []}, "é\n": [1, 'x"]', None, True], "e": {}}
    cursor = JsonCursor(io.StringIO(json.dumps(values, indent=2)), "x.json")
    assert {key: cursor.value() for key in cursor.object_keys()} == values
    cursor.end()
    cursor = JsonCursor(io.StringIO(" [1, 23,\n4567, []] "), "x.json")
    assert list(cursor.list_items()) == [1, 23, 4567, []]
    cursor.end()


@pytest.mark.parametrize(("text", "line"), [('{"a": 1,\n"b" 2}', 2), ('{"a": 1}\n\n{', 3), ('{"a":\n\n[1,,2]}', 3)])
def test_a_stream_names_the_line(text: str, line: int) -> None:
    cursor = JsonCursor(io.StringIO(text), "x.json")
    with pytest.raises(InputError, match=rf"x.json:{line}: not JSON"):
        for _ in cursor.object_keys():
            cursor.value()
        cursor.end()


def test_a_small_file_takes_little_memory_and_a_pipe_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"small")
    os.mkfifo(tmp_path / "pipe")
    tracemalloc.start()
    assert read_bytes(tmp_path / "a") == b"small"
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"through a pipe",))
    writer.start()
    assert read_bytes(tmp_path / "pipe") == b"through a pipe"
    writer.join()
    with pytest.raises(InputError, match="is larger than"):
        read_bytes(tmp_path / "a", 4)
