"""Tiny llama-architecture language model (RMSNorm, SwiGLU, RoPE, GQA, tied embeddings).

The rotary embedding rotates *adjacent* pairs (x[2i], x[2i+1]).  That is the
convention llama.cpp uses for the "llama" architecture, so the exported Q/K
weights need no permutation.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from paths import checkpoint_path


@dataclass
class Config:
    vocab: int = 1024
    dim: int = 256
    layers: int = 5
    heads: int = 4
    kv_heads: int = 2
    ff: int = 640
    ctx: int = 1024
    rope_base: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads


MAIN = Config()
DRAFT = Config(dim=128, layers=4, heads=2, kv_heads=1, ff=320)


class Linear(nn.Module):
    """Bias-free linear layer with an optional LoRA branch; fp32 master weight."""

    def __init__(self, n_in: int, n_out: int, std: float):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) * std)
        self.lora_a: nn.Parameter | None = None
        self.lora_b: nn.Parameter | None = None
        self.lora_scale = 0.0

    def add_lora(self, rank: int, alpha: float) -> None:
        n_out, n_in = self.weight.shape
        self.lora_a = nn.Parameter(torch.randn(rank, n_in) / n_in**0.5)
        self.lora_b = nn.Parameter(torch.zeros(n_out, rank))
        self.lora_scale = alpha / rank

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.linear(x, self.weight.to(x.dtype))
        if self.lora_a is not None:
            y = y + F.linear(F.linear(x, self.lora_a.to(x.dtype)), self.lora_b.to(x.dtype)) * self.lora_scale
        return y


class Norm(nn.Module):
    """RMSNorm, computed in fp32."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        f = x.float()
        return (f * torch.rsqrt(f.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


def rope_tables(cfg: Config) -> tuple[torch.Tensor, torch.Tensor]:
    inverse = cfg.rope_base ** (-torch.arange(0, cfg.head_dim, 2).float() / cfg.head_dim)
    angles = torch.outer(torch.arange(cfg.ctx).float(), inverse)
    return angles.cos(), angles.sin()


def apply_rope(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate the adjacent pairs of x, shaped (batch, time, heads, head_dim)."""
    b, t, h, d = x.shape
    p = x.float().view(b, t, h, d // 2, 2)
    c, s = cos[:t].view(1, t, 1, d // 2), sin[:t].view(1, t, 1, d // 2)
    return torch.stack((p[..., 0] * c - p[..., 1] * s, p[..., 0] * s + p[..., 1] * c), -1).view(b, t, h, d).to(x.dtype)


class Block(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.cfg = cfg
        d, hd = cfg.dim, cfg.head_dim
        std = d**-0.5 * 0.7
        out_std = std / (2 * cfg.layers) ** 0.5
        self.attn_norm = Norm(d, cfg.eps)
        self.q = Linear(d, cfg.heads * hd, std)
        self.k = Linear(d, cfg.kv_heads * hd, std)
        self.v = Linear(d, cfg.kv_heads * hd, std)
        self.o = Linear(cfg.heads * hd, d, out_std)
        self.ffn_norm = Norm(d, cfg.eps)
        self.gate = Linear(d, cfg.ff, std)
        self.up = Linear(d, cfg.ff, std)
        self.down = Linear(cfg.ff, d, out_std)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attn_norm(x), cos, sin, mask)
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))

    def attention(self, h: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Causal attention with grouped key/value heads.

        Written out because at these short lengths it is much faster on a CPU than the
        backward pass of F.scaled_dot_product_attention.
        """
        b, t, d = h.shape
        c = self.cfg
        q = apply_rope(self.q(h).view(b, t, c.heads, c.head_dim), cos, sin).transpose(1, 2)
        k = apply_rope(self.k(h).view(b, t, c.kv_heads, c.head_dim), cos, sin).transpose(1, 2)
        v = self.v(h).view(b, t, c.kv_heads, c.head_dim).transpose(1, 2)
        group = c.heads // c.kv_heads
        # Fold the group into time: all queries of one key/value head in one matrix product.
        q = q.reshape(b, c.kv_heads, group * t, c.head_dim)
        scores = (q @ k.transpose(-1, -2)).view(b, c.kv_heads, group, t, t)
        scores = scores.float() * c.head_dim**-0.5 + mask[:t, :t]
        shares = torch.softmax(scores, -1).to(h.dtype).view(b, c.kv_heads, group * t, t)
        mixed = (shares @ v).view(b, c.heads, t, c.head_dim)
        return self.o(mixed.transpose(1, 2).reshape(b, t, d))


class Tiny(nn.Module):
    def __init__(self, cfg: Config, dtype: torch.dtype = torch.bfloat16):
        super().__init__()
        self.cfg, self.dtype = cfg, dtype
        self.embed = nn.Parameter(torch.randn(cfg.vocab, cfg.dim) * 0.05)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm = Norm(cfg.dim, cfg.eps)
        cos, sin = rope_tables(cfg)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        mask = torch.full((cfg.ctx, cfg.ctx), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = F.embedding(ids, self.embed).to(self.dtype)
        for block in self.blocks:
            x = block(x, self.cos, self.sin, self.mask)
        return F.linear(self.norm(x), self.embed.to(self.dtype))

    def loss(self, ids: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        logits = self(ids).float().view(-1, self.cfg.vocab)
        losses = F.cross_entropy(logits, targets.reshape(-1), reduction="none")
        flat = weights.reshape(-1)
        return (losses * flat).sum() / flat.sum()

    def n_params(self) -> int:
        return sum(p.numel() for p in self.parameters())


def load_checkpoint(name: str) -> dict[str, Any]:
    return torch.load(checkpoint_path(name))


def load_model(name: str) -> Tiny:
    checkpoint = load_checkpoint(name)
    model = Tiny(Config(**checkpoint["cfg"]))
    model.load_state_dict(checkpoint["model"])
    return model
