"""What was paid for: a line for each request, with the reply, so that nothing is asked or paid for twice."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from llavaction.backends.endpoint.config import EndpointConfig
from llavaction.backends.endpoint.stops import BudgetReachedError
from llavaction.base.records import Record
from llavaction.runs.journal import Journal

LEDGER = "ledger.jsonl"
"""The file in a run's folder."""
SENT = "ledger_sent.jsonl"
"""The file of requests that were sent under a budget; emptied when a run is opened."""
_MILLION = 1_000_000


class LedgerLine(Record):
    """A request that was paid for, or may have been."""

    sending: str = Field(description="id of the sending")
    query_id: str = Field(description="what was asked, or 'probe'")
    request_sha256: str = Field(description="digest of all that was sent")
    outcome: Literal["answered", "unknown", "refused"] = Field(
        description="'answered'; 'unknown': sent, and no usable answer came back, so that it may have been paid for; "
        "'refused': not answered and not paid for"
    )
    tokens_in: int | None = Field(default=None, description="tokens of the prompt, as the server counted them")
    tokens_out: int | None = Field(default=None, description="tokens of the answer, as the server counted them")
    cost: float | None = Field(default=None, description="in the unit of the prices; the most it can be where unknown")
    seconds: float = Field(default=0.0, description="from sending to the end of the answer")
    attempts: int = Field(default=1, description="how often it was sent by then")
    server: str = Field(default="", description="address that it was sent to")
    reply: Mapping[str, Any] | None = Field(default=None, description="what of the answer is read")
    note: str | None = Field(default=None, description="what the reader should know of the answer")


class SentLine(Record):
    """A request on its way."""

    sending: str
    query_id: str
    request_sha256: str
    most: float


@dataclass(frozen=True)
class Sending:
    """A request on its way, and what it can cost at most."""

    name: str
    query_id: str
    digest: str
    most: float


