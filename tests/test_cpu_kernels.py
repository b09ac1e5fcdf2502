"""Every form against float64; what must be left to torch; equal training; an untouched model."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from aebench.architectures.autoencoder import Autoencoder, PerChannel, build
from aebench.datasets import pool
from aebench.engines import chain, cpu_kernels, eager, reference, training
from aebench.evaluation import reconstruction
from aebench.job import Job
from aebench.worker import run_job

pytestmark = pytest.mark.skipif(
    not cpu_kernels.available(), reason="this torch has no oneDNN products to compare"
)
CPU = torch.device("cpu")
FEW = cpu_kernels._FEW_CHANNELS
ACTIVATIONS = [[], [nn.ReLU()], [nn.Sigmoid()]]
LINEAR = [  # batch shape, inputs, outputs
    ((128,), 64, 16),
    ((1,), 7, 3),
    ((5,), 33, 2),
    ((3,), 2, 17),
    ((2, 3), 5, 4),
]
CONV = [  # layer, input channels, output channels, kernel, image [N, H, W]
    (nn.Conv2d, 1, 16, 3, (4, 8, 8)),
    (nn.Conv2d, 1, 1, 3, (2, 28, 28)),
    (nn.Conv2d, 3, 16, 3, (1, 9, 7)),
    (nn.Conv2d, 16, 128, 3, (3, 6, 5)),
    (nn.Conv2d, 17, 2, (2, 5), (3, 6, 11)),
    (nn.ConvTranspose2d, 16, FEW + 1, 3, (4, 6, 6)),
    (nn.ConvTranspose2d, 16, 33, (2, 5), (3, 5, 7)),
    (nn.ConvTranspose2d, 16, 1, 3, (4, 6, 6)),
    (nn.ConvTranspose2d, 1, 1, 3, (2, 26, 26)),
    (nn.ConvTranspose2d, 16, 3, 3, (1, 7, 5)),
    (nn.ConvTranspose2d, 128, 3, 3, (3, 4, 6)),
    (nn.ConvTranspose2d, 2, FEW, (2, 5), (3, 5, 7)),
]


def autoencoder(*modules):
    """`modules` as a model; that the contract on its output is broken, no kernel asks."""
    return Autoencoder(nn.Sequential(*modules), nn.Sequential())


def gradients(model, x, target, plan=None):
    """Loss and gradients of the parameters, float64, by autograd or by `plan`."""
    model.zero_grad()
    if plan:
        loss = torch.tensor(plan.step(x, target))
    else:
        loss = mse_loss(model(x), target)
        loss.backward()
    return [loss.detach().double(), *(p.grad.detach().double() for p in model.parameters())]


def check(model, x):
    """The plan, float32, is as close to float64 as rounding lets it; gives what computed."""
    plan = chain.plan(model, x.shape[1:])
    target = torch.rand(model(x).shape, generator=torch.Generator().manual_seed(5))
    exact = gradients(copy.deepcopy(model).double(), x.double(), target.double())
    scale = max(float(grad.abs().max()) for grad in exact[1:])  # a bias's may cancel to nothing
    for right, ours in zip(exact, gradients(model, x, target, plan), strict=True):
        assert ours.shape == right.shape
        torch.testing.assert_close(ours, right, rtol=1e-6, atol=3e-6 * scale)
    return plan.kernels


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), LINEAR)
def test_linear_gives_the_gradients_of_float64(rows, inputs, outputs, bias, activation):
    torch.manual_seed(1)
    # The layer in front shows the gradient of the input.
    layers = [nn.Linear(3, inputs), nn.Linear(inputs, outputs, bias=bias)]
    assert check(autoencoder(*layers, *activation), torch.randn(*rows, 3)) == "linear=onednn"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "inputs", "outputs", "kernel", "image"), CONV)
def test_convolutions_give_the_gradients_of_float64(
    kind, inputs, outputs, kernel, image, bias, activation, layout
):
    torch.manual_seed(2)
    layers = [nn.Conv2d(2, inputs, 1), kind(inputs, outputs, kernel, bias=bias), *activation]
    model = autoencoder(*layers).to(memory_format=layout)
    n, h, w = image
    kernels = check(model, torch.randn(n, 2, h, w).contiguous(memory_format=layout))
    assert "torch" not in kernels
    word = "product" if outputs <= FEW else "onednn"
    assert (f"conv_transpose={word}" in kernels) == (kind is nn.ConvTranspose2d)


@pytest.mark.parametrize("first", [True, False], ids=["first", "inside"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("channels", "kernel", "other", "image"),
    [
        (16, 3, 3, (4, 8, 8)),
        (1, 3, 3, (2, 28, 28)),
        (5, (2, 4), (3, 1), (3, 7, 9)),
        (2, 1, 1, (1, 4, 4)),
    ],
)
def test_a_convolution_from_one_channel_and_its_transpose(
    channels, kernel, other, image, bias, activation, first
):
    torch.manual_seed(9)
    layers = [
        nn.Conv2d(1, channels, kernel, bias=bias),
        *activation,
        nn.ConvTranspose2d(channels, 1, other, bias=bias),
        *activation,
    ]
    n, h, w = image
    if first:  # nobody asks for the gradient of the images
        kernels, expected = check(autoencoder(*layers), torch.randn(n, 1, h, w)), "product"
    else:
        model = autoencoder(nn.Conv2d(2, 1, 1), *layers)
        kernels, expected = check(model, torch.randn(n, 2, h, w)), "onednn+product"
    assert kernels == f"conv={expected} conv_transpose=product"


@pytest.mark.parametrize("inputs", [1, 2, 8])
@pytest.mark.parametrize("outputs", [1, 2, 8])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        {"padding": 1},
        {"dilation": 2},
        {"groups": 2},
        {"stride": (1, 2), "padding": (2, 0)},
        {"stride": 2, "padding": 1, "output_padding": 1},
    ],
    ids=str,
)
def test_strides_padding_dilation_and_groups(kind, inputs, outputs, options):
    torch.manual_seed(10)
    inputs, outputs = (channels * options.get("groups", 1) for channels in (inputs, outputs))
    if "output_padding" in options and kind is nn.Conv2d:
        options = {"stride": 2, "padding": 1}
    layer = kind(inputs, outputs, 3, **options)
    kernels = check(autoencoder(nn.Conv2d(2, inputs, 1), layer, nn.ReLU()), torch.rand(3, 2, 9, 8))
    assert "product" not in kernels
    assert "torch" not in kernels


class Half(nn.Linear):
    """A layer of a user's: known by inheritance, not by meaning."""

    def forward(self, x):
        return super().forward(x) / 2


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (nn.Conv2d(2, 4, 3, padding="same"), "conv=onednn+torch"),
        (nn.Conv2d(2, 4, 3, padding_mode="circular", padding=1), "conv=onednn+torch"),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 4, 3)), "conv=onednn other=torch"),
        (nn.Sequential(nn.Flatten(), Half(128, 3)), "conv=onednn other=torch"),
        (nn.Sequential(nn.Flatten(), nn.Linear(128, 1)), "conv=onednn linear=torch"),
        (nn.Sequential(nn.BatchNorm2d(2), nn.Sigmoid()), "conv=onednn other=torch"),
        (nn.Sequential(nn.ReLU(), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0)), "conv=onednn"),
        (nn.ELU(inplace=True), "conv=onednn"),
        (nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(inplace=True)), "conv=onednn other=torch"),
    ],
    ids=str,
)
def test_other_layers_are_left_to_torch_one_by_one(layer, word):
    torch.manual_seed(3)
    model = autoencoder(nn.Conv2d(1, 2, 1), layer, nn.Sigmoid())
    assert check(model, torch.randn(3, 1, 8, 8)) == word


