"""The README.md of a saved detector: what it knows, how to load it, how it was fine-tuned."""

from tracetune.base.json_types import JsonObject
from tracetune.estimators.anomaly.fit import PLANTED
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.tables import markdown_table
from tracetune.tasks.anomaly.model import METRIC, RECONSTRUCTION

_CARD = """---
base_model: {base}
library_name: peft
tags:
- time-series-anomaly-detection
- tracetune
---

# {base}, with a normal part learned by tracetune

Tells steps of {items} with {channels} that are unlike its normal part, by scorer `{scorer}`.

```python
from tracetune import AnomalyDetector

detector = AnomalyDetector.from_pretrained("this/folder")
events = detector.events(frame)
```

Alarms are raised above a score of {threshold:.4g}, which {rate:g} of the normal steps exceed. The folder holds the
normal part itself (`arrays.safetensors`): whoever gets it can read it.

{fitted}{remarks}Everything else about it is in `trace.json`.
"""


_LOSSES = {RECONSTRUCTION: "squared error of hidden steps", METRIC: "contrastive loss of neighbouring windows"}


def compared_by(trace: JsonObject) -> str:
    """Return in words what the candidates of a record were compared by."""
    if trace.get("compared_by") == PLANTED:
        return f"1 - VUS-PR of {trace['planted_anomalies']} planted anomalies"
    return _LOSSES[trace.get("loss", RECONSTRUCTION)]


def detector_card(trace: JsonObject) -> str:
    """Return the model card of a saved detector, from its record."""
    items, channels = len(trace["items"]), len(trace["channels"])
    fitted = "The model is as it was loaded; nothing was fine-tuned.\n\n"
    if trace["method"] is not None:
        table = markdown_table(candidate_rows(trace))
        fitted = (
            f"## Candidates on validation ({compared_by(trace)}; method {trace['method']})\n\n{table}\n\n"
            f"{verdict(trace)} Seed {trace['seed']}.\n\n"
        )
    return _CARD.format(
        base=trace["base_model"]["name"],
        items="one series" if items == 1 else f"{items} items",
        channels="one channel" if channels == 1 else f"{channels} channels",
        scorer=trace["scorer"]["name"],
        threshold=trace["threshold"],
        rate=trace["false_alarm_rate"],
        fitted=fitted,
        remarks="".join(f"- {remark}\n" for remark in trace["remarks"]) + ("\n" if trace["remarks"] else ""),
    )
