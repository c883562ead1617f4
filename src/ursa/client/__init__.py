"""Client of the resource API: reads and writes by typed view, watch-fed caches, events."""

from ursa.client.client import Client, Listed
from ursa.client.key import Key, Ref, key_of
from ursa.client.lister import Lister
from ursa.client.recorder import Recorder

__all__ = ["Client", "Key", "Listed", "Lister", "Recorder", "Ref", "key_of"]
