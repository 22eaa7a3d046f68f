"""c_header(file): a .tflite file as a C array, for programs that have no file system."""

from __future__ import annotations

from .arena import arena

MAX_BYTES = 4_000_000  # no microcontroller holds more; a header of it would be 20 MB of text
_PER_LINE = 20


def c_header(file: bytes, name: str, comment: str) -> str:
    """The text of a header, for C11 and C++11, with `NAME_data`, `NAME_size` and `NAME_arena_bytes`.

    name: an identifier; comment: one line. The array is aligned to 16 bytes, as TensorFlow Lite wants it.
    """
    lines = "\n".join("  " + ",".join(map(str, file[i : i + _PER_LINE])) + "," for i in range(0, len(file), _PER_LINE))
    need = arena(file)
    guard = f"{name.upper()}_H"
    return f"""/* {comment.replace("*/", "* /")} */
#ifndef {guard}
#define {guard}

#ifdef __cplusplus
#define {name.upper()}_ALIGNED alignas(16)
#else
#define {name.upper()}_ALIGNED _Alignas(16)
#endif

/* Working memory for TensorFlow Lite for Microcontrollers ({need.how}).
   arena_used_bytes() says on the board what it really takes. */
enum {{ {name}_arena_bytes = {need.bytes} }};

enum {{ {name}_size = {len(file)} }};
{name.upper()}_ALIGNED static const unsigned char {name}_data[{name}_size] = {{
{lines}
}};

#endif
"""
