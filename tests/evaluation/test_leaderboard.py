from __future__ import annotations

import csv
import json
from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.finished_runs import finished
from helpers.workbooks import write_workbook
from llavaction.base.corrections import holm
from llavaction.base.errors import InputError
from llavaction.base.seeding import hashed_rng
from llavaction.cli.compare import compare
from llavaction.evaluation.leaderboard import leaderboard, letter_groups
from llavaction.evaluation.leaderboard_formats import FORMATS


def share(hits: int, n: int = 200) -> list[bool]:
    """Spread evenly, so that every video has as many."""
    return [(i * hits) % n < hits for i in range(n)]


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_groups_and_ranks_only_where_differences_are_significant() -> None:
    runs = [finished("strong", share(160)), finished("near", share(158)), finished("weak", share(60))]
    board = leaderboard(runs)
    assert [row["model"] for row in board["rows"]] == ["strong", "near", "weak"]
    cells = [row["cells"]["bench"] for row in board["rows"]]
    assert [cell["group"] for cell in cells] == ["a", "a", "b"]
    assert [cell["rank"] for cell in cells] == [[1, 2], [1, 2], [3, 3]]
    assert [cell["value"] for cell in cells] == [0.8, 0.79, 0.3]
    assert (cells[0]["n"], cells[0]["clusters"]) == (200, 40)
    assert all(cell["low"] <= cell["value"] <= cell["high"] for cell in cells)
    assert len(board["tests"]) == 3 and "Holm, over all 3 tests" in board["correction"]
    assert all(test["p_holm"] >= test["p"] for test in board["tests"])


def test_against_a_reference_and_over_several_benchmarks() -> None:
    runs = [finished("base", share(100)), finished("new", share(150)), finished("base", share(90), benchmark="other")]
    board = leaderboard(runs, "base")
    new, base = board["rows"]
    assert new["model"] == "new" and new["cells"]["other"] is None
    assert new["cells"]["bench"]["against"]["difference"] == pytest.approx(0.25)
    assert new["cells"]["bench"]["against"]["p_holm"] < 0.05
    assert "against" not in base["cells"]["bench"] and len(board["tests"]) == 1
    with pytest.raises(InputError, match="did you mean 'base'"):
        leaderboard(runs, "bas")


def test_chance_gives_no_ranks() -> None:
    """Ten equal models, 45 tests: uncorrected about two would be called significant in each table."""
    false = 0
    for trial in range(6):
        rng = hashed_rng("equal models", trial)
        runs = [finished(f"m{i}", (rng.random(100) < 0.6).tolist()) for i in range(6)]
        board = leaderboard(runs, n=300)
        false += sum(test["p_holm"] < 0.05 for test in board["tests"])
    assert false <= 1


def test_letters_are_shared_exactly_where_nothing_is_significant() -> None:
    for trial in range(60):
        rng = hashed_rng("letters", trial)
        models = [f"m{i}" for i in range(int(rng.integers(2, 8)))]
        apart = {frozenset(two) for two in combinations(models, 2) if rng.random() < 0.4}
        groups = letter_groups(models, apart)
        for two in combinations(models, 2):
            assert bool(set(groups[two[0]]) & set(groups[two[1]])) == (frozenset(two) not in apart)
        assert all(groups.values())


def test_forms() -> None:
    runs = [finished("a|b_<i>", share(160)), finished("weak", share(60))]
    board = leaderboard(runs)
    text = {name: write(board) for name, write in FORMATS.items()}
    assert "| a\\|b_<i> | 80.0 [" in text["markdown"] and "| model | bench |" in text["markdown"]
    assert "<td>a|b_&lt;i&gt;</td>" in text["html"] and text["html"].startswith("<!doctype html>")
    assert r"a|b\_<i> & 80.0 [" in text["latex"] and r"\begin{tabular}{lr}" in text["latex"]
    rows = list(csv.DictReader(text["csv"].splitlines()))
    assert [(row["model"], float(row["accuracy"]), row["best_rank"]) for row in rows] == [
        ("a|b_<i>", 0.8, "1"),
        ("weak", 0.3, "2"),
    ]
    assert "-0." not in text["csv"].replace("--", "")
    against = FORMATS["markdown"](leaderboard(runs, "weak"))
    assert "(+50.0, p < 0.001, better)" in against and "against weak" in against


def test_files_of_other_programs_in_the_command(tmp_path: Path) -> None:
    sheet = [["index", "video", "question", "A", "B", "answer", "prediction", "hit"]]
    sheet += [[i, f"v{i // 4}.mp4", "what?", "run", "sit", "A", "A" if i % 2 else "B. sit", i % 2] for i in range(40)]
    other = [["index", "video", "question", "A", "B", "answer", "prediction", "hit"]]
    other += [[i, f"v{i // 4}.mp4", "what?", "run", "sit", "A", "A", 1] for i in range(40)]
    files = [write_workbook(tmp_path / "x.xlsx", {"s": sheet}), write_workbook(tmp_path / "y.xlsx", {"s": other})]
    done = CliRunner().invoke(compare, [*map(str, files), "--json"], catch_exceptions=False)
    board = json.loads(done.output)
    assert [next(iter(row["cells"].values()))["value"] for row in board["rows"]] == [1.0, 0.5]
    assert len(board["benchmarks"]) == 1 and board["tests"][0]["questions"] == 40
    out = tmp_path / "board.html"
    done = CliRunner().invoke(compare, [*map(str, files), "--format", "html", "--output", str(out)])
    assert done.exit_code == 0 and "<table>" in out.read_text()
