"""The README.md of a saved classifier."""

from tracetune.base.json_types import JsonObject
from tracetune.estimators.named_classes import never_named_on_validation
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.tables import markdown_table

_CARD = """---
base_model: {base}
library_name: peft
tags:
- time-series-classification
- tracetune
---

# {base}, fine-tuned to classify series with tracetune ({method})

Tells {count} classes apart ({classes}) by {channels} channels of any length.

```python
from tracetune import Classifier

classifier = Classifier.from_pretrained("this/folder")
probabilities = classifier.predict(values)  # arrays [channels, steps]
```

## Candidates (cross-entropy of {held_out} of {samples} series, held out in {folds} parts)

{candidates}

{verdict} {never}Then it trained on all of them. Seed {seed}. Everything else about the run is in `trace.json`.
"""


def classifier_card(trace: JsonObject) -> str:
    """Return the card of the model with this record."""
    return _CARD.format(
        base=trace["base_model"]["name"],
        method=trace["method"],
        count=len(trace["classes"]),
        classes=", ".join(trace["classes"][:20]),
        channels=trace["channels"],
        candidates=markdown_table(candidate_rows(trace)),
        verdict=verdict(trace),
        never=never_named_on_validation(trace),
        seed=trace["seed"],
        **trace["data"],
    )
