"""What the header of an ASF file (.wmv) says of its length; what is gone from its middle leaves no other sign."""

from __future__ import annotations

from pathlib import Path

FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
LARGEST_HEADER = 1 << 20


def is_short(path: str | Path) -> bool:
    """Whether the file has fewer bytes than its header says."""
    with Path(path).open("rb") as stream:
        header = stream.read(LARGEST_HEADER)
        at = header.find(FILE_PROPERTIES)
        return at >= 0 and int.from_bytes(header[at + 40 : at + 48], "little") > stream.seek(0, 2)
