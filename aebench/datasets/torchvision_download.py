"""What the subprocess of the source ``torchvision`` runs: CLASS ROOT as its arguments.

Kept apart so that torch is never imported by whoever asks for data, and so that a stalled
download can be ended. Not imported by aebench: `clients` hands its text to a new interpreter.
"""

import importlib.util
import re
import socket
import sys
import urllib.request
from pathlib import Path


def hosts(name: str) -> set[str]:
    """Return the hosts in the addresses that torchvision's source gives for dataset class `name`.

    Empty where that cannot be told; nothing of torchvision is imported.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return set()
    for module in Path(spec.origin).parent.glob("datasets/*.py"):
        text = module.read_text("utf-8")
        if body := re.search(rf"^class {name}\b.*?(?=^class |\Z)", text, re.M | re.S):
            strings = re.findall(r"[\"']https?://([^/:\"']+)", body[0])
            return set(strings)
    return set()


def resolves(host: str) -> bool:
    """Tell whether this machine can look up `host`."""
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


def main(name: str, root: str) -> None:
    """Download the training and the test set of class `name` into `root`."""
    # Importing torch takes 4 to 14 s; on a network without the web a look-up tells in 0.1 s.
    # Behind a proxy it is the proxy that looks names up, so nothing can be told from here.
    known = hosts(name)
    if known and not urllib.request.getproxies() and not any(map(resolves, known)):
        sys.exit("Error: no name look-up for the hosts of its download (no web on this network?)")
    import torchvision.datasets

    sys.stdout.write("imported\n")
    sys.stdout.flush()  # a sign of life for `clients.run_watched`
    for train in (True, False):
        try:
            getattr(torchvision.datasets, name)(root, train=train, download=True)
        except (OSError, RuntimeError) as error:
            sys.exit("Error: " + " ".join(str(error).split()))


if __name__ == "__main__":
    main(*sys.argv[1:])
