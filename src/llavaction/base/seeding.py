"""Randomness that depends on names, not on order: the same id gives the same draws on every machine."""

from __future__ import annotations

import hashlib

import numpy as np


def hashed_seed(*parts: str | int) -> int:
    """A 128-bit seed from the given parts (blake2b; independent of PYTHONHASHSEED and of the platform)."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def hashed_rng(*parts: str | int) -> np.random.Generator:
    """A generator seeded by :func:`hashed_seed`; give each question, record or clip its own."""
    return np.random.Generator(np.random.PCG64(hashed_seed(*parts)))
