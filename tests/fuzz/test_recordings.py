"""Damaged recordings: refused by the name of the file, or read as if nothing had happened; never anything else."""

from __future__ import annotations

import contextlib
import json

import pyarrow.parquet as pq
import pytest
from fuzzing import VALUES, cut_anywhere, flip, fuzzed, left_out, paths_in, put, put_in
from hypothesis import given
from hypothesis import strategies as st
from recordings import MIXED, recorded

from harness.errors import DataError
from harness.keys import digest
from harness.recording_file import METADATA, _about, _arranged, load, save
from harness.trial import Evaluation
from tasks.replay import Replay

BYTES = [flip, cut_anywhere, left_out, put_in]
END = 6000
"""Bytes at the end of a file in which its schema and metadata are."""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "one.parquet"
    save(recorded(diverges=0.2, missing=0.2), path)
    return path


@pytest.fixture(scope="module")
def whole(file):
    return file.read_bytes(), load(file)


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_no_damage_passes_for_a_recording(file, whole, data):
    content, before = whole
    kind = data.draw(st.sampled_from(BYTES))
    intact = len(content) - END if data.draw(st.booleans()) else 0
    file.write_bytes(content[:intact] + kind(data.draw, content[intact:]))
    try:
        after = load(file)
    except DataError as error:
        assert str(file) in str(error)
        return
    assert after.digest == before.digest


def sealed(said):
    """Return metadata with their check."""
    if isinstance(said, dict):
        content = {name: value for name, value in said.items() if name != "check"}
        said = {**content, "check": digest(content)}
    return {METADATA: json.dumps(said).encode()}


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_what_was_never_a_recording_is_refused_or_replayed(file, whole, data):
    """Somebody else's file, whose digest is right: whatever it says, it is refused or can be replayed."""
    content, _ = whole
    file.write_bytes(content)
    table = pq.read_table(file)
    said = json.loads(table.schema.metadata[METADATA])
    said = put(said, data.draw(st.sampled_from(list(paths_in(said)))), data.draw(VALUES))
    with contextlib.suppress(Exception):  # it has no digest, and `load` is to say so
        about, _ = _about(sealed(said), file)
        said["digest"] = _arranged(about, table).digest
    pq.write_table(table.replace_schema_metadata(sealed(said)), file)
    try:
        load(file)
    except DataError as error:
        assert str(file) in str(error)
        return
    task = Replay(recording=str(file))
    for point in ([0.1] * len(MIXED), [0.9] * len(MIXED)):
        config = task.space.from_unit(point[: len(task.space)])
        made = task.evaluate(config, epochs=task.fidelity.high, seed=1, data={})
        assert isinstance(made, Evaluation)
        assert task.cost(config) > 0
    assert task.key.id
    assert task.replayed
