"""Commands killed at random and started again: nothing is lost, nobody is left behind, no half file stays.

    python benchmarks/kills.py                      # 100 kills over all commands that write, about ten minutes
    python benchmarks/kills.py --kills 24 --only eval --only train
    python benchmarks/kills.py --json kills.json    # the table for machines too

Every command is run once without interruption. Then it is started in a folder of its own, killed (SIGKILL) at a random
moment between a share of that run's time and its end, started again, killed again, and so on; after a few kills it may
finish. Its folder then has to hold the same files with the same bytes as the unbroken run's, but for what tells how
long something took; within five seconds of each kill every process below the killed one has to be gone. Needs Linux
(/proc) and what training needs.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click
import yaml

PATIENCE = 5.0
"""Seconds that processes below a killed one have to end."""
CHAIN = 4
"""Kills before a command may finish."""
EARLIEST = 0.4
"""No kill before this share of an unbroken run's time: until then Python imports."""
TIMES = ("seconds", "per_second", "peak_flops", "flop_utilisation", "train_runtime")
"""Keys of JSON with one of these in them tell how fast the machine was."""
LLAVACTION = (sys.executable, "-m", "llavaction.cli.main")


@dataclass
class Command:
    """Something that is killed.

    Attributes:
        name: as in the table.
        arguments: of ``llavaction``; "out" is the place to write to, in the folder it is run in.
        inputs: name in that folder to what is copied there first.
        ignored: patterns of files that need not be the same, and may be missing.
        compared_as_json: patterns of JSON and JSON Lines in which times do not count.
        done_if_said: a refusal that means that a call killed at its very end had done everything.
    """

    name: str
    arguments: Sequence[str | Path]
    inputs: dict[str, Path] = field(default_factory=dict)
    ignored: Sequence[str] = ()
    compared_as_json: Sequence[str] = ()
    done_if_said: str | None = None

    def start(self, folder: Path) -> subprocess.Popen[str]:
        """Start it in a folder."""
        call = [*LLAVACTION, *map(str, self.arguments)]
        return subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def prepare(self, folder: Path) -> Path:
        """Make its folder."""
        folder.mkdir(parents=True)
        for name, source in self.inputs.items():
            shutil.copytree(source, folder / name)
        return folder

    def finish(self, process: subprocess.Popen[str]) -> str | None:
        """Wait for it; what it said if it failed."""
        _, said = process.communicate()
        done = process.returncode == 0 or (self.done_if_said is not None and self.done_if_said in said)
        return None if done else said


@dataclass
class Row:
    """What came of a command."""

    command: str
    seconds: float = 0.0
    kills: int = 0
    restarts: int = 0
    runs: int = 0
    equal: int = 0
    leftovers: int = 0
    survivors: int = 0
    slowest_end: float = 0.0
    faults: list[str] = field(default_factory=list)


