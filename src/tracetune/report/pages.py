"""Pages: self-contained HTML files with pictures and tables, all in one look."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from tracetune.base.files import staged_file
from tracetune.report.figures import KINDS, require_picture_path, written_figure
from tracetune.report.series_plots import as_svg
from tracetune.report.tables import frame_rows, shown_cells

PAGES = (".html", ".htm")
_MOST_ROWS = 200  # of a table on a page


def require_plot_path(path: str | Path, overwrite: bool = False) -> None:
    """Refuse a file that neither a picture nor a page can be written to, before the work is done; see
    `require_picture_path`.
    """
    require_picture_path(path, overwrite, (*KINDS, *PAGES))


def write_plot(figure: Figure, path: str | Path, title: str, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write a picture; where its name ends in .html, a page with it and with tables of what was found.

    Args:
        figure: the picture.
        path: of the file, which is written whole or not at all.
        title: of the page.
        tables: each under its heading; of a long one the first 200 rows are shown.
    """
    if Path(path).suffix.lower() in PAGES:
        write_page(
            path, "result.html", title=title, picture=svg(figure), tables=[_table(*each) for each in tables.items()]
        )
    else:
        written_figure(figure, path)


def where_drawn(path: str | Path) -> str:
    """Return a line that says where a picture or a page went."""
    return f"{'Page' if Path(path).suffix.lower() in PAGES else 'Picture'}: {path}"


def write_page(path: str | Path, template: str, **content: Any) -> None:
    """Write a page by one of the templates, whole or not at all."""
    loader = PackageLoader("tracetune.report")
    text = Environment(autoescape=True, loader=loader, undefined=StrictUndefined).get_template(template).render(content)
    with staged_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def svg(figure: Figure) -> Markup:
    """Return a figure as it stands in a page."""
    return Markup(as_svg(figure))


def _table(title: str, frame: pd.DataFrame) -> dict[str, object]:
    rows = frame_rows(frame.head(_MOST_ROWS))
    columns, cells = shown_cells(rows)
    rest = len(frame) - len(rows)
    return {
        "title": title,
        "columns": [{"name": name.replace("_", " "), "numeric": numeric} for name, numeric in columns],
        "rows": cells,
        "more": f"and {rest:,} more rows." if rest else "",
    }
