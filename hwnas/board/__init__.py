"""The device side: these files are copied to a board as they are and need Python 3.9, numpy and the device's runtime, no hwnas."""
