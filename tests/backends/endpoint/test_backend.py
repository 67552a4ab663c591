"""Asked behind a server, a model says what it says in process; what a server lacks is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.asking import in_orders, make_frames, make_query
from helpers.scripted_server import Fault, HashModel, RealModel, ScriptedServer, query_of, serving
from llavaction.backends.asking import _answers, check_capability, option_answers
from llavaction.backends.base import QuestionError
from llavaction.backends.endpoint.backend import EndpointBackend
from llavaction.backends.endpoint.stops import BackendStoppedError
from llavaction.backends.huggingface import HuggingFaceBackend
from llavaction.backends.registry import make_backend
from llavaction.base.errors import InputError
from llavaction.video.decoded import DecodedClip

Serve = Callable[..., ScriptedServer]
QUICK: dict[str, Any] = {"backoff": 0.005, "frames": 0}


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda model, **options: stack.enter_context(serving(ScriptedServer(model, **options)))


def asked(server: ScriptedServer, **options: Any) -> EndpointBackend:
    backend = make_backend(f"endpoint:{server.url}", **{**QUICK, **options})
    assert isinstance(backend, EndpointBackend)
    return backend


@pytest.mark.parametrize(
    ("family", "media"), [("llava", "images"), ("llava_onevision", "video_jpeg"), ("qwen3_vl", "video_jpeg")]
)
def test_letters_and_words_are_those_of_the_model_in_process(
    family: str, media: str, serve: Serve, make: Callable[..., HuggingFaceBackend]
) -> None:
    model = make(family)
    queries = [make_query(number, 2 + number, make_frames(number, 4)) for number in range(4)]
    queries += in_orders(make_query(9, 3, make_frames(9, 4)), 3)
    queries.append(make_query(10, 26, make_frames(10, 4)))
    backend = asked(serve(RealModel(model)), frames=4, media=media)
    assert backend.settings["letters"] == "vllm" and backend.capabilities == {"score", "generate"}
    here, there = model.score_options(queries), backend.score_options(queries)
    for query, mine, theirs in zip(queries, here, there, strict=True):
        near = 1e-5 if query.query_id == "q9" else 1e-12  # in process, orders share a pass
        assert np.abs(mine.log_probabilities - theirs.log_probabilities).max() < near
        assert mine.letter_mass == pytest.approx(theirs.letter_mass, rel=near)
    assert len({tuple(one.log_probabilities.round(3)) for one in there}) == len(queries)
    assert backend.generate(queries[:5]) == model.generate(queries[:5])


def test_the_frames_arrive_to_the_last_bit_and_with_their_times(serve: Serve) -> None:
    clip = DecodedClip(make_frames(3, 3), np.array([0.04, 0.7, 1.333]), 1.5)
    query = replace(make_query(0, 3, make_frames(3, 3)), clip=clip)
    server = serve(HashModel())
    asked(server, frames=3, media="video_jpeg").score_options([query])
    video = server.chats[-1]["media_io_kwargs"]["video"]
    assert video == {
        "num_frames": -1, "fps": 1000, "frames_indices": [40, 700, 1333], "total_num_frames": 1500, "duration": 1.5,
    }  # fmt: skip
    seen = query_of(server.chats[-1]).clip
    assert seen is not None and np.array_equal(seen.frames, clip.frames)
    asked(server, frames=3, frame_times=True).score_options([query])
    parts = server.chats[-1]["messages"][0]["content"]
    assert [part.get("text", "picture") for part in parts[:-1]] == [
        "0.04 s",
        "picture",
        "0.70 s",
        "picture",
        "1.33 s",
        "picture",
    ]
    assert np.array_equal(query_of(server.chats[-1]).clip.frames, clip.frames)  # type: ignore[union-attr]
    asked(server, frames=3, image_format="jpeg").score_options([query])
    seen = query_of(server.chats[-1]).clip
    assert seen is not None and 0 < np.abs(seen.frames.astype(int) - clip.frames).mean() < 3
    asked(server, frames=3, media="sglang_video").score_options([query])
    assert [part.get("modalities") for part in server.chats[-1]["messages"][0]["content"]] == ["video"] * 3 + [None]


def test_letters_among_the_likeliest_tokens_and_the_bound_of_the_others(serve: Serve) -> None:
    model = HashModel(dialect="top_logprobs", owned_by="openai")
    server = serve(model)
    backend = asked(server, top_logprobs=5)
    assert backend.settings["letters"] == "top_logprobs"
    query = make_query(0, 10)
    scores = backend.score_options([query])[0]
    values = model.logprobs(server.chats[-1])
    best = np.argsort(-values)[:5]
    listed = [place for place in range(10) if 100 + place in best]
    assert 0 < len(listed) < 10
    bound = min(values[best].min(), np.log(1 - np.exp(values[best]).sum()))
    expected = np.where([place in listed for place in range(10)], values[100:110], bound)
    assert np.allclose(scores.log_probabilities, expected - np.logaddexp.reduce(expected))
    assert scores.letter_mass == pytest.approx(np.exp(values[[100 + place for place in listed]]).sum())
    assert "5 likeliest tokens" in backend.ledger.summary()


def test_no_letter_among_the_likeliest_is_no_answer(serve: Serve) -> None:
    model = HashModel(dialect="top_logprobs")
    model.logprobs = lambda body: np.log(np.r_[np.full(50, 0.0199), np.full(150, (1 - 50 * 0.0199) / 150)])  # type: ignore[method-assign]
    with pytest.raises(QuestionError, match="none of the letters is among the 20 likeliest"):
        asked(serve(model)).score_options([make_query(0, 3)])


def test_a_server_that_passes_over_logprobs_is_noticed(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    server = serve(HashModel(dialect="none"))
    backend = asked(server)
    assert backend.capabilities == {"generate"} and len(server.chats) == 1
    assert "written answers only" in capsys.readouterr().err
    assert backend.generate([make_query(0, 3)])[0] in "ABC"
    with pytest.raises(InputError, match=r"does not say how likely.*\n.*--decision generation"):
        check_capability(backend, "score")
    for way in ("vllm", "sglang"):
        with pytest.raises(InputError, match="not offered"):
            asked(server, letters=way, score_prompt="{prompt}")


def test_a_server_that_refuses_logprobs_is_asked_for_words(serve: Serve) -> None:
    server = serve(
        HashModel(dialect="none"), fault=lambda number, body: Fault(status=422) if "logprobs" in body else None
    )
    assert asked(server).capabilities == {"generate"}


def test_sglang_scores_texts(serve: Serve) -> None:
    model = HashModel(dialect="sglang")
    backend = asked(serve(model), letters="sglang", score_prompt="<u>{prompt}<a>")
    query = make_query(0, 3)
    values = model.logprobs({"messages": f"<u>{query.prompt}<a>"})[100:103]
    scores = backend.score_options([query])[0]
    assert np.allclose(scores.log_probabilities, values - np.logaddexp.reduce(values))
    assert scores.letter_mass == pytest.approx(np.exp(values).sum())


def test_the_model_that_is_not_named(serve: Serve) -> None:
    model = HashModel(name="only")
    server = serve(model)
    assert asked(server).name == "endpoint:only" and asked(server, model="other").name == "endpoint:other"
    model.card = lambda: {}  # type: ignore[method-assign]
    with pytest.raises(InputError, match="lists 0 models"):
        asked(server)


def test_a_server_that_is_not_there_a_wrong_key_and_an_unknown_model_stop(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackendStoppedError, match=r"no server answers at http://127\.0\.0\.1:9/v1"):
        make_backend("endpoint:http://127.0.0.1:9/v1")
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    for status, says in ((401, "refuses the key"), (403, "refuses the key"), (404, "has no model"), (402, "not paid")):
        fault = Fault(status=status, message="no entry for sk-very-secret")
        server = serve(HashModel(), fault=lambda number, body, fault=fault: fault)
        with pytest.raises(BackendStoppedError, match=says) as error:
            asked(server, api_key_variable="SOME_KEY")
        assert len(server.chats) == 1 and server.keys == {"Bearer sk-very-secret"}
        assert "no entry for ***" in str(error.value) and "very-secret" not in str(error.value)
        later = serve(HashModel(), fault=lambda number, body, fault=fault: fault if number > 3 else None)
        backend = asked(later, api_key_variable="SOME_KEY", concurrency=1)
        with pytest.raises(BackendStoppedError, match=says):
            backend.score_options([make_query(number, 2 + number) for number in range(20)])
        assert len(later.chats) == 5


def test_no_secret_is_taken_where_it_would_be_written(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(HashModel())
    for url in (server.url.replace("//", "//user:hush@"), server.url + "?key=hush"):
        with pytest.raises(InputError, match="may hold no user") as error:
            make_backend(f"endpoint:{url}")
        assert "hush" not in str(error.value)
    for name in ("sk-hush", "hush hush"):
        with pytest.raises(InputError, match="not the name") as error:
            asked(server, api_key_variable=name)
        assert "hush" not in str(error.value)
    with pytest.raises(InputError, match="unknown key") as error:
        asked(server, api_key="hush")
    assert "hush" not in str(error.value)
    with pytest.raises(InputError, match="NOT_SET_HERE is not set"):
        asked(server, api_key_variable="NOT_SET_HERE")
    monkeypatch.setenv("LLAVACTION_API_KEY", "hush\nhush")
    with pytest.raises(InputError, match="characters that no key has") as error:
        asked(server)
    assert "hush" not in str(error.value)


def test_what_no_file_can_hold_is_not_taken_over(serve: Serve, tmp_path: Path) -> None:
    model = HashModel()
    server = serve(model)
    backend, chat = asked(server, letters="none"), model.chat

    def odd(body: dict[str, Any]) -> dict[str, Any]:
        value = chat(body)
        value["choices"][0]["message"]["content"] = "\ud800 A \x00"
        value["choices"][0]["logprobs"] = {"content": [{"token": "A", "logprob": float("nan")}, float("inf"), 10**400]}
        return value

    model.chat = odd  # type: ignore[method-assign]
    with backend.in_folder(tmp_path):
        assert backend.generate([make_query(0, 3)]) == ["? A \x00"]
    with asked(server, letters="none").in_folder(tmp_path):  # the ledger can be read
        assert (tmp_path / "ledger.jsonl").read_text().count("\n") == 1


def test_an_error_of_one_question_is_its_own(serve: Serve) -> None:
    def fault(number: int, body: dict[str, Any]) -> Fault | None:
        return Fault(status=400, message="too long") if "Too long?" in str(body["messages"]) else None

    server = serve(HashModel(), fault=fault)
    backend = asked(server)
    queries = [
        make_query(number, 2 + number, words="Too long?" if number in (1, 3) else "What?") for number in range(5)
    ]

    found = _answers(backend, [[query] for query in queries], lambda some: option_answers(backend, some))
    assert [isinstance(one, InputError) for one in found] == [False, True, False, True, False]
    assert "too long (400)" in str(found[1])
    assert len(server.chats) == 1 + 5 and set(server.questions.values()) == {1}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"budget": 1.0}, "needs price_in and price_out"),
        ({"price_in": 1.0}, "go together"),
        ({"letters": "sglang"}, "score_prompt"),
        ({"letters": "sglang", "score_prompt": "{prompt}", "frames": 2}, "texts only"),
        ({"tempo": 2}, "unknown key"),
    ],
)
def test_settings_that_do_not_go_together(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_backend("endpoint:http://127.0.0.1:9/v1", **options)
