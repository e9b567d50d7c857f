import torch

from tracetune.data.synthetic.corpus import GENERATORS
from tracetune.data.synthetic.samples import finished_rows, phenomenon, sample_rows


def test_every_generator_says_what_it_stands_for_in_one_line() -> None:
    captions = {phenomenon(name) for name in GENERATORS}
    assert len(captions) == len(GENERATORS)
    assert all(caption.endswith(".") for caption in captions)


def test_samples_are_finite_rows_of_every_generator() -> None:
    samples = sample_rows(3, 64)
    assert list(samples) == list(GENERATORS)
    assert all(rows.shape == (3, 64) and rows.isfinite().all() for rows in samples.values())


def test_finished_rows_are_standardised() -> None:
    rows = finished_rows(5, 64)
    assert rows.shape == (5, 64)
    torch.testing.assert_close(rows.std(1, correction=0), torch.ones(5), atol=1e-3, rtol=0)
