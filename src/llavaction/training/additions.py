"""What a plug-in may add to a stage that learns from records: changes of the model, further losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from llavaction.models.checkpoint import Checkpoint


class Addition:
    """Adds nothing; plug-ins override what they need. One stage has one."""

    @property
    def losses(self) -> Mapping[str, float]:
        """Further losses by the names the log has for them ("words_loss"), with their weights in the sum."""
        return {}

    def change(self, core: Any, checkpoint: Checkpoint, seed: int) -> None:
        """Change the model before it is trained, and its configuration with it.

        Args:
            core: the model as loaded, with its action token.
            checkpoint: where it comes from.
            seed: of new weights.
        """

    def learns(self, name: str) -> bool:
        """Whether a parameter of a part that has a learning rate learns."""
        return True

    def attach(self, core: Any) -> None:
        """Get to know the model that will be trained; called once, before the first step."""

    def wanted(self, inputs: Mapping[str, torch.Tensor]) -> tuple[float, ...]:
        """What each loss of a micro-batch is a share of; summed over the global batch, it divides the loss.

        Known before the model is run. Called for models with an action token alone.
        """
        return ()

    def losses_of(self, inputs: Mapping[str, torch.Tensor], outputs: Any) -> dict[str, torch.Tensor]:
        """The losses of a micro-batch, undivided, by name."""
        return {}

    @contextmanager
    def running(self, core: Any, tokens: int) -> Iterator[int | None]:
        """Within the block the model is run on a micro-batch.

        Args:
            core: the model.
            tokens: how many tokens of text it has to learn.

        Yields:
            How many layers of the language model are run; None for all.
        """
        yield None
