"""The names of figures' files."""

from analysis.figures.canvas import file_names


def test_file_names_are_safe_and_different():
    labels = ["a/b", "a-b", "A/B", "../../etc", "é", "", "x" * 300]
    names = file_names(labels)
    assert len({name.lower() for name in names.values()}) == len(labels)
    assert all(name.strip(".-") and "/" not in name and len(name) < 80 for name in names.values())
    assert file_names(reversed(labels)) == names
