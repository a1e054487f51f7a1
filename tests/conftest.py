"""What holds for all tests: sentences are compared in English, and nobody's own configuration counts."""

import os

os.environ["BISIK_CONFIG"] = "/nonexistent/bisik/config.toml"  # not that of whoever runs them
os.environ["LANGUAGE"] = "en"  # before anything of the client is imported, and inherited by its processes
