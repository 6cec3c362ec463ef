#!/usr/bin/env python3
"""A POST with 1 KB of JSON, read, held against its schema and answered by a C++ handler behind the default chain, beside nginx's
`return 200` of the same POST, which reads and parses nothing.

  bench/post.py [--build build/release] [--rounds 5] [--seconds 1] [--connections 64]
"""
import functools
import http.client
import json

import measure
from schema_vs_ajv import BODY, ORDER

CONTRACT = f"""openapi: 3.1.0
info: {{title: Orders, version: 1.0.0}}
x-plimsoll:
  rate-limit: 100000000/second by address
paths:
  /:
    post:
      operationId: order
      security: []
      x-plimsoll: {{authorization: any-caller}}
      requestBody: {{required: true, content: {{application/json: {{schema: {json.dumps(ORDER)}}}}}}}
      responses:
        '200':
          description: taken
          content: {{application/json: {{schema: {{type: object}}}}}}
"""


def post(port, body):
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        line.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


def answers(server):
    try:
        return post(server.port, json.dumps(BODY, ensure_ascii=False, separators=(",", ":")).encode()) == (200, measure.BODY)
    except OSError:
        return False


def main():
    chosen = measure.chosen(measure.options(__doc__))
    measure.needs("wrk", "curl")
    # Names are not ASCII alone; a name that is wrong must be refused, or nothing was validated.
    text = json.dumps(BODY, ensure_ascii=False, separators=(",", ":"))
    with measure.a_folder() as folder:
        (folder / "post.lua").write_text(f"""wrk.method = "POST"
wrk.body = [==[{text}]==]
wrk.headers["Content-Type"] = "application/json"
""")

        def ours():
            port = measure.free_port()
            (folder / f"{port}.yaml").write_text(CONTRACT)
            (folder / f"{port}.plimsoll.yaml").write_text(
                f"management: 'off'\nthreads: 1\ndatabase: {{url: 'sqlite:{folder}/{port}.db'}}\nlimits: {json.dumps(measure.LIMITS)}\n")
            server = measure.Server("plimsoll, validated, default chain and log",
                                    [chosen.build / "bin/chain_server", f"127.0.0.1:{port}", "1", folder / f"{port}.yaml", folder / f"{port}.plimsoll.yaml", "order"],
                                    port, folder, check=answers)
            status, _ = post(server.port, json.dumps({**BODY, "status": "lost"}).encode())
            if status != 422 and status != 400:
                server.stop()
                raise SystemExit(f"bench/post.py: a body that is wrong is answered {status}")
            return server

        title = f"POST of {len(text.encode())} bytes of JSON"
        measure.compare(title, [ours, functools.partial(measure.nginx, folder)],
                        lambda server, seconds: measure.wrk(server, seconds, chosen.connections, "-s", folder / "post.lua"), chosen.rounds, chosen.seconds,
                        {"plimsoll, validated, default chain and log": 1.0})


if __name__ == "__main__":
    main()
