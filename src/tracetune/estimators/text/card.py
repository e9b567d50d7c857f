"""The README.md of a saved text classifier: what it is, how to load it, how its candidates did."""

from tracetune.base.json_types import JsonObject
from tracetune.estimators.named_classes import never_named_on_validation
from tracetune.estimators.text.seen_texts import repeated_sentence
from tracetune.report.candidates import candidate_rows, verdict
from tracetune.report.tables import markdown_table

_CARD = """---
base_model: {base}
library_name: peft
tags:
- text-classification
- tracetune
---

# {base}, fine-tuned to classify texts with tracetune ({method})

Tells {count} classes apart ({classes}) by {what} of at most {max_length} tokens{layers}.

```python
from tracetune import TextClassifier

classifier = TextClassifier.from_pretrained("this/folder")
probabilities = classifier.predict({example})
```

## Candidates on validation (cross-entropy)

{candidates}

{verdict} {repeated}{never}Seed {seed}. Everything else about the run is in `trace.json`.
"""


def text_classifier_card(trace: JsonObject) -> str:
    """Return the card of a fit, from its record."""
    data = trace["data"]
    repeated = repeated_sentence(data.get("repeated", 0), data["validation_samples"])
    return _CARD.format(
        base=trace["base_model"]["name"],
        method=trace["method"],
        count=len(trace["classes"]),
        classes=", ".join(trace["classes"][:20]),
        what="pairs of texts" if trace["pairs"] else "texts",
        max_length=trace["max_length"],
        layers=f", read by the first {trace['layers']} layers of the encoder" if trace.get("layers") else "",
        example='[("one text", "another text")]' if trace["pairs"] else '["a text"]',
        candidates=markdown_table(candidate_rows(trace)),
        verdict=verdict(trace),
        repeated=f"{repeated} " if repeated else "",
        never=never_named_on_validation(trace),
        seed=trace["seed"],
    )
