"""`plimsoll schema validate`: files and lines, their output and exit status."""
import json
import pathlib
import subprocess
import tempfile
import unittest

import harness


class SchemaValidate(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def run_it(self, *arguments, text=None):
        return subprocess.run([str(harness.program()), "schema", "validate", *arguments], cwd=self.folder, input=text, capture_output=True, text=True, timeout=60)

    def test_documents_are_judged_and_the_status_says_so(self):
        self.write("order.yaml", "properties:\n  total: {$ref: 'parts/money.json#/$defs/amount'}\nrequired: [total]\n")
        (self.folder / "parts").mkdir()
        self.write("parts/money.json", '{"$defs": {"amount": {"type": "number", "minimum": 0}}}')
        self.write("good.json", '{"total": 1.5}')
        self.write("bad.yaml", "total: -1\n")
        good = self.run_it("order.yaml", "good.json")
        self.assertEqual((good.returncode, good.stdout), (0, '{"valid":true}\n'))
        both = self.run_it("order.yaml", "good.json", "bad.yaml")
        self.assertEqual(both.returncode, 1)
        first, second = map(json.loads, both.stdout.splitlines())
        self.assertTrue(first["valid"])
        self.assertEqual([(error["instanceLocation"], error["error"]) for error in second["errors"]], [("/total", "must be at least 0")])
        self.assertEqual(self.run_it("order.yaml", "bad.yaml", "--output", "flag").stdout, '{"valid":false}\n')

    def test_what_cannot_be_judged_is_said_with_its_place(self):
        self.write("broken.json", '{"type": "integer",}')
        self.write("wrong.yaml", "properties:\n  a: {minimum: x}\n")
        self.write("one.json", "1")
        for schema, instance, said in [("broken.json", "one.json", "line 1, column 20"), ("wrong.yaml", "one.json", "line 2, column 16: /properties/a/minimum: must be a number"),
                                       ("one.json", "one.json", "a schema is an object or a boolean"), ("missing.json", "one.json", "cannot be read")]:
            done = self.run_it(schema, instance)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(said, done.stderr)

    def test_lines_are_answered_one_by_one(self):
        lines = [{"schema": {"$ref": "http://example.com/s"}, "remotes": {"http://example.com/s": {"type": "integer"}}, "instance": 1.5},
                 {"schema": {"format": "date"}, "instance": "x"}, {"schema": {"format": "date"}, "instance": "x", "format": True},
                 {"schema": {"type": 1}, "instance": 1}, {"schema": True, "instance": 1, "repeat": 10}]
        done = self.run_it("--json-lines", text="".join(json.dumps(line) + "\n" for line in lines) + "nonsense\n")
        self.assertEqual(done.returncode, 0)
        answers = list(map(json.loads, done.stdout.splitlines()))
        self.assertEqual([answer["valid"] for answer in answers], [False, True, False, None, True, None])
        self.assertEqual(answers[0]["errors"], [{"instance": "", "schema": "http://example.com/s#/type", "keyword": "type", "message": "must be an integer"}])
        self.assertGreaterEqual(answers[4]["ns"], 0)

    def test_every_line_is_answered_also_one_that_says_nothing(self):
        done = self.run_it("--json-lines", text='\n{"schema":{},"instance":1}\n \n[]\n{"schema":1,"instance":1}')
        self.assertEqual([json.loads(line)["valid"] for line in done.stdout.splitlines()], [None, True, None, None, None])


if __name__ == "__main__":
    harness.main()