class Ledger:
    """Money spent and replies had; in memory until it is opened in a folder.

    Args:
        config: prices and budget.
        context: tokens of the model's context, where the server told; used where ``most_input_tokens`` is not set.

    Attributes:
        spent: in the unit of the prices, over all starts of the run.
        replies: by the digest of the request.
    """

    def __init__(self, config: EndpointConfig, context: int | None = None) -> None:
        self._config = config
        self.most_input = config.most_input_tokens or context
        self._priced = config.price_in is not None
        self.replies: dict[str, Mapping[str, Any]] = {}
        self.lines: list[LedgerLine] = []
        self.spent = 0.0
        self._under_way: dict[str, Sending] = {}
        self._journal: Journal[LedgerLine] | None = None
        self._sent: Journal[SentLine] | None = None
        self._changed = asyncio.Condition()

    @property
    def in_folder(self) -> bool:
        """Whether replies are kept on disk."""
        return self._journal is not None

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        """Keep the ledger in a run's folder for the block; what it holds already is counted.

        Requests of a process that was killed before their answers came count as paid for, with the most they can cost.

        Raises:
            InputError: a line of it is damaged, or the disk does not take any.
        """
        earlier = self.lines
        with Journal(folder / LEDGER, LedgerLine, "sending") as journal:
            self._journal = journal
            try:
                self.lines, self.spent = [], 0.0
                for line in journal.done.values():
                    self._count(line)
                if earlier:
                    journal.append(earlier)
                    for line in earlier:
                        self._count(line)
                if self._config.budget is None:
                    yield
                    return
                with Journal(folder / SENT, SentLine, "sending") as sent:
                    self._sent = sent
                    self._take_up(sent)
                    yield
            finally:
                self._journal = self._sent = None

    def _take_up(self, sent: Journal[SentLine]) -> None:
        """Count what was under way when an earlier process ended."""
        assert self._journal is not None
        for name, line in sent.done.items():
            if name not in self._journal.done:
                self._write(
                    LedgerLine(sending=name, query_id=line.query_id, request_sha256=line.request_sha256,
                               outcome="unknown", cost=line.most)
                )  # fmt: skip
        sent.rewrite([])

    def worst(self, tokens_out: int) -> float:
        """The most that a request can cost; 0 without prices, or where nobody knows the longest prompt."""
        return self.cost(self.most_input, tokens_out) if self.most_input else 0.0

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Price of so many tokens."""
        price_in, price_out = self._config.price_in or 0.0, self._config.price_out or 0.0
        return (tokens_in * price_in + tokens_out * price_out) / _MILLION

    async def reserve(self, query_id: str, digest: str, tokens_out: int) -> Sending:
        """Set aside the most that a request can cost; waits while what is under way may leave enough.

        Raises:
            BudgetReachedError: it does not fit, and nothing is under way.
        """
        most = self.worst(tokens_out)
        async with self._changed:
            while not self._fits(most):
                if not self._under_way:
                    raise self._used_up(most)
                await self._changed.wait()
            sending = Sending(uuid.uuid4().hex, query_id, digest, most)
            if self._sent is not None:
                self._sent.append([SentLine(sending=sending.name, query_id=query_id, request_sha256=digest, most=most)])
            self._under_way[sending.name] = sending
            return sending

    def _fits(self, most: float) -> bool:
        budget = self._config.budget
        return budget is None or self.spent + sum(one.most for one in self._under_way.values()) + most <= budget

    def _used_up(self, most: float) -> BudgetReachedError:
        return BudgetReachedError(
            f"the budget of {self._config.budget:g} is used up: {self.spent:.6g} spent, and the next request may cost "
            f"{most:.6g}",
            hint="what was answered is kept; start the same command with a larger budget to go on",
        )

    async def settle(self, sending: Sending, line: LedgerLine) -> None:
        """Note what came of a request, on disk before anything else happens; under no budget, not what cost nothing."""
        async with self._changed:
            if line.outcome == "answered" or self._sent is not None or (self._priced and line.outcome == "unknown"):
                self._write(line)
            self._under_way.pop(sending.name, None)
            self._changed.notify_all()

    def _write(self, line: LedgerLine) -> None:
        if self._journal is not None:
            self._journal.append([line])
        self._count(line)

    def _count(self, line: LedgerLine) -> None:
        self.lines.append(line)
        self.spent += line.cost or 0.0
        if line.reply is not None:
            self.replies[line.request_sha256] = line.reply

    def forget_replies(self) -> None:
        """Forget what is in no folder: who asks again asks the server again."""
        if self._journal is None:
            self.replies.clear()

    def summary(self) -> str:
        """What was asked and paid for, in one sentence."""
        answered = [line for line in self.lines if line.outcome == "answered"]
        unknown = sum(line.outcome == "unknown" for line in self.lines)
        tokens_in = sum(line.tokens_in or 0 for line in answered)
        tokens_out = sum(line.tokens_out or 0 for line in answered)
        said = f"{len(answered)} requests answered, {tokens_in:,} tokens in, {tokens_out:,} out"
        if self._priced:
            said += f", cost {self.spent:.6g}"
        if unknown:
            said += f"; {unknown} more may have been paid for, and are counted with the most they can cost"
        if noted := [line.note for line in answered if line.note]:
            said += f"; of {len(noted)} answers: {noted[0]}"
        return said

    def line_of(self, sending: Sending, outcome: Literal["answered", "unknown", "refused"], **facts: Any) -> LedgerLine:
        """The line of a request; its cost follows from the tokens, or is the most it can be."""
        cost: float | None = None
        if self._priced:
            tokens_in, tokens_out = facts.get("tokens_in"), facts.get("tokens_out")
            if tokens_in is not None and tokens_out is not None:
                cost = self.cost(tokens_in, tokens_out)
            elif outcome == "refused":
                cost = 0.0
            elif self.most_input:  # else nobody knows
                cost = sending.most
        return LedgerLine(
            sending=sending.name, query_id=sending.query_id, request_sha256=sending.digest, outcome=outcome, cost=cost,
            server=self._config.url, **facts,
        )  # fmt: skip
