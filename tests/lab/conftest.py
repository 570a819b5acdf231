"""The laboratory: skipped, with the reason, where it cannot be had, and unless asked for by ``-m lab``."""

from __future__ import annotations

import machines
import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    ours = [item for item in items if item.get_closest_marker("lab")]
    if not ours:
        return
    asked = "lab" in config.option.markexpr.split()
    reason = machines.missing() if asked else "takes minutes: make lab"
    if reason is not None:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))
