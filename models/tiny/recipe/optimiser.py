"""Muon for the hidden matrices, AdamW for embedding and norms, and the learning-rate schedule."""

from collections.abc import Iterable

import torch

from model import Tiny


@torch.no_grad()
def orthogonal(gradient: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Newton-Schulz iteration: the nearest (semi-)orthogonal matrix, roughly."""
    x = gradient.to(torch.bfloat16)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update is orthogonalised."""

    def __init__(self, params: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.01):
        super().__init__(params, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                buffer = self.state[p].setdefault("m", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - momentum)
                update = orthogonal(p.grad.lerp(buffer, momentum))
                p.mul_(1 - lr * group["decay"])
                p.add_(update, alpha=-lr * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def optimisers(model: Tiny, lr_muon: float, lr_adam: float) -> list[torch.optim.Optimizer]:
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and name != "embed"]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or name == "embed"]
    return [Muon(hidden, lr_muon), torch.optim.AdamW(rest, lr_adam, betas=(0.9, 0.95), weight_decay=0.0)]


def schedule(step: int, steps: int, tail: float, warm_up: int = 60) -> float:
    """Factor on the learning rate: a short rise, flat, then linear to zero over the share `tail` of the steps."""
    return min(1.0, (step + 1) / warm_up) * min(1.0, (steps - step) / (steps * tail))
