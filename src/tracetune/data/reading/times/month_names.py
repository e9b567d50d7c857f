"""Names of months, whole and shortened, in the languages whose tables are usual."""

import re
import unicodedata

import pandas as pd


def without_accents(word: str) -> str:
    """Return a word without the marks over and under its letters: ``fevrier`` for ``février``."""
    return "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))


_NAMES = (  # of the Unicode CLDR, by month: en de fr es it pt nl pl sv da nb fi cs tr ru id ro hu
    "january jan januar janvier janv enero ene gennaio gen janeiro januari stycznia styczeń sty tammikuuta "
    "tammikuu tammi ledna leden led ocak oca января январь янв ianuarie ian január",
    "february feb februar février févr febrero febbraio fevereiro fev februari lutego luty lut helmikuuta "
    "helmikuu helmi února únor úno şubat şub февраля февраль февр februarie február febr",
    "march mar märz mär mrz mars marzo março maart mrt marca marzec marts maaliskuuta maaliskuu maalis března březen "
    "bře mart марта март мар maret martie március márc",
    "april apr avril avr abril abr aprile kwietnia kwiecień kwi huhtikuuta huhtikuu huhti dubna duben dub nisan "
    "nis апреля апрель апр aprilie április ápr",
    "may mai mayo maggio mag maio mei maja maj toukokuuta toukokuu touko května květen kvě mayıs мая май május "
    "máj",
    "june jun juni juin junio giugno giu junho czerwca czerwiec cze kesäkuuta kesäkuu kesä června červen čvn "
    "haziran haz июня июнь июн iunie iun június jún",
    "july jul juli juillet juil julio luglio lug julho lipca lipiec lip heinäkuuta heinäkuu heinä července "
    "červenec čvc temmuz tem июля июль июл iulie iul július júl",
    "august aug août agosto ago augustus sierpnia sierpień sie augusti elokuuta elokuu elo srpna srpen srp "
    "ağustos ağu августа август авг agustus agu augusztus",
    "september sep sept septembre septiembre settembre set setembro września wrzesień wrz syyskuuta syyskuu syys "
    "září zář eylül eyl сентября сентябрь сент septembrie szeptember szept",
    "october oct oktober okt octobre octubre ottobre ott outubro out października październik paź lokakuuta "
    "lokakuu loka října říjen říj ekim eki октября октябрь окт octombrie október",
    "november nov novembre noviembre novembro listopada listopad lis marraskuuta marraskuu marras listopadu kasım "
    "kas ноября ноябрь нояб noiembrie",
    "december dec dezember dez décembre déc diciembre dic dicembre dezembro grudnia grudzień gru desember des "
    "joulukuuta joulukuu joulu prosince prosinec pro aralık ara декабря декабрь дек decembrie",
)  # fmt: skip
_NUMBERS = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
_NUMBERS |= {without_accents(name): number for name, number in _NUMBERS.items()}
_ENGLISH = tuple(names.split()[0].title() for names in _NAMES)
_WORD = re.compile(r"[^\W\d_]{3,}\.?")
_BETWEEN = re.compile(r"(?<=[\s\d.])(de|del|di)\s+|(?<=\d)(er|o|º|ª)(?=\s)", re.IGNORECASE)
_WEEKDAY = re.compile(r"^[^\W\d_]+\.?,?\s+(?=\d)")


def month_number(name: str) -> int | None:
    """Return the number of a month by its name in any of the languages, None for any other word."""
    return _NUMBERS.get(name.strip().rstrip(".").lower())


def in_english(text: pd.Series) -> pd.Series | None:
    """Return dates with the names of their months in English: ``3 de mayo de 2024`` becomes ``3 May 2024``.

    A day of the week in front is left out. None where a cell names no month, or where all name the same: a word such
    as "set" (September, in Italian) beside numbers is then no month.
    """
    numbers = text.map(lambda cell: next((n for word in _WORD.findall(cell) if (n := month_number(word))), 0))
    if 0 in (months := set(numbers)) or len(months) == 1:
        return None
    return text.map(_translated)


def _translated(cell: str) -> str:
    def english(match: re.Match[str]) -> str:
        number = month_number(match[0])
        return match[0] if number is None else _ENGLISH[number - 1]

    weekday = _WEEKDAY.match(cell)
    if weekday and month_number(weekday[0].rstrip(" ,")) is None:
        cell = cell[weekday.end() :]
    return _WORD.sub(english, _BETWEEN.sub("", cell))
