"""Digests of texts: equal for what is the same but for case and white space, and for nothing else."""

from tracetune.estimators.text.seen_texts import text_digests
from tracetune.estimators.text.texts import Texts


def test_case_and_white_space_make_no_other_text() -> None:
    digests = text_digests(Texts(["A good film", " a  GOOD\tfilm\n", "a good film.", "agood film"]))
    assert digests[0] == digests[1]
    assert len(set(digests.tolist())) == 3


def test_pairs_are_told_from_where_they_are_cut() -> None:
    digests = text_digests(Texts(["a b", "a", "b", "a"], ["c", "b c", "a", "b"]))
    assert len(set(digests.tolist())) == 4
