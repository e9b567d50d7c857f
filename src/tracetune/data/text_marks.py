"""Separator and decimal mark of a table that is text, as its source has them and as tables made of it are written."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class TextMarks:
    """Marks of a table that is text.

    Attributes:
        separator: what stands between cells.
        decimal: decimal mark of numbers.
    """

    separator: str = ","
    decimal: str = "."

    def in_file(self, kind: str) -> "TextMarks":
        """Return the marks of a file of a kind: tabs in a tsv, and no tabs or blanks in a csv."""
        if kind == "tsv":
            return replace(self, separator="\t")
        if self.separator in ("\t", " "):
            return replace(self, separator=";" if self.decimal == "," else ",")
        return self


COMMAS_AND_POINTS = TextMarks()
