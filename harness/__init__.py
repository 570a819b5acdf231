"""Contracts and engine of the benchmark.

The contracts a task or a searcher is written against are in `harness.space`, `harness.trial`,
`harness.task`, `harness.searcher` and `harness.options`. Nothing of weight is imported here, so that the command
line answers at once and no training library nor Ray is loaded before it is used.
"""

from derby import (
    rooms as rooms,
)  # by which `tasks` and the like are the project's own, whatever a user's folder holds
