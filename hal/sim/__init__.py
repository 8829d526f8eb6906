"""The virtual world that the real drivers run against on a computer without hardware."""
