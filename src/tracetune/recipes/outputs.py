"""Files that a command is to write, checked before the work."""

from collections.abc import Sequence

from tracetune.base.files import require_distinct
from tracetune.data.table_files import require_table_path
from tracetune.report.figures import require_picture_path


def check_outputs(
    tables: Sequence[str | None], plot: str | None, inputs: Sequence[str | None], *, overwrite: bool
) -> None:
    """Refuse outputs that could not be written, or would replace what is read; None is no output.

    Raises:
        InputError: another suffix than those of tables or pictures, a file that is there already, or one path twice.
    """
    for path in tables:
        if path is not None:
            require_table_path(path, overwrite)
    if plot is not None:
        require_picture_path(plot, overwrite)
    require_distinct((*tables, plot), inputs)
