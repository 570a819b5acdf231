"""The names of figures' files, and names shortened in figures."""

from analysis.figures.canvas import file_names, shortened_apart


def test_file_names_are_safe_and_different():
    labels = ["a/b", "a-b", "A/B", "../../etc", "é", "", "x" * 300]
    names = file_names(labels)
    assert len({name.lower() for name in names.values()}) == len(labels)
    assert all(name.strip(".-") and "/" not in name and len(name) < 80 for name in names.values())
    assert file_names(reversed(labels)) == names


def test_shortened_names_stay_apart():
    assert shortened_apart(["none", "nor_conv_1x1", "nor_conv_3x3"], 9) == ["none", "nor_…_1x1", "nor_…_3x3"]
    assert shortened_apart(["none", "skip_connect"], 8) == ["none", "skip_co…"]
