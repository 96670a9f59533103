"""Birds: the defaults, 100 Hz to 8 kHz in windows of five seconds."""

EVIDENCE = "TODO"
SETTINGS: dict[str, dict[str, object]] = {}
