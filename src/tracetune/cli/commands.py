"""The table of commands: their help, and for each task the places of their configuration and their recipe."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """A command as it is for one task.

    Attributes:
        config: "module:class" below tracetune.recipes, which imports neither PyTorch nor pandas.
        recipe: "module:function" below tracetune.recipes, imported when the command runs.
        first_words: what it says before that, where it reads no table (then it says which).
    """

    config: str
    recipe: str
    first_words: str = ""


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        summary: what it does, in one line.
        variants: by task, the one that is meant without ``--task`` first; "" for a command without any task.
    """

    summary: str
    variants: dict[str, Variant]

    @property
    def tasks(self) -> list[str]:
        """Return the tasks that the command serves; none for a command without tasks."""
        return [task for task in self.variants if task]


FORECASTING, CLASSIFICATION, ANOMALY, IMPUTATION = "forecasting", "classification", "anomaly", "imputation"
TEXT = "text"

COMMANDS = {
    "demo": Command(
        "Fine-tune, predict and compare with the truth on real data that ships with it (about two minutes).",
        {
            FORECASTING: Variant(
                "forecasting.settings:DemoConfig", "forecasting.demo:demo", "Loading the model and the series ..."
            ),
            CLASSIFICATION: Variant(
                "classification.settings:DemoConfig", "classification.demo:demo", "Loading the model and the series ..."
            ),
            ANOMALY: Variant(
                "anomaly.settings:DemoConfig", "anomaly.demo:demo", "Loading the model and the series ..."
            ),
            IMPUTATION: Variant(
                "imputation.settings:DemoConfig", "imputation.demo:demo", "Loading the model and the series ..."
            ),
            TEXT: Variant("text.settings:DemoConfig", "text.demo:demo", "Collecting sentences ..."),
        },
    ),
    "inspect": Command(
        "Look at a table: what was understood and why, what is odd, how to go on.",
        {"": Variant("settings.inspect:InspectConfig", "inspect:inspect_table")},
    ),
    "finetune": Command(
        "Fine-tune a foundation model on a table or a known data set, and save it.",
        {
            FORECASTING: Variant("forecasting.settings:FinetuneConfig", "forecasting.finetune:finetune"),
            CLASSIFICATION: Variant("classification.settings:FinetuneConfig", "classification.commands:finetune"),
            ANOMALY: Variant("anomaly.settings:FinetuneConfig", "anomaly.commands:finetune"),
            IMPUTATION: Variant("imputation.settings:FinetuneConfig", "imputation.commands:finetune"),
            TEXT: Variant("text.settings:FinetuneConfig", "text.commands:finetune"),
        },
    ),
    "predict": Command(
        "Forecast the steps after the end of every series in a table.",
        {FORECASTING: Variant("forecasting.settings:PredictConfig", "forecasting.predict:predict")},
    ),
    "classify": Command(
        "Name the class of every series in a table or .ts file, or of every text in a table.",
        {
            CLASSIFICATION: Variant("classification.settings:ClassifyConfig", "classification.commands:classify"),
            TEXT: Variant("text.settings:ClassifyConfig", "text.commands:classify"),
        },
    ),
    "detect": Command(
        "Find the steps of a table that are unlike its normal part, and the events that they make.",
        {ANOMALY: Variant("anomaly.settings:DetectConfig", "anomaly.commands:detect")},
    ),
    "impute": Command(
        "Fill the gaps of a table, and mark what was filled in.",
        {IMPUTATION: Variant("imputation.settings:ImputeConfig", "imputation.commands:impute")},
    ),
    "evaluate": Command(
        "Measure a model on a table or a known data set, beside what needs no training.",
        {
            FORECASTING: Variant("forecasting.settings:EvaluateConfig", "forecasting.evaluate:evaluate"),
            CLASSIFICATION: Variant("classification.settings:EvaluateConfig", "classification.commands:evaluate"),
            ANOMALY: Variant("anomaly.settings:EvaluateConfig", "anomaly.commands:evaluate"),
            IMPUTATION: Variant("imputation.settings:EvaluateConfig", "imputation.commands:evaluate"),
            TEXT: Variant("text.settings:EvaluateConfig", "text.commands:evaluate"),
        },
    ),
    "importance": Command(
        "Score the LoRA modules of a model by several methods, and compare them with Shapley values.",
        {
            FORECASTING: Variant("forecasting.settings:ImportanceConfig", "forecasting.importance:importance"),
            CLASSIFICATION: Variant("classification.settings:ImportanceConfig", "classification.importance:importance"),
            ANOMALY: Variant("anomaly.settings:ImportanceConfig", "anomaly.importance:importance"),
            IMPUTATION: Variant("imputation.settings:ImportanceConfig", "imputation.importance:importance"),
            TEXT: Variant("text.settings:ImportanceConfig", "text.importance:importance"),
        },
    ),
    "compare": Command(
        "Compare the module scores of two runs, such as two seeds, and the modules that they kept.",
        {"": Variant("settings.compare:CompareConfig", "compare:compare")},
    ),
    "pretrain": Command(
        "Pretrain a backbone on synthetic series, or go on with an interrupted run.",
        {"": Variant("settings.pretrain:PretrainConfig", "pretrain:pretrain", "Preparing ...")},
    ),
    "models": Command(
        "List the foundation models known by name.", {"": Variant("settings.models:ModelsConfig", "models:show_models")}
    ),
    "datasets": Command(
        "List the known benchmark data sets, or download one.",
        {"": Variant("settings.datasets:DatasetsConfig", "datasets:show_datasets")},
    ),
}
