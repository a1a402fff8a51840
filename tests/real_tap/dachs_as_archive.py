#!/usr/bin/python3
"""DaCHS, made to behave like ESA's archive where astroquery's clients count on that; installed as `gavo`.

The service starts its jobs by the name `gavo` too, so this file stands first in its PATH. Runs under Debian's
Python, where DaCHS lives.
"""

import gzip
import sys

from gavo.formats import common, votablewrite
from gavo.protocols import taprunner, uws
from gavo.user.cli import main
from gavo.web import asyncrender
from gavo.web import common as webcommon


def write_gzipped_votables():
    """FORMAT=votable_gzip, which `astroquery.gaia` asks for unless told otherwise."""
    kind = "application/x-votable+xml;content=gzip"
    common.registerDataWriter("votable_gzip", votablewrite.format, kind, "gzipped VOTable", ".vot.gz")
    plain = taprunner.writeResultTo

    def write(format_, result, file):
        if format_ != "votable_gzip":
            return plain(format_, result, file)
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
            return plain("votable", result, packed)

    taprunner.writeResultTo = write


def run_at_creation():
    """PHASE=RUN in the request that makes a job starts it; DaCHS would leave it PENDING for ever."""

    def create(resource, request):
        system = resource.workerSystem
        job = system.getNewIdFromRequest(request)
        phases = [
            value for name, values in request.strargs.items() if name.upper() == "PHASE" for value in values
        ]
        if "RUN" in phases:
            system.changeToPhase(job, uws.QUEUED)
        asyncrender.redirectUWS(resource.service.getURL(resource.renderer), str(job))

    asyncrender.JoblistResource.render_POST = create


def answer_below_tap_server():
    """/tap-server/tap, where `GaiaClass` looks, is /tap."""
    take = webcommon.Request.popSegments

    def without_prefix(request, name):
        segments = take(request, name)
        return segments[1:] if segments[:1] == ["tap-server"] else segments

    webcommon.Request.popSegments = without_prefix


if __name__ == "__main__":
    write_gzipped_votables()
    if "serve" in sys.argv:
        run_at_creation()
        answer_below_tap_server()
    sys.exit(main())
