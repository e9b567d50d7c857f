import math

import numpy as np
import pytest
from benchmarks.adalora_start import BATCH, CONTEXT, HORIZON, RATE, TRAIN, VARIANTS, Variant, adapted, rates, windows

from tests.tiny import tiny_forecast_model
from tracetune.adapters.adalora import orthogonality


def test_windows_are_the_same_for_every_variant_and_stay_in_their_part() -> None:
    values = np.tile(np.arange(12_000, dtype=np.float32)[:, None], (1, 2))
    batch, again = windows(values, TRAIN, BATCH, 3), windows(values, TRAIN, BATCH, 3)
    assert batch["past_values"].shape == (BATCH, 1, CONTEXT)
    assert batch["future_values"].shape == (BATCH, 1, HORIZON)
    assert all(bool((batch[name] == again[name]).all()) for name in batch)
    assert float(batch["future_values"].max()) < TRAIN[1]


def test_rates_rise_and_fall() -> None:
    found = list(rates(120))
    assert max(found) == found[19] == pytest.approx(RATE * (1 + math.cos(math.pi * 19 / 120)) / 2)
    assert found[-1] < 0.001 * RATE


@pytest.mark.parametrize("variant", VARIANTS[:5], ids=lambda variant: variant.name)
def test_variants_begin_where_their_names_say(variant: Variant) -> None:
    model = adapted(tiny_forecast_model(), variant, 20)
    if variant.adalora is not None:
        assert (float(orthogonality(model).detach()) > 1) == variant.peft_start
