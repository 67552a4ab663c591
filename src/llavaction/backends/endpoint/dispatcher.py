"""Sends many requests at once until each has an answer: waits, repeats, and stops where going on makes no sense."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from llavaction.backends.base import QuestionError
from llavaction.backends.endpoint.config import EndpointConfig
from llavaction.backends.endpoint.ledger import Ledger, Sending
from llavaction.backends.endpoint.requests import Request, Unreadable, text_request
from llavaction.backends.endpoint.server import Broken, Refusal, Server
from llavaction.backends.endpoint.stops import BackendStoppedError
from llavaction.backends.endpoint.throttle import Throttle
from llavaction.base.errors import InputError

LONGEST_WAIT = 60.0
"""Seconds of the longest wait of our own before a repetition."""
LONGEST_ASKED = 900.0
"""Seconds up to which a server's Retry-After is waited for; a longer one ends the run."""
_BUSY = (429, 503)
_AGAIN = (408, 409, 425)
_NO_MONEY = ("insufficient_quota", "billing_not_active", "billing_hard_limit_reached")
_CANARY = "Say A."

Outcome = Mapping[str, Any] | QuestionError


class Dispatcher:
    """Gets replies to requests.

    What is told apart: an answer that the server is busy (429, 503), for which everybody waits; a failure (5xx, no
    answer in time, a broken connection, an answer that is no JSON), after which a request is repeated; an error that is
    the question's own (another 4xx); and one that is that of all (a wrong key, an unknown model), which ends the run.

    Args:
        config: how often and how long.
        server: whom to ask.
        ledger: what was answered and paid for.
        model: its name on the server.

    Attributes:
        throttle: how many requests are under way.
        in_a_row: failures since the last answer; several at the same time count once.
    """

    def __init__(self, config: EndpointConfig, server: Server, ledger: Ledger, model: str) -> None:
        self._config, self._server, self._ledger, self._model = config, server, ledger, model
        self.throttle = Throttle(config.concurrency)
        self.in_a_row = 0
        self._answers = 0
        self._failed_at = 0.0
        self._stop: BaseException | None = None
        self._stopping = asyncio.Event()
        self._checking = asyncio.Lock()

    async def replies(self, requests: Sequence[Request]) -> list[Outcome]:
        """The reply to each request, or why it has none; every reply is in the ledger as soon as it is there.

        Raises:
            BackendStoppedError: nothing more can be asked; what was under way has been waited for.
        """
        self._stop = None
        self._stopping.clear()
        self.in_a_row = 0
        outcomes = await asyncio.gather(*(self._guarded(request) for request in requests), return_exceptions=True)
        if self._stop is not None:
            raise self._stop
        return [self._outcome(one) for one in outcomes]

    @staticmethod
    def _outcome(one: Outcome | BaseException) -> Outcome:
        if isinstance(one, BaseException) and not isinstance(one, QuestionError):
            raise one
        return one

    async def _guarded(self, request: Request) -> Outcome:
        try:
            return await self._answered(request)
        except QuestionError as error:
            return error
        except BaseException as error:
            if self._stop is None:
                self._stop = error
            self._stopping.set()
            raise

    async def _answered(self, request: Request) -> Mapping[str, Any]:
        """Send a request until it is answered.

        Raises:
            QuestionError: the server refuses it, or fails it time and again and answers others.
            BackendStoppedError: the run is to end.
        """
        failures, before = 0, 0  # answers to others by the failure before
        for attempt in range(1, 1_000_000):
            try:
                return await self._once(request, attempt)
            except Refusal as refusal:
                self._check_refusal(request, refusal)
                problem, busy = f"the server says ({refusal.status}): {refusal.message}", refusal.status in _BUSY
            except Broken as broken:
                problem, busy = broken.problem, False
            failures += not busy
            if failures >= self._config.attempts and (self._answers > before or await self._is_well()):
                raise self._of(request, f"failed {failures} times; the last: {problem}")
            before = self._answers
            self._check_patience(problem)
            await self._rest(self._wait(max(failures, self.in_a_row)))
        raise AssertionError("unreachable")

    async def _once(self, request: Request, attempt: int) -> Mapping[str, Any]:
        """Send a request once; its reply is in the ledger before this returns."""
        async with self.throttle.slot() as had_at:
            if self._stop is not None:
                raise self._stop
            body = await asyncio.to_thread(request.write)
            sending = await self._ledger.reserve(request.query_id, request.digest, request.tokens_out)
            begun = time.monotonic()
            try:
                value = await self._server.post(request.path, body)
                kept = request.keep(value)
            except Refusal as refusal:
                await self._note(sending, "refused", begun, attempt)
                self._failed(had_at, refusal.status in _BUSY, refusal.retry_after)
                raise
            except (Broken, Unreadable) as error:
                broken = error if isinstance(error, Broken) else Broken(str(error))
                await self._note(sending, "unknown" if broken.sent else "refused", begun, attempt)
                self._failed(had_at, broken.slow)
                raise broken from None
            except asyncio.CancelledError:
                await self._note(sending, "unknown", begun, attempt)
                raise
            tokens = _usage(value)
            note = request.remark(kept)
            await self._note(sending, "answered", begun, attempt, reply=kept, note=note, **tokens)
            self._answers += 1
            self.in_a_row = 0
            self.throttle.answered()
            self._check_length(tokens.get("tokens_in"))
            return kept

    async def _note(self, sending: Sending, outcome: Any, begun: float, attempt: int, **facts: Any) -> None:
        seconds = round(time.monotonic() - begun, 3)
        line = self._ledger.line_of(sending, outcome, seconds=seconds, attempts=attempt, **facts)
        await self._ledger.settle(sending, line)

    def _failed(self, sent_at: float, crowded: bool, retry_after: float | None = None) -> None:
        """Count a failure, and let everybody wait where the server asks for it or fails all."""
        if crowded:
            self.throttle.congested(sent_at)
        if retry_after is not None and retry_after <= LONGEST_ASKED:
            self.throttle.pause(retry_after)
        if sent_at > self._failed_at:  # those sent before the last one failed say the same as it
            self._failed_at = time.monotonic()
            self.in_a_row += 1
            if self.in_a_row > 1:
                self.throttle.congested(sent_at)
                self.throttle.pause(self._wait(self.in_a_row))

    def _wait(self, times: int) -> float:
        """Seconds before a repetition: doubled each time, with jitter. Chance decides no result here."""
        longest = min(self._config.backoff * 2.0 ** min(times - 1, 30), LONGEST_WAIT)
        return longest * random.uniform(0.5, 1.0)

    async def _rest(self, seconds: float) -> None:
        """Wait, but not on when the run is to end."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _is_well(self) -> bool:
        """Whether the server answers a small request; then what failed failed for its own sake."""
        before = self._answers
        async with self._checking:
            if self._answers > before:
                return True
            rounds = self.in_a_row
            try:
                await self._once(text_request(_CANARY, self._config, self._model, 1), 1)
            except (Refusal, Broken):
                return False
            self.in_a_row = rounds  # this one proves nothing for real questions
            return True

    def _check_patience(self, problem: str) -> None:
        if self.in_a_row >= self._config.max_failures:
            raise BackendStoppedError(
                f"{self._server.url} failed {self.in_a_row} times in a row; the last: {problem}",
                hint="what was answered is kept; start the same command again when the server is well",
            )

    def _check_length(self, tokens_in: int | None) -> None:
        most = self._ledger.most_input
        if self._config.budget is not None and most is not None and tokens_in is not None and tokens_in > most:
            raise BackendStoppedError(
                f"a prompt took {tokens_in} tokens, more than the {most} that the budget reckons with",
                hint="what was answered is kept; raise most_input_tokens",
            )

    def _check_refusal(self, request: Request, refusal: Refusal) -> None:
        """What a refusal means for the question and for the run; returns where it is worth trying again.

        Raises:
            QuestionError: the question alone is refused.
            BackendStoppedError: all are, or the server asks to wait for very long.
        """
        status, url = refusal.status, self._server.url
        said = f"the server says: {refusal.message}" if refusal.message else "the server does not say why"
        names = " or ".join(self._server.key_names)
        if status in (401, 403):
            problem = f"{url} refuses the key" if self._server.has_key else f"{url} wants a key"
            raise BackendStoppedError(
                f"{problem} ({status}); {said}", hint=f"the key is read from the variable {names}"
            )
        if status == 402 or refusal.code in _NO_MONEY:
            raise BackendStoppedError(
                f"{url} is not paid any more ({status}); {said}", hint="what was answered is kept"
            )
        if status == 404:
            hint = "check the address (most end in /v1) and --set model=NAME"
            raise BackendStoppedError(
                f"{url} has no model '{self._model}', or not this way to ask it; {said}", hint=hint
            )
        if 300 <= status < 400:
            raise BackendStoppedError(f"{url} sends elsewhere ({status})", hint="give the address that it names")
        if refusal.retry_after is not None and refusal.retry_after > LONGEST_ASKED:
            raise BackendStoppedError(
                f"{url} asks to wait for {refusal.retry_after:.0f} s; {said}",
                hint="what was answered is kept; start the same command again then",
            )
        if 400 <= status < 500 and status not in _BUSY and status not in _AGAIN:
            raise self._of(request, f"{said} ({status})")

    @staticmethod
    def _of(request: Request, problem: str) -> QuestionError:
        return QuestionError.about(request.query_id, InputError(problem))


def _usage(value: Any) -> dict[str, int]:
    """Tokens as the server counted them; nothing where it does not say."""
    usage = value.get("usage") if isinstance(value, dict) else None
    counts = usage if isinstance(usage, dict) else {}
    named = {"tokens_in": counts.get("prompt_tokens"), "tokens_out": counts.get("completion_tokens")}
    if named["tokens_in"] is not None and named["tokens_out"] is None and "total_tokens" in counts:
        named["tokens_out"] = 0
    return {key: count for key, count in named.items() if isinstance(count, int) and count >= 0}
