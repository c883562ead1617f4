"""What a VM image is: a folder with a qcow2 disk, described by its `image.json`.

With a kernel the machine starts it directly (an uncompressed one by PVH, the fastest way
under TCG); without one the firmware boots the disk, as any cloud image expects.
"""

from __future__ import annotations

import msgspec

FILE = "image.json"


class ImageFile(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    names: tuple[str, ...]
    """References that it is asked for by, without the default tag: `vm`, `ursa/vm`."""
    digest: str
    """`sha256:…` of the disk, or of kernel, initrd and disk: the image's id."""
    size_bytes: int
    """Bytes that its files hold."""
    disk: str = "disk.qcow2"
    """File in the folder, like the next two."""
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    """The kernel's command line."""
    probe: bool = False
    """Its kernel says `ursa: probe: guest runs` when started with `ursa.probe`."""
    recipe: str = ""
    """Whatever its builder wants to know again; empty for what was pulled."""
