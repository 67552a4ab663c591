"""Errors written for the person who can fix them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class LlavactionError(Exception):
    """A condition the user can act on. The command line prints its text, never a traceback.

    Attributes:
        status: what a command ends with.
    """

    status = 1


class InputError(LlavactionError):
    """Something in a file or an argument is not as it has to be.

    Args:
        problem: what is wrong and what was expected.
        file: the file at fault, if there is one.
        line: 1-based line in that file.
        hint: what to do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem, self.file, self.line, self.hint = problem, file, line, hint
        place = "" if file is None else f"{file}:{line}: " if line is not None else f"{file}: "
        super().__init__(f"{place}{problem}" + (f"\n  hint: {hint}" if hint else ""))

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip back from a worker process, with all that the class keeps; by default it is not pickled."""
        return _rebuilt, (type(self), vars(self))


def _rebuilt(kind: type[InputError], fields: dict[str, Any]) -> InputError:
    return kind(**fields)


def reason(error: Exception) -> str:
    """An error as a record keeps it: with its hint and the name of the file, but not its folder."""
    if isinstance(error, InputError):
        place = f"{Path(error.file).name}: " if error.file else ""
        return f"{place}{error.problem}" + (f" ({error.hint})" if error.hint else "")
    return str(error) if isinstance(error, LlavactionError) else f"{type(error).__name__}: {error}"
