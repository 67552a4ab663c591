"""What it costs to have a question answered: by writing, by option letters, by label texts, in several orders.

The claims, each against its peer in the same run on the same weights: letters in one forward pass beat writing ten
tokens as published; 20 label texts cost little more than 5, and all 3,806 of EPIC-KITCHENS-100 less than 8 readings of
the prompt; five orders of the options less than twice one.

    python benchmarks/scoring.py                        # a table, on two threads or on a GPU if there is one
    python benchmarks/scoring.py --labels actions.csv   # with the real label texts (column "action")
    python benchmarks/scoring.py --json                 # for machines

The model is a LLaVA-Video of random weights: 16 frames of 384 px make 3,360 visual tokens, as in the published model.
On a CPU its layers are few and narrow (float32); on a GPU it has the published 7B shape (bfloat16). Stages take turns,
so that whatever else the machine does hits all alike. Other programs can only make a stage slower: claims are judged by
the lowest times, the medians stand beside them. A stage's bound is the least time its arithmetic, memory traffic or
kernel launches need at the best that was measured of each in the same run, whichever of the three is longest.
"""

from __future__ import annotations

import copy
import csv
import ctypes
import gc
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer, GenerationConfig

from llavaction.actions.segments import Clip
from llavaction.backends.asking import query
from llavaction.backends.base import Query
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.huggingface_config import HuggingFaceConfig
from llavaction.backends.scoring.token_tree import token_tree
from llavaction.base.records import read_json, write_json
from llavaction.base.seeding import hashed_rng
from llavaction.models.checkpoint import quiet
from llavaction.models.registry import register
from llavaction.questions.asked import Asked
from llavaction.testing.tiny import write_tiny
from llavaction.video.decoded import DecodedClip

WRITTEN, SEVERAL, ORDERS = 10, 4, 5
WRITING = f"write {WRITTEN} tokens"
SIDE, PATCH = 384, 14
OPERATIONS_PER_LAYER = 25  # kernels launched, roughly


