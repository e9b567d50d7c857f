"""The encoding of a text file: as it was given, as its first bytes say, UTF-8, or else the likeliest one."""

import charset_normalizer

from tracetune.base.errors import InputError, shown
from tracetune.data.reading.central_european import CENTRAL, WESTERN, western_or_central
from tracetune.data.reading.raw import Decision

ODD_BYTES = 1 << 16  # of lines that are not ASCII: more tell no more of their encoding
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_OTHERS = ("cp1251",)  # that share hardly any letter with those of Western and Central Europe
_SURROUNDINGS = 10  # characters beside one that is damaged


def odd_lines(block: bytes) -> bytes:
    """Return the lines of a block that are not ASCII."""
    return b"" if block.isascii() else b"\n".join(line for line in block.splitlines() if not line.isascii())


def find_encoding(beginning: bytes, odd: bytes, valid_utf8: bool, given: str | None) -> Decision:
    """Return the encoding of a file.

    Args:
        beginning: its first bytes.
        odd: lines of it that are not ASCII, see `odd_lines`.
        valid_utf8: whether all of its bytes fit UTF-8.
        given: encoding that it is said to have.

    Raises:
        InputError: no such encoding, or most of its bytes beyond ASCII are UTF-8 and some are not.
    """
    if given is not None:
        try:
            "".encode(given)
        except LookupError as error:
            raise InputError(f"Expected a known encoding such as utf-8 or cp1252, found {given[:60]!r}.") from error
        return Decision("encoding", given, "it was given", "encoding", given)
    for mark, name in _BOMS:
        if beginning.startswith(mark):
            return Decision("encoding", name, "the file begins with its mark", "encoding", name)
    if valid_utf8:
        return Decision("encoding", "utf-8", "all bytes fit it", "encoding", "utf-8")
    _refuse_damaged_utf8(odd)
    name, doubt = _likeliest(odd[:ODD_BYTES])
    reason = f"bytes do not fit UTF-8, and it is the likeliest{f'; {doubt}' if doubt else ''}"
    return Decision("encoding", name, reason, "encoding", name)


def _refuse_damaged_utf8(odd: bytes) -> None:
    """Refuse text that is UTF-8 but for a few bytes: any other encoding would turn the rest into other letters."""
    text = odd.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    if sum(not letter.isascii() for letter in text) - damaged > damaged > 0:
        place = text.index("\ufffd")
        found = text[max(0, place - _SURROUNDINGS) : place + _SURROUNDINGS]
        raise InputError(
            f"Expected text in UTF-8, as most of it is, found bytes that are none, at {shown(found)}. The file is "
            "damaged or cut short, or holds text of two encodings: correct it, or save it anew as UTF-8."
        )


def _likeliest(sample: bytes) -> tuple[str, str]:
    """Return the likeliest encoding, and what another one would read where that is nearly as likely."""
    best = charset_normalizer.from_bytes(sample, cp_isolation=[*_OTHERS, WESTERN, CENTRAL, "latin_1"]).best()
    return (best.encoding, "") if best is not None and best.encoding in _OTHERS else western_or_central(sample)
