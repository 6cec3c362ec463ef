"""What whoever runs the server sees: its start and end, its log, its metrics, its refusals."""
import json
import re
import signal
import socket

import harness

CONTRACT = """
openapi: 3.1.0
info: {title: Notes, version: 1.0.0}
x-plimsoll:
  authorization: any-caller
  cors: https://app.example.com
  tables:
    notes:
      schema: '#/components/schemas/Note'
      key: id
paths:
  /notes:
    get:
      operationId: listNotes
      security: []
      x-plimsoll: {table: notes}
      responses: {'200': {description: ok}}
    post:
      operationId: createNote
      security: []
      x-plimsoll: {table: notes}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: ok}}
components:
  schemas:
    Note:
      type: object
      required: [title]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        title: {type: string, minLength: 1, maxLength: 200}
"""


class Starting(harness.ServerTest):
    def test_a_taken_port_is_named_with_a_remedy(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = self.plimsoll("serve", self.laid(), "--listen", f"127.0.0.1:{port}", "--management", "off",
                                 "--config", self.laid("limits: {start-patience: 0s}", "c.yaml"))
        self.assertEqual(done.returncode, 75, done)
        self.assertIn(str(port), done.stderr)
        self.assertRegex(done.stderr, r"^plimsoll: error\[listen\]: .* in use")
        self.assertEqual((done.stdout, len(done.stderr.splitlines())), ("", 3), "one block, and nothing else")

    def test_a_port_of_another_of_us_is_taken_too_unless_they_are_to_overlap(self):
        server = self.serve(CONTRACT)
        for option, address in (("--listen", server.address), ("--management", server.management)):
            refused = self.server(CONTRACT, "limits: {start-patience: 0s}")
            refused.arguments[refused.arguments.index(option) + 1] = address
            harness.Process.start(refused)
            self.assertEqual(refused.wait(), 75, refused.describe())
            self.assertIn(address, refused.output)
        second = self.server(CONTRACT, "overlap: true")
        for option, address in (("--listen", server.address), ("--management", server.management)):
            second.arguments[second.arguments.index(option) + 1] = address
        harness.Process.start(second)
        harness.until(lambda: f"management at http://{server.management}" in second.output, second.describe)
        self.assertTrue(server.alive and second.alive)

    def test_a_contract_that_is_not_there(self):
        done = self.plimsoll("serve", "nowhere.yaml")
        self.assertEqual(done.returncode, 2)
        self.assertIn("nowhere.yaml", done.stderr)

    def test_a_folder_that_cannot_be_written(self):
        # The volume of an absolute path may be mounted later; a relative one is misspelt.
        for file, status in (("/proc/nowhere/x.db", 75), ("nowhere/x.db", 2)):
            done = self.plimsoll("serve", self.laid(), "--config", self.laid(f"database: {{url: 'sqlite:{file}'}}\nlimits: {{start-patience: 0s}}", "c.yaml"))
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(file, done.stderr)

    def test_commands_on_a_database_whose_folder_is_not_there_end_as_a_start_does(self):
        folder = self.directory()
        (folder / "notes.yaml").write_text(CONTRACT)
        (folder / "migrations").mkdir()
        (folder / "migrations" / "0001_a.sql").write_text("CREATE TABLE a(b);\n")
        (folder / "copy.db").touch()
        named = {"database": ["backup to.db", "verify", "restore copy.db"], "jobs": ["list", "show a", "requeue a", "cancel a"],
                 "keys": ["create --name a", "list", "rotate a", "revoke a"]}
        deployed = ["serve notes.yaml --listen 127.0.0.1:0 --management off", "check notes.yaml", "check notes.yaml --database",
                    "migrate status notes.yaml", "migrate up notes.yaml"]
        for place, status in ((folder / "volume" / "x.db", 75), ("volume/x.db", 2)):
            (folder / "d.yaml").write_text(f"database: {{url: 'sqlite:{place}'}}\nlimits: {{start-patience: 0s}}\n")
            commands = [f"{command} --config d.yaml" for command in deployed]
            for verb, actions in named.items():
                self.assertLessEqual(set(re.findall(r"^  (\w+) ", self.plimsoll(verb, "--help").stdout.split("Subcommands:")[1], re.M)), {action.split()[0] for action in actions})
                commands += [f"{verb} {action} {where}" for action in actions for where in ("--config d.yaml", f"--database sqlite:{place}")]
            commands.append(f"init made --from sqlite:{place}")
            if status == 75:  # a relative folder that is not there yet holds no tables to write a migration of
                commands.append("migrate new first notes.yaml --migrations none --config d.yaml")
            for command in commands:
                with self.subTest(command):
                    done = self.plimsoll(*command.split(), directory=folder)
                    self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                    self.assertIn("volume", done.stderr)
                    self.assertRegex(done.stderr, r"error\[[a-z-]+\]: .*\n(.*\n)*  help: \S")
        self.assertFalse((folder / "volume").exists())
        self.assertFalse((folder / "none").exists(), "no migration is written of tables that could not be looked at")

    def test_a_folder_of_the_database_that_comes_later_is_waited_for(self):
        folder = self.directory() / "volume"
        server = self.server(CONTRACT, f"database: {{url: 'sqlite:{folder}/x.db'}}")
        harness.Process.start(server)
        harness.until(lambda: any(line.get("event") == "start-delayed" for line in server.logged()), server.describe)
        folder.mkdir()
        harness.until(server.accepts, server.describe)

    def test_numbers_out_of_their_bounds_are_refused_with_their_place(self):
        for config, place, words in (("limits: {connections: -5}", "1:23", '"connections" is -5, and must be 1 to'), ("threads: 10000", "1:10", '"threads" is 10000, and must be 0 to 256'),
                                     ("limits:\n  drain: 1000d", "2:10", '"drain" is 1000d, and must be 0s to 1d'), ("database: {readers: 0}", "1:21", '"readers" is 0'),
                                     ("shed: {concurrency: 0}", "1:21", '"concurrency" is 0'), ("jobs: {mail: {run: c++, attempts: 0}}", "1:35", '"attempts" is 0')):
            with self.subTest(config):
                output = self.refused(CONTRACT, config)
                self.assertIn(f"plimsoll.yaml:{place}: error[", output)
                self.assertIn(words, output)

    def test_a_key_without_a_certificate_is_never_served_in_clear(self):
        output = self.refused(CONTRACT, "tls:\n  key: key.pem\n")
        self.assertIn("plimsoll.yaml:2:3: error[configuration]: `tls` has `key` and no certificate", output)

    def test_an_unknown_configuration_key_is_refused_with_a_suggestion(self):
        output = self.refused(CONTRACT, "lisen: ['127.0.0.1:0']")
        self.assertIn('did you mean "listen"?', output)
        self.assertIn("plimsoll.yaml:1:1: error[", output)

    def test_a_missing_secret_is_refused_by_name(self):
        output = self.refused(CONTRACT, "authentication: {bearer: {secret: '${PLIMSOLL_TEST_NO_SUCH_SECRET}'}}")
        self.assertIn("PLIMSOLL_TEST_NO_SUCH_SECRET", output)
        self.assertRegex(output, r"plimsoll\.yaml:1:\d+")

    def test_a_word_of_a_later_version_is_refused_saying_so(self):
        output = self.refused(CONTRACT.replace("x-plimsoll: {table: notes}", "x-plimsoll: {table: notes, rollout: 5%}"))
        self.assertRegex(output, "does not implement \"rollout\"")

    def test_words_of_the_deployment_of_a_later_version_are_refused_saying_so(self):
        for config, word in (("store: {url: 'redis://cache'}", "store"),
                             ("telemetry: {traces: 'http://otel:4318'}", "telemetry.traces"), ("jobs: {mail: {run: {email: {to: a}}}}", "email")):
            output = self.refused(CONTRACT, config)
            self.assertRegex(output, rf"plimsoll\.yaml:1:\d+: error\[not-implemented\]: this version does not implement `{word}` yet\n")
        self.assertRegex(self.refused(CONTRACT, "database: {url: 'mysql://shop@db/shop'}"), r"plimsoll\.yaml:1:17: error\[not-implemented\]: only `sqlite:` and `postgres:` are served")

    def test_options_of_one_kind_of_database_are_refused_beside_the_other(self):
        self.assertRegex(self.refused(CONTRACT, "database: {pool: {max: 20}}"), r"plimsoll\.yaml:1:12: error\[configuration\]: `database.pool` is for PostgreSQL")
        self.assertRegex(self.refused(CONTRACT, "database: {replicas: ['postgres:///shop']}"), r"plimsoll\.yaml:1:12: error\[configuration\]: `database.replicas` is for PostgreSQL")
        self.assertRegex(self.refused(CONTRACT, "database: {url: 'postgres:///shop', replicas: ['postgres://a:s3cret@/shop?host=/a,/b']}"),
                         r"plimsoll\.yaml:1:47: error\[configuration\]: postgres://a:\*\*\*@/shop\S*: a replica is one server, and this URL names several")
        self.assertRegex(self.refused(CONTRACT, "database: {url: 'postgres:///shop', cache: 4MiB}"), r"plimsoll\.yaml:1:37: error\[configuration\]: `database.cache` is for SQLite")
        self.assertRegex(self.refused(CONTRACT, "database: {url: 'postgres:///shop', pool: {mux: 3}}"), r"plimsoll\.yaml:1:44: error\[configuration\]: .*did you mean \"max\"")

    def test_a_database_beyond_this_machine_must_prove_who_it_is_and_its_password_is_not_shown(self):
        for mode in ("disable", "prefer", "require", "verify-ca"):
            output = self.refused(CONTRACT, f"database: {{url: 'postgres://shop:s3cret@db/shop?sslmode={mode}'}}")
            self.assertRegex(output, r"plimsoll\.yaml:1:17: error\[configuration\]: .*verify-full")
            self.assertNotIn("s3cret", output)
        output = self.refused(CONTRACT, "database: {url: 'postgres://shop:s3cret@[db/shop'}")
        self.assertNotIn("s3cret", output)

    def test_a_mistake_in_the_deployment_is_told_with_its_own_place(self):
        for config, place in (("listen: [a]\nlimits: {hed: 4KiB}", "2:10"), ("telemetry:\n  lg: info", "2:3"), ("database: {\n  reders: 4}", "2:3"), ("listen: [\n", "2:1")):
            self.assertIn(f"plimsoll.yaml:{place}: error[", self.refused(CONTRACT, config))
        server = self.server(CONTRACT, files={"other.yaml": "jobs: {mail: {run: nothing}}\n"}, arguments=("--config", "other.yaml"))
        harness.Process.start(server)
        self.assertEqual(server.wait(), 2)
        self.assertIn("other.yaml:1:20: error[", server.output)

    def test_one_reason_is_told_once_for_all_the_operations_it_stops(self):
        output = self.refused(CONTRACT.replace("security: []", "security: [{bearer: []}]") + "  securitySchemes: {bearer: {type: http, scheme: bearer}}\n")
        self.assertEqual(output.count("has nothing that verifies its tokens"), 1, output)
        self.assertIn("operation listNotes and 1 other, policy authentication", output)

    def test_config_explains_each_option_with_its_origin(self):
        folder = self.directory()
        (folder / "plimsoll.yaml").write_text("telemetry: {log: warning}\nauthentication: {login: {secret: very-secret}}\n")
        done = self.plimsoll("config", "--explain", directory=folder)
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, r'telemetry\.log: "warning"\n  from:    plimsoll\.yaml:1\n  default: "info"\n  \w')
        self.assertNotIn("very-secret", done.stdout)
        self.assertRegex(done.stdout, r'limits\.head: "32KiB"\n  from:    default\n')

    def test_config_explains_every_section_with_its_keys_and_no_secret(self):
        folder = self.directory()
        (folder / "plimsoll.yaml").write_text("jobs:\n  a: {run: {http: {url: 'http://me:hunter1@a/', headers: {authorization: hunter2}}}, attempts: 3}\n"
                                              "authentication: {login: {secret: hunter3, issuer: us}}\n")
        said = self.plimsoll("config", "--explain", directory=folder).stdout
        self.assertNotIn("hunter", said)
        self.assertIn("http://[redacted]@a/", said)
        self.assertRegex(said, r"jobs\.a\.attempts: 3\n  from:    plimsoll\.yaml:2\n  default: 12\n")
        self.assertRegex(said, r'authentication\.login\.issuer: "us"\n  from:    plimsoll\.yaml:3\n')
        self.assertRegex(said, r"telemetry\.traces: null\n  from:    not implemented\n")
        empty = self.plimsoll("config", "--explain").stdout
        for name in ("listen", "management", "database.url", "database.readers", "telemetry.log", "tls.certificate", "limits.drain", "trusted-proxies", "roles",
                     "shed.concurrency", "cache.memory", "jobs.NAME.run", "authentication.failures", "authentication.NAME.issuer"):
            self.assertRegex(empty, rf"(?m)^{name}: ")

    def test_config_changed_shows_what_is_not_a_default(self):
        folder = self.directory()
        (folder / "plimsoll.yaml").write_text("telemetry: {log: info, format: json}\nlimits: {drain: 30s, idle: 2m}\njobs:\n  a: {run: c++, attempts: 12, priority: 1}\n"
                                              "authentication: {login: {secret: hunter3}}\n")
        changed = self.plimsoll("config", "--changed", directory=folder).stdout
        self.assertEqual(re.findall(r"(?m)^(\S+): ", changed), ["telemetry.format", "limits.idle", "authentication.login.secret", "jobs.a.run", "jobs.a.priority"])
        self.assertIn('limits.idle: "2m"\n  from:    plimsoll.yaml:2\n  default: "1m"\n', changed)
        self.assertNotIn("hunter", changed)
        self.assertEqual(self.plimsoll("config", "--changed").stdout, "")

    def test_explain_tells_of_each_key_and_option(self):
        said = self.plimsoll("explain", "rate-limit.burst")
        self.assertEqual(said.returncode, 0, said.stderr)
        for line in ("rate-limit.burst (contract)", "Units that may be used at once", "type: ", "default: ", "scopes:  document, path, operation", "example: x-plimsoll: {rate-limit: {burst: "):
            self.assertIn(line, said.stdout)
        self.assertIn("tables.NAME.page.max (contract)", self.plimsoll("explain", "tables.orders.page.max").stdout)
        self.assertRegex(self.plimsoll("explain", "cache").stdout, r"(?s)cache \(contract\).*    ttl: .*cache \(deployment\).*    memory: ")
        unknown = self.plimsoll("explain", "rate-limit.brust")
        self.assertEqual(unknown.returncode, 2)
        self.assertIn('did you mean "rate-limit.burst"?', unknown.stderr)
        keys = self.plimsoll("explain").stdout.splitlines()
        self.assertIn("idempotency (contract): ", "\n".join(keys))
        for key in keys:
            self.assertRegex(key, r"^[a-z-]+ \((contract|deployment)\): \S.*\.$")
        self.assertEqual(len(set(keys)), len(keys))

    def test_schemas_for_editors(self):
        folder = self.directory()
        self.assertEqual(self.plimsoll("init", ".", directory=folder).returncode, 0)
        for kind, document in ("contract", "notes.yaml"), ("deployment", "plimsoll.yaml"):
            schema = f".plimsoll/{kind}.schema.json"
            self.assertEqual((folder / document).read_text().splitlines()[0], f"# yaml-language-server: $schema={schema}")
            printed = self.plimsoll("schema", kind)
            self.assertEqual((printed.returncode, json.loads(printed.stdout)), (0, json.loads((folder / schema).read_text())))
            valid = self.plimsoll("schema", "validate", schema, document, directory=folder)
            self.assertEqual(valid.returncode, 0, valid.stdout)
        (folder / "notes.yaml").write_text((folder / "notes.yaml").read_text().replace("      key: id", "      keey: id"))
        self.assertEqual(self.plimsoll("schema", "validate", ".plimsoll/contract.schema.json", "notes.yaml", directory=folder).returncode, 1)

    def test_the_start_line_names_the_url_and_the_page(self):
        server = self.serve(CONTRACT)
        harness.until(lambda: "management at" in server.output, "the start line, which is printed once requests are answered")
        self.assertRegex(server.output, rf"(?m)^plimsoll: .* at http://{server.address}, documentation at http://{server.address}/docs$")
        self.assertRegex(server.output, rf"(?m)^plimsoll: management at http://{server.management}$")
        self.assertEqual(server.get("/docs").status, 200)
        everywhere = self.port()
        process = self.process([harness.program(), "serve", self.laid(), "--listen", f"0.0.0.0:{everywhere}", "--management", "off"])
        harness.until(lambda: f" at http://0.0.0.0:{everywhere}, documentation at http://localhost:{everywhere}/docs\n" in process.output, lambda: process.output)

    def test_what_init_writes_is_served(self):
        folder = self.directory()
        done = self.plimsoll("init", "mine", directory=folder)
        self.assertEqual(done.returncode, 0, done)
        again = self.plimsoll("init", "mine", directory=folder)
        self.assertEqual(again.returncode, 2)
        server = self.serve(folder / "mine" / "notes.yaml", directory=folder / "mine")
        self.assertEqual(server.post("/notes", {"title": "first"}).status, 201)
        self.assertEqual([note["title"] for note in server.get("/notes").json()["data"]], ["first"])

    def test_version_and_help(self):
        self.assertRegex(self.plimsoll("--version").stdout, r"plimsoll \d+\.\d+\.\d+")
        self.assertIn("serve", self.plimsoll("--help").stdout)
        unknown = self.plimsoll("sevre")
        self.assertEqual(unknown.returncode, 2)
        self.assertIn('there is no command "sevre"; did you mean "serve"?', unknown.stderr)
        self.assertIn("there is no command", self.plimsoll("frobnicate", "--help").stderr)

    def laid(self, text=CONTRACT, name="contract.yaml"):
        path = self.directory() / name
        path.write_text(text)
        return path


