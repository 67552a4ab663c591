"""One exchange with a server: a request, and its JSON or what went wrong. The key never leaves this module."""

from __future__ import annotations

import asyncio
import json
import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from llavaction.backends.endpoint.config import KEY_VARIABLES, EndpointConfig
from llavaction.base.errors import InputError

MOST_BYTES = 16 << 20
"""Bytes of a reply."""
_CONNECT = 10.0
"""Seconds to reach the server."""
_LOCAL = ("localhost", "127.0.0.1", "::1")
_SAID = 500
"""Letters of a server's message that are repeated."""


@dataclass
class Refusal(Exception):  # noqa: N818 - what a server says is no error of ours
    """A server's answer with another status than 200.

    Attributes:
        status: of HTTP, or what the server's own error says.
        message: of the server.
        retry_after: seconds it asks to wait; None where it does not.
        code: its own name of the error.
    """

    status: int
    message: str
    retry_after: float | None = None
    code: str = ""


@dataclass
class Broken(Exception):  # noqa: N818
    """No answer, or none that can be read.

    Attributes:
        problem: what happened.
        sent: whether the server may have begun to work on it.
        slow: whether time ran out.
    """

    problem: str
    sent: bool = True
    slow: bool = False


class Server:
    """A server's address and key.

    Args:
        config: the address, the time a request may take, and where the key is.

    Raises:
        InputError: the variable that was named for the key is not set, or holds what no header can.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self.url, self._timeout = config.url, config.timeout
        self.root = config.url.removesuffix("/v1")
        names = KEY_VARIABLES if config.api_key_variable is None else (config.api_key_variable,)
        self.key_names = names
        self._key = next((os.environ[name] for name in names if os.environ.get(name)), "").strip()
        if config.api_key_variable is not None and not self._key:
            raise InputError(f"the environment variable {config.api_key_variable} is not set", hint="it holds the key")
        if not (self._key.isascii() and self._key.isprintable()):
            raise InputError(f"the key in {' or '.join(names)} has characters that no key has")
        self._client: httpx2.AsyncClient | None = None
        self._local = (urlsplit(config.url).hostname or "") in _LOCAL
        self._most = config.concurrency

    @property
    def has_key(self) -> bool:
        """Whether a key was found."""
        return bool(self._key)

    async def get(self, path: str) -> Any:
        """The JSON that the server has at a path; errors as for :meth:`post`."""
        return await self._exchange("GET", self.url + path, None)

    async def post(self, path: str, body: dict[str, Any], *, at_root: bool = False) -> Any:
        """What the server answers to a request, as JSON of at most :data:`MOST_BYTES`.

        Raises:
            Refusal: it answers with an error.
            Broken: no answer in time, a broken connection, or an answer that is not JSON.
        """
        return await self._exchange("POST", (self.root if at_root else self.url) + path, body)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _exchange(self, method: str, url: str, body: dict[str, Any] | None) -> Any:
        if self._client is None:
            self._client = self._opened()
        payload = None if body is None else json.dumps(body).encode()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream(method, url, content=payload) as response,
            ):
                raw = bytearray()
                async for chunk in response.aiter_bytes():
                    raw += chunk
                    if len(raw) > MOST_BYTES:
                        raise Broken(f"the server's answer has more than {MOST_BYTES >> 20} MiB")
                return self._read(response, bytes(raw))
        except (TimeoutError, httpx2.TimeoutException) as error:
            unreached = isinstance(error, httpx2.ConnectTimeout | httpx2.PoolTimeout)
            raise Broken(f"no answer within {self._timeout:g} s", sent=not unreached, slow=True) from None
        except httpx2.HTTPError as error:
            said = self._hidden(str(error)) or type(error).__name__
            raise Broken(said, sent=not isinstance(error, httpx2.ConnectError)) from None

    def _opened(self) -> httpx2.AsyncClient:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        limits = httpx2.Limits(max_connections=self._most + 2, max_keepalive_connections=self._most)
        timeout = httpx2.Timeout(self._timeout, connect=min(_CONNECT, self._timeout))
        verify = self.url.startswith("https:")  # without, no certificates need be loaded; redirects are not followed
        return httpx2.AsyncClient(
            headers=headers, limits=limits, timeout=timeout, trust_env=not self._local, verify=verify
        )

    def _read(self, response: httpx2.Response, raw: bytes) -> Any:
        status = response.status_code
        value = self._parsed(raw)
        if status != 200:
            said, code = _message(value) if value is not None else (raw[:_SAID].decode("utf-8", "replace"), "")
            raise Refusal(status, self._hidden(said), _wait(response.headers.get("Retry-After")), code)
        if value is None:
            raise Broken("the server's answer is cut off or no JSON")
        if isinstance(value, dict) and value.get("error") and "choices" not in value:
            said, code = _message(value)
            number = value["error"].get("code") if isinstance(value["error"], dict) else None
            raise Refusal(number if isinstance(number, int) and number >= 400 else 500, self._hidden(said), None, code)
        return value

    def _hidden(self, text: str) -> str:
        """A text of a server without our key, should it repeat it."""
        return text.replace(self._key, "***") if len(self._key) > 3 else text

    def _parsed(self, raw: bytes) -> Any:
        """JSON that can be written again, without our key; None where there is none. Numbers that are none are null."""
        try:
            value = json.loads(raw, parse_constant=lambda name: None, parse_float=_finite)
            text = json.dumps(value, ensure_ascii=False)
            clean = self._hidden(text).encode("utf-8", "replace").decode()
            return value if clean == text else json.loads(clean)
        except (ValueError, RecursionError):
            return None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _message(value: Any) -> tuple[str, str]:
    """What a server's error says, and what it calls it, in the forms that servers use."""
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        said = error.get("message") or error.get("detail") or error
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        return text[:_SAID], str(error.get("code") or error.get("type") or "")
    return str(error)[:_SAID], ""


def _wait(header: str | None) -> float | None:
    """Seconds of a Retry-After header, RFC 9110 10.2.3: a number of them or a date."""
    if header is None:
        return None
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)
