"""Runs programs in their runtimes, for tests that compare what comes out with PyTorch."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from torch import nn

from hwnas.lower import Program, lower, read_torch, write_ncnn, write_onnx, write_tflite, write_torch

TOLERANCE = 1e-5  # of the largest output, or absolute where that is below 1


def randomised(module, seed=0):
    """The module with random BatchNorm statistics and weights: a fresh BatchNorm hides its own mistakes."""
    random = torch.Generator().manual_seed(seed)
    for m in module.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.running_mean.normal_(0, 0.3, generator=random)
            m.running_var.uniform_(0.5, 2, generator=random)
            if m.affine:
                m.weight.data.uniform_(0.5, 1.5, generator=random)
                m.bias.data.normal_(0, 0.3, generator=random)
    return module.eval()


def random_inputs(*shapes, seed=0):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=random) for shape in shapes]


def run_onnx(file, xs):
    """The first output of an .onnx file; checks the file too."""
    onnx.checker.check_model(onnx.load_from_string(file), full_check=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: x.numpy() for i, x in zip(session.get_inputs(), xs)})[0]


def run_tflite(file, xs, resolver=OpResolverType.AUTO, interpreter=Interpreter):
    """The first output of a .tflite file, images NCHW in and out, through its signature."""
    runner = interpreter(model_content=file, num_threads=1, experimental_op_resolver_type=resolver).get_signature_runner()
    names = sorted(runner.get_input_details())
    outputs = runner(**{name: nhwc(x.numpy()) for name, x in zip(names, xs)})
    y = outputs[min(outputs)]
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y


def run_ncnn(files, xs):
    """The first output of a .param and a .bin file; ncnn has no batch dimension."""
    import ncnn

    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in ("model.param", "model.bin")]
        for path, data in zip(paths, files):
            Path(path).write_bytes(data)
        net = ncnn.Net()
        net.opt.num_threads = 1
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
        assert net.load_param(paths[0]) == net.load_model(paths[1]) == 0
        extractor = net.create_extractor()
        for i, x in enumerate(xs):
            extractor.input(f"in{i}", ncnn.Mat(np.ascontiguousarray(x[0].numpy())).clone())
        status, y = extractor.extract("out0")
        assert status == 0
        return np.array(y)[None]


def nhwc(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x


def assert_parity(module, xs, folder) -> Program:
    """Every file of the module gives what the module gives in evaluation mode."""
    with torch.no_grad():
        expected = module.eval()(*xs).numpy()
    program = lower(module, *(tuple(x.shape) for x in xs))
    tflite = write_tflite(program)
    assert_close(run_onnx(write_onnx(program), xs), expected)
    assert_close(run_tflite(tflite, xs), expected)
    assert_close(run_tflite(tflite, xs, OpResolverType.BUILTIN_REF), expected)
    if find_spec("ncnn") and all(len(x) == 1 for x in xs):
        assert_close(run_ncnn(write_ncnn(program), xs), expected)
    path = folder / "block.safetensors"
    path.write_bytes(write_torch(program))
    for channels_last in (False, True):
        with torch.inference_mode():
            assert_close(read_torch(path, channels_last)(*xs).numpy(), expected)
    assert program.shapes[program.outputs[0]] == expected.shape
    return program


def assert_close(y, expected):
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() <= TOLERANCE * max(1, np.abs(expected).max())


def tflite_ops(file):
    """Names of a file's operators, in order."""
    return [
        op["op_name"] for op in Interpreter(model_content=file, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)._get_ops_details()
    ]
