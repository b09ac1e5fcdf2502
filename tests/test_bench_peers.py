"""The peers: the same job in other libraries."""

import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench import idx
from bench.peers import __main__ as peers
from bench.peers import task


def peer(train_s, error, threads=2, failure=""):
    return peers.Result(dict(enumerate(train_s)), error, threads, failure)


def test_peers_are_compared_within_a_block_and_unequal_errors_flagged():
    found = {
        peers.BASELINE: peer([1.0, 2.0, 4.0], 1.0),
        "same": peer([3.0, 8.0, 8.0], 1.009),
        "other": peer([1.0, 1.0, 1.0], 1.02),
        "threads": peer([1.0, 2.0, 4.0], 1.0, threads=1),
        "absent": peers.Result(failure="keras is not installed"),
    }
    cells = {row[0]: row[1:] for row in peers.rows(found)}
    assert cells[peers.BASELINE] == ["2.00", "1.00", "1.00..1.00", "1", ""]
    assert cells["same"] == ["8.00", "3.00", "2.00..4.00", "1.009", ""]
    assert "ERROR DIFFERS by +2.0%" in cells["other"][-1]
    assert "1 threads, not 2" in cells["threads"][-1]
    assert cells["absent"] == ["", "", "", "", "keras is not installed"]
    text = "\n".join(peers.report({"mlp-512": found}, epochs=2, repeats=3))
    assert "keras is not installed" in text


def test_block_that_the_baseline_lost_gives_no_ratio():
    found = {peers.BASELINE: peer([1.0], 1.0), "same": peer([3.0, 9.0], 1.0)}
    assert {row[0]: row[2] for row in peers.rows(found)}["same"] == "3.00"
    found = {peers.BASELINE: peers.Result(failure="out of memory"), "same": peer([3.0], 1.0)}
    assert [row[2] for row in peers.rows(found)] == ["", ""]


def test_missing_library_is_named_and_says_how_to_get_it():
    assert peers.Peer("bench.peers.plain").why_not("mlp-512", "cpu") == ""
    lacking = peers.Peer("bench.peers.with_keras", needs="no_such_library")
    told = lacking.why_not("mlp-512", "cpu")
    assert "no_such_library is not installed" in told
    assert "pip install" in told


def test_a_model_that_takes_hours_on_a_cpu_is_left_out_there_only():
    peer = peers.Peer("bench.peers.plain", hopeless={"conv-16": "takes hours"})
    told = {(m, d): peer.why_not(m, d) for m in ("conv-16", "mlp-512") for d in ("cpu", "cuda")}
    assert {pair for pair, why in told.items() if why} == {("conv-16", "cpu")}


def test_task_survives_the_command_line(monkeypatch):
    job = task.Task(Path("a folder"), "conv-16", 2, 0, "cpu")
    monkeypatch.setattr(sys, "argv", ["peer", *task.arguments(job)])
    assert task.read_arguments() == job


def test_answer_is_the_last_line_whatever_came_before(capsys):
    print("a library greets you")
    task.answer(1.5, 0.6, threads=2)
    found = task.read_answer(capsys.readouterr().out)
    assert found == {"train_s": 1.5, "study_error": 0.6, "threads": 2}
    for output in ("", "no result", "[1]", '{"train_s": 1}'):
        with pytest.raises(ValueError, match=r"nothing|no result"):
            task.read_answer(output)


def test_failing_peer_leaves_its_last_words(tmp_path):
    into = peers.Result()
    job = task.Task(tmp_path, "mlp-512", 1, 0, "cpu")
    peers.run_peer(peers.Peer("bench.peers.no_such_peer"), job, into, block=0)
    assert into.train_s == {}
    assert "exit status 1" in into.failure
    assert "no_such_peer" in into.failure


@pytest.mark.parametrize("name", task.MODELS)
def test_plain_peer_starts_from_our_weights(name):
    import torch

    from aebench.architectures.autoencoder import build
    from aebench.job import Job
    from bench.peers import plain

    architecture, latent, depth = task.MODELS[name]
    ours = build(Job(architecture, "mnist", latent, depth, seed=3), (1, 28, 28)).model
    theirs = plain.build(name, seed=3)
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ["mlp-512", "conv-16", "conv-bottleneck-32"])
def test_jax_peer_takes_the_same_steps(name):
    jax = pytest.importorskip("jax", reason="the extra `peers` is not installed")
    import optax
    import torch

    from bench.peers import plain, with_jax

    pixels = np.random.default_rng(0).integers(0, 256, (3 * 128 + 5, 28, 28), dtype=np.uint8)
    batches = with_jax.batches(pixels)
    assert batches.shape == (3, 128, 28, 28, 1)
    model = plain.build(name, seed=1)
    forward, weights = with_jax.translated(model)
    adam = optax.adam(task.LEARNING_RATE)
    _, losses = jax.jit(with_jax.epoch_of(forward, adam))((weights, adam.init(weights)), batches)
    theirs = torch.optim.Adam(model.parameters(), lr=task.LEARNING_RATE)
    for ours, batch in zip(losses, batches, strict=True):
        images = torch.from_numpy(batch[..., 0])[:, None] / 255
        loss = torch.nn.functional.mse_loss(model(images), images)
        theirs.zero_grad()
        loss.backward()
        theirs.step()
        assert float(ours) == pytest.approx(loss.item(), rel=1e-5)


def test_torchvision_reads_the_pixels_that_were_written(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    train = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 1, 28, 28)
    folder = idx.write(SimpleNamespace(train=train, test=train[:1]), tmp_path)
    head = (folder / "MNIST/raw/train-images-idx3-ubyte").read_bytes()[:16]
    assert struct.unpack(">4I", head) == (0x803, 3, 28, 28)
    assert np.array_equal(torchvision.datasets.MNIST(folder, train=True).data, train[:, 0])
    assert len(torchvision.datasets.MNIST(folder, train=False)) == 1
