"""Forecasters side by side over the same windows, with exact means (no window dropped, none counted twice)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from tracetune.evaluation.baselines import repeat_last, seasonal_naive
from tracetune.evaluation.metrics import MetricAccumulator

BatchForecaster = Callable[[Mapping[str, Tensor]], Tensor]
