"""What holds for all tests: sentences are compared in English, and nobody's own configuration counts."""

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job: Ctrl-C is tested, too
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["BISIK_CONFIG"] = "/nonexistent/bisik/config.toml"  # not that of whoever runs them
os.environ["LANGUAGE"] = "en"  # before anything of the client is imported, and inherited by its processes
