"""The report in words."""

from analysis.report.summary import summary
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare


def test_equal_methods_are_said_to_be_equal(rows, make):
    told = [
        row for name in "ab" for repetition in range(2) for row in rows("t", name, repetition, [0.2, 0.1])
    ]
    tables = make(told, {"t": {}})
    inputs = prepare(tables)
    assert "On t, a and b end equal by mean value." in " ".join(summary(inputs, compare(inputs)))
