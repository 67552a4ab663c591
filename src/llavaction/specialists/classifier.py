"""A trained specialist: network, heads and label set, in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from llavaction.base.bounded import parse_json
from llavaction.base.errors import InputError
from llavaction.base.files import whole
from llavaction.base.records import file_sha256, read_json, write_json
from llavaction.base.seeding import hashed_seed
from llavaction.specialists.config import SpecialistConfig
from llavaction.specialists.labels import SpecialistLabels
from llavaction.specialists.networks import FrameDifferenceCnn, VideoMae, build_network, open_videomae, with_checkpoint

FORMAT = "llavaction specialist 1"
CONFIG, VOCABULARY, WEIGHTS = "config.json", "vocabulary.json", "model.safetensors"
NOTES = "notes"
"""Name of the notes in a file of tensors."""


class Specialist(nn.Module):
    """Classifier of segments into verbs, nouns and the pairs met in training.

    Args:
        config: its settings.
        labels: what its outputs stand for.
        network: frames to features.

    Attributes:
        facts: what is known of its making, such as sources and losses; kept in its folder.
    """

    facts: dict[str, Any]

    def __init__(self, config: SpecialistConfig, labels: SpecialistLabels, network: FrameDifferenceCnn | VideoMae):
        super().__init__()
        self.config, self.labels, self.network, self.facts = config, labels, network, {}
        verbs, nouns, actions = labels.sizes
        self.dropout = nn.Dropout(config.dropout)
        self.verb_head = nn.Linear(network.size, verbs)
        self.noun_head = nn.Linear(network.size, nouns)
        self.action_head = nn.Linear(network.size, actions) if config.action_share else None

    @classmethod
    def untrained(cls, config: SpecialistConfig, labels: SpecialistLabels) -> Specialist:
        """A specialist with weights drawn by the configuration's seed, or with its checkpoint's encoder.

        Raises:
            InputError: the checkpoint cannot be read.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hashed_seed("specialist weights", config.seed) % 2**63)
            config = with_checkpoint(config)
            network = build_network(config) if config.checkpoint is None else open_videomae(config.checkpoint)
            return cls(config, labels, network)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Logits of verbs [batch, verbs], nouns [batch, nouns] and, with that head, actions [batch, actions].

        Args:
            frames: bytes [batch, frames, height, width, 3], RGB.
        """
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            features = self.network(frames)
        features = self.dropout(features.float())
        heads = (self.verb_head, self.noun_head, self.action_head)
        return tuple(head(features) for head in heads if head is not None)

    def save(self, folder: str | Path) -> None:
        """Write the folder, made if it does not exist; the configuration last, so that a folder with one is complete.

        Raises:
            InputError: the folder cannot be written.
        """
        folder = Path(folder)
        write_json(folder / VOCABULARY, self.labels.model_dump(mode="json"))
        write_tensors(folder / WEIGHTS, self.state_dict())
        values: dict[str, Any] = {"format": FORMAT, "settings": self.config.model_dump(mode="json")}
        if isinstance(self.network, VideoMae):
            values["encoder"] = self.network.encoder.config.to_diff_dict()
        write_json(folder / CONFIG, values | {"facts": self.facts})

    @classmethod
    def load(cls, folder: str | Path) -> Specialist:
        """Read a folder written by :meth:`save`.

        Raises:
            InputError: the folder is no specialist's, or a file in it is damaged.
        """
        folder = Path(folder)
        stored = read_config(folder)
        config = SpecialistConfig.from_mapping(stored["settings"], file=folder / CONFIG)
        labels = SpecialistLabels.from_mapping(read_json(folder / VOCABULARY), file=folder / VOCABULARY)
        weights = read_tensors(folder / WEIGHTS)
        try:
            with torch.device("meta"):  # sizes are compared before memory is taken for them
                sketch = cls(config, labels, build_network(config, stored.get("encoder")))
            expected = {name: tensor.shape for name, tensor in sketch.state_dict().items()}
            shapes = {name: tensor.shape for name, tensor in weights.items()}
            differing = sorted(name for name in expected.keys() | shapes if expected.get(name) != shapes.get(name))
            if differing:
                raise InputError(
                    f"does not fit {CONFIG}: {len(differing)} tensors are missing, unknown or of another shape, "
                    f"the first '{differing[0]}'",
                    file=folder / WEIGHTS,
                )
            specialist = cls(config, labels, build_network(config, stored.get("encoder")))
            specialist.load_state_dict(weights)
        except InputError:
            raise
        except Exception as error:  # what an encoder's settings may break is the library's
            problem = str(error) or type(error).__name__
            raise InputError(f"does not fit {CONFIG}: {problem}", file=folder / WEIGHTS) from None
        specialist.facts = stored.get("facts") or {}
        return specialist.eval()


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a specialist's folder: "settings", "facts" and, for VideoMAE, "encoder".

    Raises:
        InputError: the folder is no specialist's.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(
            f"not a specialist's folder: it has no {CONFIG}",
            file=folder,
            hint="make one with: llavaction specialist train; an unfinished one is continued by the same command",
        )
    stored = read_json(folder / CONFIG)
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise InputError(f"is not the configuration of a specialist ('{FORMAT}')", file=folder / CONFIG)
    if not isinstance(stored.get("settings"), dict) or not isinstance(stored.get("facts") or {}, dict):
        raise InputError("has no 'settings', or 'facts' that are no mapping", file=folder / CONFIG)
    return stored


def fingerprint(folder: str | Path) -> str:
    """A digest of everything that decides a specialist's scores: weights, classes, settings."""
    folder = Path(folder)
    settings = json.dumps(read_config(folder)["settings"], sort_keys=True)
    return f"{hashed_seed(settings, file_sha256(folder / VOCABULARY), file_sha256(folder / WEIGHTS)):032x}"


def write_tensors(path: Path, tensors: dict[str, Tensor], notes: Mapping[str, Any] | None = None) -> None:
    """Write safetensors, whole or not at all.

    Args:
        path: the file.
        tensors: by name.
        notes: what :func:`read_notes` gives back, JSON values by name.

    Raises:
        InputError: the file cannot be written (the old one, if any, stays).
    """
    with whole(path, SafetensorError) as part:
        stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(stored, part, metadata=None if notes is None else {NOTES: json.dumps(notes)})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except (OSError, SafetensorError) as error:
        raise InputError(f"is damaged or no safetensors file ({error})", file=path) from None


def read_notes(path: Path) -> dict[str, Any]:
    """What was noted in a file of tensors; nothing where it has no notes.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            text = (opened.metadata() or {}).get(NOTES, "{}")
    except (OSError, SafetensorError) as error:
        raise InputError(f"is damaged or no safetensors file ({error})", file=path) from None
    notes = parse_json(text, file=path)
    return notes if isinstance(notes, dict) else {}
