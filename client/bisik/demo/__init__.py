"""The main job, run for real: a daemon, two clients, a very bad network between them, and a crash in the middle."""
