from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from llavaction.cli import main as main_module
from llavaction.cli.main import COMMANDS, cli
from llavaction.questions.schema import Benchmark
from llavaction.testing.tiny import write_tiny
from llavaction.video.write import write_video


def llavaction(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llavaction.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check)


def test_help_is_quick_and_needs_no_torch():
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = llavaction("--help")
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime < 0.5
    for command in ("benchmark", "data", "eval", "report", "compare", "demo"):
        assert command in done.stdout
    code = (
        "import sys, llavaction.cli.main as m\ntry: m.cli(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.endswith(
        "False\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["benchmak"], "did you mean 'benchmark'"),
        (["benchmark", "audit", "nowhere"], "not a benchmark folder"),
        (
            ["benchmark", "build", "--annotations", "nowhere", "--split", "validation", "--output", "x"],
            "no such annotation",
        ),
        (["eval", "nowhere", "--backend", "chance", "--output", "x"], "not a benchmark folder"),
        (["compare", "a", "b"], "not a run folder"),
        (["data", "kitchen-mini", "--output", "x", "--set", "width=[1"], "not readable as YAML"),
        (["data", "kitchen-mini", "--output", "x", "--set", "widht=1"], "did you mean 'width'"),
        (
            ["benchmark", "build", "--annotations", ".", "--split", "validation", "--output", "x"],
            "not an annotation folder",
        ),
    ],
)
def test_errors_are_sentences(arguments: list[str], message: str):
    done = llavaction(*arguments, check=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [*COMMANDS, "demo", "data kitchen-mini", "specialist predict", "data curate", "data export", "benchmark build"],
)
def test_every_help_is_quick(command: str) -> None:
    """Counted is what the process works, not how long it waits for its turn; half a second, and a margin."""
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    llavaction(*command.split(), "--help")
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime < 0.9


@pytest.mark.parametrize(
    "command", ["ask", "eval", "recognise", "multilabel", "train", "specialist train", "data kitchen-mini"]
)
def test_settings_are_listed_without_torch(command: str) -> None:
    code = (
        f"import sys, llavaction.cli.main as m\ntry: m.cli([*'{command}'.split(), '--keys'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) > 5 and done.stdout.endswith("False\n")


def test_settings_of_plugins_are_not_ours() -> None:
    keys = [line.split(" ")[0].rstrip(":") for line in llavaction("train", "--keys").stdout.splitlines()]
    assert {"kind", "extra", "start", "records.path", "learning_rates.vision_tower"} <= set(keys)
    assert not [key for key in keys if key.partition(".")[0] in ("mini", "boxes", "seeing", "new_layers", "name_heads")]


def test_settings_of_a_plugin_are_listed_when_asked_for() -> None:
    assert llavaction("train", "--keys").stdout.splitlines()[-1].endswith(": kitchen-mini.")
    lines = llavaction("train", "--keys", "kitchen-mini").stdout.splitlines()
    assert {"Under extra, with kind: boxes", "Under extra, with kind: lesson", "Under start, with model: mini"} < {
        *lines
    }
    place = lines.index("Under extra, with kind: lesson")
    assert lines[place + 1].startswith("  new_layers (0): Layers")
    done = llavaction("train", "--keys", "kitchn", check=False)
    assert done.returncode == 1 and "did you mean 'kitchen-mini'?" in done.stderr


def test_what_training_needs_and_is_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def lacking(package: str):
        def cli(**unused: object):
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)

        return cli

    monkeypatch.setattr(main_module, "cli", lacking("peft"))
    with pytest.raises(SystemExit) as ended:
        main_module.main()
    assert ended.value.code == 1
    assert "peft is not installed" in (said := capsys.readouterr().err) and "llavaction[train]" in said
    monkeypatch.setattr(main_module, "cli", lacking("something"))
    with pytest.raises(ModuleNotFoundError):
        main_module.main()


def test_from_annotations_to_a_comparison(annotations: Path, tmp_path: Path):
    bench = tmp_path / "bench"
    llavaction("benchmark", "build", "--annotations", annotations, "--split", "validation", "--output", bench)
    result = json.loads(llavaction("benchmark", "audit", bench, "--json").stdout)
    assert result["chance"] == 0.2
    runs = {}
    for name, backend in (("chance", "chance"), ("prior", "prior"), ("oracle", "oracle:0.3")):
        done = llavaction("eval", bench, "--backend", backend, "--output", tmp_path / name, "--json")
        runs[name] = json.loads(done.stdout)["accuracy"]
    assert runs["chance"]["low"] < 0.2 < runs["chance"]["high"]
    assert runs["oracle"]["value"] == pytest.approx(0.7, abs=0.06)
    comparison = json.loads(llavaction("compare", tmp_path / "chance", tmp_path / "oracle", "--json").stdout)
    assert comparison["difference"]["low"] > 0.3
    assert "is better than" in llavaction("compare", tmp_path / "chance", tmp_path / "oracle").stdout
    page = tmp_path / "report.html"
    llavaction("report", tmp_path / "chance", tmp_path / "oracle", "--benchmark", bench, "--output", page)
    text = page.read_text()
    assert "chance" in text
    assert "oracle" in text
    assert "http://" not in text.replace("http://www.w3.org/", "")


