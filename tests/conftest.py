"""What holds for all tests: sentences are compared in English, wherever they run."""

import os

os.environ["LANGUAGE"] = "en"  # before anything of the client is imported, and inherited by its processes
