from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.audited_backends import ActionLibrary, AlwaysA, AuditedBackend, LastFrame, LeaningToA, action_benchmark
from llavaction.evaluation.config import RunConfig
from llavaction.evaluation.full_audit import full_audit
from llavaction.evaluation.meaning import audit_text
from llavaction.evaluation.report import write_report
from llavaction.evaluation.runner import RunResult, run
from llavaction.questions.schema import Benchmark

CONFIG = RunConfig(benchmark="bench", backend="audited", batch_size=8)
BENCHMARK = action_benchmark()
CLIPS = ("blind", "middle", "first", "last", "shuffled", "reversed")


def audited(
    backend: AuditedBackend, folder: Path, benchmark: Benchmark = BENCHMARK, config: RunConfig = CONFIG
) -> RunResult:
    result = run(config, benchmark, backend, ActionLibrary(), folder)
    return full_audit(result, config, benchmark, backend, ActionLibrary())


def rows_of(result: RunResult) -> dict[str, Any]:
    return {row["name"]: row for row in result.metrics["audit"]["conditions"]}


@pytest.fixture(scope="module")
def last_frame(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return audited(LastFrame(), tmp_path_factory.mktemp("audited") / "last")


@pytest.fixture(scope="module")
def always_a(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return audited(AlwaysA(), tmp_path_factory.mktemp("audited") / "a")


def test_who_reads_only_the_last_frame_is_shown_for_it(last_frame: RunResult) -> None:
    audit, rows = last_frame.metrics["audit"], rows_of(last_frame)
    assert tuple(rows) == CLIPS
    assert last_frame.metrics["accuracy"]["value"] == audit["ordinary"]["accuracy"]["value"] == 1.0
    assert (rows["last"]["accuracy"]["value"], rows["last"]["same_choice"], rows["last"]["p"]) == (1.0, 1.0, 1.0)
    assert rows["last"]["meaning"] == (
        "answers do not change when only the last frame is shown: the last frame is enough"
    )
    for name, follows in (
        ("blind", "the clip is looked at"), ("middle", "more than the middle frame is used"),
        ("first", "more than the first frame is used"), ("shuffled", "frame order is used"),
        ("reversed", "the direction of time is used"),
    ):  # fmt: skip
        row = rows[name]
        assert row["difference"]["high"] < -0.4 and row["p"] <= row["p_holm"] < 0.01
        assert follows in row["meaning"] and "fewer are right" in row["meaning"]
    assert rows["first"]["same_choice"] == rows["reversed"]["same_choice"] < 0.5
    orders = audit["orders"]
    assert (orders["consistency"]["value"], orders["agreement"], orders["p_place"]) == (1.0, 1.0, 1.0)
    assert orders["places"] == {"A": 120, "B": 120, "C": 120, "D": 120}
    assert orders["meaning"][0] == "no preference for a place can be told"


def test_who_always_says_a_is_shown_for_it(always_a: RunResult) -> None:
    audit, rows = always_a.metrics["audit"], rows_of(always_a)
    for name in CLIPS:
        assert (rows[name]["same_choice"], rows[name]["difference"]["value"], rows[name]["p"]) == (1.0, 0.0, 1.0)
        assert rows[name]["meaning"].startswith("answers do not change when")
    assert "frame order is not needed" in rows["shuffled"]["meaning"]
    assert "answers do not change when the frames are reversed" in rows["reversed"]["meaning"]
    orders = audit["orders"]
    assert orders["places"] == {"A": 480}
    assert orders["p_place"] == pytest.approx(1 / 2001, abs=1e-6)
    assert (orders["consistency"]["value"], orders["agreement"], orders["chance_of_agreement"]) == (0.0, 0.0, 0.25)
    assert orders["meaning"][0] == "always says A"
    assert sum(orders["accuracy"]) == pytest.approx(1.0)  # the right option is A in one of the four orders
    assert audit["ordinary"]["meaning"].startswith("not shown to be better than guessing")


def test_who_leans_to_a_is_found_by_the_test_of_places(tmp_path: Path) -> None:
    orders = audited(LeaningToA(), tmp_path / "run").metrics["audit"]["orders"]
    assert orders["p_place"] < 0.01
    assert orders["meaning"][0].startswith("prefers A: says it in ")
    assert 0.55 < orders["consistency"]["value"] < 0.75


def test_the_table_is_kept_shown_and_complete(last_frame: RunResult) -> None:
    stored = json.loads((last_frame.folder / "metrics.json").read_text())
    assert stored["audit"] == json.loads(json.dumps(last_frame.metrics["audit"]))
    text = audit_text(stored["audit"])
    assert "  one frame: the last      100.0% [" in text and ", p = 1.000: answers do not change when only" in text
    assert "  places chosen            A 120, B 120, C 120, D 120, p = 1.000: no preference" in text
    names = sorted(path.name for path in (last_frame.folder / "audit").iterdir())
    assert names == sorted([*CLIPS, "order-1", "order-2", "order-3"])
    for name in names:
        assert (last_frame.folder / "audit" / name / "metrics.json").is_file()
    config = (last_frame.folder / "audit" / "shuffled" / "config.yaml").read_text()
    assert "shown: frames shuffled, seed 0" in config


def test_an_interrupted_audit_goes_on_and_a_finished_one_asks_nothing(tmp_path: Path) -> None:
    benchmark = action_benchmark(24, 6)
    whole = audited(LastFrame(), tmp_path / "whole", benchmark)

    class Tired(LastFrame):
        def choice(self, query: Any) -> int:
            if len(self.asked) > 100:
                raise KeyboardInterrupt
            return super().choice(query)

    folder = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        audited(Tired(), folder, benchmark)
    backend = LastFrame()
    assert audited(backend, folder, benchmark).metrics == whole.metrics
    assert 24 * 10 - 104 <= len(backend.asked) < 24 * 10 - 80  # ten runs, what was done is not done again
    again = LastFrame()
    assert audited(again, folder, benchmark).metrics == whole.metrics
    assert again.asked == []
    alone = run(CONFIG, benchmark, again, ActionLibrary(), folder)
    assert alone.metrics["audit"] == whole.metrics["audit"]  # an ordinary call later does not lose it


def test_the_report_shows_the_table(last_frame: RunResult, tmp_path: Path) -> None:
    text = write_report(tmp_path / "report.html", [last_frame.folder], BENCHMARK).read_text()
    assert "How good is the number?" in text
    assert "answers do not change when only the last frame is shown: the last frame is enough" in text
    assert "A 120, B 120, C 120, D 120" in text


def test_a_limit_holds_for_every_condition(tmp_path: Path) -> None:
    backend = AlwaysA()
    result = audited(backend, tmp_path / "run", config=CONFIG.model_copy(update={"limit": 20}))
    assert {row["n"] for row in result.metrics["audit"]["conditions"]} == {20}
    assert result.metrics["audit"]["orders"]["questions"] == 20
    assert len(backend.asked) == 20 * 10 and len(set(backend.asked)) == 20


def test_a_backend_that_does_not_look_is_asked_in_other_orders_only(tmp_path: Path) -> None:
    backend = AlwaysA(needs_frames=0)
    audit = audited(backend, tmp_path / "run").metrics["audit"]
    assert audit["conditions"] == []
    assert audit["left_out"] == dict.fromkeys(CLIPS, "the backend does not look at clips")
    assert audit["orders"]["meaning"][0] == "always says A"
    one = audited(AlwaysA(), tmp_path / "one", config=CONFIG.model_copy(update={"frames": 1})).metrics["audit"]
    assert [row["name"] for row in one["conditions"]] == ["blind"]


def test_what_could_not_be_asked_in_both_is_compared_in_neither(tmp_path: Path) -> None:
    class Damaged(ActionLibrary):
        def read(self, clip: Any, count: int, *, segment_id: str | None = None) -> Any:
            if clip.video_id == "P03_01":
                raise ValueError("damaged")
            return super().read(clip, count, segment_id=segment_id)

    result = run(CONFIG, BENCHMARK, LastFrame(), Damaged(), tmp_path / "run")
    audit = full_audit(result, CONFIG, BENCHMARK, LastFrame(), Damaged()).metrics["audit"]
    assert [row["n"] for row in audit["conditions"]] == [110] * 6
    assert audit["orders"]["questions"] == 110
