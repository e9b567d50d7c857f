"""The table of commands: their help, and for each task the places of their configuration and their recipe."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """A command as it is for one task.

    Attributes:
        config: "module:class" below tracetune.recipes.configs, which imports neither PyTorch nor pandas.
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
            FORECASTING: Variant("demo:DemoConfig", "demo:demo", "Loading the model and the series ..."),
            CLASSIFICATION: Variant(
                "classification:DemoConfig", "classification_demo:demo", "Loading the model and the series ..."
            ),
            ANOMALY: Variant("anomaly:DemoConfig", "anomaly:demo", "Loading the model and the series ..."),
            IMPUTATION: Variant("imputation:DemoConfig", "imputation:demo", "Loading the model and the series ..."),
            TEXT: Variant("text:DemoConfig", "text_demo:demo", "Collecting sentences ..."),
        },
    ),
    "inspect": Command(
        "Look at a table: what was understood and why, what is odd, how to go on.",
        {"": Variant("inspect:InspectConfig", "inspect:inspect_table")},
    ),
    "finetune": Command(
        "Fine-tune a foundation model on a table or a known data set, and save it.",
        {
            FORECASTING: Variant("finetune:FinetuneConfig", "finetune:finetune"),
            CLASSIFICATION: Variant("classification:FinetuneConfig", "classification:finetune"),
            ANOMALY: Variant("anomaly:FinetuneConfig", "anomaly:finetune"),
            IMPUTATION: Variant("imputation:FinetuneConfig", "imputation:finetune"),
            TEXT: Variant("text:FinetuneConfig", "text:finetune"),
        },
    ),
    "predict": Command(
        "Forecast the steps after the end of every series in a table.",
        {FORECASTING: Variant("predict:PredictConfig", "predict:predict")},
    ),
    "classify": Command(
        "Name the class of every series in a table or .ts file, or of every text in a table.",
        {
            CLASSIFICATION: Variant("classification:ClassifyConfig", "classification:classify"),
            TEXT: Variant("text:ClassifyConfig", "text:classify"),
        },
    ),
    "detect": Command(
        "Find the steps of a table that are unlike its normal part, and the events that they make.",
        {ANOMALY: Variant("anomaly:DetectConfig", "anomaly:detect")},
    ),
    "impute": Command(
        "Fill the gaps of a table, and mark what was filled in.",
        {IMPUTATION: Variant("imputation:ImputeConfig", "imputation:impute")},
    ),
    "evaluate": Command(
        "Measure a model on a table or a known data set, beside what needs no training.",
        {
            FORECASTING: Variant("evaluate:EvaluateConfig", "evaluate:evaluate"),
            CLASSIFICATION: Variant("classification:EvaluateConfig", "classification:evaluate"),
            ANOMALY: Variant("anomaly:EvaluateConfig", "anomaly:evaluate"),
            IMPUTATION: Variant("imputation:EvaluateConfig", "imputation:evaluate"),
            TEXT: Variant("text:EvaluateConfig", "text:evaluate"),
        },
    ),
    "importance": Command(
        "Score the LoRA modules of a model by several methods, and compare them with Shapley values.",
        {
            FORECASTING: Variant("importance:ImportanceConfig", "importance:importance"),
            CLASSIFICATION: Variant("classification:ImportanceConfig", "importance:classifier_importance"),
            ANOMALY: Variant("anomaly:ImportanceConfig", "importance:detector_importance"),
            IMPUTATION: Variant("imputation:ImportanceConfig", "importance:imputer_importance"),
            TEXT: Variant("text:ImportanceConfig", "importance:text_classifier_importance"),
        },
    ),
    "compare": Command(
        "Compare the module scores of two runs, such as two seeds, and the modules that they kept.",
        {"": Variant("compare:CompareConfig", "compare:compare")},
    ),
    "pretrain": Command(
        "Pretrain a backbone on synthetic series, or go on with an interrupted run.",
        {"": Variant("pretrain:PretrainConfig", "pretrain:pretrain", "Preparing ...")},
    ),
    "models": Command(
        "List the foundation models known by name.", {"": Variant("models:ModelsConfig", "models:show_models")}
    ),
    "datasets": Command(
        "List the known benchmark data sets, or download one.",
        {"": Variant("datasets:DatasetsConfig", "datasets:show_datasets")},
    ),
}
