"""Runs `main` of an emulator's module until standard input ends.

The test holds the other end of the pipe: it closes with the test's process,
however that ends, and the emulator ends with it.
"""

import importlib
import os
import sys
import threading


def end_with_the_test():
    while os.read(0, 4096):
        pass
    os._exit(0)


def checksums_in_c():
    """MiniStack computes CRC32C in Python, 0.2 s of its only thread for a MiB:
    a few large uploads and every other test waits beyond its time-outs."""
    import google_crc32c
    from ministack.services import s3

    check = b"123456789"
    assert s3._crc32c(check) == google_crc32c.value(check)
    s3._crc32c = google_crc32c.value


threading.Thread(target=end_with_the_test, daemon=True).start()
module = sys.argv[1]
if module == "ministack.app":
    checksums_in_c()
sys.argv = sys.argv[1:]
sys.exit(importlib.import_module(module).main())
