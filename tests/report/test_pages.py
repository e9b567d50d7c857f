"""Pages of results: one file, a picture and tables, and nothing that a name could break."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from tracetune.base.errors import InputError
from tracetune.report.pages import require_plot_path, write_plot


def figure(title: str = "") -> Figure:
    drawn = Figure()
    drawn.subplots().plot([1, 2, 3])
    drawn.suptitle(title)
    return drawn


def test_a_page_holds_the_picture_and_the_tables(tmp_path: Path) -> None:
    errors = pd.DataFrame(
        {"item": [f"shop {n}" for n in range(201)], "mean_error": 0.5, "day": pd.Timestamp("2024-01-31")}
    )
    write_plot(figure("sales"), tmp_path / "page.html", "Errors", {"By item": errors, "Events": errors[:0]})
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1 and "sales" in page
    assert page.count("<tr>") == 201 and "and 1 more rows." in page
    assert '<td>shop 7</td><td class="number">0.5000</td><td>2024-01-31</td>' in page
    assert '<h2>Events</h2>\n<p class="line">none</p>' in page
    assert "<script" not in page and "src=" not in page and 'href="http' not in page


def test_names_cannot_break_a_page(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    write_plot(figure(), tmp_path / "page.HTM", bad, {bad: pd.DataFrame({bad: [bad]})})
    assert "<script" not in (tmp_path / "page.HTM").read_text(encoding="utf-8")


def test_other_suffixes_are_pictures_or_refused(tmp_path: Path) -> None:
    write_plot(figure(), tmp_path / "page.svg", "Errors", {})
    assert (tmp_path / "page.svg").read_text(encoding="utf-8").startswith("<?xml")
    with pytest.raises(InputError, match=r"ends in \.png, .*\.html"):
        require_plot_path(tmp_path / "page.txt")
    (tmp_path / "page.html").touch()
    with pytest.raises(InputError, match="exists already"):
        require_plot_path(tmp_path / "page.html")
