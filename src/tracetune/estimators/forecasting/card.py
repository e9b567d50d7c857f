"""The README.md of a saved forecaster: what it is, how to load it with and without tracetune, how it scored."""

from tracetune.base.json_types import JsonObject
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.tables import markdown_table
from tracetune.tasks.forecasting.adjustment import Adjustment

_TEMPLATE = """---
base_model: {base}
library_name: peft
tags:
- time-series-forecasting
- tracetune
---

# {base}, fine-tuned with tracetune ({method})

Forecasts {prediction_length} steps from {context_length}; chosen on validation: **{winner}**.

## Load it

```python
from tracetune import Forecaster

forecaster = Forecaster.from_pretrained("this/folder")
forecast = forecaster.predict_df(frame)
```

{plain}

## Candidates on validation

{candidates}

Trained parameters: {head_parameters:,} in the head, {adapter_parameters:,} in the adapters.
{selection}Seed {seed}. Everything else about the run is in `trace.json`.
"""

_PLAIN_PEFT = """Plain PEFT loads it too:

```python
from peft import PeftModel
from tracetune import {names}

base = ForecastModel.from_pretrained(
    "{backbone}", prediction_length={prediction_length}, head={head}, context_length={context_length}{resolution}
)
model = PeftModel.from_pretrained(base, "this/folder").eval()
```"""

_WHOLE = (
    "There is no adapter: `backbone` holds the whole backbone, `head.safetensors` the head, if there is one. "
    "`this/folder/backbone` can be tuned on as a foundation model."
)

_SELECTION = (
    "TRACE kept {kept} of {modules} LoRA modules, {kept_parameters:,} of {all_parameters:,} parameters{outcome}. "
    "{evidence}\n"
)


def forecaster_card(trace: JsonObject) -> str:
    """Return the model card of a saved forecaster, from its record."""
    head = (
        None
        if trace["head"] is None
        else "HeadConfig({})".format(", ".join(f"{name}={value!r}" for name, value in trace["head"].items()))
    )
    named = trace["base_model"]["weights_sha256"] is not None
    plain = (
        _WHOLE
        if trace["weights"] == "whole"
        else _PLAIN_PEFT.format(
            backbone=trace["base_model"]["name"] if named else "this/folder/backbone",
            head=head,
            prediction_length=trace["prediction_length"],
            context_length=trace["context_length"],
            resolution=_resolution(trace),
            names="ForecastModel, HeadConfig"
            if _adjustment(trace) is None
            else "Adjustment, ForecastModel, HeadConfig",
        )
    )
    return _TEMPLATE.format(
        base=trace["base_model"]["name"],
        method=trace["method"],
        prediction_length=trace["prediction_length"],
        context_length=trace["context_length"],
        winner=trace["winner"],
        plain=plain,
        candidates=markdown_table(candidate_rows(trace)) + f"\n\n{verdict(trace)}",
        head_parameters=trace["parameters"]["head"],
        adapter_parameters=trace["parameters"]["adapters"],
        selection=_selection(trace),
        seed=trace["seed"],
    )


def _resolution(trace: JsonObject) -> str:
    """Return the arguments of ``from_pretrained`` for what is not read as it is."""
    finer, adjustment = list(trace["resolutions"]), _adjustment(trace)
    return ("" if finer == [1] else f", resolution={finer}") + (
        "" if adjustment is None else f", adjustment={adjustment}"
    )


def _adjustment(trace: JsonObject) -> Adjustment | None:
    """Return what is taken out of series before; None for nothing."""
    adjustment = Adjustment(trace["trend"], trace["season"])
    return adjustment if adjustment.changes else None


def _selection(trace: JsonObject) -> str:
    """Return what TRACE chose, and that it is not in here where another candidate won."""
    selection = trace.get("selection")
    if selection is None:
        return ""
    won = trace["winner"] == trace["method"]
    return _SELECTION.format(
        kept=len(selection["kept"]),
        modules=len(selection["parameters"]),
        kept_parameters=selection["kept_parameters"],
        all_parameters=sum(selection["parameters"].values()),
        evidence=selection["evidence"],
        outcome="" if won else f"; they are not in this folder, because {trace['winner']!r} did better",
    )
