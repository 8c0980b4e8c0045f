"""A server on this machine that speaks S3, in a process of its own so that a test can kill it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass

SERVE = """
import json, sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False)
server.start()
print(json.dumps(server.get_host_and_port()[1]), flush=True)
sys.stdin.read()  # until the test ends
"""


@dataclass
class S3Server:
    """A running server; it forgets everything when it is stopped."""

    process: subprocess.Popen[str]
    port: int

    @classmethod
    def start(cls, port: int = 0) -> S3Server:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], text=True, **pipes)
        return cls(process, json.loads(process.stdout.readline()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "of-the-tests", "AWS_SECRET_ACCESS_KEY": "of-the-tests"}
        return {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1", **keys}

    def make_bucket(self, name: str) -> str:
        """A new, empty bucket."""
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        urllib.request.urlopen(request, timeout=20).close()
        return f"s3://{name}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
