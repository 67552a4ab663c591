"""A backend that is not shown the clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llavaction.backends.base import Backend, Capability, OptionScores, Query


class BlindBackend:
    """Asks a backend without the clip, whatever the query holds; otherwise it is that backend.

    Args:
        backend: who is asked; it takes queries without a clip.
    """

    name: str
    needs_frames: int = 0
    decision_rule: str
    capabilities: frozenset[Capability]

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name, self.decision_rule, self.capabilities = backend.name, backend.decision_rule, backend.capabilities

    def __getattr__(self, name: str) -> Any:
        """Whatever else the backend has."""
        return getattr(self.__dict__["_backend"], name)

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        """See :class:`llavaction.backends.base.Backend`."""
        return self._backend.score_options([replace(query, clip=None) for query in queries])

    def generate(self, queries: Sequence[Query]) -> list[str]:
        """See :class:`llavaction.backends.base.Backend`."""
        return self._backend.generate([replace(query, clip=None) for query in queries])


def blind(backend: Backend) -> Backend:
    """The same backend without the clip: its own way (``without_clips``) where it has one.

    Raises:
        InputError: it cannot be asked without one.
    """
    own = getattr(backend, "without_clips", None)
    return BlindBackend(backend) if own is None else own()