class Doubled(Autoencoder):
    """A model of a user's that does more than encode and decode."""

    def forward(self, images):
        return 2 * super().forward(images)


def test_models_without_a_known_layer_are_torchs(monkeypatch):
    layer = nn.Linear(4, 4)
    assert chain.plan(Doubled(layer, nn.Sequential()), (4,)) is None
    assert chain.plan(autoencoder(nn.Tanh()), (4,)) is None
    assert chain.plan(copy.deepcopy(autoencoder(layer)).double(), (4,)) is None
    assert chain.plan(autoencoder(layer), (4,)).kernels == "linear=onednn"
    monkeypatch.setattr(chain, "available", lambda: False)
    assert chain.plan(autoencoder(layer), (4,)) is None


def test_hooks_run_as_they_do_in_torch():
    model = autoencoder(nn.Linear(6, 6), nn.Sigmoid(), nn.Linear(6, 6))
    x, seen = torch.rand(4, 6), []
    model.encoder[0].register_forward_hook(lambda module, given, output: output + 1)
    model.encoder[2].weight.register_post_accumulate_grad_hook(seen.append)
    expected = gradients(model, x, x)
    plan = chain.plan(model, (6,))
    assert plan is None
    model.encoder.append(nn.Linear(6, 6))
    plan = chain.plan(model, (6,))
    assert plan.kernels == "linear=onednn+torch"
    expected = gradients(model, x, x)
    ours = gradients(model, x, x, plan)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    assert len(seen) == 3
    model.encoder.register_forward_hook(lambda module, given, output: output * 2)
    assert chain.plan(model, (6,)) is None


