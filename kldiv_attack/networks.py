"""Torch modules of victims, judges and attackers; no training code.

Every network sees images in [0, 1]; normalisation belongs to ``forward``.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

ImageShape = tuple[int, int, int]


class VictimNetwork(nn.Module):
    """Strided convolutions with ReLU; the classifier under attack.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width; each side at least 8.
    n_classes : int
        Number of outputs.
    width : int, default=16
        Channels of the first convolution.
    """

    def __init__(self, image_shape: ImageShape, n_classes: int, width: int = 16):
        super().__init__()
        channels, height, self.n_features = image_shape[0], image_shape[1:], 64
        stages = max(1, round(math.log2(min(height) / 7)))
        layers: list[nn.Module] = []
        for stage in range(stages):
            out = width * 2 ** min(stage, 2)
            kernel = 5 if stage == 0 else 3
            layers += [
                nn.Conv2d(channels, out, kernel, 2, kernel // 2),
                nn.BatchNorm2d(out),
                nn.ReLU(),
            ]
            channels = out
        shrunk = [math.ceil(side / 2**stages) for side in height]
        self.body = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(channels * shrunk[0] * shrunk[1], self.n_features),
            nn.ReLU(),
        )
        self.head = nn.Linear(self.n_features, n_classes)

    def features(self, images: Tensor) -> Tensor:
        """Values before the last layer, shape (n, n_features)."""
        return self.body(images * 2 - 1)  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images in [0, 1]."""
        return self.head(self.features(images))  # type: ignore[no-any-return]


