"""Equal compute by closed-form counts, errors on validation alone, ranks, and an interrupted study."""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from benchmarks.common import Case

from benchmarks import architecture_study as study
from tests.benchmarks.synthetic import fake_load_case, synthetic_case
from tests.tiny import CONTEXT, HORIZON, tiny_backbone
from tracetune.backbones.loading import load_backbone
from tracetune.base.errors import InputError
from tracetune.base.files import read_json
from tracetune.data.windows import batches
from tracetune.heads.config import HeadConfig
from tracetune.recipes import pretrain as recipe
from tracetune.recipes.pretrain import PretrainConfig, moment_config

SMALL = {"patch_length": 8, "width": 16, "layers": 1, "heads": 2, "feed_forward": 32}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two variants of a tiny model, on the tests' short context and horizon."""
    monkeypatch.setattr(study, "VARIANTS", {"base": SMALL, "deep": SMALL | {"layers": 2}})
    monkeypatch.setattr(study, "CONTEXT", CONTEXT)
    monkeypatch.setattr(study, "HORIZON", HORIZON)
    monkeypatch.setattr(study, "HEAD", HeadConfig("projection", beta=2))
    monkeypatch.setattr(recipe, "_VALIDATION_WINDOWS", 64)
    monkeypatch.setattr(recipe, "_BLOCK", 64)
    monkeypatch.setattr(recipe, "_SHEET_COLUMNS", 1)


def config(variant: str, windows: int = 10_000) -> PretrainConfig:
    return study.variant_config(variant, windows, 32, 0, "cpu", "x")


def unseen_test_part() -> Case:
    """A case whose test windows cannot be read."""
    return replace(synthetic_case(), test=SimpleNamespace(stride=1))  # type: ignore[arg-type]


def test_the_base_is_the_recipe_of_the_embedded_model() -> None:
    assert moment_config(config("base")).to_dict() == load_backbone("tracetune/tiny").config.to_dict()


@pytest.mark.parametrize("variant", study.VARIANTS)
def test_operations_are_those_of_the_matrix_products(variant: str) -> None:
    made = config(variant)
    tokens, width = made.context_length // made.patch_length, made.width
    linear = 4 * width**2 + 3 * width * made.feed_forward  # q, k, v, o; gate, up, down
    attention = 2 * tokens * width  # scores, and their sums of values
    ends = 2 * made.patch_length * width  # embedding and reconstruction
    assert study.flops_per_window(made) == 2 * tokens * (made.layers * (linear + attention) + ends)


@pytest.mark.parametrize("variant", study.VARIANTS)
def test_variants_differ_in_their_change_and_cost_the_same(variant: str) -> None:
    base, made = config("base"), config(variant)
    changes = study.VARIANTS[variant]
    differing = {name for name, value in asdict(made).items() if value != asdict(base)[name]}
    assert differing - {"windows"} == set(changes)
    spent = made.windows * study.flops_per_window(made)
    assert spent == pytest.approx(base.windows * study.flops_per_window(base), rel=1e-3)


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(InputError, match="patch-8"):
        config("patch-9")


def test_the_zero_shot_error_is_the_mean_square_over_validation() -> None:
    case, backbone = unseen_test_part(), tiny_backbone()
    (batch,) = batches(case.validation, len(case.validation))
    with torch.inference_mode():
        forecast = backbone.forecast(batch["past_values"], None, HORIZON)
    expected = (forecast - batch["future_values"]).square().mean()
    assert study.zero_shot_error(case, backbone) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.usefixtures("small")
def test_a_ridge_head_beats_the_mean_of_the_context_without_a_look_at_test() -> None:
    case = unseen_test_part()
    (batch,) = batches(case.validation, len(case.validation))
    mean = batch["past_values"].mean(dim=-1, keepdim=True)
    naive = (mean - batch["future_values"]).square().mean()
    assert 0 < study.ridge_error(case, tiny_backbone()) < naive


@pytest.mark.usefixtures("small")
def test_a_row_says_what_was_trained_and_how_it_was_judged() -> None:
    made = study.variant_config("deep", 96, 32, 0, "cpu", "x")
    row = study.study_row("deep", made, {"waves": unseen_test_part()})
    assert set(row["validation"]) == {"waves, ridge", "waves, zero-shot"}
    assert (row["windows"], row["steps"]) == (made.windows, made.windows // 32)
    mark = row["fingerprints"]["waves"]
    assert (mark["dataset"], mark["stride"]) == ("waves, validation part", synthetic_case().validation.stride)


def row(variant: str, seed: int, *errors: float) -> dict:
    names = ("ETTh1, ridge", "ETTh1, zero-shot")
    return {
        "variant": variant, "seed": seed, "windows": 1000, "steps": 10, "parameters": 100, "flops": 2_000_000,
        "seconds": 1.0, "validation": dict(zip(names, errors, strict=True)),
    }  # fmt: skip


def test_variants_are_sorted_by_mean_rank_and_ties_share_theirs() -> None:
    lines = study.by_rank([row("base", 0, 0.5, 0.3), row("deep", 0, 0.4, 0.3), row("patch-8", 0, 0.6, 0.2)])
    ranks = {line["variant"]: line["mean rank"] for line in lines}
    assert list(ranks.items()) == [("deep", 1.75), ("patch-8", 2.0), ("base", 2.25)]


def test_further_seeds_are_shown_and_not_ranked() -> None:
    one = [row("base", 0, 0.5, 0.3), row("random-25", 0, 0.4, 0.2)]
    assert "Every seed" not in study.markdown(one)
    text = study.markdown([*one, row("base", 1, 0.1, 0.1)])
    ranked, _, rest = text.partition("## What they are")
    assert "0.1000" not in ranked
    assert "0.1000" in rest.partition("## Every seed")[2]
    assert "random_share 0.25" in rest


@pytest.mark.usefixtures("small")
@pytest.mark.slow  # three pretrainings
def test_a_study_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "load_case", lambda name, *sizes: fake_load_case(name, *sizes, context=CONTEXT))
    trained: list[int] = []

    def fails_at_the_second(made: PretrainConfig) -> object:
        trained.append(made.layers)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return recipe.pretrain(made)

    monkeypatch.setattr(study, "pretrain", fails_at_the_second)
    output = tmp_path / "study"
    command = f"study --windows 96 --batch-size 32 --datasets waves --output {output}"
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(KeyboardInterrupt):
        study.main()
    study.main()
    assert trained == [1, 2, 2]
    assert [line["variant"] for line in read_json(output.with_suffix(".json"))["rows"]] == ["base", "deep"]
    assert "| deep" in output.with_suffix(".md").read_text()
