"""A bundle of a small network, written as export writes it, for tests to open, change and verify."""

import json
from hashlib import sha256

import numpy as np
import torch
from tiny_spaces import chain_space

from hwnas.data import Split
from hwnas.deploy import calibration_images, counts, write_bundle, write_files, write_variants
from hwnas.deploy.sample import sample_inputs
from hwnas.device import BUILT_IN
from hwnas.lower import lower
from hwnas.supernet import network


def small_network(seed=0):
    space = chain_space()
    torch.manual_seed(seed)
    net = network(space, space.largest()).train()
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    with torch.no_grad():
        net(torch.from_numpy(sample_inputs((1, 2, 8, 8), 64, 1)))  # statistics of its own, as a trained network has them
    return net.eval()


def make_bundle(folder, device="tflite-cpu", limits=None, also=()):
    """Writes a bundle for a built-in device; returns its certificate, whose accuracies are placeholders that nothing reads."""
    device, net, shape = BUILT_IN[device], small_network(), (1, 2, 8, 8)
    images = torch.from_numpy((255 * sample_inputs((1, 2, 8, 8), 40, 2)).astype(np.uint8))
    calibration = calibration_images(Split(images, torch.zeros(40, dtype=torch.int64)), (8, 8))
    files = write_files(net, shape, folder, (".onnx", ".tflite", ".safetensors"), device, calibration)
    others = write_variants(net, shape, folder, also, device, calibration)
    program = lower(net, shape)
    (folder / "architecture.json").write_text(json.dumps({"choices": {}}))
    suffix = {"tflite": ".tflite", "onnx": ".onnx", "cpu": ".safetensors"}[device.runtime]
    counted = {"file_bytes": files[suffix].stat().st_size, **counts(program, device.dtype)}
    limits = {"latency_ms": 1000.0} if limits is None else limits
    tested = {"test": 0.5, "parity": {"top1_agreement": 1.0}, "bytes": 1}
    certificate = {
        "format": 1,
        "verdict": "PASS",
        "device": device.name,
        "dtype": device.dtype,
        "fingerprint": {"device": device.settings, "host": {"cpu": "of another machine"}, "runtime": {"name": "x", "version": "1"}},
        "limits": {f: {"budget": v, "value": counted.get(f, 0.01), "keeps": True} for f, v in limits.items()},
        "measured": {
            "p50_ms": 0.1,
            "p50_upper_ms": 0.1,
            "p90_ms": 0.1,
            "p95_ms": 0.1,
            "samples": 1,
            "preempted": 0,
            "slowed": 0,
            "processes": [1],
        },
        "counted": counted,
        "rules": {"name": "default"},
        "accuracy": {
            "test_images": 1,
            "test_fp32": 0.5,
            "files": dict.fromkeys((p.name for p in (*files.values(), *others)), tested),
            **tested,
        },
        "input": {"shape": list(shape), "range": [0, 1], "resize": "bilinear"},
        "data": {"name": "noise | `of` tests", "classes": ["a", "b", "c"], "calibration_images": 40},
        "certified_file": files[suffix].name,
        "host": "here",
    }
    certificate["files"] = write_bundle(folder, program, device, files, others, certificate)
    save(folder, certificate)
    return certificate


def save(folder, certificate):
    (folder / "certificate.json").write_text(json.dumps(certificate))


def rehash(folder, name):
    """Makes the certificate agree with a file that was changed, as a forger would."""
    certificate = json.loads((folder / "certificate.json").read_text())
    data = (folder / name).read_bytes()
    certificate["files"][name] = {"sha256": sha256(data).hexdigest(), "bytes": len(data)}
    save(folder, certificate)
    return certificate


def images(n, seed=1):
    return np.random.default_rng(seed).random((n, 2, 8, 8), np.float32)
