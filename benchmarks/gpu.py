"""What one GPU gives: asking and training at the 0.5B and 7B shapes, from frames in memory and from 1080p files.

    python benchmarks/gpu.py                          # both shapes in bfloat16, at most about eight minutes
    python benchmarks/gpu.py --shape 0.5b --json gpu.json
    python benchmarks/gpu.py                          # without a GPU: a toy size, to see that it runs

It takes the stages of scoring.py and the turns of training.py, of which each says what it measures, on the same random
weights; beside them it asks and trains on clips of H.264 files that it makes itself, decoded ahead on all cores, and
says how much of the speed from memory is left. A part that the time, the memory or a fault does not allow is named as
"not measured", with the reason, and the others are measured. Needs this package with its training parts. Without PyAV
what reads files or trains is left out; other packages that are missing are named, with how to bring them along.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import io
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

NEEDED = {
    "torch": "torch", "transformers": "transformers", "pydantic": "pydantic", "numpy": "numpy", "click": "click",
    "yaml": "pyyaml", "tqdm": "tqdm", "safetensors": "safetensors", "PIL": "pillow",
}  # fmt: skip
WANTED = {"av": "av", "accelerate": "accelerate", "peft": "peft"}
"""Import name to distribution: what nothing goes without, and what only a part needs."""


def how_to_bring(distributions: Sequence[str]) -> str:
    """Commands that bring packages to this machine from one that reaches a package index."""
    names, version = " ".join(distributions), f"{sys.version_info.major}.{sys.version_info.minor}"
    system = f"manylinux_2_28_{platform.machine()}" if sys.platform == "linux" else "any"
    older = f" --platform manylinux2014_{platform.machine()}" if sys.platform == "linux" else ""
    return (
        f"missing here: {names}\n"
        "  on a machine with a network:  python -m pip download --only-binary=:all: "
        f"--python-version {version} --platform {system}{older} --dest wheels {names}\n"
        f"  then here:                    python -m pip install --no-index --find-links wheels --target site {names}\n"
        "                                PYTHONPATH=site:src python benchmarks/gpu.py"
    )


def absent(packages: dict[str, str]) -> list[str]:
    """Distributions whose packages cannot be imported here."""
    return [name for package, name in packages.items() if importlib.util.find_spec(package) is None]


if missing := absent(NEEDED):
    sys.exit(how_to_bring(missing))

sys.path.insert(0, str(Path(__file__).resolve().parent))
import click  # noqa: E402
import numpy as np  # noqa: E402
import scoring  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

from llavaction.actions.segments import Clip  # noqa: E402
from llavaction.backends.base import Query  # noqa: E402
from llavaction.backends.huggingface import HuggingFaceBackend  # noqa: E402
from llavaction.backends.huggingface_config import HuggingFaceConfig  # noqa: E402
from llavaction.base.seeding import hashed_rng  # noqa: E402
from llavaction.questions.asked import Asked  # noqa: E402

FRAMES = 16


@dataclass(frozen=True)
class Size:
    """How much is done at a shape.

    Attributes:
        shape: widths and depths, see scoring.py.
        frames: per clip.
        repeats: turns of each stage of scoring.
        labels: label texts.
        micro_batch: records per forward and backward pass; fewer where memory does not allow it.
        steps: of a turn of training.
        turns: of training, each way.
        adapters: train adapters, not the weights.
        clips: questions about clips of files.
        film: seconds, height and width of each file.
    """

    shape: scoring.Shape
    frames: int = FRAMES
    repeats: int = 3
    labels: int = 3806
    micro_batch: int = 8
    steps: int = 6
    turns: int = 2
    adapters: bool = False
    clips: int = 48
    film: tuple[int, int, int] = (8, 1080, 1920)


SIZES = {
    "0.5b": Size(scoring.Shape(896, 4864, 24, 14, 2, 151936, 1152, 4304, 26, 16)),
    "7b": Size(scoring.PUBLISHED, repeats=2, micro_batch=4, steps=4, turns=1, adapters=True, clips=32),
    "toy": Size(
        scoring.Shape(32, 64, 2, 2, 1, 1024, 16, 32, 1, 2),
        frames=2, repeats=1, labels=24, micro_batch=2, steps=1, turns=1, clips=4, film=(3, 180, 320),
    ),
}  # fmt: skip

FILMS, FPS, SPAN = 4, 24, 2.0
"""Files, their frames per second, and seconds of a clip."""


class Session:
    """One shape on one machine: its parts, each measured or said why not.

    Args:
        size: what is done.
        folder: for the checkpoint and the films.
        device: where.
        deadline: of ``time.monotonic``; no part begins after it.
        say: is given a line when something begins.
    """

    def __init__(
        self, size: Size, folder: Path, device: torch.device, deadline: float, say: Callable[[str], None]
    ) -> None:
        self.size, self.device, self._folder, self._deadline, self._say = size, device, folder, deadline, say
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.labels = scoring.label_texts(None)[: size.labels]
        self.not_measured: dict[str, str] = {}
        self._lacking = absent(WANTED)

    def report(self) -> dict[str, Any]:
        """Everything, by part; a part that was not measured is absent."""
        found = {}
        for name, part, needs in (
            ("checkpoint", self._write, ()),
            ("asking", self._asking, ()),
            ("asking_from_files", self._asking_from_files, ("av",)),
            ("training", self._training, ("av", "accelerate", *(("peft",) if self.size.adapters else ()))),
        ):
            lacking = [package for package in needs if package in self._lacking]
            if lacking:
                self.not_measured[name] = f"needs {', '.join(lacking)}"
            elif time.monotonic() > self._deadline:
                self.not_measured[name] = "the time was over"
            else:
                self._say(name)
                try:
                    begun = time.monotonic()
                    found[name] = part() | {"measuring_took_seconds": time.monotonic() - begun}
                except Exception as error:  # the other parts are worth having all the same
                    said = str(error).partition("\n")[0]
                    self.not_measured[name] = f"{type(error).__name__}: {said}"
                if name == "asking_from_files" or name in self.not_measured:
                    self.__dict__.pop("backend", None)  # the memory is wanted by what follows
                    free_memory()
        return {**found, "not_measured": self.not_measured}

    @cached_property
    def backend(self) -> HuggingFaceBackend:
        """The model, to be asked."""
        config = HuggingFaceConfig(path=self._folder / "model", frames=self.size.frames, device=self.device.type)
        return HuggingFaceBackend(config)

    @cached_property
    def films(self) -> Path:
        """Made-up films with motion everywhere."""
        from llavaction.video.write import write_video

        seconds, height, width = self.size.film
        seen = height + 3 * seconds * FPS, width + 5 * seconds * FPS  # the camera moves along and across
        for number in range(FILMS):
            rows, columns = np.ogrid[: seen[0], : seen[1]]
            waves = (np.sin(rows / 37) + np.cos(columns / 53 + number)) * 50 + 110
            grain = hashed_rng("gpu benchmark", number).integers(0, 24, (*seen, 3), dtype=np.uint8)
            scene = grain + waves[..., None].astype(np.uint8)
            corners = [(3 * frame, 5 * frame) for frame in range(seconds * FPS)]
            pictures = (scene[top : top + height, left : left + width] for top, left in corners)
            path = self._folder / "films" / f"V{number}.mp4"
            write_video(path, pictures, FPS, gop=FPS, preset="superfast", threads=os.cpu_count() or 1)
        return self._folder / "films"

    @cached_property
    def clips(self) -> list[Clip]:
        """Spans of the films."""
        draws = hashed_rng("gpu benchmark clips")
        starts = draws.uniform(0, self.size.film[0] - SPAN, self.size.clips).round(2).tolist()
        return [
            Clip(video_id=f"V{number % FILMS}", start=start, stop=round(start + SPAN, 2))
            for number, start in enumerate(starts)
        ]

    def _write(self) -> dict[str, Any]:
        scoring.write_checkpoint(self._folder / "model", self.size.shape, self.labels, self.device.type, self.dtype)
        written = sum(path.stat().st_size for path in (self._folder / "model").glob("*.safetensors"))
        return {"bytes": written}

    def _asking(self) -> dict[str, Any]:
        todo = list(scoring.stages(self.backend, self.size.shape, self.labels, self.size.frames))
        peaks, rows = scoring.measure(todo, self.device, self.dtype, self.size.repeats)
        prepared = self.backend.inputs(scoring.make_query(0, self.labels[:5], self.size.frames))
        return {
            "prompt_tokens": len(prepared.ids),
            "visual_tokens": prepared.visual,
            "label_texts": len(self.labels),
            "peaks": {"flops": peaks.flops, "bytes_per_second": peaks.bandwidth, "launch_seconds": peaks.launch},
            "stages": rows,
            "claims": scoring.verdicts(rows, len(self.labels)) if self.device.type == "cuda" else [],
        }

    def _asking_from_files(self) -> dict[str, Any]:
        """Questions by option letters: decoding alone, asking alone, both at once as eval does it."""
        from llavaction.video.decoded import clips_ahead
        from llavaction.video.library import VideoLibrary

        library, workers, frames = VideoLibrary(self.films), os.cpu_count() or 1, self.size.frames
        asked = scoring.make_query(0, self.labels[:5], 1)
        questions = [Asked(f"q{number}", clip, "", asked.options) for number, clip in enumerate(self.clips)]
        batches = [questions[i : i + 4] for i in range(0, len(questions), 4)]

        def ask(batch: Any, clips: Any) -> None:
            self.backend.score_options(
                [Query(q.query_id, asked.prompt, q.options, clip) for q, clip in zip(batch, clips, strict=True)]
            )

        def decode() -> None:
            for _, clips in clips_ahead(batches, library, frames, workers):
                faults.extend(clip.error or clip.note for clip in clips if clip and (clip.error or clip.note))

        def both() -> None:
            for batch, clips in clips_ahead(batches, library, frames, workers):
                ask(batch, clips)

        faults: list[Any] = []
        held = [next(iter(clips_ahead([batch], library, frames, workers))) for batch in batches[:4]]
        ask(*held[0])  # warms up
        seconds = {
            "decoding alone": scoring.timed(decode, self.device),
            "asking alone": min(scoring.timed(lambda: [ask(*one) for one in held], self.device) for _ in range(2)),
            "both": scoring.timed(both, self.device),
        }
        counts = {"asking alone": sum(len(batch) for batch, _ in held)}
        rates = {name: counts.get(name, len(questions)) / spent for name, spent in seconds.items()}
        _, height, width = self.size.film
        return {
            "files": f"{FILMS} H.264 files of {width}x{height}, {FPS} frames/s, a keyframe a second",
            "clips": len(questions),
            "frames_per_clip": frames,
            "threads_that_decode": workers,
            "faults": len(faults),
            "clips_per_second": rates,
            "share_of_speed_from_memory": rates["both"] / rates["asking alone"],
        }

    def _training(self) -> dict[str, Any]:
        import training

        from llavaction.training.config import LoraConfig, RecordsConfig, StageConfig
        from llavaction.training.flops import peak
        from llavaction.training.trainable_model import make_trainable_model

        size = self.size
        precision = "bfloat16" if self.device.type == "cuda" else "float32"
        at_best = peak(self.device, precision)
        micro = size.micro_batch
        while True:
            stage = StageConfig(
                records=(RecordsConfig(path=Path("-")),), precision=precision, global_batch=micro, micro_batch=micro,
                length_group_batches=size.steps, gradient_checkpointing=False,
                lora=LoraConfig() if size.adapters else None,
            )  # fmt: skip
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # the library's own loop prints its summary
                    return self._turns(
                        training, make_trainable_model(self._folder / "model", stage, seed=0), stage, at_best
                    )
            except torch.cuda.OutOfMemoryError:
                if micro == 1:
                    raise
                micro //= 2
            free_memory()  # behind the handler, whose error still holds what did not fit

    def _turns(self, training: Any, trainable: Any, stage: Any, at_best: float) -> dict[str, Any]:
        """Plain and ours in turns from memory, then ours from files and the same clips from memory."""
        size, workers = self.size, max(1, (os.cpu_count() or 1) - 1)
        items = training.make_items(size.steps * stage.micro_batch, scoring.SIDE, "mixed")
        found: dict[str, Any] = {"micro_batch": stage.micro_batch, "adapters": size.adapters, "peak_flops": at_best}
        rates: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
        for _ in range(size.turns):
            for name, runs in rates.items():
                runs.append(training.one_turn(name, trainable, stage, items, size.steps, at_best))
                free_memory()
        for name, runs in rates.items():
            found[name] = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
        found["ours_by_plain"] = found["ours"]["samples_per_second"] / found["plain"]["samples_per_second"]
        filed = FromFiles(training, self.films, self.clips, size, len(items))
        held = [filed[number] for number in range(len(items))]
        for name, data in (("clips_from_memory", None), ("clips_from_files", filed)):
            found[name] = training.one_turn("ours", trainable, stage, held, size.steps, at_best, data, workers)
            free_memory()
        found["processes_that_decode"] = workers
        spent = [found[name]["samples_per_second"] for name in ("clips_from_files", "clips_from_memory")]
        found["share_of_speed_from_memory"] = spent[0] / spent[1]
        return found


class FromFiles:
    """Training items whose clips are decoded when they are asked for."""

    def __init__(self, training: Any, films: Path, clips: Sequence[Clip], size: Size, count: int) -> None:
        from llavaction.video.library import VideoLibrary

        self._library, self._clips, self._size = VideoLibrary(films), clips, size
        self._draw, self._items = training.Draw, training.make_items(count, 1, "equal")

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, which: Any) -> Any:
        from dataclasses import replace

        from llavaction.video.decoded import decode

        number = which.record if isinstance(which, self._draw) else which
        clip = self._clips[number % len(self._clips)]
        return replace(self._items[number], clip=decode(self._library, clip, self._size.frames))


def free_memory() -> None:
    """Give back what nothing holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def as_table(report: dict[str, Any]) -> str:
    """The report for a person."""
    lines = [f"{report['machine']}; torch {report['torch']}, transformers {report['transformers']}"]
    for shape, parts in report["shapes"].items():
        lines += ["", f"== {shape}, {parts['dtype']}"]
        if asking := parts.get("asking"):
            peaks = asking["peaks"]
            lines.append(
                f"asking: prompt of {asking['prompt_tokens']} tokens; peaks {peaks['flops'] / 1e12:,.2f} TFLOP/s, "
                f"{peaks['bytes_per_second'] / 1e9:,.0f} GB/s"
            )
            lines.append(f"{'stage':<30}{'seconds':>9}{'questions/s':>13}{'peak MB':>10}{'bound reached':>15}")
            for name, row in asking["stages"].items():
                held = "-" if row["peak_megabytes"] is None else f"{row['peak_megabytes']:,.0f}"
                rate = f"{row['questions_per_second']:.3f}"
                lines.append(f"{name:<30}{row['seconds']:>9.4f}{rate:>13}{held:>10}{row['bound_reached']:>15.0%}")
            for claim in asking["claims"]:
                met = "met" if claim["met"] else "MISSED"
                lines.append(f"  {claim['claim']}: {claim['value']:.2f}, target {claim['target']}, {met}")
        if files := parts.get("asking_from_files"):
            rates = ", ".join(f"{name} {rate:.2f}" for name, rate in files["clips_per_second"].items())
            lines.append(f"from files ({files['files']}), clips/s: {rates}")
            lines.append(f"  {files['share_of_speed_from_memory']:.0%} of the speed from memory")
        if training := parts.get("training"):
            what = "adapters" if training["adapters"] else "all weights"
            lines.append(f"training {what}, {training['micro_batch']} records at once, samples/s:")
            for name in ("plain", "ours", "clips_from_memory", "clips_from_files"):
                row = training[name]
                use = row["flop_utilisation"]
                lines.append(f"  {name.replace('_', ' '):<20}{row['samples_per_second']:>9.2f}{use:>8.1%} of the peak")
            lines.append(
                f"  ours {training['ours_by_plain']:.2f} times plain; from files "
                f"{training['share_of_speed_from_memory']:.0%} of the speed from memory"
            )
        lines += [f"not measured: {name}: {why}" for name, why in parts["not_measured"].items()]
    return "\n".join([*lines, "", f"{report['seconds']:.0f} s"])


