"""The package stays as flat as docs/architecture.md says: no cycles, and no long chain of imports."""

import importlib.util
from pathlib import Path

import grimp
import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "architecture_numbers.py"
LONGEST_CHAIN = 10


def imports_of(*, for_types: bool) -> dict[str, list[str]]:
    """Return what each module imports; with those that only type checkers follow where they count."""
    graph = grimp.build_graph("tracetune", exclude_type_checking_imports=not for_types, cache_dir=None)
    return {module: sorted(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


@pytest.fixture(scope="module")
def imports() -> dict[str, list[str]]:
    return imports_of(for_types=False)


@pytest.fixture(scope="module")
def numbers() -> object:
    spec = importlib.util.spec_from_file_location("architecture_numbers", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_import_leads_back_not_even_one_for_types(numbers: object) -> None:
    assert [part for part in numbers.components(imports_of(for_types=True)) if len(part) > 1] == []


def test_no_chain_of_imports_is_long(imports: dict[str, list[str]], numbers: object) -> None:
    chain = numbers.longest_chain(imports)
    assert len(chain) <= LONGEST_CHAIN, " > ".join(chain)


def test_chains_and_cycles_of_a_known_graph(numbers: object) -> None:
    known = {"a": ["b", "e"], "b": ["c"], "c": ["b", "d"], "d": [], "e": ["d"]}
    assert sorted(map(sorted, numbers.components(known))) == [["a"], ["b", "c"], ["d"], ["e"]]
    chain = numbers.longest_chain(known)
    assert (chain[0], len(chain), chain[-1]) == ("a", 3, "d")
