"""Resource kinds: one file each with typed view, defaults and validation. Pure data."""
