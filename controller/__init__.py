"""The controller of the charging station: guard, station and the commands around them."""

__version__ = "0.1.0"
