"""Bytes of files, damaged, and a limit on how long anything may read them."""

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SECONDS = 30
_SPECIAL = [
    b"",
    b"\0",
    b'"',
    b"'",
    b";",
    b"\t",
    b"\n",
    b"\r",
    b",",
    b"\xff",
    b"\xe2\x80",
    b"NaN",
    b"inf",
    b"-inf",
    b"1e400",
    b"1e-400",
    b"99999999999999999999",
    b"2024-02-30",
    b"0000-00-00",
    b"9999-12-31",
    b"1677-01-01",
    b"+0",
    b"+02:00",
    b"Z",
    b"?",
    b"01/02/2024",
    b"24:00",
    b"2020-W60",
    b"2001Q9",
    b"#",
    b"\xef\xbb\xbf",
    b"1,234",
    b"1.234.567",
    b"True",
    b"None",
    b"{}",
    b"[]",
    b"x" * 5000,
    "ü".encode("latin1"),
    "日".encode(),
]


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Some cells, lines or bytes of a text changed, repeated, exchanged or cut."""
    for _ in range(rng.randint(1, 3)):
        kind = rng.randrange(7)
        place = rng.randrange(len(content) + 1)
        if kind == 0:
            content = content[:place] + rng.choice(_SPECIAL) + content[place:]
        elif kind == 1:
            content = content[:place]
        elif kind == 2:
            content = content[:place] + content[place + rng.randint(1, 40) :]
        else:
            lines = content.split(b"\n")
            line = rng.randrange(len(lines))
            cells = lines[line].split(b",")
            if kind == 3:
                cells[rng.randrange(len(cells))] = rng.choice(_SPECIAL)
                lines[line] = b",".join(cells)
            elif kind == 4:
                lines.insert(rng.randrange(len(lines)), lines[line])
            elif kind == 5:
                rng.shuffle(cells)
                lines[line] = b",".join(cells)
            else:
                column = rng.randrange(len(cells))
                mark = rng.choice(_SPECIAL)
                lines = [b",".join([*(row := each.split(b","))[:column], mark, *row[column + 1 :]]) for each in lines]
            content = b"\n".join(lines)
    return content


def damaged(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.3 else changed)


@contextmanager
def no_hang() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError(f"reading took more than {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
