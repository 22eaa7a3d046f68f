"""TensorFlow as independent oracle of the TFLite writer: its interpreter on our files, and its converter on the same network."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_close, nhwc, run_tflite, tflite_ops
from test_block_parity import blocks, module_and_inputs

from hwnas.block import Block
from hwnas.lower import lower, write_tflite
from hwnas.ops import OPS

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install 'hwnas[tensorflow]'")
pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("op", OPS)
def test_tensorflows_interpreter_runs_our_files(op):
    @settings(max_examples=10, deadline=None)
    @given(blocks(op), st.integers(0, 1000))
    def check(block, seed):
        module, xs = module_and_inputs(block, seed)
        with torch.no_grad():
            expected = module(*xs).numpy()
        file = write_tflite(lower(module, *(tuple(x.shape) for x in xs)))
        assert_close(run_tflite(file, xs, tf.lite.experimental.OpResolverType.BUILTIN_REF, tf.lite.Interpreter), expected)

    check()


@pytest.mark.parametrize("size, stride, act", [(9, 1, "relu"), (9, 2, "hswish"), (8, 2, "relu")])
def test_our_file_has_the_operators_that_tensorflows_converter_writes(size, stride, act):
    """The inverted residual once more, in TensorFlow's own functions and with the module's weights, through TensorFlow's converter."""
    block = Block("mbconv", 8, 8, size, size, stride, kernel=3, expand=3, act=act)
    module, (x,) = module_and_inputs(block, seed=1)
    activation = {"relu": tf.nn.relu, "hswish": lambda y: y * tf.nn.relu6(y + 3) * (1 / 6)}[act]

    def norm(y, bn):
        mean, variance, shift, scale = (v.detach().numpy() for v in (bn.running_mean, bn.running_var, bn.bias, bn.weight))
        return tf.nn.batch_normalization(y, mean, variance, shift, scale, bn.eps)

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 8), tf.float32)])
    def same_network(x):
        up, depthwise, down = (m[0].weight.detach().numpy() for m in (module.up, module.depthwise, module.down))
        y = activation(norm(tf.nn.conv2d(x, up.transpose(2, 3, 1, 0), 1, "VALID"), module.up[1]))
        padded, scheme = (tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]]), "VALID") if size % 2 == 0 else (y, "SAME")
        y = tf.nn.depthwise_conv2d(padded, depthwise.transpose(2, 3, 0, 1), [1, stride, stride, 1], scheme)
        y = tf.nn.conv2d(activation(norm(y, module.depthwise[1])), down.transpose(2, 3, 1, 0), 1, "VALID")
        y = norm(y, module.down[1])
        return x + y if block.residual else y

    holder = tf.Module()
    holder.network = same_network
    theirs = tf.lite.TFLiteConverter.from_concrete_functions([same_network.get_concrete_function()], holder).convert()
    ours = write_tflite(lower(module, tuple(x.shape)))
    assert_close(run_tflite(ours, [x]), run_tflite(theirs, [x]))
    assert_close(nhwc(run_tflite(ours, [x])), np.asarray(same_network(nhwc(x.numpy()))))
    assert tflite_ops(ours) == tflite_ops(theirs)
