"""The commands of `bisikd` that are more than a few lines, a file each; `cli` puts them together."""
