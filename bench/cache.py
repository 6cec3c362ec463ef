#!/usr/bin/env python3
"""What a cached 2 KB answer costs beside the tiny GET: CPU time of the server for a request.

  bench/cache.py [--build build/release] [--rounds 5] [--seconds 1] [--connections 64]

The tiny GET is an example answered by `mock`, without entity tag and compression.
"""
import copy
import urllib.request

import measure

CONTRACT = """
openapi: 3.1.0
info: {title: Cache, version: '1'}
x-plimsoll: {rate-limit: off}
paths:
  /tiny:
    get:
      operationId: tiny
      security: []
      x-plimsoll: {mock: {}, conditional: off, compression: off}
      responses: {'200': {description: tiny, content: {application/json: {schema: {type: object}, example: {message: hello}}}}}
  /plain:
    get:
      operationId: plain
      security: []
      x-plimsoll: {mock: {}}
      responses: {'200': {description: 2 KB, content: {application/json: {schema: {type: object}, example: {text: TEXT}}}}}
  /cached:
    get:
      operationId: cached
      security: []
      x-plimsoll: {mock: {}, cache: 1h}
      responses: {'200': {description: 2 KB, content: {application/json: {schema: {type: object}, example: {text: TEXT}}}}}
""".replace("TEXT", "x" * 2000)


def main():
    chosen = measure.chosen(measure.options(__doc__))
    measure.needs("wrk", "curl")
    with measure.a_folder() as folder, measure.running(
            lambda: measure.chain(chosen.build, folder, contract=CONTRACT, operations=(), config="telemetry: {log: warning}\n", target="/tiny", name="/tiny")) as servers:
        views = []
        for path in ("/tiny", "/plain", "/cached"):
            view = copy.copy(servers[0])
            view.name = view.target = path
            views.append(view)
        urllib.request.urlopen(views[2].url).read()
        hit = urllib.request.urlopen(views[2].url)
        if "hit" not in hit.headers["cache-status"] or len(hit.read()) <= 2000:
            raise SystemExit("bench/cache.py: the answer does not come from the cache")
        found = measure.take_turns(views, lambda server, seconds: measure.wrk(server, seconds, chosen.connections), chosen.rounds, chosen.seconds)
    measure.show(found, "/tiny")
    measure.ratio_row("CPU of a cached 2 KB answer / tiny GET", measure.ratios(found, "/tiny", "/cached"), 1.3)


if __name__ == "__main__":
    main()