def test_shared_and_frozen_layers():
    torch.manual_seed(6)
    shared = nn.Linear(6, 6)
    assert check(autoencoder(shared, nn.Sigmoid(), shared, nn.ReLU(), shared), torch.rand(5, 6))
    frozen = nn.Linear(6, 6).requires_grad_(False)
    model = autoencoder(nn.Linear(6, 6), frozen, nn.Linear(6, 6))
    plan, x = chain.plan(model, (6,)), torch.rand(5, 6)
    plan.step(x, x)
    assert frozen.weight.grad is None
    ours = [model.encoder[i].weight.grad for i in (0, 2)]
    model.zero_grad()
    mse_loss(model(x), x).backward()
    for grad, i in zip(ours, (0, 2), strict=True):
        torch.testing.assert_close(grad, model.encoder[i].weight.grad, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("shared", [True, False])
def test_channel_by_channel(shared):
    torch.manual_seed(7)
    down = [nn.Sequential(nn.Linear(20, 4), nn.Sigmoid()) for _ in range(3)]
    up = [nn.Sequential(nn.Linear(4, 20), nn.Unflatten(1, (1, 4, 5))) for _ in range(3)]
    if shared:
        down, up = down[:1] * 3, up[:1] * 3
    model = Autoencoder(PerChannel(down), PerChannel(up))
    assert check(model, torch.rand(6, 3, 4, 5)) == "linear=onednn"


@pytest.mark.parametrize("images", [1, 2, 5, 100])
def test_a_batch_in_pieces_gives_the_same_gradients(images, monkeypatch):
    torch.manual_seed(8)
    model = autoencoder(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 1, 3), nn.Sigmoid())
    monkeypatch.setattr(chain, "_CACHED_BYTES", images * 4 * 6 * 5 * 4)
    sizes, forward = [], chain._forward
    monkeypatch.setattr(
        chain, "_forward", lambda c, x, for_x: sizes.append(len(x)) or forward(c, x, for_x)
    )
    check(model, torch.rand(7, 1, 8, 7))
    assert sum(sizes) == 7
    assert max(sizes) == min(images, 7)


def test_modules_that_may_look_at_the_batch_see_all_of_it(monkeypatch):
    monkeypatch.setattr(chain, "_CACHED_BYTES", 1)
    model = autoencoder(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 6))
    assert check(model, torch.rand(5, 6)) == "linear=onednn other=torch"


def train(make, job, images, steps):
    """The losses of the first `steps` steps, one an epoch, the model, and the engine."""
    model = build(job, tuple(images.shape[1:])).model
    engine = make(training.Setup(job, model, images, CPU))
    engine.load()
    engine.warm_up()
    return [float(engine.train_epoch()) for _ in range(steps)], model, engine


@pytest.mark.parametrize(
    ("architecture", "latent", "depth", "word"),
    [
        ("mlp", 32, 1, "linear=onednn"),
        ("mlp", 5, 3, "linear=onednn"),
        ("mlp-shared", 32, 1, "linear=onednn"),
        ("mlp-separate", 32, 1, "linear=onednn"),
        ("conv", 16, 1, "conv=product conv_transpose=product"),
        ("conv", 1, 1, "conv=product conv_transpose=product"),
        ("conv", 4, 2, "conv=onednn conv_transpose=onednn+product"),
        ("conv-bottleneck", 16, 1, "conv=onednn conv_transpose=onednn linear=onednn"),
    ],
)
def test_training_is_the_references(architecture, latent, depth, word):
    job = Job(architecture, "digits", latent, depth, batch_size=64, learning_rate=1e-3, epochs=20)
    images = pool.load("digits", 0, None).train[: job.batch_size]
    if architecture.startswith("mlp-"):  # for colour images only
        images = torch.cat([images, images.flip(2), 16 - images], dim=1)
    losses, model, _ = train(reference.create, job, images, 20)
    ours, our_model, engine = train(eager.create, job, images, 20)
    again, same, _ = train(eager.create, job, images, 20)
    assert engine.kernels == word
    assert ours == pytest.approx(losses, rel=1e-5)
    assert losses[-1] < losses[0]
    mse = reconstruction.measure(model, images, CPU).mse
    assert reconstruction.measure(our_model, images, CPU).mse == pytest.approx(mse, rel=1e-4)
    assert again == ours
    for a, b in zip(same.parameters(), our_model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_leaves_a_plain_model():
    job = Job("conv", "digits", 3, batch_size=64, epochs=2)
    images = pool.load("digits", 0, None).train[: job.batch_size]
    _, model, _ = train(eager.create, job, images, 2)
    fresh = build(job, (1, 8, 8)).model.to(memory_format=torch.channels_last)
    fresh.load_state_dict(model.state_dict())
    twin = copy.deepcopy(model)
    x = images / 255
    assert torch.equal(model(x), fresh(x))
    assert torch.equal(twin(x), fresh(x))
    assert [vars(m).keys() for m in model.modules()] == [vars(m).keys() for m in fresh.modules()]


def test_bfloat16_jobs_are_left_to_torch():
    job = Job("mlp", "digits", 3, batch_size=64, epochs=1, precision="bf16")
    images = pool.load("digits", 0, None).train[: job.batch_size]
    assert train(eager.create, job, images, 1)[2].kernels == "torch"


def test_the_record_says_what_computed():
    record = run_job(Job("conv", "digits", 2, epochs=1))
    assert record.job["status"] == "ok", record.job["reason"]
    assert record.job["kernels"] == "conv=product conv_transpose=product"
    slow = run_job(Job("mlp", "digits", 2, epochs=1, engine="reference"))
    assert slow.job["kernels"] == "torch"
