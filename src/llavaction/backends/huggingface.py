"""Any Hugging Face video-language model: option letters or label texts by likelihood, greedy text."""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import GenerationConfig

from llavaction.backends.answer_code import answer_fingerprint
from llavaction.backends.base import (
    CAPABILITIES,
    LETTERS_RULE,
    Capability,
    HeadScores,
    OptionScores,
    Query,
    QuestionError,
)
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.backends.scoring.batching import bounded_batches, same_clips
from llavaction.backends.scoring.label_texts import RULES, LabelTexts, TextScorer
from llavaction.backends.scoring.prefix import Prefix, PrefixScorer, beginning
from llavaction.backends.scoring.reading import ClipReading
from llavaction.base.errors import InputError
from llavaction.models.action_loss import apply_heads
from llavaction.models.action_token import HEADS
from llavaction.models.checkpoint import fingerprint, load_model, open_checkpoint
from llavaction.models.devices import device_named
from llavaction.models.families.base import ModelInputs, family_of, question
from llavaction.models.families.chat import Chat
from llavaction.models.tokenisation import shared_length
from llavaction.video.decoded import DecodedClip

PAPER_FRAMES = 16
_FEW, _SMALL = 16, (32, 32)
"""Frames, and their height and width, of the clip by which the fewest tokens are counted."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class HuggingFaceBackend:
    """A backend for every folder that ``AutoModelForImageTextToText`` loads.

    Scores are the model's log-probabilities right after the assistant's turn is opened, normalised over the question's
    options: those of the option letters as the next token or, with ``rule="texts"``, those of the option texts as
    complete answers, end of turn included. Queries of one call that carry the same question id and the same frames are
    taken for one question with its options in several orders: their video is put through the model once.

    Raises:
        InputError: the folder is missing, is no such checkpoint, or lacks a chat template; the device is not there.
    """

    needs_frames: int
    decision_rule: str
    capabilities: frozenset[Capability] = CAPABILITIES | {"read"}

    def __init__(self, config: HuggingFaceConfig) -> None:
        self.config = config
        self.name = f"transformers:{config.path.resolve().name}"
        self.decision_rule = LETTERS_RULE if config.rule == "letters" else RULES[config.normalisation]
        self.joint = config.shared_passes  # whether the questions of a call move each other's scores
        self.device = device_named(config.device)
        half = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.dtype = half if config.dtype == "auto" else _DTYPES[config.dtype]
        self.checkpoint = open_checkpoint(config.path)
        trained = self.checkpoint.trained_frames or PAPER_FRAMES
        self.needs_frames = trained if config.frames is None else config.frames
        self.chat = Chat(self.checkpoint, plain=config.chat == "plain")
        self._letters = self.chat.letter_tokens()
        attention = None if config.attention == "auto" else config.attention
        template = hashlib.sha256((self.checkpoint.chat_template or "").encode()).hexdigest()[:32]
        self._fingerprint = {"chat template": template} | fingerprint(config.path)
        self.model = load_model(self.checkpoint, device=self.device, dtype=self.dtype, attention=attention)
        self.family = family_of(self.checkpoint, self.chat, self.model, config.pixels)
        if self.needs_frames and self.family.remark:
            print(f"note: {self.family.remark}", file=sys.stderr)
        ids = (getattr(self.checkpoint.config, name, None) for name in ("image_token_id", "video_token_id"))
        self._visual_ids = frozenset(ids) - {None}

    @cached_property
    def _behind(self) -> PrefixScorer:
        return PrefixScorer(
            self.model,
            self._forward,
            self._inference,
            branching=self.config.branching,
            nodes_per_pass=self.config.nodes_per_pass,
            pass_tokens=self.config.pass_tokens,
        )

    @cached_property
    def _texts(self) -> TextScorer:
        return TextScorer(
            LabelTexts(self.chat, self.model.generation_config.eos_token_id),
            self._behind,
            lambda prompt: self.family.inputs(question(prompt, with_clip=False)),
            context=self.checkpoint.context,
            normalisation=self.config.normalisation,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What determines the answers, for the record: the model's fingerprint, precision, versions, configuration."""
        return {
            "model_type": self.checkpoint.config.model_type,
            "fingerprint": self._fingerprint,
            "device": self.device.type,
            "dtype": str(self.dtype).removeprefix("torch."),
            "torch": str(torch.__version__),
            "transformers": transformers.__version__,
            **self.config.model_dump(mode="json", exclude={"path", "device", "dtype"}),
            "thinking": self.chat.thinking,
            "frames": self.needs_frames,
            "sees": self.family.record if self.needs_frames else {"clip as": "nothing"},
        }

    @cached_property
    def fingerprint(self) -> str:
        """All that an answer hangs on beside the query, see :mod:`llavaction.backends.cached`."""
        return answer_fingerprint(self.settings, self.device, self.family, self.model)

    def without_clips(self) -> HuggingFaceBackend:
        """The same model that does not look, not loaded again; an InputError where its rule needs the clip."""
        config = HuggingFaceConfig.from_mapping({**self.config.model_dump(), "frames": 0})
        blind = copy.copy(self)
        for name in ("_behind", "_texts", "fingerprint"):
            vars(blind).pop(name, None)
        blind.config, blind.needs_frames = config, 0
        return blind

    @property
    def head_sizes(self) -> tuple[int, int, int] | None:
        """See :class:`llavaction.backends.base.Reads`."""
        action = getattr(self.model, "action", None)
        return None if action is None or not self.needs_frames else action.sizes

    @classmethod
    def from_spec(cls, argument: str | None, **options: Any) -> HuggingFaceBackend:
        """For ``transformers:FOLDER``; the options are the fields of :class:`HuggingFaceConfig`.

        Raises:
            InputError: no folder was named, or an option is unknown or wrong.
        """
        if not argument:
            raise InputError("which checkpoint folder?", hint="write transformers:FOLDER")
        return cls(HuggingFaceConfig.from_mapping({"path": argument, **options}))

    def score_options(self, queries: Sequence[Query]) -> list[OptionScores]:
        """See :class:`llavaction.backends.base.Backend`; with the mass on the letters where letters are compared.

        Raises:
            QuestionError: a prompt does not fit the model's context, frames are missing or malformed, or there are more
                options than letters.
        """
        if self.config.rule == "texts":
            texts = [query.options for query in queries]
            return [OptionScores(_over_options(values)) for values in self._score_texts(queries, texts)]
        for query in queries:
            self._check_letters(query)
        prepared = [self.inputs(query).followed_by(self._letters.lead) for query in queries]
        letters = [self._letters.ids[: len(query.options)] for query in queries]
        scores: dict[int, OptionScores] = {}
        alone = []
        for unit in self._units(queries, prepared):
            if len(unit) == 1:
                alone += unit
                continue
            endings = [[(letter,) for letter in letters[index]] for index in unit]
            unit_scores = self._behind.score([prepared[index] for index in unit], endings)
            for index, values in zip(unit, unit_scores, strict=True):
                scores[index] = OptionScores(_over_options(values), float(np.exp(np.logaddexp.reduce(values))))
        for members in self._passes(prepared, alone):
            logits = self._forward([prepared[index] for index in members]).logits[:, -1].to("cpu", torch.float64)
            for row, index in zip(logits, members, strict=True):
                # the softmax over the vocabulary cancels in the normalisation over the options
                letter_logits = row[list(letters[index])]
                mass = float((letter_logits.logsumexp(-1) - row.logsumexp(-1)).exp())
                scores[index] = OptionScores(letter_logits.log_softmax(-1).numpy(), mass)
        return [scores[index] for index in range(len(queries))]

    def score_texts(self, queries: Sequence[Query], texts: Sequence[str]) -> NDArray[np.float64]:
        """How likely the model is to answer each query with each text, a whole label set if need be.

        A query's prompt and video are read once; the texts behind it share their beginnings and their passes.

        Args:
            queries: what is asked; their options are not used.
            texts: complete answers, each counted with the token that ends the turn.

        Returns:
            float64 [queries, texts]: log-likelihoods in nats, normalised as ``normalisation`` says.

        Raises:
            QuestionError: as :meth:`score_options`; or a text is empty, or does not fit.
        """
        rows = self._score_texts(queries, [tuple(texts)] * len(queries))
        return np.stack(rows) if rows else np.empty((0, len(texts)))

    def _score_texts(self, queries: Sequence[Query], texts: Sequence[tuple[str, ...]]) -> list[NDArray[np.float64]]:
        prepared = [self.inputs(query) for query in queries]
        return self._texts.score(queries, prepared, texts, self._units(queries, prepared))

    def read(self, query: Query) -> ClipReading:
        """Read a clip up to its action tokens; see :class:`llavaction.backends.base.Reads`.

        Raises:
            QuestionError: as :meth:`score_options`.
        """
        prepared = self.inputs(query)
        action = getattr(self.model, "action", None)
        of_clip = self._visual_ids | frozenset(() if action is None else action.token_ids)
        places = [place for place, token in enumerate(prepared.ids) if token in of_clip]
        letters = self._letters.lead, self._letters.ids
        read_heads = None if action is None or not places else lambda prefix: self._heads(prefix, prepared)
        length = places[-1] + 1 if places else 1
        return ClipReading(prepared, length, self._behind, self.inputs, letters, self._texts, read_heads)

    def _heads(self, prefix: Prefix, prepared: ModelInputs) -> HeadScores:
        """What the action heads say of the clip of a prompt whose beginning was read."""
        with self._inference():
            inputs = self._inputs([beginning(prepared, prefix.length)])
            positions = self.model.action_positions(**inputs)
            logits = apply_heads(positions.take(prefix.states), [getattr(self.model, name) for name in HEADS])
            return HeadScores(*(values[0].to("cpu", torch.float64).log_softmax(-1).numpy() for values in logits))

    def generate(self, queries: Sequence[Query]) -> list[str]:
        """Greedy text of at most ``max_new_tokens`` tokens, without special tokens and surrounding blanks.

        Raises:
            InputError: as :meth:`score_options`.
        """
        prepared = [self.inputs(query, room=self.config.max_new_tokens) for query in queries]
        texts = [""] * len(queries)
        stored, pad = self.model.generation_config, self.checkpoint.tokenizer.pad_token_id
        settings = GenerationConfig(
            max_new_tokens=self.config.max_new_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            eos_token_id=stored.eos_token_id
            if stored.eos_token_id is not None
            else self.checkpoint.tokenizer.eos_token_id,
            pad_token_id=0 if pad is None else int(pad),
        )
        for members in self._passes(prepared):
            inputs = self._inputs([prepared[index] for index in members])
            inputs.pop("position_ids", None)  # generation counts them itself, from the mask
            with self._inference():
                ids = self.model.generate(**inputs, generation_config=settings)
            answers = ids[:, inputs["input_ids"].shape[1] :].cpu()
            decoded = self.checkpoint.tokenizer.batch_decode(answers, skip_special_tokens=True)
            for index, text in zip(members, decoded, strict=True):
                texts[index] = text.strip()
        return texts

    def check_frames(self, count: int) -> None:
        """See :class:`llavaction.backends.base.Backend`: the fewest tokens that so many frames take are counted.

        A clip of few and small frames is laid out; more frames add at least as many tokens each as there are between
        two such clips.

        Raises:
            InputError: a prompt with so many frames does not fit the model's context.
        """
        context = self.checkpoint.context
        if context is None or not self.needs_frames or not count:
            return

        def tokens(frames: int) -> int:
            black = np.zeros((frames, *_SMALL, 3), np.uint8)
            clip = DecodedClip(black, np.arange(frames, dtype=np.float64), float(frames))
            return len(self.family.inputs(question("?", with_clip=True), clip).ids)

        few = min(count, _FEW)
        least = tokens(few)
        if count > few:
            least += (count - few) * max(least - tokens(few // 2), 0) // (few - few // 2)
        if least > context:
            raise InputError(
                f"{count} frames per clip take at least {least} tokens, the model's context holds {context}",
                hint="take fewer frames",
            )

    def inputs(self, query: Query, *, room: int = 0) -> ModelInputs:
        """Lay out one question for the model.

        Args:
            query: the question.
            room: tokens that must remain free for an answer.

        Raises:
            InputError: names the question; the frames are missing or malformed, or the prompt is too long.
        """
        name, clip = query.query_id, self._clip(query)
        try:
            prepared = self.family.inputs(question(query.prompt, with_clip=clip is not None), clip)
        except InputError as error:
            raise QuestionError.about(name, error) from error
        context, length = self.checkpoint.context, len(prepared.ids) + room
        if context is not None and length > context:
            answer = f" and {room} for the answer" if room else ""
            raise QuestionError(
                f"question '{name}': the prompt takes {len(prepared.ids)} tokens ({prepared.visual} of them visual)"
                f"{answer}, the model's context holds {context}",
                question_id=name,
                hint="take fewer frames or fewer options",
            )
        return prepared

    def _clip(self, query: Query) -> DecodedClip | None:
        if self.needs_frames == 0:
            return None
        name, clip = query.query_id, query.clip
        if clip is None or len(clip.frames) == 0:
            raise QuestionError(
                f"question '{name}': no frames, but this backend looks at {self.needs_frames}",
                question_id=name,
                hint="frames=0 asks without video",
            )
        frames = clip.frames
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
            raise QuestionError(
                f"question '{name}': frames are {frames.dtype} {list(frames.shape)}, "
                "expected uint8 [frames, height, width, 3]",
                question_id=name,
            )
        if len(clip.times) != len(frames):
            problem = f"question '{name}': {len(frames)} frames but {len(clip.times)} times"
            raise QuestionError(problem, question_id=name)
        return clip

    def _check_letters(self, query: Query) -> None:
        name, options = query.query_id, len(query.options)
        if options > len(self._letters.ids):
            problem = f"question '{name}' has {options} options, but there are {len(self._letters.ids)} letters"
            raise QuestionError(problem, question_id=name, hint="rule=texts compares any number of options")

    def _units(self, queries: Sequence[Query], prepared: list[ModelInputs]) -> list[list[int]]:
        """Which questions are read behind one prefix, by index; they then hold one copy of the visual inputs."""
        units = []
        for members in same_clips(queries, across_questions=self.config.shared_passes):
            length = shared_length(*(prepared[index].ids for index in members))
            if any(self._visual_ids.intersection(prepared[index].ids[length:]) for index in members):
                units += [[index] for index in members]  # the texts differ before the video is over
                continue
            units.append(members)
            for index in members[1:]:
                prepared[index] = replace(prepared[index], tensors=prepared[members[0]].tensors)
        return units

    def _passes(self, prepared: Sequence[ModelInputs], indices: Sequence[int] | None = None) -> list[list[int]]:
        """Which questions, of ``indices`` if given, go through the model together, by index."""
        indices = range(len(prepared)) if indices is None else indices
        if not self.config.shared_passes:
            return [[index] for index in indices]
        items = [prepared[index] for index in indices]
        groups = [(item.group, bool(item.tensors)) for item in items]
        batches = bounded_batches([len(item.ids) for item in items], groups, self.config.pass_tokens)
        return [[indices[place] for place in members] for members in batches]

    def _inputs(self, items: Sequence[ModelInputs]) -> dict[str, torch.Tensor]:
        """A batch on the model's device, pixels in its precision."""
        return {
            name: value.to(self.device, self.dtype if name.startswith("pixel_values") else None)
            for name, value in self.family.batch(items).items()
        }

    def _forward(self, items: Sequence[ModelInputs], *, use_cache: bool = False, **more: Any) -> Any:
        if "logits_to_keep" in self.family.accepted:
            more["logits_to_keep"] = 1  # only the next token is asked for
        with self._inference():
            return self.model(**self._inputs(items), use_cache=use_cache, return_dict=True, **more)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """No gradients; in float32 on a GPU, convolutions in full float32 as well."""
        exact = self.device.type == "cuda" and self.dtype == torch.float32
        flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=exact, allow_tf32=not exact)
        with torch.inference_mode(), flags:
            yield


def _over_options(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-probabilities normalised over the options."""
    return np.asarray(values - np.logaddexp.reduce(values))
