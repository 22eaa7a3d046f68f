"""A space and an experiment so small that all of the main job takes seconds."""

SPACE = """
from hwnas.spaces import mobilenet

def tiny(channels=1, size=8, classes=10):
    return mobilenet(channels, size, classes, resolutions=(8,), stem=8, stem_stride=1, widths=((8, 12), (16, 24)), depth=2, strides=(1, 2),
                     kernels=(3, 5), expands=(1, 2, 3), squeezes=(0, 4), acts=("relu",))
"""
EXPERIMENT = """
data = "digits"
space = "{space}:tiny"
budgets = ["tflite-cpu:latency=70%|90%,size=200kB"]
patience_s = 0 # the other process of the suite is always at work
[profile]
networks = 19
held_out = 10
rounds = 1
repeats = 1
[train]
algorithm = "spos"
[train.recipe]
epochs = 2
batch = 64
[search]
population = 8
generations = 2
parents = 3
valid_images = 100
recalibration_images = 128
force = true # a single short round on a busy machine may earn no trust; what is tested here does not need it
[retrain]
epochs = 1
[retrain.recipe]
batch = 64
"""
