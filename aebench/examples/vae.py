"""A variational autoencoder: a loss of its own, and a forward pass that gives it what it needs.

    aebench run --plugin vae.py --architecture vae --latent 20 --learning-rate 1e-3 \
        --order shuffled --epochs 7

Model and training are those of PyTorch's own example (pytorch/examples, vae/main.py): 400 units
between image and code, cross-entropy and Kullback-Leibler divergence in nats per image. Its log
says 107.6 of the seventh epoch (github.com/pytorch/examples, pull request 1416); here `train_loss`
ends at 108.3, with 55,000 training images instead of 60,000, and the test MSE at 0.0103, where PCA
with 20 numbers has 0.0235.

D. P. Kingma, M. Welling: Auto-Encoding Variational Bayes (ICLR 2014), equation 10.
"""

from itertools import pairwise

from torch import exp, nn, randn_like
from torch.nn.functional import binary_cross_entropy

import aebench


def hidden(widths):
    """Layers with these widths between them."""
    return [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]


class VAE(nn.Module):
    def __init__(self, shape, latent, widths):
        super().__init__()
        # Gives the means: they are the code, and what is counted as the bottleneck.
        self.encoder = nn.Sequential(nn.Flatten(), *hidden(widths), nn.Linear(widths[-1], latent))
        self.log_variance = nn.Linear(widths[-1], latent)
        self.decoder = nn.Sequential(
            *hidden([latent, *widths[:0:-1]]),
            nn.Linear(widths[1], widths[0]), nn.Sigmoid(), nn.Unflatten(1, shape),
        )  # fmt: skip

    def forward(self, images):
        """The reconstruction comes first; the loss is given all of it."""
        features = self.encoder[:-1](images)
        mean, log_variance = self.encoder[-1](features), self.log_variance(features)
        code = mean
        if self.training:
            code = mean + randn_like(mean) * exp(log_variance / 2)
        return self.decoder(code), mean, log_variance

    def loss(self, images, output):
        """Negative evidence lower bound, nats per image."""
        reconstruction, mean, log_variance = output
        error = binary_cross_entropy(reconstruction, images, reduction="sum")
        divergence = (mean.square() + exp(log_variance) - 1 - log_variance).sum() / 2
        return (error + divergence) / len(images)


@aebench.architecture("vae")
def build(shape, latent, depth, *, width=400):
    """Variational autoencoder with depth hidden layers of `width` units on either side."""
    return VAE(shape, latent, [shape[0] * shape[1] * shape[2], *[width] * depth])
