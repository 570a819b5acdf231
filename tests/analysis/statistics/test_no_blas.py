"""Statistics are plain sums: what linear algebra libraries compute depends on the processor in its last digit."""

import ast
from pathlib import Path

import pytest

import analysis

BLAS = {"dot", "matmul", "vdot", "inner", "tensordot", "linalg", "lstsq", "polyfit", "cov", "corrcoef"}
FILES = sorted(Path(analysis.__path__[0]).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_matrix_product_of_a_library(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    products = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.MatMult)]
    named = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in BLAS]
    assert products + named == []
