"""Training data of an imputer: its task, windows with hidden steps, scales, and settings that count channels."""

from dataclasses import dataclass, replace

from tracetune.data.panel_season import panel_season
from tracetune.data.panels import Panel
from tracetune.data.splits import Scaler, fit_split
from tracetune.estimators.imputation.record import ImputerRecord
from tracetune.fitting.config import FitConfig, refuse_unread
from tracetune.heads.imputation import ImputationHeadConfig
from tracetune.selection.config import SelectionConfig
from tracetune.tasks.imputation.data import fit_scalers, imputation_data, related_channels, scaled_values
from tracetune.tasks.imputation.model import Imputation
from tracetune.tasks.task import TrainingData

_TRAIN_WINDOWS, _VALIDATION_WINDOWS = 2048, 512  # of one channel; fewer windows of more channels
_FEWEST_WINDOWS = 64
_MOST_TOKENS = 16_384  # in a step of training, where nothing was said


@dataclass(frozen=True)
class ImputerData:
    """Training data of an imputer, with its task, scales and settings.

    Attributes:
        task: for these channels.
        data: windows with hidden steps.
        scalers: one a series.
        config: how to fit, as was asked for; batches count channels.
    """

    task: Imputation
    data: TrainingData
    scalers: tuple[Scaler, ...]
    config: FitConfig


def imputer_data(
    base_name: str,
    context_length: int,
    panel: Panel,
    config: FitConfig,
    *,
    season: int | None,
    fitted: ImputerRecord | None = None,
) -> ImputerData:
    """Return the training data of an imputer; task and scales are those of one that was ``fitted``, if there is one.

    Raises:
        InputError: unusable data, or a setting that imputation does not read.
    """
    refuse_unread(config, "imputation, which draws its windows from all steps", "train_stride")
    split = fit_split(panel, _held_out(panel, context_length), config.validation)
    channels = len(panel.channels)
    config = _counted_by_channels(config, channels)
    if fitted is None:
        scalers = fit_scalers(panel, split)
        wanted = (config.head or ImputationHeadConfig()).related
        related = related_channels(scaled_values(panel, scalers), split.train, wanted)
        config = replace(config, head=ImputationHeadConfig(len(related[0]) if related else 0))
        steps = panel_season(panel) if season is None else season
        task = Imputation(channels, context_length, steps, related, base_name)
    else:
        scalers = tuple(fitted.scaler(each.item_id) or Scaler.fit(each.values) for each in panel)
        task = fitted.task(base_name)
    most = _VALIDATION_WINDOWS if config.validation_windows is None else config.validation_windows
    data = imputation_data(
        panel,
        split,
        context_length,
        scalers=scalers,
        train_windows=max(_FEWEST_WINDOWS, _TRAIN_WINDOWS // channels),
        validation_windows=min(most, max(_FEWEST_WINDOWS, _VALIDATION_WINDOWS // channels)),
        rolling=config.validation == "rolling",
        seed=config.training.seed,
    )
    return ImputerData(task, data, scalers, config)


def _counted_by_channels(config: FitConfig, channels: int) -> FitConfig:
    """Return the settings with batches in which a window of C channels counts as C, and memory that is bounded.

    Those that modules are scored on, too: larger ones would cost more than the training itself.
    """
    method = config.method
    selection = getattr(method, "selection", None)
    if isinstance(selection, SelectionConfig):
        scored = max(1, selection.batch_size // channels)
        method = replace(method, selection=replace(selection, batch_size=scored))  # type: ignore[type-var]  # methods are dataclasses
    return replace(
        config,
        method=method,
        head_training=replace(config.head_training, batch_size=max(1, config.head_training.batch_size // channels)),
        training=replace(
            config.training,
            batch_size=max(1, config.training.batch_size // channels),
            max_tokens=config.training.max_tokens or _MOST_TOKENS,
        ),
    )


def _held_out(panel: Panel, context_length: int) -> int:
    """Return the least number of steps to keep for validation: a quarter of a context, less of short series."""
    return max(1, min(context_length // 4, max(panel.lengths) // 8))
