"""A program that is generated, compiled and run: types by openapi-typescript from the served contract of the shop, calls by openapi-fetch, under --strict.

The packages come from npm (bench/package.json); without them the test is skipped.
"""
import re
import subprocess

import harness
import npm

EXAMPLES = harness.ROOT / "examples"
COMPILE = ("node", npm.FOLDER / "node_modules/typescript/bin/tsc", "--strict", "--noUncheckedIndexedAccess", "--skipLibCheck", "--target", "es2022", "--module", "nodenext",
           "--moduleResolution", "nodenext")


class GeneratedClient(harness.ServerTest):
    def run_it(self, *command, folder):
        done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-4000:])
        return done.stdout

    def test_a_program_of_40_calls_compiles_strictly_and_runs(self):
        npm.needs("openapi-typescript", "openapi-fetch", "typescript")
        folder, tools = self.directory(), npm.FOLDER / "node_modules"
        server = self.serve(EXAMPLES / "shop/shop.yaml", EXAMPLES / "shop/plimsoll.yaml", arguments=["--dev"]).authorize()
        (folder / "node_modules").symlink_to(tools)
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "served.json").write_text(server.get("/openapi.json").text)
        (folder / "shop_client.ts").write_text((harness.ROOT / "tests/programs/shop_client.ts").read_text())
        self.run_it("node", tools / "openapi-typescript/bin/cli.js", "served.json", "-o", "shop.d.ts", folder=folder)
        self.run_it(*COMPILE, "shop_client.ts", folder=folder)
        said = self.run_it("node", "shop_client.js", server.url, server.headers["Authorization"].removeprefix("Bearer "), folder=folder)
        self.assertRegex(said, r"^\d+ calls$")
        # Where anything compiles, nothing is shown.
        wrong = ["await shop.POST('/products', { body: { name: 'a', category: 'toys' } })",  # without a price
                 "await shop.POST('/payments', { body: payment })",  # without a key
                 "await shop.POST('/products', { body: { id: 'a', name: 'a', category: 'toys', price: '1' } })",  # what only the server writes
                 "const no: boolean = missing.error?.status === 404 && missing.error.code === 'conflict'",  # a code that the status does not have
                 "const name: string = narrow.name"]  # a member that may be left out
        program = (folder / "shop_client.ts").read_text()
        (folder / "wrong.ts").write_text(program + "\n".join(wrong))
        first = program.count("\n") + 1
        done = subprocess.run([str(word) for word in (*COMPILE, "--noEmit", "wrong.ts")], cwd=folder, capture_output=True, text=True, timeout=600)
        found = {int(line) for line in re.findall(r"^wrong\.ts\((\d+),", done.stdout, re.M)}
        self.assertEqual(found, set(range(first, first + len(wrong))), done.stdout)


if __name__ == "__main__":
    harness.main()
