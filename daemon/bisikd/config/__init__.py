"""Configuration: flags above environment above bisikd.toml above defaults. To add a key, see `settings`."""

from bisikd.config.file import documented_file
from bisikd.config.listening import ListenAddress, parse_listen
from bisikd.config.loading import Configuration, Flags, Origin, Source, load, load_settings, locate_state, rows
from bisikd.config.settings import CONFIG_NAME, Limits, Settings, all_keys, default_state_directory

__all__ = [
    "CONFIG_NAME",
    "Configuration",
    "Flags",
    "Limits",
    "ListenAddress",
    "Origin",
    "Settings",
    "Source",
    "all_keys",
    "default_state_directory",
    "documented_file",
    "load",
    "load_settings",
    "locate_state",
    "parse_listen",
    "rows",
]
