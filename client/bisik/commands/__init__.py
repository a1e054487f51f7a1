"""The subcommands of `bisik`, one a file, loaded when they are called."""
