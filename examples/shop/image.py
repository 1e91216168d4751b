"""Make the shop's image, offline: this machine's static busybox, and the shop itself. Does nothing where it is there.

    python examples/shop/image.py
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

NAME, TAG = "offerer/shop", "1"
_LABEL = "offerer.shop.contents"
_HERE = Path(__file__).parent


def main() -> int:
    """Import the image into the engine; 0, or 1 with the reason on stderr."""
    try:
        client = docker.from_env()
        contents = _tar()
        digest = hashlib.sha256(contents).hexdigest()
        try:
            if client.images.get(f"{NAME}:{TAG}").labels.get(_LABEL) == digest:
                return 0
        except ImageNotFound:
            pass
        settings = ["ENV PATH=/shop:/bin", f"LABEL {_LABEL}={digest}", "WORKDIR /shop", 'CMD ["shop", "hello"]']
        client.api.import_image_from_data(contents, repository=NAME, tag=TAG, changes=settings)
    except (DockerException, OSError, ValueError) as error:
        print(f"error: cannot make {NAME}:{TAG}: {error}", file=sys.stderr)
        return 1
    print(f"made {NAME}:{TAG} ({len(contents) >> 10} KiB)")
    return 0


def _tar() -> bytes:
    """The file system of the image, the same bytes each time for the same contents."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise ValueError("there is no busybox; install it: apt-get install busybox-static")
    binary = Path(busybox).read_bytes()
    if b"/ld-linux" in binary or b"/ld-musl" in binary:
        raise ValueError(f"{busybox} needs other files; install one that does not: apt-get install busybox-static")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for directory, mode in (("bin", 0o755), ("shop", 0o755), ("tmp", 0o1777)):
            _add(tar, directory, b"", mode, tarfile.DIRTYPE)
        _add(tar, "bin/busybox", binary, 0o755)
        for applet in applets:
            if applet != "busybox":
                _add(tar, f"bin/{applet}", b"busybox", 0o777, tarfile.SYMTYPE)
        for name in ("shop", "www/cgi-bin/index.cgi"):
            _add(tar, f"shop/{name}", (_HERE / name).read_bytes(), 0o755)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int, kind: bytes = tarfile.REGTYPE) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type = mode, kind
    if kind == tarfile.SYMTYPE:
        entry.linkname = data.decode()
        tar.addfile(entry)
    else:
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    sys.exit(main())
