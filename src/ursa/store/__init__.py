"""The revisioned log and its engines. Knows bytes and keys only; used by `ursa.api` alone."""
