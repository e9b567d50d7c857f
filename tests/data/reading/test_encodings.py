"""Encodings that are found, and text that is damaged."""

from pathlib import Path

import pytest

from tracetune.base.errors import InputError
from tracetune.data.reading.encodings import find_encoding
from tracetune.data.reading.files import read_raw
from tracetune.data.reading.options import ReadingOptions

WESTERN = {
    "English": "café naïve “q” good film",
    "a dash and pounds": "it cost £5 – a bargain",
    "an apostrophe": "it’s fine",
    "German": "schön größer Übung für alle",
    "French": "c'est déjà l'été où les élèves français reçoivent leurs prix à la fête",
    "Spanish": "El niño pequeño comió una piña ¿qué pasó? ¡Increíble!",
    "Portuguese": "não é possível, a educação é atenção e coração, lições",
    "Italian": "La città è più bella perché c'è il sole, può",
    "Swedish": "Det är en vacker dag på ön, så småningom blir det kväll",
    "Danish": "på øen er der små søer og blåbær",
    "units": "µg/m³, °C, m², nº 5",
}
CENTRAL = {
    "Polish": "Zażółć gęślą jaźń, proszę państwa, to jest bardzo ładny dzień w Łodzi",
    "Czech": "Příliš žluťoučký kůň úpěl ďábelské ódy a těšil se na večer",
    "Slovak": "Dĺžka náhrdelníka je malá, kôň beží po lúke",
    "Hungarian": "Árvíztűrő tükörfúrógép, jó estét kívánok, őszi idő",
    "Croatian": "Čaša vode, đak je došao u školu, ćevapi",
    "Romanian": "Timişoara, Braşov",
}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(text, "cp1252") for text in WESTERN.values()] + [(text, "cp1250") for text in CENTRAL.values()],
    ids=[*WESTERN, *CENTRAL],
)
def test_letters_of_the_west_and_of_central_europe_come_out_right(text: str, encoding: str) -> None:
    for odd in (text.encode(encoding), f"{text}\n".encode(encoding) * 30):
        assert odd.decode(find_encoding(b"", odd, False, None).found) == odd.decode(encoding)


def test_text_that_reads_the_same_in_several_encodings_is_called_the_common_one() -> None:
    assert find_encoding(b"", "größer".encode("cp1252"), False, None).found == "cp1252"
    assert find_encoding(b"", "Привет, как дела".encode("cp1251"), False, None).found == "cp1251"


@pytest.mark.parametrize("odd", ["naïve ünd\n".encode() + b"caf\xe9", "naïve ünd é".encode()[:-1] + b" x"])
def test_utf8_with_a_few_other_bytes_is_refused(odd: bytes) -> None:
    with pytest.raises(InputError, match=r"as most of it is, found bytes that are none, at '.*\ufffd"):
        find_encoding(b"", odd, False, None)
    assert find_encoding(b"", odd, False, "cp1252").found == "cp1252"


def test_letters_far_from_the_beginning_count(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"2024-01-01 {hour:02}:00,shop,{day}\n" for day in range(1000) for hour in range(24))
    path.write_bytes(b"date,name,y\n" + rows.encode() + "2024-02-01 00:00,café,3\n".encode("cp1252"))
    assert path.stat().st_size > 1 << 18
    assert read_raw(path, ReadingOptions()).frame["name"].iloc[-1] == "café"
