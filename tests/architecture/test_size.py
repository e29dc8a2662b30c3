"""Small functions, small files: measured, so that nobody argues."""

import ast
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FUNCTION = 40
MEDIAN_FUNCTION = 10
LONGEST_FILE = 400

Function = ast.FunctionDef | ast.AsyncFunctionDef


def span(node: ast.stmt) -> int:
    """Lines from the first to the last of a statement."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def lines(function: Function) -> int:
    """Lines of a function's body, without its docstring and the functions inside it."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    inner = sum(span(node) for node in body if isinstance(node, Function))
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 - inner


def is_pipeline(function: Function) -> bool:
    """A KFP pipeline function is a list of steps, which is read from top to bottom."""
    return any("dsl.pipeline" in ast.unparse(decorator) for decorator in function.decorator_list)


def functions(trees: dict[Path, ast.Module]) -> dict[str, int]:
    """Length of every function of the product, by place."""
    return {
        f"{path}:{node.lineno} {node.name}": lines(node)
        for path, tree in trees.items()
        if "tests" not in path.parts
        for node in ast.walk(tree)
        if isinstance(node, Function) and not is_pipeline(node)
    }


def test_functions_are_short(trees: dict[Path, ast.Module]) -> None:
    lengths = functions(trees)
    too_long = {place: length for place, length in lengths.items() if length > LONGEST_FUNCTION}
    assert not too_long
    assert statistics.median(lengths.values()) <= MEDIAN_FUNCTION


def test_files_are_short(trees: dict[Path, ast.Module]) -> None:
    lengths = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in trees}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}
