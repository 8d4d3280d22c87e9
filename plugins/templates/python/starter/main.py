"""A Python tenant's first application.

Replace it with your own; what the platform relies on is that the application listens on PORT on all
addresses, answers GET /health, and stops on SIGTERM.
"""

import logging
import os
import signal
import sys
import time

import uvicorn
from fastapi import FastAPI

PORT = int(os.environ.get("PORT", "3000"))
TENANT = {
    "id": os.environ.get("TENANT_ID", "unknown"),
    "name": os.environ.get("TENANT_NAME", "unknown"),
}

log = logging.getLogger("app")
app = FastAPI(title=f"{TENANT['name']} on Convergence")


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/")
async def welcome() -> dict[str, object]:
    return {
        "message": f"Hello from {TENANT['name']}",
        "tenant": TENANT,
        "language": "python",
        "framework": "fastapi",
    }


class Server(uvicorn.Server):
    """Says where it listens once it really does."""

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            log.info("Listening on port %d", PORT)


def main() -> None:
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
        format="%(asctime)s [%(levelname)s] %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%SZ",
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # uvicorn finishes answers under way, then raises the signal again; for us that is a normal end.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    Server(
        uvicorn.Config(
            app,
            host="0.0.0.0",
            port=PORT,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    ).run()


if __name__ == "__main__":
    main()
