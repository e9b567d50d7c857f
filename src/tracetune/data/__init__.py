"""Data: tables in and out, splits, windows, benchmark sets, synthetic series."""

from tracetune.data.datasets import (
    DatasetInfo,
    LoadedDataset,
    dataset_info,
    dataset_paths,
    download_dataset,
    list_datasets,
    load_dataset,
)
from tracetune.data.frames import Panel, Series, frame_from_forecasts, panel_from_frame
from tracetune.data.splits import Borders, PanelSplit, Part, Scaler, fit_split, split_panel
from tracetune.data.table_files import read_frame, write_frame
from tracetune.data.windows import Windows, context_batch, identity_collate

__all__ = [
    "Borders",
    "DatasetInfo",
    "LoadedDataset",
    "Panel",
    "PanelSplit",
    "Part",
    "Scaler",
    "Series",
    "Windows",
    "context_batch",
    "dataset_info",
    "dataset_paths",
    "download_dataset",
    "fit_split",
    "frame_from_forecasts",
    "identity_collate",
    "list_datasets",
    "load_dataset",
    "panel_from_frame",
    "read_frame",
    "split_panel",
    "write_frame",
]
