"""Reliable, ordered, encrypted messages over datagrams: one connection, and the endpoint that holds many."""
