"""Fine-tune a forecasting model on a file or a known data set, save it, and print a summary."""

from tracetune.base.folders import staged_folder
from tracetune.base.processes import is_main_process
from tracetune.data.splits import DividedPanel
from tracetune.estimators.forecasting.fit_data import split_frames
from tracetune.estimators.forecasting.forecaster import Forecaster
from tracetune.recipes.fit_settings import finetune_run, fit_config
from tracetune.recipes.forecasting.chosen_forecaster import adjustment_of
from tracetune.recipes.forecasting.forecaster_choice import resolution_of
from tracetune.recipes.forecasting.report import draw_run, report_run
from tracetune.recipes.forecasting.settings import FinetuneConfig
from tracetune.training.progress import ProgressBar


def finetune(config: FinetuneConfig) -> Forecaster:
    """Fine-tune a forecasting model on a file or a known data set and save its adapter.

    Of several processes (torchrun, accelerate launch) the first one checks the places, writes and reports.
    """
    with finetune_run(config.run) as device:
        chosen = config.backbone
        lengths = chosen.prediction_length, chosen.context_length
        resolution, adjustment = (
            resolution_of(chosen.resolution),
            adjustment_of(chosen.adjust_trend, chosen.adjust_season),
        )
        base = Forecaster.from_pretrained(
            chosen.model, *lengths, resolution=resolution, adjustment=adjustment, device=device
        )
        parts = _data(base, config)
        tuned = base.fit(
            parts,
            config=fit_config(config, config.head.config(), config.windows),
            non_negative=chosen.non_negative,
            callbacks=[ProgressBar()],
        )
        if is_main_process():
            _save(tuned, parts, config)
    return tuned


def _save(tuned: Forecaster, parts: DividedPanel, config: FinetuneConfig) -> None:
    with staged_folder(config.run.folder) as folder:
        tuned.save_pretrained(folder)
        draw_run(tuned, parts.panel, parts.split, folder)
    report_run(tuned, config.source, config.run.folder)


def _data(base: Forecaster, config: FinetuneConfig) -> DividedPanel:
    """Return the series with their parts."""
    if config.source.dataset is not None:
        return DividedPanel(*config.source.known_split())
    train, validation = config.source.reading(), None
    if config.validation_data is not None:
        validation = config.source.reading(train.options, config.validation_data).panel
    lengths = base.context_length, base.prediction_length
    return split_frames(train.panel, validation, *lengths, config.windows.validation)
