"""Security events, logs and firmware: what the operator needs for upkeep."""
