"""The sans-IO core that both sides of bisik share: bytes and time in, bytes and events out.

Nothing in here opens a socket, reads a clock or draws a random number of its own: the time is an argument
and randomness is an injected source, so that a failing simulation replays from its seed.
"""
