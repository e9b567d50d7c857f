"""Compare the module scores of two runs, such as two seeds, and the modules that they kept."""

from rich.console import Console

from tracetune.estimators.score_comparison import ScoreComparison, compare_scores
from tracetune.recipes.settings.compare import CompareConfig
from tracetune.report.tables import print_table


def compare(config: CompareConfig) -> list[ScoreComparison]:
    """Print how far the scores of two runs, and the modules that they kept, agree."""
    first, second = config.runs
    found = compare_scores(first, second, config.keep)
    console = Console(highlight=False)
    print_table("Module scores of two runs", [_row(each) for each in found], console=console)
    for each in found:
        console.print(each.describe(), markup=False)
    return found


def _row(each: ScoreComparison) -> dict[str, object]:
    return {
        "score": each.score,
        "rank correlation": f"{each.spearman.estimate:.2f} ({each.spearman.low:.2f} to {each.spearman.high:.2f})",
        "kept by both": f"{each.overlap.shared} of {each.overlap.sizes[0]}",
        "random choices": f"{each.overlap.expected:.1f}",
        "beyond two errors": " and ".join("-" if share is None else f"{share:.0%}" for share in each.told_apart),
    }
