"""Small PEFT LoRA models with known answers."""

from collections.abc import Callable

import peft
import torch
from torch import Tensor, nn

torch.set_num_threads(1)


class Game(nn.Module):
    """M one-by-one linear layers with weight zero; with LoRA, layer m outputs its own gate for an input of one."""

    def __init__(self, modules: int, loss: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.players = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(modules)])
        for layer in self.players:
            nn.init.zeros_(layer.weight)
        self.loss = loss

    def forward(self, ones: Tensor) -> dict[str, Tensor]:
        """Losses [B] from inputs of ones [B, 1]."""
        gates = torch.cat([layer(ones) for layer in self.players], dim=1)  # [B, M]
        losses = self.loss(gates)
        return {"loss": losses.mean(), "sample_losses": losses}


def game(modules: int, loss: Callable[[Tensor], Tensor]) -> nn.Module:
    """A PEFT model whose loss [B] is ``loss`` of its gates [B, M]."""
    config = peft.LoraConfig(r=1, lora_alpha=1, target_modules=[f"players.{index}" for index in range(modules)])
    model = peft.get_peft_model(Game(modules, loss), config)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            nn.init.ones_(weight)
    return model


def ones(samples: int, batches: int = 1) -> list[dict[str, Tensor]]:
    """Batches for a Game."""
    return [{"ones": torch.ones(samples, 1)} for _ in range(batches)]


class Forecaster(nn.Module):
    """Two blocks over tokens and a head; channels are folded into the rows of the layers."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Linear(4, width)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"up": nn.Linear(width, width), "down": nn.Linear(width, width)}) for _ in range(2)
        )
        self.head = nn.Linear(width, 1)
        self.dropout = nn.Dropout(0.5)

    def block(self, index: int, hidden: Tensor) -> Tensor:
        """One residual block, [R, N, D] to [R, N, D]."""
        layers = self.blocks[index]
        return hidden + layers["down"](self.dropout(torch.tanh(layers["up"](hidden))))

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Losses [B] from x [B, C, N, 4] and y [B, C]."""
        samples, channels = x.shape[:2]
        hidden = self.embed(x.flatten(0, 1))  # [B * C, N, D]
        for index in range(2):
            hidden = self.block(index, hidden)
        forecast = self.head(hidden.mean(dim=1)).view(samples, channels)
        losses = (forecast - y).square().mean(dim=1)
        return {"loss": losses.mean(), "sample_losses": losses}


def lora_forecaster(seed: int = 0, **options: object) -> peft.PeftModel:
    """A Forecaster with LoRA of random weights on its four block layers; the head trains in full."""
    torch.manual_seed(seed)
    defaults = {"r": 2, "lora_alpha": 4, "target_modules": ["up", "down"], "modules_to_save": ["head"]}
    config = peft.LoraConfig(**{**defaults, "init_lora_weights": False, **options})
    return peft.get_peft_model(Forecaster(), config)


def forecast_batches(sizes: tuple[int, ...] = (6, 6), channels: int = 3, seed: int = 1) -> list[dict[str, Tensor]]:
    """Batches for a Forecaster."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {"x": torch.randn(n, channels, 5, 4, generator=generator), "y": torch.randn(n, channels, generator=generator)}
        for n in sizes
    ]
