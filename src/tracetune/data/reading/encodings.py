"""The encoding of a text file: as it was given, as its first bytes say, UTF-8, or else the likeliest one."""

import re

import charset_normalizer

from tracetune.base.errors import InputError, shown
from tracetune.data.reading.raw import Decision

ODD_BYTES = 1 << 16  # of lines that are not ASCII: more tell no more of their encoding
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CANDIDATES = ["cp1252", "cp1250", "cp1251", "latin_1"]
_WESTERN, _CENTRAL = "cp1252", "cp1250"
_CENTRAL_LETTERS = frozenset("šžŠŽ")  # the same bytes in both; hardly any in languages that are written in cp1252
_SIGN_AS_LETTER = re.compile(r"[^\W\d_][³¹¿¯¼¾£¥º][^\W\d_]|£[aeiouyóê]|[a-z]Ÿ")  # ł ą ż Ż Ľ ľ Ł Ą ş ź in cp1250
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
    name = _likeliest(odd[:ODD_BYTES])
    return Decision("encoding", name, "bytes do not fit UTF-8, and it is the likeliest", "encoding", name)


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


def _likeliest(sample: bytes) -> str:
    matches = charset_normalizer.from_bytes(sample, cp_isolation=_CANDIDATES)
    best = matches.best()
    name = _WESTERN if best is None or best.encoding in ("latin_1", "ascii") else best.encoding
    possible = {encoding for match in matches for encoding in match.could_be_from_charset}
    return _WESTERN if name == _CENTRAL and _WESTERN in possible and _is_western(sample) else name


def _is_western(sample: bytes) -> bool:
    """Return whether text that is as likely Western as Central European is taken for Western, which is more common.

    Many bytes are letters in both encodings, and `charset_normalizer` then names the first of its list. Signs within
    words, and letters such as š, of which few other languages have any, speak for Central European.
    """
    western = sample.decode(_WESTERN)
    return _CENTRAL_LETTERS.isdisjoint(western) and not _SIGN_AS_LETTER.search(western)
