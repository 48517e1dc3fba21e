"""The script, the style and the picture that pages name: read once, served under a name that changes with them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Request, Response

KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

#: For how long a browser keeps a file that it has asked for by its version, seconds.
KEPT_S = 365 * 24 * 3600


class Assets:
    """The files of a folder.

    Args:
        folder: where they are; others than KINDS are not served.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in KINDS}
        #: What a page's link to a file says, so that no browser shows an old one.
        self.version = hashlib.sha256(b"".join(self._files.values())).hexdigest()[:12]

    @property
    def names(self) -> list[str]:
        return list(self._files)

    def answer(self, name: str, request: Request) -> Response:
        """Return a file.

        Raises:
            NotFound: there is none of that name.
        """
        if name not in self._files:
            raise NotFound(f"there is no file {name[:80]!r}")
        response = Response(self._files[name], content_type=f"{KINDS[Path(name).suffix]}; charset=utf-8")
        current = request.args.get("v") == self.version
        response.headers["Cache-Control"] = f"public, max-age={KEPT_S}, immutable" if current else "no-cache"
        response.set_etag(self.version)
        return response.make_conditional(request)