def test_figures_and_tables_for_a_paper(annotations: Path, tmp_path: Path):
    bench = tmp_path / "bench"
    llavaction("benchmark", "build", "--annotations", annotations, "--split", "validation", "--output", bench)
    for name, backend in (("a", "prior"), ("b", "oracle:0.3")):
        llavaction("eval", bench, "--backend", backend, "--output", tmp_path / name)
    runs = ("report", tmp_path / "a", tmp_path / "b", "--benchmark", bench, "--output", tmp_path / "r.html")
    llavaction(*runs, "--figures", tmp_path / "figures")
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    stems = {"accuracy", "calibration-1", "calibration-2", "verbs-1", "verbs-2"}
    assert names >= {f"{stem}{suffix}" for stem in stems for suffix in (".svg", ".pdf")}
    tables = {"accuracy", "classes-1", "confusions-2"}
    assert names >= {f"{stem}{suffix}" for stem in tables for suffix in (".csv", ".tex")}
    accuracy = json.loads((tmp_path / "b" / "metrics.json").read_text())["accuracy"]
    rows = list(csv.DictReader((tmp_path / "figures" / "accuracy.csv").open()))
    assert [row["run"] for row in rows] == ["prior", "oracle"]
    assert float(rows[1]["accuracy"]) == accuracy["value"] and float(rows[1]["high"]) == accuracy["high"]
    assert f"oracle & {accuracy['value']:.4f} & " in (tmp_path / "figures" / "accuracy.tex").read_text()
    assert (tmp_path / "figures" / "accuracy.pdf").read_bytes().startswith(b"%PDF")
    before = {name: (tmp_path / "figures" / name).read_bytes() for name in names}
    llavaction(*runs, "--figures", tmp_path / "figures")
    assert {name: (tmp_path / "figures" / name).read_bytes() for name in names} == before


def test_simulated_specialist_can_be_mined_and_asked(annotations: Path, tmp_path: Path):
    predictions = tmp_path / "p.jsonl"
    done = llavaction(
        "data",
        "simulate-specialist",
        "--annotations",
        annotations,
        "--split",
        "validation",
        "--output",
        predictions,
        "--json",
    )
    top1 = json.loads(done.stdout)["top-1"]
    bench = tmp_path / "bench"
    llavaction(
        "benchmark", "build", "--annotations", annotations, "--split", "validation", "--miner", "specialist",
        "--predictions", predictions, "--output", bench,
    )  # fmt: skip
    done = llavaction("eval", bench, "--backend", f"specialist:{predictions}", "--output", tmp_path / "run", "--json")
    assert json.loads(done.stdout)["accuracy"]["value"] >= top1 - 0.05


def test_what_was_not_asked_stands_beside_the_accuracy(annotations: Path, tmp_path: Path):
    bench, model = tmp_path / "bench", write_tiny(tmp_path / "model", "llava_onevision")
    llavaction("benchmark", "build", "--annotations", annotations, "--split", "validation", "--output", bench)
    videos = {question.clip.video_id for question in Benchmark.load(bench).questions}
    stops = dict.fromkeys(videos, 0.0)
    for question in Benchmark.load(bench).questions:
        stops[question.clip.video_id] = max(stops[question.clip.video_id], question.clip.stop)
    grey = np.full((64, 64, 3), 90, np.uint8)
    for number, video in enumerate(sorted(videos)):
        if number:  # the first is missing
            write_video(tmp_path / "videos" / f"{video}.mp4", [grey] * (2 + int(stops[video])), 1)
    arguments = [
        "eval", bench, "--backend", model, "--videos", tmp_path / "videos", "--frames", "1", "--limit", "60"
    ]  # fmt: skip
    done = CliRunner().invoke(cli, [*map(str, arguments), "--output", str(tmp_path / "run")])
    counts = json.loads((tmp_path / "run" / "metrics.json").read_text())["counts"]
    assert 0 < counts["failed"] < 12 and counts["answered"] == 60 - counts["failed"]
    assert (done.exit_code == 3) == (counts["failed"] > 6)
    expected = f"60 questions: {counts['answered']} answered, 0 with an unreadable answer, {counts['failed']} that"
    assert expected in done.stdout and "of the answered" in done.stdout
    assert f"{counts['failed']} of 60 questions could not be asked; the first: " in done.stderr
    for video in sorted(videos)[:3]:
        (tmp_path / "videos" / f"{video}.mp4").unlink(missing_ok=True)
    for extra, status in (([], 3), (["--allow-missing"], 0)):
        output = tmp_path / f"run{status}"
        done = CliRunner().invoke(cli, [*map(str, arguments), "--output", str(output), *extra])
        assert done.exit_code == status, done.output
    (tmp_path / "none" / "elsewhere.mp4").parent.mkdir()
    write_video(tmp_path / "none" / "elsewhere.mp4", [grey] * 3, 1)
    arguments = ["eval", bench, "--backend", model, "--videos", tmp_path / "none", "--limit", "20"]
    done = CliRunner().invoke(cli, [*map(str, arguments), "--output", str(tmp_path / "nothing")])
    assert done.exit_code == 3 and "no accuracy: not one of 20 questions was answered" in done.stdout
    assert "0.0%" not in done.stdout.replace("chance", "")
