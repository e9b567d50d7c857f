"""KappaTune as a score: the condition numbers of the frozen weights."""

from collections.abc import Iterable

import numpy as np
from torch import nn

from tracetune.base.errors import InputError
from tracetune.selection.gates import Gates
from tracetune.selection.scores.score import ScoreValues, register_score
from tracetune.selection.validation import AnyBatch, LossFunction


@register_score("kappa", passes=0.0, signed=False)
def kappa(gates: Gates, batches: Iterable[AnyBatch], loss_fn: LossFunction) -> ScoreValues:
    """Rank layers by KappaTune: frozen weights with the lowest condition numbers first; no data are read.

    PEFT's own selector ranks the base layers; a layer scores minus its place in that ranking. Layers that the
    selector does not analyse (not ``nn.Linear``, or larger than 16384) come last.

    Raises:
        InputError: the installed PEFT has no KappaTune.
    """
    try:
        from peft.helpers import KappaTuneSelector
    except ImportError as error:
        raise InputError(
            "Score 'kappa' needs PEFT's KappaTune. Install peft>=0.19, or choose another score."
        ) from error
    layers = nn.ModuleList([layer.get_base_layer() for layer in gates.layers.values()])
    ranking = KappaTuneSelector(layers, show_progress=False).get_best_targets()
    values = np.full(gates.M, -float(gates.M))
    for place, name in enumerate(ranking):
        values[int(name)] = -float(place)
    return ScoreValues(values, None, samples=0, forward_equivalents=0.0)
