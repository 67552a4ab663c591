"""``llavaction convert``: checkpoints of the published format into ours, and back."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llavaction.base.errors import InputError
from llavaction.cli.options import FILE, FOLDER, as_json, emit

if TYPE_CHECKING:
    from llavaction.models.convert import Conversion

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}


@click.command()
@click.argument("source", type=FOLDER)
@click.argument("destination", type=FOLDER)
@click.option("--to", type=click.Choice(["ours", "published"]), help="The format to write; the other one by default.")
@click.option("--vision-tower", type=FOLDER, help="SigLIP checkpoint, where SOURCE names its tower but lacks it.")
@click.option("--tower-config", type=FILE, help="config.json of the vision tower, where its name is not a known one.")
@click.option("--tokenizer", type=FOLDER, help="Folder with the published tokenizer, where SOURCE has none.")
@click.option("--verify", is_flag=True, help="Read everything again and run both layouts on a random clip.")
@click.option("--shard-size", default="4GB", show_default=True, help="Largest weight file, e.g. 500MB.")
@as_json
def convert(source: Path, destination: Path, shard_size: str, json_out: bool, **options: Any) -> None:
    """Convert the checkpoint folder SOURCE from the published format (LLaVA-Video, LLaVAction) to ours, or back."""
    from llavaction.models.convert import convert as convert_folder

    done = convert_folder(source, destination, shard_bytes=size_in_bytes(shard_size), **options)
    emit(asdict(done) | {"folder": str(done.folder)}, describe(done), json_out)


def size_in_bytes(text: str) -> int:
    """The bytes in "4GB", "500 MB", "1.5G" or a plain number; units are decimal.

    Raises:
        InputError: it is none of these, or not positive.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", text.strip().upper())
    size = 0 if found is None else int(float(found[1]) * _UNITS[found[2]])
    if size < 1:
        raise InputError(f"'{text}' is not a size", hint="write it like 4GB or 500MB")
    return size


def describe(done: Conversion) -> str:
    """A conversion in a few lines."""
    lines = [
        f"{done.tensors} tensors ({done.total_bytes / 1e9:.2f} GB) in {done.shards} file(s) "
        f"written to {done.folder} in {done.seconds:.1f} s"
    ]
    if done.verified:
        lines.append("every tensor reads back bit for bit")
    if done.difference is not None:
        lines.append(f"largest difference of the logits of both layouts on a random clip: {done.difference:.2g}")
    return "\n".join(lines + [f"note: {note}" for note in done.notes])
