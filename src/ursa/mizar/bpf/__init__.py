"""The data plane's programs in restricted C, and how they are compiled."""