def llavaction(*arguments: str | Path) -> None:
    """Run a command that is part of the preparation."""
    subprocess.run([*LLAVACTION, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def commands(home: Path) -> list[Command]:
    """All commands that write, on data small enough to be killed a hundred times."""
    from llavaction.testing.tiny import write_tiny

    kitchen, benchmark, model, records = (home / name for name in ("kitchen", "benchmark", "model", "records"))
    small = {"width": 64, "height": 48, "fps": 6, "train_videos": 8, "validation_videos": 4, "test_videos": 0}
    sets = [part for key, value in small.items() for part in ("--set", f"{key}={value}")]
    llavaction("data", "kitchen-mini", "--output", kitchen, *sets)
    annotations, videos = kitchen / "annotations", kitchen / "videos"
    source = ["--annotations", annotations, "--videos", videos]
    mining = ["benchmark", "build", "--annotations", annotations, "--split", "validation", "--miner", "random"]
    llavaction(*mining, "--output", benchmark)
    mixture = home / "mixture.yaml"
    task = {"task": "hard_action_recognition", "miner": "random", "options": 4, "weight": 1}
    mixture.write_text(yaml.safe_dump({"split": "train", "seed": 0, "tasks": [task]}))
    curating = ["data", "curate", "--annotations", annotations, "--mixture", mixture]
    llavaction(*curating, "--output", records)
    ranked = home / "ranked.jsonl"
    llavaction("specialist", "predict", "bundled", *source, "--split", "validation", "--output", ranked)
    write_tiny(model, "llava_video")
    recipe = home / "recipe.yaml"
    rates = dict.fromkeys(("tower", "projector", "language", "action"), 1e-3)
    training = {
        "model": "tiny:llava_video", "output": "out", "records": [{"path": str(records / "records.jsonl")}],
        "videos": str(videos), "frames": 2, "precision": "float32", "device": "cpu", "global_batch": 4,
        "micro_batch": 4, "log_steps": 1, "save_steps": 2, "workers": 2, "learning_rates": rates,
        "stages": [{"name": "first", "steps": 4}, {"name": "second", "steps": 8}],
    }  # fmt: skip
    recipe.write_text(yaml.safe_dump(training))
    learning = ["--set", "epochs=4", "--set", "channels=8", "--set", "frames=4", "--set", "height=24"]
    learning += ["--set", "width=32", "--workers", "2"]
    asking = ["--videos", videos, "--backend", model, "--frames", "2", "--batch-size", "2"]
    timed = {"compared_as_json": ("*/config.json",)}
    return [
        Command("data kitchen-mini", ["data", "kitchen-mini", "--output", "out", *sets]),
        Command("benchmark build", [*mining, "--workers", "2", "--output", "out"]),
        Command("benchmark audit", ["benchmark", "audit", "out"], inputs={"out": benchmark}),
        Command("data curate", [*curating, "--output", "out"]),
        Command(
            "data export --videos",
            ["data", "export", records / "records.jsonl", "--format", "trl", "--videos", videos, "--output", "out"],
        ),
        Command("specialist train", ["specialist", "train", *source, *learning, "--output", "out"], **timed),
        Command(
            "specialist predict",
            ["specialist", "predict", "bundled", *source, "--split", "train", "--output", "out/p.jsonl", "--scores",
             "out/s.npz", "--challenge", "out/c.zip", "--workers", "2"],
        ),
        Command(
            "specialist folds",
            ["specialist", "folds", *source, *learning, "--folds", "2", "--output", "out"],
            **timed,
        ),
        Command("eval", ["eval", benchmark, *asking, "--output", "out"]),
        Command(
            "recognise",
            ["recognise", "--annotations", annotations, "--split", "validation", "--predictions", ranked, *asking,
             "--output", "out"],
        ),
        Command(
            "train",
            ["train", "--config", recipe],
            ignored=("out/*/checkpoint-*", "out/tensorboard/*"),
            compared_as_json=("out/metrics.jsonl",),
        ),
        Command(
            "convert",
            ["convert", model, "out", "--shard-size", "50KB"],
            done_if_said="exists already",
        ),
    ]  # fmt: skip


def processes_below(pid: int) -> set[int]:
    """Descendants of a process."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        own = {int(child) for task in tasks for child in (task / "children").read_text().split()}
    except OSError:
        return set()
    return own.union(*(processes_below(child) for child in own))


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def kill(process: subprocess.Popen[str], row: Row) -> None:
    """Kill a command and see its workers end; those that do not are counted, and killed too."""
    below = processes_below(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    begun = time.monotonic()
    while (alive := set(filter(is_alive, below))) and time.monotonic() - begun < PATIENCE:
        time.sleep(0.02)
    row.slowest_end = max(row.slowest_end, time.monotonic() - begun)
    row.survivors += len(alive)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def contents(folder: Path, command: Command) -> dict[str, Any]:
    """What of each file has to be the same, by its path."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(fnmatch(name, pattern) for pattern in command.ignored):
            continue
        if path.is_dir():
            found[name] = "folder"
        elif any(fnmatch(name, pattern) for pattern in command.compared_as_json):
            text = path.read_text()
            values = [json.loads(text)] if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]
            found[name] = without_times(values)
        else:
            found[name] = path.read_bytes()
    return found


def without_times(value: Any) -> Any:
    """JSON without what tells how fast the machine was."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if not any(time in key for time in TIMES)}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def compare(found: dict[str, Any], expected: dict[str, Any], row: Row) -> None:
    """Count a finished run as equal or not, and what lies about."""
    row.runs += 1
    surplus = sorted(found.keys() - expected.keys())
    row.leftovers += len(surplus)
    differing = [name for name in expected if found.get(name) != expected[name]]
    row.equal += not differing
    row.faults += [f"left: {name}" for name in surplus]
    row.faults += [f"differs: {name}{difference(found.get(name), expected[name])}" for name in differing]


def difference(found: Any, expected: Any) -> str:
    """Where two files of JSON Lines part, for the message."""
    if not isinstance(found, list) or not isinstance(expected, list):
        return ""
    lines = enumerate(zip_longest(found, expected), start=1)
    return next((f":{number}: {one} instead of {other}" for number, (one, other) in lines if one != other), "")


def measure(command: Command, home: Path, kills: int, draws: random.Random, say: Callable[[str], None]) -> Row:
    """Kill a command so many times."""
    row = Row(command.name)
    unbroken, begun = command.prepare(home / "unbroken"), time.monotonic()
    if said := command.finish(command.start(unbroken)):
        raise click.ClickException(f"{command.name} fails without being killed: {said[-2000:]}")
    row.seconds = time.monotonic() - begun
    expected = contents(unbroken, command)
    chain = 0
    while row.kills < kills:
        folder = command.prepare(home / f"killed-{chain}")
        chain, killed, said = chain + 1, 0, None
        while killed < CHAIN and row.kills < kills:
            process = command.start(folder)
            row.restarts += killed > 0
            try:
                process.wait(draws.uniform(EARLIEST, 1.0) * row.seconds)
                break  # it was faster
            except subprocess.TimeoutExpired:
                kill(process, row)
                killed += 1
                row.kills += 1
        else:
            process = command.start(folder)
            row.restarts += 1
        said = command.finish(process)
        if said is not None:
            row.runs += 1
            row.faults.append(f"cannot go on: {said[-500:]}")
        else:
            compare(contents(folder, command), expected, row)
        if not row.faults:
            shutil.rmtree(folder)
    say(
        f"{row.command:<22}{row.seconds:6.1f}{row.kills:7}{row.restarts:10}{row.equal:4} of {row.runs:<3}"
        f"{row.leftovers:10}{row.survivors:11}{row.slowest_end:9.2f}"
    )
    for fault in row.faults[:5]:
        say(f"    {fault}")
    return row


@click.command(help=__doc__.splitlines()[0] if __doc__ else None)
@click.option("--kills", default=100, show_default=True, help="Over all commands.")
@click.option("--only", multiple=True, help="Only this command; may be given several times.")
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
@click.option("--json", "report", type=click.Path(path_type=Path), help="Also write the table to this file.")
def main(kills: int, only: tuple[str, ...], seed: int, report: Path | None) -> None:
    """Prepare, kill, print."""
    draws, begun = random.Random(seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        chosen = [command for command in commands(home) if not only or command.name in only]
        if not chosen:
            raise click.ClickException(f"no such command among those that are killed: {', '.join(only)}")
        click.echo("command                 secs  kills  restarts  equal   leftovers  survivors  slowest")
        rows = []
        for number, command in enumerate(chosen):
            share = kills * (number + 1) // len(chosen) - kills * number // len(chosen)
            rows.append(measure(command, home / f"command-{number}", share, draws, click.echo))
    total = {key: sum(getattr(row, key) for row in rows) for key in ("kills", "restarts", "runs", "equal")}
    total |= {key: sum(getattr(row, key) for row in rows) for key in ("leftovers", "survivors")}
    seconds = time.monotonic() - begun
    click.echo(
        f"{total['kills']} kills, {total['restarts']} restarts, {total['equal']} of {total['runs']} runs equal, "
        f"{total['leftovers']} leftovers, {total['survivors']} survivors; {seconds:.0f} s"
    )
    if report is not None:
        values = {"seconds": seconds, **total, "commands": [asdict(row) for row in rows]}
        report.write_text(json.dumps(values, indent=1) + "\n")
    sys.exit(any(row.faults or row.survivors for row in rows))


if __name__ == "__main__":
    main()
