"""An S3 on loopback with one bucket, in a process of its own. Argument: the port.

moto looks whether an object is there, then puts it; a lock for each path makes its conditional put atomic, as S3 does.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import defaultdict
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.responses import S3Response
from werkzeug.serving import run_simple

_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_put = S3Response.put_object


def _put_alone(self: S3Response) -> Any:
    with _locks[self.path]:
        return _put(self)


S3Response.put_object = _put_alone
logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it says every request
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=True)
