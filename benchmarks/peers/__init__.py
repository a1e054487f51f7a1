"""Who is compared: a small chat on aioquic, the same on our transport alone, and our whole chat."""
