"""Bytes on the wire: varints, datagrams, frames. Knows no key and no state."""
