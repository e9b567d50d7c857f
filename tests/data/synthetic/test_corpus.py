"""The corpus: every generator gives usable rows, and a row depends on seed and position alone."""

import ast
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tracetune.base.errors import InputError
from tracetune.data import synthetic
from tracetune.data.synthetic.corpus import DEFAULT_MIX, GENERATORS, SyntheticCorpus, generate
from tracetune.data.synthetic.random_source import RandomSource

N, LENGTH = 150, 200
ESCAPING = {
    "roessler": 0.2,
    "van_der_pol": 0.03,
}  # orbits that leave for infinity; `generate` replaces them


def usable(rows: Tensor) -> Tensor:
    return rows[rows.isfinite().all(1)]


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_gives_finite_rows_that_vary(name: str) -> None:
    rows = GENERATORS[name](N, LENGTH, RandomSource(0))
    assert rows.shape == (N, LENGTH)
    assert rows.dtype == torch.float32
    assert len(usable(rows)) >= N * (1 - ESCAPING.get(name, 0))
    assert usable(rows).std(1).min() > 1e-4


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_is_seeded(name: str) -> None:
    first, again, other = (GENERATORS[name](20, 64, RandomSource(seed)) for seed in (5, 5, 6))
    assert torch.equal(first.nan_to_num(), again.nan_to_num())
    assert not torch.equal(first.nan_to_num(), other.nan_to_num())


@pytest.mark.parametrize("name", GENERATORS)
def test_rows_of_one_call_are_as_independent_as_rows_of_two(name: str) -> None:
    first, second = (_directions(GENERATORS[name](200, 256, RandomSource(seed))) for seed in (1, 2))
    across = (first @ second.T).mean()
    size = len(first)
    within = ((first @ first.T).sum() - size) / (size * (size - 1))
    assert within.item() == pytest.approx(across.item(), abs=0.06)
    assert len(first.unique(dim=0)) == size


def _directions(rows: Tensor) -> Tensor:
    """Rows as unit vectors around their mean: inner products are correlations."""
    centred = usable(rows) - usable(rows).mean(1, keepdim=True)
    return torch.nn.functional.normalize(centred.double(), dim=1)


def test_the_mix_names_every_generator_and_adds_up_to_one() -> None:
    assert set(DEFAULT_MIX) == set(GENERATORS)
    assert sum(DEFAULT_MIX.values()) == pytest.approx(1)


@pytest.mark.parametrize("length", [16, 100, 512])
def test_finished_rows_are_finite_and_standardised(length: int) -> None:
    rows = generate(300, length, RandomSource(0))
    assert rows.isfinite().all()
    torch.testing.assert_close(rows.mean(1), torch.zeros(300), atol=1e-3, rtol=0)
    torch.testing.assert_close(rows.std(1, correction=0), torch.ones(300), atol=1e-2, rtol=0)


def test_rows_that_a_generator_spoils_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(n: int, length: int, source: RandomSource) -> Tensor:
        return torch.where(torch.arange(n)[:, None] % 2 == 0, torch.nan, source.normal(n, length))

    monkeypatch.setitem(GENERATORS, "waves", spoilt)
    rows = generate(200, 64, RandomSource(0), {"waves": 1.0})
    assert rows.isfinite().all()
    torch.testing.assert_close(rows.std(1, correction=0), torch.ones(200), atol=1e-3, rtol=0)


def test_only_what_the_mix_names_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for name, make in list(GENERATORS.items()):
        monkeypatch.setitem(GENERATORS, name, lambda *args, name=name, make=make: (drawn.append(name), make(*args))[1])
    generate(100, 64, RandomSource(0), {"waves": 1.0, "counts": 1.0, "growth": 0.0})
    assert set(drawn) == {"waves", "counts"}


@settings(max_examples=8)
@given(positions=st.lists(st.integers(0, 99), min_size=1, max_size=6), seed=st.integers(0, 1))
def test_a_row_does_not_depend_on_what_was_read_before(positions: list[int], seed: int) -> None:
    assert torch.equal(SyntheticCorpus(32, seed, block_size=32).rows(positions), _in_order(seed)[positions])


@cache
def _in_order(seed: int) -> Tensor:
    return SyntheticCorpus(32, seed, block_size=32).rows(range(100))


def test_each_block_is_generated_once_when_read_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    class Counting(RandomSource):
        def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
            seeds.append(seed)
            super().__init__(seed, device)

    monkeypatch.setattr("tracetune.data.synthetic.corpus.RandomSource", Counting)
    corpus = SyntheticCorpus(32, seed=1, block_size=16)
    for start in range(0, 64, 8):
        corpus.rows(range(start, start + 8))
    assert seeds == [1_000_003 + block for block in range(4)]


def test_blocks_and_seeds_hold_different_rows() -> None:
    rows = torch.cat([SyntheticCorpus(32, seed, block_size=16).rows(range(64)) for seed in (0, 1)])
    assert len(rows.unique(dim=0)) == 128


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 15}, "length of at least 16 steps, found 15"),
        ({"block_size": 8}, "block_size of at least 16 rows, found 8"),
        ({"mix": {"wave": 1.0, "waves": 1.0}}, "Unknown generators in mix: wave. Available: nested_seasons"),
        ({"mix": {}}, "at least one above 0"),
        ({"mix": {"waves": 0.0}}, "at least one above 0"),
        ({"mix": {"waves": -1.0, "counts": 2.0}}, "weights >= 0"),
        ({"mix": {"waves": float("nan")}}, "at least one above 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SyntheticCorpus(**arguments)


def test_nothing_real_is_in_the_corpus() -> None:
    """Its code imports arithmetic and random numbers only: nothing that could read a file or the network."""
    allowed = ("math", "collections.abc", "inspect", "torch", "tracetune.base.errors", "tracetune.data.synthetic")
    for path in Path(synthetic.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        assert all(str(module).startswith(allowed) for module in modules), path.name
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
        loads = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not called & {"open", "eval", "exec", "__import__"}
        assert not loads & {"load", "from_file", "hub"}
