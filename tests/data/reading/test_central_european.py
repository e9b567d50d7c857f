"""Western and Central European text is told apart by its letters, and what is doubtful is said."""

import pytest

from tracetune.data.reading.central_european import western_or_central

CLEAR = {
    "cp1252": [
        "été, déjà, où\nélèves",
        "Größe, Süd, Fläche, schön",
        "señor ¿qué? niño, año",
        "Tromsø, Ålesund, Bærum, Sørlandet",
        "ação\nnão\nSão Paulo\nregiões",
        "città, perché, più, è",
    ],
    "cp1250": [
        "Łódź\nKraków\nGdańsk",
        "Plzeň\nČeské Budějovice\nÚstí nad Labem",
        "Győr\nPécs\nSzűcs\nHódmezővásárhely",
        "Timişoara\nBraşov\nBacău\nPiteşti",
        "Šibenik\nČakovec\nPožega\nGospić",
        "Žilina\nKošice\nLučenec",
    ],
}
SINGLE = {
    "cp1252": ["São", "naïve", "Tromsø", "m³", "10 £", "£5", "café", "nº 5"],
    "cp1250": ["Łódź", "Bożego", "Bacău"],
}


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in CLEAR.items() for text in texts])
def test_lists_of_names_are_read_by_their_letters(encoding: str, text: str) -> None:
    found, _ = western_or_central(text.encode(encoding))
    assert text.encode(encoding).decode(found) == text


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in SINGLE.items() for text in texts])
def test_single_words(encoding: str, text: str) -> None:
    assert text.encode(encoding).decode(western_or_central(text.encode(encoding))[0]) == text


def test_what_is_doubtful_shows_a_word_as_the_other_encoding_reads_it() -> None:
    found, doubt = western_or_central("2024-01-01;kůň;5".encode("cp1250"))
    assert (found, "'kùò' would be 'kůň' with" in doubt) == ("cp1252", True)
    assert western_or_central("2024-01-01;kůň;5\n".encode("cp1250") * 50)[0] == found  # one word is one word
    assert western_or_central("Größe, Übung, schön, Fläche".encode("cp1252")) == ("cp1252", "")  # the same letters
    assert western_or_central("Łódź\nGdańsk\nBiałystok".encode("cp1250")) == ("cp1250", "")
