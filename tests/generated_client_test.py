"""Programs that are generated, compiled under --strict and run, from the served contract of the shop: by openapi-typescript and openapi-fetch, by
oazapfts, and by @hey-api/openapi-ts.

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

    def laid(self, program):
        """A server of the shop, and a folder with its served contract, a program, and the packages of npm."""
        folder = self.directory()
        server = self.serve(EXAMPLES / "shop/shop.yaml", EXAMPLES / "shop/plimsoll.yaml", arguments=["--dev"]).authorize()
        (folder / "node_modules").symlink_to(npm.FOLDER / "node_modules")
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "served.json").write_text(server.get("/openapi.json").text)
        (folder / program).write_text((harness.ROOT / "tests/programs" / program).read_text())
        return server, folder

    def compiled(self, server, folder, program):
        """What the program prints."""
        self.run_it(*COMPILE, program, folder=folder)
        return self.run_it("node", program.replace(".ts", ".js"), server.url, server.headers["Authorization"].removeprefix("Bearer "), folder=folder)

    def test_another_generator_makes_functions_that_are_called(self):
        npm.needs("oazapfts", "@oazapfts/runtime", "typescript")
        server, folder = self.laid("shop_oazapfts.ts")
        self.run_it("node", npm.FOLDER / "node_modules/oazapfts/cli.js", "served.json", "shop_api.ts", folder=folder)
        # A parameter of a served contract has a type.
        self.assertNotIn("?: any", (folder / "shop_api.ts").read_text())
        self.assertEqual(self.compiled(server, folder, "shop_oazapfts.ts"), "done\n")

    def test_a_third_generator_makes_functions_that_are_called(self):
        npm.needs("@hey-api/openapi-ts", "typescript")
        server, folder = self.laid("shop_hey.ts")
        (folder / "hey.config.mjs").write_text("export default {input: 'served.json', output: {path: 'hey', module: {extension: '.js'}}, logs: {file: false}}")
        self.run_it("node", npm.FOLDER / "node_modules/@hey-api/openapi-ts/bin/run.js", "-f", "hey.config.mjs", folder=folder)
        self.assertEqual(self.compiled(server, folder, "shop_hey.ts"), "done\n")

    def test_a_program_of_40_calls_compiles_strictly_and_runs(self):
        npm.needs("openapi-typescript", "openapi-fetch", "typescript")
        tools = npm.FOLDER / "node_modules"
        server, folder = self.laid("shop_client.ts")
        self.run_it("node", tools / "openapi-typescript/bin/cli.js", "served.json", "-o", "shop.d.ts", folder=folder)
        self.assertRegex(self.compiled(server, folder, "shop_client.ts"), r"^\d+ calls$")
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