class JudgeNetwork(nn.Module):
    """Even convolutions with GELU and pooling: no layer in common with the victim.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width; each side at least 8.
    n_classes : int
        Number of outputs.
    width : int, default=16
        Channels of the first convolution.
    """

    def __init__(self, image_shape: ImageShape, n_classes: int, width: int = 16):
        super().__init__()
        self.n_features = 64
        stages = max(1, round(math.log2(min(image_shape[1:]) / 7)))
        layers: list[nn.Module] = []
        channels = image_shape[0]
        for stage in range(stages + 1):
            out = width * min(stage + 1, 3)
            kernel, stride = (4, 2) if stage < stages else (3, 1)
            layers += [
                nn.Conv2d(channels, out, kernel, stride, 1),
                nn.BatchNorm2d(out),
                nn.GELU(),
            ]
            channels = out
        self.body = nn.Sequential(
            *layers,
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Linear(channels * 9, self.n_features),
            nn.GELU(),
        )
        self.head = nn.Linear(self.n_features, n_classes)

    def features(self, images: Tensor) -> Tensor:
        """Values before the last layer, shape (n, n_features)."""
        return self.body(images * 2 - 1)  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images in [0, 1]."""
        return self.head(self.features(images))  # type: ignore[no-any-return]


class PerceptronNetwork(nn.Module):
    """Dense layers alone, which see no neighbourhood of pixels.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    n_classes : int
        Number of outputs.
    width : int, default=64
        A quarter of the first layer's outputs.
    """

    def __init__(self, image_shape: ImageShape, n_classes: int, width: int = 64):
        super().__init__()
        self.n_features = 64
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(image_shape), 4 * width),
            nn.LayerNorm(4 * width),
            nn.SiLU(),
            nn.Linear(4 * width, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, self.n_features),
            nn.SiLU(),
        )
        self.head = nn.Linear(self.n_features, n_classes)

    def features(self, images: Tensor) -> Tensor:
        """Values before the last layer, shape (n, n_features)."""
        return self.body(images * 2 - 1)  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images in [0, 1]."""
        return self.head(self.features(images))  # type: ignore[no-any-return]


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "victim": VictimNetwork,
    "judge": JudgeNetwork,
    "perceptron": PerceptronNetwork,
}


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift are linear in the condition.

    The condition is a probability vector, so a soft response interpolates between
    the classes (de Vries et al., 2017, with a linear map for the embedding).

    Parameters
    ----------
    channels : int
        Channels of the images.
    n_classes : int
        Length of the condition; 0 makes it a plain batch normalisation.
    """

    def __init__(self, channels: int, n_classes: int):
        super().__init__()
        self.conditional = n_classes > 0
        self.norm = nn.BatchNorm2d(channels, affine=not self.conditional)
        if self.conditional:
            self.affine = nn.Linear(n_classes, 2 * channels)
            nn.init.zeros_(self.affine.weight)
            with torch.no_grad():
                self.affine.bias[:channels] = 1
                self.affine.bias[channels:] = 0

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        """Normalise, then scale and shift by the condition."""
        normed: Tensor = self.norm(images)
        if not self.conditional:
            return normed
        scale, shift = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, normed, scale)


def halvings(image_shape: ImageShape) -> int:
    """How often a network of a GAN halves the sides of images, or doubles them.

    Two times, which small images and those of MNIST want, and more where that leaves
    more than some seven pixels of the shorter side and both sides allow it.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width; sides are multiples of 4.

    Returns
    -------
    int
        At least 2.
    """
    sides = image_shape[1:]
    wanted = max(2, round(math.log2(min(sides) / 7)))
    while wanted > 2 and any(side % 2**wanted for side in sides):
        wanted -= 1
    return wanted


class Generator(nn.Module):
    """Image from noise and a probability vector.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width; sides are multiples of 4.
    n_classes : int
        Length of the condition.
    n_noise : int, default=64
        Length of the noise.
    width : int, default=48
        Channels at a quarter of the size.
    conditional_norm : bool, default=True
        Condition the batch normalisations as well as the input.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        n_classes: int,
        n_noise: int = 64,
        width: int = 48,
        conditional_norm: bool = True,
    ):
        super().__init__()
        channels, height, broad = image_shape
        self.n_noise = n_noise
        times = halvings(image_shape)
        inner = width * 2 ** (times - 2)
        self.start = (inner, height // 2**times, broad // 2**times)
        condition = n_classes if conditional_norm else 0
        self.dense = nn.Sequential(
            nn.Linear(n_noise + n_classes, 256),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Linear(256, math.prod(self.start)),
        )
        self.norms, self.ups = nn.ModuleList(), nn.ModuleList()
        for left in reversed(range(times)):
            outer = inner // 2 if left else channels
            self.norms.append(ConditionalBatchNorm(inner, condition))
            self.ups.append(nn.ConvTranspose2d(inner, outer, 4, 2, 1))
            inner = outer

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Images in [0, 1]."""
        hidden = self.dense(torch.cat([noise, condition], 1))
        hidden = hidden.view(-1, *self.start)
        for norm, up in zip(self.norms, self.ups, strict=True):
            hidden = up(F.relu(norm(hidden, condition)))
        return torch.sigmoid(2 * hidden)  # (1 + tanh) / 2


class Discriminator(nn.Module):
    """Score of (image, condition) pairs; larger means real.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width; sides are multiples of 4.
    n_classes : int
        Length of the condition.
    width : int, default=32
        Channels at a quarter of the size.
    conditioning : {"projection", "concat", "acgan", "none"}, default="projection"
        Inner product of the condition with the features (Miyato and Koyama, 2018);
        the condition as constant image planes (the original conditional GAN); a
        score of the image alone beside a classifier of it (Odena et al., 2017); or
        the score of the image alone.
    normalise : bool, default=True
        Spectral normalisation of every layer (Miyato et al., 2018).
    """

    def __init__(
        self,
        image_shape: ImageShape,
        n_classes: int,
        width: int = 32,
        conditioning: str = "projection",
        normalise: bool = True,
    ):
        super().__init__()
        channels, height, broad = image_shape
        self.conditioning = conditioning
        wrap = spectral_norm if normalise else _unchanged
        inputs = channels + (n_classes if conditioning == "concat" else 0)
        self.downs = nn.ModuleList()
        times = halvings(image_shape)
        for outer in (width // 2, *(width * 2**time for time in range(times - 1))):
            self.downs.append(wrap(nn.Conv2d(inputs, outer, 4, 2, 1)))
            inputs = outer
        left = (height >> times) * (broad >> times)
        self.dense = wrap(nn.Linear(inputs * left, 128))
        self.score = wrap(nn.Linear(128, 1))
        if conditioning == "projection":
            self.embed = wrap(nn.Linear(n_classes, 128, bias=False))
        if conditioning == "acgan":
            self.classify = wrap(nn.Linear(128, n_classes))

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scores of shape (n,)."""
        return self.judge(images, condition)[0]

    def judge(
        self, images: Tensor, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Scores of shape (n,), and the logits of an ``"acgan"``."""
        images = images * 2 - 1
        if self.conditioning == "concat" and condition is not None:
            planes = condition[:, :, None, None].expand(-1, -1, *images.shape[2:])
            images = torch.cat([images, planes], 1)
        hidden = images
        for down in self.downs:
            hidden = F.leaky_relu(down(hidden), 0.2)
        hidden = F.leaky_relu(self.dense(hidden.flatten(1)), 0.2)
        score: Tensor = self.score(hidden).squeeze(1)
        if self.conditioning == "projection" and condition is not None:
            score = score + (self.embed(condition) * hidden).sum(1)
        return score, self.classify(hidden) if self.conditioning == "acgan" else None


def _unchanged(module: nn.Module) -> nn.Module:
    return module


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch for the initial values of networks, then put its state back."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