@click.command(help=__doc__.splitlines()[0] if __doc__ else None)
@click.option(
    "--shape", "shapes", type=click.Choice(list(SIZES)), multiple=True, help="By default 0.5b, 7b; toy on a CPU."
)
@click.option("--minutes", default=8.0, show_default=True, help="No part begins after three quarters of it.")
@click.option("--threads", default=2, show_default=True, help="Threads of arithmetic on a CPU.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Also write the report there.")
def main(shapes: tuple[str, ...], minutes: float, threads: int, file: Path | None) -> None:
    """Measure shape by shape and print; what was measured is printed and written even if a later shape fails."""
    begun, device = time.monotonic(), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads)
    if lacking := absent(WANTED):
        click.echo(how_to_bring(lacking), err=True)
    report: dict[str, Any] = {
        "machine": torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()}, CPU",
        "cores": os.cpu_count(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "shapes": {},
    }
    try:
        for shape in shapes or (("0.5b", "7b") if device.type == "cuda" else ("toy",)):
            with tempfile.TemporaryDirectory() as folder:
                deadline = begun + 45 * minutes

                def say(what: str, shape: str = shape) -> None:
                    click.echo(f"[{time.monotonic() - begun:5.0f} s] {shape}: {what}", err=True)

                session = Session(SIZES[shape], Path(folder), device, deadline, say)
                dtype = str(session.dtype).removeprefix("torch.")
                report["shapes"][shape] = {"dtype": dtype, **session.report()}
    finally:
        report["seconds"] = time.monotonic() - begun
        if file is not None:
            file.write_text(json.dumps(report, indent=1) + "\n")
        click.echo(as_table(report))


if __name__ == "__main__":
    main()
