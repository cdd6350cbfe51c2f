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


threading.Thread(target=end_with_the_test, daemon=True).start()
module = sys.argv[1]
sys.argv = sys.argv[1:]
sys.exit(importlib.import_module(module).main())
