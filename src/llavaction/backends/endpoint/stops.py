"""What ends a run that asks a server: nothing more can be asked, or paid for; it can be started again."""

from __future__ import annotations

from llavaction.base.errors import LlavactionError

BUDGET_STATUS = 4
"""The status a command ends with where its budget is used up."""


class BackendStoppedError(LlavactionError):
    """Nothing can be asked any more. What was answered is kept, and the run can be started again.

    Args:
        problem: what is wrong.
        hint: what to do about it.
    """

    def __init__(self, problem: str, *, hint: str | None = None) -> None:
        self.problem, self.hint = problem, hint
        super().__init__(problem + (f"\n  hint: {hint}" if hint else ""))


class BudgetReachedError(BackendStoppedError):
    """The next request might cost more than is left."""

    status = BUDGET_STATUS