class Seeing(harness.ServerTest):
    def test_each_request_is_one_line_with_the_ids_of_its_answer(self):
        server = self.serve(CONTRACT)
        trace = "0af7651916cd43dd8448eb211c80319c"
        answer = server.get("/notes", {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "X-Request-Id": "mine-7"})
        self.assertEqual(answer.headers["x-request-id"], "mine-7")
        line = harness.until(lambda: [l for l in server.logged() if l.get("trace_id") == trace], "a line of log")[0]
        self.assertEqual((line["operation"], line["status"], line["request_id"]), ("listNotes", 200, "mine-7"))

    def test_no_secret_reaches_the_log(self):
        server = self.serve(CONTRACT)
        server.get("/notes?limit=1", {"Authorization": "Bearer hush-hush", "Cookie": "session=hush-hush"})
        server.get("/nowhere?token=hush-hush")
        server.stop()
        self.assertIn('"status":404', server.output)
        self.assertNotIn("hush-hush", server.output)

    def test_metrics_count_by_operation_route_and_status(self):
        server = self.serve(CONTRACT)
        for _ in range(3):
            server.get("/notes")
        server.request("HEAD", "/notes")
        server.get("/nowhere")
        name = 'http_server_request_duration_seconds_count{http_request_method="%s",http_route="%s",http_response_status_code="%s",operation="%s"}'
        harness.until(lambda: server.metrics().get(name % ("GET", "/notes", 200, "listNotes")) == 3, "three requests counted")
        harness.until(lambda: server.metrics().get(name % ("HEAD", "/notes", 200, "listNotes")) == 1, "one HEAD counted")
        self.assertEqual(server.metrics()['http_server_active_requests{http_request_method="HEAD",http_route="/notes"}'], 0)
        harness.until(lambda: server.metrics().get(name % ("_OTHER", "unmatched", 404, "")) == 1, "one stray request counted")

    def test_management_is_never_on_the_public_listener(self):
        server = self.serve(CONTRACT)
        self.assertEqual(server.get("/metrics").status, 404)
        self.assertEqual(harness.fetch(server.management, target="/notes").status, 404)

    def test_a_name_that_leads_to_the_management_listener_shows_nothing(self):
        server = self.serve(CONTRACT)
        for name in ("rebound.example", "rebound.example:9180", "127.0.0.1.example", "notlocalhost"):
            answer = harness.fetch(server.management, target="/metrics", headers={"Host": name})
            self.assertEqual((answer.status, answer.json()["code"]), (421, "misdirected-request"), name)
        for name in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:9180", "one.localhost"):
            self.assertEqual(harness.fetch(server.management, target="/metrics", headers={"Host": name}).status, 200, name)

    def test_security_headers_are_on_every_answer(self):
        server = self.serve(CONTRACT)
        for target in ("/notes", "/nowhere", "/docs", "/problems"):
            headers = server.get(target).headers
            self.assertEqual(headers["x-content-type-options"], "nosniff", target)
            self.assertIn("default-src 'none'", headers["content-security-policy"], target)

    def test_browsers_of_named_origins_may_call(self):
        server = self.serve(CONTRACT)
        ask = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
        self.assertEqual(server.request("OPTIONS", "/notes", headers=ask).headers["access-control-allow-origin"], "https://app.example.com")
        self.assertEqual(server.request("OPTIONS", "/notes", headers={**ask, "Origin": "https://evil.example"}).status, 403)
        self.assertNotIn("access-control-allow-origin", server.get("/notes", {"Origin": "https://evil.example"}).headers)

    def test_every_problem_has_a_page_and_the_effective_contract_is_served(self):
        server = self.serve(CONTRACT)
        answer = server.get("/nowhere")
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        page = server.get(answer.json()["type"])
        self.assertEqual(page.status, 200)
        for link in re.findall(r'href="(/problems/[^"]+)"', server.get("/problems").text):
            self.assertEqual(server.get(link).status, 200, link)
        parameters = server.get("/openapi.json").json()["paths"]["/notes"]["get"]["parameters"]
        self.assertIn("cursor", [parameter["name"] for parameter in parameters])


