"""bfloat16 in the convolutions: where it rounds, what stays float32, and that a loss curve follows float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ppocr_jax.config import OptimizerConfig
from ppocr_jax.models.layers import ConvBN, Linear
from ppocr_jax.models.ops import Ops, bfloat16_ops, cpu_ops, native_ops
from ppocr_jax.training.optimizer import make_optimizer
from ppocr_jax.training.step import create_state, make_train_step


class SmallNet(nn.Module):
    """A few of the networks' own layers."""

    ops: Ops

    @nn.compact
    def __call__(self, images, *, train):
        x = ConvBN(8, self.ops, kernel=3, strides=(2, 2), activation=nn.relu, name="conv")(images, train=train)
        x = ConvBN(8, self.ops, kernel=3, depthwise=True, activation=nn.relu, name="depthwise")(x, train=train)
        x = ConvBN(16, self.ops, name="pointwise")(x, train=train)
        return Linear(2, name="head")(x.mean((1, 2)))


def _losses(ops: Ops, steps: int = 40) -> tuple[np.ndarray, object]:
    model = SmallNet(ops)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 32)
    images = (rng.normal(size=(32, 16, 16, 3)) + labels[:, None, None, None] * 0.5).astype(np.float32)
    variables = model.init(jax.random.key(0), images[:1], train=False)
    tx = make_optimizer(OptimizerConfig(learning_rate=3e-3, schedule="constant"), steps)

    def objective(params, frozen, batch_stats, batch, rng, step):
        logits, changed = model.apply(
            {"params": params, "batch_stats": batch_stats}, batch["images"], train=True, mutable=["batch_stats"]
        )
        loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), batch["labels"][:, None], 1).mean()
        return loss, (changed["batch_stats"], {})

    state, step = create_state(variables, tx), make_train_step(objective, tx)
    losses = []
    for _ in range(steps):
        state, terms = step(state, {"images": images, "labels": labels}, jax.random.key(0))
        losses.append(float(terms["loss"]))
    return np.array(losses), state


def test_the_loss_curve_follows_float32():
    full, _ = _losses(native_ops)
    rounded, state = _losses(bfloat16_ops(native_ops))
    assert full[-1] < 0.3 * full[0]
    np.testing.assert_allclose(rounded, full, atol=0.05)
    assert np.abs(rounded - full).max() > 1e-5  # or nothing was rounded
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.batch_stats))} == {jnp.dtype("float32")}


def test_only_convolutions_are_rounded_and_cpu_depthwise_sums_are_not():
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((1, 1, 2, 2))
    taps = jnp.ones((3, 3, 2))
    native, cpu = bfloat16_ops(native_ops), bfloat16_ops(cpu_ops)
    assert native.conv(x, kernel, (1, 1)).dtype == cpu.conv(x, kernel, (1, 1)).dtype == jnp.bfloat16
    assert native.depthwise_conv(x, taps, (1, 1)).dtype == jnp.bfloat16
    assert cpu.depthwise_conv(x, taps, (1, 1)).dtype == jnp.float32
    assert native.bilstm is native_ops.bilstm
