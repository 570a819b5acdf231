"""The recordings that come with the project: good enough, small enough, and as the documentation says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import certify
from harness.recording_file import load

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = certify.shipped()
LARGEST_TOGETHER = 25_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_is_certified_as_it_is(name):
    recording = load(SHIPPED[name])
    certificate = recording.about.certificate
    assert certificate is not None
    assert certificate["digest"] == recording.digest
    good, words = certify.verdict(certificate)
    assert good, words


def test_all_are_small_enough_to_come_with_the_project():
    assert sum(path.stat().st_size for path in SHIPPED.values()) <= LARGEST_TOGETHER


def test_the_documentation_has_their_certificates():
    page = (ROOT / "docs" / "recordings.md").read_text(encoding="utf-8")
    rows = ["| " + " | ".join(row) + " |" for row in (certify.HEADER, *certify.rows(SHIPPED))]
    assert [row for row in rows if row not in page] == []