class Ending(harness.ServerTest):
    def test_sigterm_lets_what_is_under_way_finish_and_ends_with_0(self):
        server = self.serve(CONTRACT)
        body = json.dumps({"title": "under way"}).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE) as line:
            line.sendall(b"POST /notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:5])
            # Another request is answered: the server has read what was sent before it, on whichever thread.
            self.assertEqual(server.get("/notes").status, 200)
            server.signal(signal.SIGTERM)
            harness.until(lambda: any(l.get("event") == "draining" for l in server.logged()), "the drain")
            harness.until(lambda: not server.accepts(), "the end of the listener")
            line.sendall(body[5:])
            answer = b""
            while piece := line.recv(65536):
                answer += piece
        self.assertTrue(answer.startswith(b"HTTP/1.1 201"), answer)
        self.assertIn(b"connection: close", answer.lower())
        self.assertEqual(server.wait(), 0)

    def test_an_idle_server_ends_at_once_and_starts_again_with_its_rows(self):
        server = self.serve(CONTRACT)
        server.post("/notes", {"title": "kept"})
        self.assertEqual(server.stop(), 0)
        server.restart()
        self.assertEqual([note["title"] for note in server.get("/notes").json()["data"]], ["kept"])


if __name__ == "__main__":
    harness.main()
