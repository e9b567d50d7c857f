"""Texts that stand in two places: what was trained on flatters the scores of whatever is measured on it.

Shapes: S samples.
"""

import hashlib
import logging

import numpy as np

from tracetune.estimators.text.texts import Texts

logger = logging.getLogger(__name__)

_BYTES = 8  # of a digest: among a million texts two that differ have the same one with probability 3e-8


def text_digests(texts: Texts) -> np.ndarray:
    """Return a number [S] of each text or pair, the same for texts that are equal but for case and white space."""
    seconds = [""] * len(texts) if texts.second is None else texts.second
    rows = zip(texts.first, seconds, strict=True)
    plain = ("\0".join(" ".join(text.split()).casefold() for text in row) for row in rows)
    digests = [hashlib.blake2b(text.encode(errors="replace"), digest_size=_BYTES).digest() for text in plain]
    return np.frombuffer(b"".join(digests), dtype="<u8")


def say_repeated(repeated: int, held_out: int) -> None:
    """Log how many of the texts that were held out stand among those that trained, too; nothing where none do."""
    if repeated:
        logger.warning("%s", repeated_sentence(repeated, held_out))


def repeated_sentence(repeated: int, held_out: int) -> str:
    """Return in words how many of the texts that were held out trained, too; empty where none did."""
    if not repeated:
        return ""
    return (
        f"{repeated:,} of {held_out:,} texts that were held out stood among the training texts too: losses on "
        "validation are optimistic by them. Leave repeated rows out of the table."
    )


def say_seen(seen: np.ndarray, right: np.ndarray) -> None:
    """Log how many of the texts that a model is measured on stood in the table of its fit; nothing where none did.

    Args:
        seen: [S] whether each did.
        right: [S] whether its class was named.
    """
    if not seen.any():
        return
    known, others = f"{seen.sum():,} of {len(seen):,} texts stood in the table of the fit", right[~seen]
    if not len(others):
        logger.warning("%s: scores say nothing of other texts.", known)
        return
    logger.warning(
        "%s: scores are optimistic by them. Accuracy on the other %s: %.4g.", known, f"{len(others):,}", others.mean()
    )