@dataclass(frozen=True)
class Shape:
    """Widths and depths of the text model and of the tower (as run: without the layer that is dropped)."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tower_hidden: int
    tower_intermediate: int
    tower_layers: int
    tower_heads: int

    @property
    def layer_weights(self) -> int:
        """Parameters of all layers of the text model that take part in matrix products."""
        attention = 2 * self.hidden**2 * (1 + self.kv_heads / self.heads)
        return int(self.layers * (attention + 3 * self.hidden * self.intermediate))

    def tower_flops(self, frames: int) -> float:
        """Tower and projector on so many frames."""
        patches = (SIDE // PATCH) ** 2
        weights = 4 * self.tower_hidden**2 + 2 * self.tower_hidden * self.tower_intermediate
        layers = self.tower_layers * (2 * weights * patches + 4 * self.tower_hidden * patches**2)
        ends = 2 * patches * (3 * PATCH**2 * self.tower_hidden + self.hidden * (self.tower_hidden + self.hidden))
        return frames * (layers + ends)

    def text_flops(self, tokens: int, seen: float, predicted: int) -> float:
        """Text model on ``tokens`` that see ``seen`` others each, ``predicted`` of them through the output layer."""
        layers = 2 * self.layer_weights + 4 * self.hidden * self.layers * seen
        return tokens * layers + 2 * self.vocabulary * self.hidden * predicted


SMALL = Shape(512, 1408, 6, 8, 2, 32768, 128, 512, 2, 2)
PUBLISHED = Shape(3584, 18944, 28, 28, 4, 152064, 1152, 4304, 26, 16)


@dataclass(frozen=True)
class Peaks:
    """What the machine gives at best: FLOP/s, bytes/s, seconds per kernel launch."""

    flops: float
    bandwidth: float
    launch: float

    def best(self, other: Peaks) -> Peaks:
        """The better of two measurements in each."""
        return Peaks(max(self.flops, other.flops), max(self.bandwidth, other.bandwidth), min(self.launch, other.launch))


@dataclass(frozen=True)
class Stage:
    """Something to be timed.

    Attributes:
        name: as in the table.
        run: does it once.
        questions: how many it answers.
        work: passes as (FLOPs, bytes moved at least, kernels launched).
    """

    name: str
    run: Callable[[], Any]
    questions: int
    work: list[tuple[float, float, int]]

    def bound(self, peaks: Peaks) -> tuple[float, str]:
        """Least seconds, and what most of them go to."""
        spent = {"FLOPs": 0.0, "bandwidth": 0.0, "launch": 0.0}
        for flops, moved, launches in self.work:
            seconds = (flops / peaks.flops, moved / peaks.bandwidth, launches * peaks.launch)
            needs = dict(zip(spent, seconds, strict=True))
            most = max(needs, key=lambda name: needs[name])
            spent[most] += needs[most]
        return sum(spent.values()), max(spent, key=lambda name: spent[name])


def label_texts(path: Path | None) -> list[str]:
    """The column "action" of a CSV, or 3,806 pairs of made-up verbs and nouns."""
    if path is not None:
        with path.open(newline="", encoding="utf-8") as stream:
            return [row["action"] for row in csv.DictReader(stream)]
    rng = hashed_rng("scoring benchmark labels")
    syllables = [a + b for a in "bcdfglmprst" for b in ("a", "e", "i", "o", "u", "an", "er", "in")]
    words = sorted({"".join(rng.choice(syllables, rng.integers(1, 4))) for _ in range(900)})
    rng.shuffle(words)
    verbs, nouns = words[:97], [noun if i % 5 else f"{noun} {words[i]}" for i, noun in enumerate(words[97:397])]
    popular = np.outer(1 / np.arange(4, 101), 1 / np.arange(8, 308)).ravel()  # few verbs go with most nouns
    pairs = rng.choice(97 * 300, 3806, replace=False, p=popular / popular.sum())
    return sorted(f"{verbs[pair // 300]} {nouns[pair % 300]}" for pair in pairs)


def write_checkpoint(
    folder: Path,
    shape: Shape,
    labels: Sequence[str],
    device: str,
    dtype: torch.dtype,
    action: Mapping[str, Any] | None = None,
) -> None:
    """A random LLaVA-Video of a shape, its tokenizer learnt on the labels: about three tokens each.

    ``action`` changes the settings of its action token.
    """
    register()
    write_tiny(folder, "llava_video")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    template = tokenizer.chat_template
    tokenizer = tokenizer.train_new_from_iterator(labels, 800, show_progress=False)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    stored = read_json(folder / "config.json")
    stored["text_config"] |= {
        "hidden_size": shape.hidden, "intermediate_size": shape.intermediate, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "vocab_size": shape.vocabulary,
        "layer_types": ["full_attention"] * shape.layers, "max_position_embeddings": 32768,
    }  # fmt: skip
    stored["vision_config"] |= {
        "hidden_size": shape.tower_hidden, "intermediate_size": shape.tower_intermediate, "image_size": SIDE,
        "num_hidden_layers": shape.tower_layers, "num_attention_heads": shape.tower_heads, "patch_size": PATCH,
    }  # fmt: skip
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in ("<image>", "<video>", "<|action|>")}
    stored |= {"image_token_index": ids["<image>"], "video_token_index": ids["<video>"]}
    stored["action"] |= {"token_ids": [ids["<|action|>"]], **(action or {})}
    write_json(folder / "config.json", stored)
    settings = read_json(folder / "preprocessor_config.json")
    write_json(folder / "preprocessor_config.json", settings | {"size": {"height": SIDE, "width": SIDE}})
    torch.manual_seed(0)
    with torch.device(device), quiet():
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder), dtype=dtype)
        end = tokenizer.eos_token_id
        model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=tokenizer.pad_token_id)
        model.save_pretrained(folder)


def make_query(number: int, texts: Sequence[str], frames: int, style: Any = "letters") -> Query:
    """A question whose options are the given texts, about frames of noise."""
    clip = Clip(video_id="V", start=0.0, stop=2.0)
    words = "What is the person doing?" + " And why?" * (number % 3)
    images = hashed_rng("scoring benchmark", frames).integers(0, 256, (frames, SIDE, SIDE, 3), dtype=np.uint8)
    return query(Asked(f"q{number}", clip, words, tuple(texts)), DecodedClip.evenly(images, clip.duration), style)


def write(backend: HuggingFaceBackend, query: Query) -> None:
    """Greedy generation of exactly ``WRITTEN`` tokens, one question at a time, everything read anew: as published."""
    inputs = backend._inputs([backend.inputs(query)])
    inputs.pop("position_ids", None)
    settings = GenerationConfig(max_new_tokens=WRITTEN, min_new_tokens=WRITTEN, do_sample=False, pad_token_id=0)
    with torch.inference_mode():
        backend.model.generate(**inputs, generation_config=settings)


def stages(backend: HuggingFaceBackend, shape: Shape, labels: Sequence[str], frames: int) -> Iterator[Stage]:
    """Everything that is timed."""
    sharing = copy.copy(backend)
    sharing.config = backend.config.model_copy(update={"shared_passes": True})
    drawn = [labels[index] for index in hashed_rng("scoring benchmark options").permutation(len(labels))]
    width = torch.finfo(backend.dtype).bits // 8
    weights = width * (shape.layer_weights + shape.vocabulary * shape.hidden)
    cache = width * 2 * shape.hidden * shape.kv_heads // shape.heads * shape.layers
    kernels = OPERATIONS_PER_LAYER * shape.layers

    def reading(query: Query) -> tuple[float, float, int]:
        length, tower = len(backend.inputs(query).ids), OPERATIONS_PER_LAYER * shape.tower_layers
        seen = 0 if query.clip is None else len(query.clip.frames)
        return shape.tower_flops(seen) + shape.text_flops(length, length / 2, 1), weights, kernels + tower

    def behind(prefix: int, tokens: int, predicted: int, passes: int = 1) -> tuple[float, float, int]:
        return shape.text_flops(tokens, prefix, predicted), passes * (weights + cache * prefix), passes * kernels

    for count, name in ((frames, ""), (1, ", 1 frame")):
        query = make_query(0, drawn[:5], count)
        length = len(backend.inputs(query).ids)
        steps = [behind(length + step, 1, 1) for step in range(WRITTEN - 1)]
        yield Stage(WRITING + name, partial(write, backend, query), 1, [reading(query), *steps])
        yield Stage("letters" + name, partial(backend.score_options, [query]), 1, [reading(query)])
    query = make_query(0, drawn[:5], frames)
    prepared = backend.inputs(query)
    yield Stage("reading the prompt", partial(backend._forward, [prepared], use_cache=True), 1, [reading(query)])
    several = [make_query(n, drawn[5 * n : 5 * n + 5], frames) for n in range(SEVERAL)]
    orders = [make_query(0, drawn[turn:5] + drawn[:turn], frames) for turn in range(ORDERS)]
    rest = len(prepared.ids) - prepared.visual
    for name, asked, questions, who in (
        (f"letters, {SEVERAL} questions per clip", several, SEVERAL, sharing),
        (f"letters, {ORDERS} orders", orders, 1, backend),
    ):
        work = [reading(query), behind(prepared.visual, len(asked) * rest, len(asked))]
        yield Stage(name, partial(who.score_options, asked), questions, work)
    query = make_query(0, drawn[:5], frames, "open")
    length = len(backend.inputs(query).ids)
    for count in (5, 20, len(labels)):
        tree = token_tree(tuple((*ids, 0) for ids in backend.checkpoint.tokenizer(drawn[:count])["input_ids"]))
        nodes = len(tree.inner)
        work = [reading(query), behind(length, nodes, nodes, -(-nodes // backend.config.nodes_per_pass))]
        yield Stage(f"{count} texts", partial(backend.score_texts, [query], drawn[:count]), 1, work)


def measure_peaks(device: torch.device, dtype: torch.dtype) -> Peaks:
    """Best of several: a large matrix product, a large copy (read and written), many tiny additions."""
    side, length = (8192, 1 << 30) if device.type == "cuda" else (2048, 1 << 26)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    source, target = (torch.zeros(length // a.element_size(), device=device, dtype=dtype) for _ in range(2))
    little = torch.zeros(1, device=device)
    acts = (lambda: a @ b, lambda: target.copy_(source), lambda: [little.add_(1) for _ in range(1000)])
    product, copied, tiny = (min(timed(act, device) for _ in range(5)) for act in acts)
    return Peaks(2 * side**3 / product, 2 * length / copied, tiny / 1000)


def timed(act: Callable[[], Any], device: torch.device) -> float:
    """Seconds."""
    begin = time.perf_counter()
    act()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def peak_memory(act: Callable[[], Any], device: torch.device) -> float | None:
    """Most bytes held while ``act`` runs: of the GPU, or of the process; None where the system does not tell."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        act()
        return float(torch.cuda.max_memory_allocated())
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    except OSError:
        return None
    act()
    return 1024 * float(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


def measure(
    todo: Sequence[Stage], device: torch.device, dtype: torch.dtype, repeats: int
) -> tuple[Peaks, dict[str, Any]]:
    """Run every stage once for its memory, which warms up, then time them in turns; results by name."""
    memory = {stage.name: peak_memory(stage.run, device) for stage in todo}
    spent: dict[str, list[float]] = {stage.name: [] for stage in todo}
    peaks = measure_peaks(device, dtype)
    for _ in range(repeats):
        for stage in todo:
            spent[stage.name].append(timed(stage.run, device))
        peaks = peaks.best(measure_peaks(device, dtype))
    rows = {}
    for stage in todo:
        seconds, (bound, kind), held = spent[stage.name], stage.bound(peaks), memory[stage.name]
        rows[stage.name] = {
            "seconds": statistics.median(seconds),
            "lowest": min(seconds),
            "highest": max(seconds),
            "questions": stage.questions,
            "questions_per_second": stage.questions / statistics.median(seconds),
            "gflop": sum(flops for flops, _, _ in stage.work) / 1e9,
            "bound_seconds": bound,
            "bound_by": kind,
            "bound_reached": bound / min(seconds),
            "peak_megabytes": None if held is None else held / 1e6,
        }
    return peaks, rows


def verdicts(rows: dict[str, Any], labels: int) -> list[dict[str, Any]]:
    """The ratios of time per question that were to be reached."""
    found = []
    for claim, above, below, sign, target in (
        ("letters faster than writing, a clip each", WRITING, "letters", ">=", 2.0),
        ("the same, 1 frame", f"{WRITING}, 1 frame", "letters, 1 frame", ">=", 2.0),
        (f"the same, {SEVERAL} questions per clip", WRITING, f"letters, {SEVERAL} questions per clip", ">=", 2.0),
        ("20 texts, in 5 texts", "20 texts", "5 texts", "<=", 1.3),
        (f"{labels} texts, in readings of the prompt", f"{labels} texts", "reading the prompt", "<=", 8.0),
        (f"{ORDERS} orders, in 1 order", f"letters, {ORDERS} orders", "letters", "<=", 2.0),
    ):
        top, bottom = rows[above], rows[below]
        more = bottom["questions"] / top["questions"]
        value, median = (more * top[kind] / bottom[kind] for kind in ("lowest", "seconds"))
        met = value >= target if sign == ">=" else value <= target
        found.append({"claim": claim, "value": value, "median": median, "target": f"{sign} {target}", "met": met})
    used = rows["reading the prompt"]["bound_reached"]
    last = {"claim": "FLOP utilisation of reading the prompt", "value": used, "median": None, "target": ">= 0.45"}
    return [*found, last | {"met": used >= 0.45}]


@click.command(help=__doc__.splitlines()[0] if __doc__ else None)
@click.option("--labels", type=click.Path(path_type=Path, exists=True, dir_okay=False), help='CSV, column "action".')
@click.option("--frames", default=16, show_default=True, help="Frames per clip.")
@click.option("--repeats", default=3, show_default=True, help="Turns of which the median is taken.")
@click.option("--threads", default=2, show_default=True, help="Threads on a CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def main(*, labels: Path | None, frames: int, repeats: int, threads: int, as_json: bool) -> None:
    """Build, measure, print."""
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype, shape = (torch.bfloat16, PUBLISHED) if device.type == "cuda" else (torch.float32, SMALL)
    texts = label_texts(labels)
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder), shape, texts, device.type, dtype)
        backend = HuggingFaceBackend(HuggingFaceConfig(path=Path(folder), frames=frames, device=device.type))
    peaks, rows = measure(list(stages(backend, shape, texts, frames)), device, dtype, repeats)
    prepared = backend.inputs(make_query(0, texts[:5], frames))
    report = {
        "machine": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "threads": threads,
        "torch": str(torch.__version__),
        "dtype": str(dtype).removeprefix("torch."),
        "shape": asdict(shape),
        "prompt_tokens": len(prepared.ids),
        "visual_tokens": prepared.visual,
        "labels": {"from_file": labels is not None, "texts": len(texts)},
        "peaks": asdict(peaks),
        "stages": rows,
        "claims": verdicts(rows, len(texts)),
    }
    click.echo(json.dumps(report, indent=1) if as_json else as_table(report))


