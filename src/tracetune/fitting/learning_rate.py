"""The learning rates of a method on a task: the one that it takes where none is given, and those that "auto" tries."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from tracetune.fitting.methods.method import Method, WeightMethod
from tracetune.tasks.task import LearningRates, RatedTask, Task

if TYPE_CHECKING:
    from tracetune.fitting.config import FitConfig

logger = logging.getLogger(__name__)

AUTO_RATES = (5e-4, 2e-3, 8e-3)  # of adapters; docs/results/next_period.md


def default_rate(method: Method, task: Task) -> float:
    """Return the rate that a method takes on a task where none is given: that of pretrained weights, or of adapters."""
    rates = task.rates if isinstance(task, RatedTask) else LearningRates()
    return rates.weights if isinstance(method, WeightMethod) else rates.adapters


def rates_of(method: Method) -> tuple[float, ...]:
    """Return the learning rates that "auto" tries."""
    return method.auto_rates if isinstance(method, WeightMethod) else AUTO_RATES


def with_rate(config: "FitConfig", task: Task) -> "FitConfig":
    """Return a configuration with the method's own learning rate where none is given; heads alone need none."""
    method = config.method
    if config.training.learning_rate is not None or not method.adapts_backbone:
        return config
    rate = default_rate(method, task)
    logger.info("Method %s takes a learning rate of %g for %s.", method.name, rate, task.name)
    return at_rate(config, rate)


def at_rate(config: "FitConfig", rate: float) -> "FitConfig":
    """Return a configuration with another learning rate."""
    return replace(config, training=replace(config.training, learning_rate=rate))
