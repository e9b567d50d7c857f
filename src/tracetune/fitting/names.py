"""Names of candidates, of starts and of other choices in the configuration of a fit."""

ZERO_SHOT, HEAD, BEST = "zero-shot", "head", "best"
STARTS = (BEST, HEAD, ZERO_SHOT)
GRADIENT, SOLVED, KEPT = "gradient", "solved", "kept"
HEAD_STARTS = (GRADIENT, SOLVED, KEPT)
TOGETHER, MODULES, NONE = "together", "modules", "none"
SHRINKS = (TOGETHER, MODULES, NONE)
VALIDATIONS = ("rolling", "last")
LEARNING_RATES = "learning_rates"  # as a phase of a fit: those that were tried
CACHE_DTYPES = (None, "float32", "bfloat16")
