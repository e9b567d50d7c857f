"""List the known benchmark data sets, or download one."""

from rich.console import Console

from tracetune.base.errors import InputError
from tracetune.data.datasets import DatasetInfo, dataset_info, dataset_paths, download_dataset, list_datasets
from tracetune.recipes.settings.datasets import DatasetsConfig
from tracetune.report.tables import print_table


def show_datasets(config: DatasetsConfig) -> None:
    """List the known benchmark data sets and whether they are here, or download one."""
    if config.download is not None:
        for path in download_dataset(config.download, config.folder):
            Console().print(str(path))
        return
    print_table("Data sets", [_row(dataset_info(name)) for name in list_datasets(config.kind)])


def _row(info: DatasetInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "kind": info.kind,
        "frequency": info.frequency,
        "horizons": " ".join(map(str, info.horizons)),
        "here": "yes" if _is_here(info.name) else "no",
    }


def _is_here(name: str) -> bool:
    try:
        dataset_paths(name)
    except InputError:
        return False
    return True