def as_table(report: dict[str, Any]) -> str:
    """The report for a person."""
    peaks, texts = report["peaks"], report["labels"]["texts"]
    rates = f"{peaks['flops'] / 1e9:,.0f} GFLOP/s, {peaks['bandwidth'] / 1e9:,.1f} GB/s"
    lines = [
        f"{report['machine']}, {report['threads']} threads, {report['dtype']}; {texts} label texts; "
        f"prompt of {report['prompt_tokens']} tokens, {report['visual_tokens']} of them visual",
        f"peaks: {rates}, {1e6 * peaks['launch']:.1f} us a launch",
        "",
        f"{'stage':<30}{'seconds':>8}  {'lowest-highest':<16}{'questions/s':>12}{'GFLOP':>9}{'peak MB':>9}  bound",
    ]
    for name, row in report["stages"].items():
        held = "-" if row["peak_megabytes"] is None else f"{row['peak_megabytes']:,.0f}"
        spread, rate = f"{row['lowest']:.3f}-{row['highest']:.3f}", row["questions_per_second"]
        bound = f"{row['bound_seconds']:.3f} s by {row['bound_by']}: {row['bound_reached']:.0%} reached"
        times = f"{row['seconds']:>8.3f}  {spread:<16}{rate:>12.3f}"
        lines.append(f"{name:<30}{times}{row['gflop']:>9,.0f}{held:>9}  {bound}")
    lines += ["", f"{'claim':<44}{'lowest':>8}{'median':>8}  target"]
    for claim in report["claims"]:
        numbers = f"{claim['value']:>8.2f}" + ("       -" if claim["median"] is None else f"{claim['median']:>8.2f}")
        lines.append(f"{claim['claim']:<44}{numbers}  {claim['target']}, {'met' if claim['met'] else 'MISSED'}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
