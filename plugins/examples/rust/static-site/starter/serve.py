"""Serves the folder `site` next to this file, and stops on SIGTERM."""

import functools
import http.server
import os
import pathlib
import signal
import sys
import time

PORT = int(os.environ.get("PORT", "8080"))
SITE = pathlib.Path(__file__).resolve().parent / "site"


class Handler(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path):
        # The health file has no ending that would tell.
        return "application/json" if path.endswith("/health") else super().guess_type(path)

    def log_message(self, format, *arguments):
        pass


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    server = http.server.ThreadingHTTPServer(("0.0.0.0", PORT), functools.partial(Handler, directory=SITE))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{now} [INFO] Listening on port {PORT}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
