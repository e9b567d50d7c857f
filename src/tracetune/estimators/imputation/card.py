"""The model card of an imputer."""

from tracetune.base.json_types import JsonObject
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.tables import markdown_table

_CARD = """---
base_model: {base}
library_name: peft
tags:
- time-series-imputation
- tracetune
---

# {base}, fine-tuned to fill gaps with tracetune ({method})

Fills gaps in {count} {channels} by windows of {context_length} steps.

```python
from tracetune import Imputer

imputer = Imputer.from_pretrained("this/folder")
filled = imputer.impute(frame, quantile_levels=[0.1, 0.9])
```

## Candidates on validation (mean squared error of hidden steps, scaled values)

{candidates}

{verdict} Seed {seed}. Everything else about the run is in `trace.json`.
"""


def imputer_card(trace: JsonObject) -> str:
    """Return the text of the card."""
    names = trace["channels"]
    return _CARD.format(
        base=trace["base_model"]["name"],
        method=trace["method"],
        count=len(names),
        channels=f"channel{'s' if len(names) > 1 else ''} ({', '.join(names[:20])})",
        context_length=trace["context_length"],
        candidates=markdown_table(candidate_rows(trace)),
        verdict=verdict(trace),
        seed=trace["seed"],
    )
