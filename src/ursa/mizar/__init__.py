"""Mizar: the data plane. BPF programs forward, the transit daemon owns their maps."""
