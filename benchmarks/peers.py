"""The peer to compare with: momentfm (pip install --no-deps momentfm, its pins are stale), with weights of ours."""

from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from tracetune.backbones.moment import Moment, MomentConfig

GEOMETRIES: dict[str, dict[str, int]] = {  # of AutonLab/MOMENT-1-*
    "small": {"d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8, "num_heads": 6},
    "base": {"d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12},
    "large": {"d_model": 1024, "d_kv": 64, "d_ff": 2816, "num_layers": 24, "num_heads": 16},
}


def random_moment(geometry: str, *, dropout: float = 0.1, **config: Any) -> Moment:
    """Return a backbone of one of MOMENT's published geometries with random weights: enough to measure speed.

    Args:
        geometry: a name in `GEOMETRIES`.
        dropout: share of activations that training drops.
        config: further fields of `MomentConfig`.
    """
    t5_config = {"model_type": "t5", "feed_forward_proj": "gated-gelu", "dropout_rate": dropout}
    torch.manual_seed(0)
    return Moment(MomentConfig(t5_config={**t5_config, **GEOMETRIES[geometry]}, **config)).eval()


class MomentfmForecaster(nn.Module):
    """momentfm's forecasting model under the batches and outputs of ours; its head is the linear probe."""

    def __init__(self, backbone: Moment, prediction_length: int) -> None:
        super().__init__()
        from momentfm.models.moment import MOMENTPipeline

        config = {
            "task_name": "forecasting",
            "model_name": "MOMENT",
            "transformer_type": "encoder_only",
            "transformer_backbone": "google/flan-t5-small",
            "seq_len": backbone.context_length,
            "patch_len": backbone.patch_length,
            "patch_stride_len": backbone.patch_length,
            "d_model": backbone.width,
            "device": "cpu",
            "t5_config": {"vocab_size": 2, "num_decoder_layers": 1, **backbone.config.t5_config},
        }
        options = {"task_name": "forecasting", "forecast_horizon": prediction_length, "head_dropout": 0.1}
        self.moment = MOMENTPipeline(config, model_kwargs=options)
        self.moment.init()
        parameters = dict(self.moment.named_parameters())
        for name, tensor in backbone.named_parameters():
            if not name.startswith("reconstruction."):
                parameters[name].data.copy_(tensor)

    def forward(self, past_values: Tensor, input_mask: Tensor, future_values: Tensor, future_mask: Tensor) -> Any:
        """Return the mean squared error over the observed future, as ``loss``."""
        forecast = self.moment(x_enc=past_values, input_mask=input_mask[:, 0]).forecast
        errors = (forecast - future_values).square() * future_mask
        losses = errors.flatten(1).sum(1) / future_mask.flatten(1).sum(1).clamp(min=1)
        return {"loss": losses.mean(), "sample_losses": losses}


def momentfm_lora(backbone: Moment, prediction_length: int, targets: tuple[str, ...], rank: int) -> PeftModel:
    """Return momentfm under PEFT; unlike in its tutorial the head is trained."""
    model = MomentfmForecaster(backbone, prediction_length)
    # PEFT matches the ends of names, and "o" or "q" must not match anything outside of the encoder.
    layers = "|".join(targets)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=rf"moment\.encoder\..*\.({layers})", modules_to_save=["head"]
    )
    return get_peft_model(model, config)


ALL_LINEAR = ("q", "k", "v", "o", "wi_0", "wi_1", "wo")
