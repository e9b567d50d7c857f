"""Fine-tuning methods, one file each; a new one is listed here."""

from tracetune.fitting.methods.adalora import AdaLora
from tracetune.fitting.methods.full import Full
from tracetune.fitting.methods.linear_probe import LinearProbe
from tracetune.fitting.methods.lora import Dora, Lora
from tracetune.fitting.methods.method import METHODS, Adapted, Method, method_named, register_method
from tracetune.fitting.methods.trace import Trace

__all__ = [
    "METHODS",
    "AdaLora",
    "Adapted",
    "Dora",
    "Full",
    "LinearProbe",
    "Lora",
    "Method",
    "Trace",
    "method_named",
    "register_method",
]
