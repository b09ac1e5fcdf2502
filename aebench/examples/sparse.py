"""A sparse autoencoder with options: they are axes of a grid like latent and depth.

    aebench run --plugin sparse.py --architecture sparse --latent 64 --epochs 5 \
        --option penalty=0,0.01 --option activation=relu,gelu --optimizer adamw --weight-decay 0.01

In a grid file: options = { penalty = [0.0, 0.01], activation = ["relu", "gelu"] }.
"""

from typing import Literal

from torch import nn
from torch.nn.functional import mse_loss

import aebench
from aebench.architectures.autoencoder import Autoencoder
from aebench.errors import RequestError

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "sigmoid": nn.Sigmoid}


class Sparse(Autoencoder):
    def __init__(self, encoder, decoder, penalty):
        super().__init__(encoder, decoder)
        self.penalty = penalty

    def forward(self, images):
        """Give the code as well, for the loss."""
        code = self.encoder(images)
        return self.decoder(code), code

    def loss(self, images, output):
        """Mean squared error, and the mean absolute value of the code."""
        reconstruction, code = output
        return mse_loss(reconstruction, images) + self.penalty * code.abs().mean()


@aebench.architecture("sparse")
def build(
    shape, latent, depth, *,
    penalty: float = 1e-3, activation: Literal["relu", "gelu", "sigmoid"] = "relu",
):  # fmt: skip
    """One layer to a code that is paid for, and one back."""
    if depth > 1:
        raise RequestError(f"sparse has one layer, and depth {depth} is asked for; leave it out")
    numbers = shape[0] * shape[1] * shape[2]
    down = nn.Sequential(nn.Flatten(), nn.Linear(numbers, latent), ACTIVATIONS[activation]())
    up = nn.Sequential(nn.Linear(latent, numbers), nn.Sigmoid(), nn.Unflatten(1, shape))
    return Sparse(down, up, penalty)
