"""The terminal UI: a chat as a full screen.

    wrap  layout  room  rooms  viewport  editor  completion  keymap  linkbar  ring     know neither Textual nor Trio
    timeline  panels  prompt  bars  help  theme  app                                   widgets: they show the above
    engine                                                                             Trio beside Textual's loop

Whatever others wrote passes through `harmless` where lines are laid out (`layout`, and each panel for its names), and
is never given to anything that reads markup.
"""
