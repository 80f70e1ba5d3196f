"""SAM's prompts as far as they are used here: the positional encoding, "no mask", points and boxes."""

import math

import torch
from torch import Tensor, nn


class PositionEmbeddingRandom(nn.Module):
    """Random Fourier features of positions (arXiv 2006.10739): (..., 2) x, y in [0, 1] -> (..., dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, dim // 2))
        self.positional_encoding_gaussian_matrix: Tensor

    def forward(self, points: Tensor) -> Tensor:
        frequencies = self.positional_encoding_gaussian_matrix
        x, y = (2 * points.to(frequencies.dtype) - 1).unsqueeze(-1).unbind(-2)
        # Sums of products, not a matrix product: autocast would round that to bfloat16.
        angles = 2 * math.pi * (x * frequencies[0] + y * frequencies[1])
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Prompts as embeddings of width `dim`.

    Args:
        grid: side of the image embedding, in tokens.
        image_size: side of the input image, in pixels.
        points: also hold the point embeddings, for prompting with points and boxes.
    """

    def __init__(self, dim: int, grid: int, image_size: int, *, points: bool = False) -> None:
        super().__init__()
        self.grid = grid
        self.image_size = image_size
        self.pe_layer = PositionEmbeddingRandom(dim)
        self.no_mask_embed = nn.Embedding(1, dim)
        if points:
            # 0 background, 1 foreground, 2 and 3 corners of a box
            self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
            self.not_a_point_embed = nn.Embedding(1, dim)

    def positions(self) -> Tensor:
        """Positional encoding of the image embedding: (1, dim, grid, grid)."""
        device = self.no_mask_embed.weight.device
        centres = (torch.arange(self.grid, device=device) + 0.5) / self.grid
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return self.pe_layer(torch.stack([x, y], dim=-1)).permute(2, 0, 1).unsqueeze(0)

    def no_mask(self) -> Tensor:
        """Dense embedding that says "no mask was given": (1, dim, 1, 1)."""
        return self.no_mask_embed.weight[:, :, None, None]

    def foreground_points(self, points: Tensor) -> Tensor:
        """One foreground point a prompt: (n, 2) x, y in pixels -> (n, 2, dim), the second a "no point"."""
        embedded = self.pe_layer((points + 0.5) / self.image_size) + self.point_embeddings[1].weight
        no_point = self.not_a_point_embed.weight.expand(len(points), -1)
        return torch.stack([embedded, no_point], dim=1)

    def boxes(self, boxes: Tensor) -> Tensor:
        """One box a prompt: (n, 4) left, top, right, bottom in pixels -> (n, 2, dim), its first and last corner."""
        corners = self.pe_layer((boxes.unflatten(1, (2, 2)) + 0.5) / self.image_size)
        return corners + torch.cat([*self.point_embeddings[2:4].parameters()])
