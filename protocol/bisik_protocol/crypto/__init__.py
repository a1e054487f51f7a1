"""Identity keys, the handshake, packet protection. Knows bytes and keys, no peers and no time of its own."""
