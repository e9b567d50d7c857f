"""The peer: momentfm models with random weights, in the geometries that AutonLab publishes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

GEOMETRIES = {
    "small": {"d_model": 512, "d_ff": 1024, "num_layers": 8, "num_heads": 6},
    "base": {"d_model": 768, "d_ff": 2048, "num_layers": 12, "num_heads": 12},
    "large": {"d_model": 1024, "d_ff": 2816, "num_layers": 24, "num_heads": 16},
}


def moment_config(geometry: dict[str, int], seq_len: int = 512, patch_len: int = 8) -> dict[str, Any]:
    """A config.json as AutonLab publishes it."""
    t5_config = {
        "model_type": "t5",
        "vocab_size": 32128,
        "d_kv": 64,
        "num_decoder_layers": geometry["num_layers"],
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "initializer_factor": 1.0,
        **geometry,
    }
    return {
        "task_name": "reconstruction",
        "model_name": "MOMENT",
        "transformer_type": "encoder_only",
        "transformer_backbone": "google/flan-t5-small",
        "d_model": None,
        "seq_len": seq_len,
        "patch_len": patch_len,
        "patch_stride_len": patch_len,
        "device": "cpu",
        "model_kwargs": {},
        "t5_config": t5_config,
    }


def peer_model(config: dict[str, Any], **model_kwargs: Any) -> Any:
    """A momentfm pipeline with random weights, its forecasting head in place if asked for."""
    pipeline = pytest.importorskip("momentfm.models.moment", reason="momentfm is not installed").MOMENTPipeline
    torch.manual_seed(0)
    model = pipeline(dict(config), model_kwargs={"task_name": "reconstruction", **model_kwargs})
    torch.nn.init.normal_(model.patch_embedding.mask_embedding)
    model.init()
    return model.eval()


def save_peer(model: Any, folder: Path, config: dict[str, Any]) -> Path:
    """Write the peer's weights and config.json as its own ``save_pretrained`` does."""
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    return folder
