"""Foundation models behind one protocol, and the registry of their names."""

from tracetune.backbones.backbone import Backbone, InstanceStatistics
from tracetune.backbones.loading import MODELS, load_backbone, weights_digest
from tracetune.backbones.moment import Moment, MomentConfig

__all__ = ["MODELS", "Backbone", "InstanceStatistics", "Moment", "MomentConfig", "load_backbone", "weights_digest"]
