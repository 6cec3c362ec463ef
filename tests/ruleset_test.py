"""`plimsoll lint --ruleset` with rulesets as teams write them (tests/rulesets), and beside Spectral itself, which comes from npm
(bench/package.json; without it that part is skipped)."""
import json
import os
import pathlib
import re
import subprocess
import unittest

import harness
import npm

RULESETS = harness.ROOT / "tests/rulesets"
NAMES = ("naming", "descriptions", "security", "versioning", "oas")
CONTRACTS = ("museum.yaml", "oai-api-with-examples.yaml", "oai-link-example.yaml", "oai-petstore-expanded.yaml", "oai-uspto.yaml", "train-travel.yaml", "box.json")
SEVERITIES = {0: "error", 1: "warning", 2: "info", 3: "info"}


CONTRACT = """openapi: 3.1.0
info: {title: Shop, version: '2', contact: {name: Ada}}
servers: [{url: 'http://api.example.com'}]
tags: [{name: orders}, {name: items}]
paths:
  /Orders/getAll:
    get:
      operationId: list
      summary: List orders.
      parameters: [{$ref: '#/components/parameters/PageSize'}]
      responses:
        '200': {description: Orders, content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/order'}}}}}
        '404': {description: No}
    delete:
      operationId: DeleteAll
      responses: {'204': {description: Gone}, '200': {description: Also}}
components:
  securitySchemes:
    login: {type: http, scheme: basic}
    key: {type: apiKey, in: query, name: key}
  parameters:
    PageSize: {name: pageSize, in: query, schema: {type: integer}}
  schemas:
    order: {type: object, properties: {createdAt: {type: string}, state: {type: string, enum: [open, DONE]}}}
"""


class Rulesets(harness.ServerTest):
    """Each ruleset over a contract with a fault for each of its rules that can have one here."""
    def lint(self, ruleset, *options):
        folder = self.directory()
        (folder / "shop.yaml").write_text(CONTRACT)
        return self.plimsoll("lint", "shop.yaml", "--ruleset", ruleset, *options, directory=folder)

    def found(self, name):
        told = self.lint(RULESETS / f"{name}.yaml")
        return told.returncode, [line.removeprefix("shop.yaml:") for line in told.stdout.splitlines() if line.startswith("shop.yaml:")]

    def test_names(self):
        status, lines = self.found("naming")
        self.assertEqual(status, 1)
        self.assertEqual(lines, [
            '4:7: warning[tags-in-order]: "orders" must be placed after "items"',
            '6:3: error[paths-kebab-case]: /Orders/getAll: "/Orders/getAll" must match the pattern ^(/[a-z0-9]+(-[a-z0-9]+)*|/\\{[a-zA-Z0-9_]+\\})+(\\.json)?$ (#/paths/~1Orders~1getAll)',
            "7:5: warning[paths-without-verbs]: The path /Orders/getAll names an action",
            '8:20: warning[operation-id-camel-case]: "operationId" must not be shorter than 5',
            '15:20: warning[operation-id-camel-case]: "operationId" must be camel case',
            '19:5: warning[security-schemes-in-order]: "login" must be placed after "key"',
            '22:22: info[parameters-snake-case]: "name" must be snake case',
            '24:5: warning[schemas-pascal-case]: "order" must be pascal case',
            '24:40: warning[properties-one-word]: "createdAt" must be flat case',
            '24:96: warning[enum-values-upper-case]: item 0 must match the pattern ^[A-Z][A-Z0-9_]*$'])

    def test_descriptions(self):
        status, lines = self.found("descriptions")
        self.assertEqual(status, 1)
        self.assertEqual(lines, [
            '2:7: error[info-described-at-all]: "description" must be present and not empty',
            '9:16: warning[summaries-are-no-sentences]: "summary" must not match the pattern /\\.\\s*$/',
            '13:16: warning[responses-say-when]: "content" must be present and not empty',
            '13:30: warning[responses-say-when]: "description" must not be shorter than 12',
            '15:7: warning[operations-described]: "delete" must have one of "summary", "description", "externalDocs"',
            '22:15: warning[parameters-described]: parameter PageSize.description at #/components/parameters/PageSize',
            '24:51: info[properties-described]: "description" must be present and not empty',
            '24:74: info[properties-described]: "description" must be present and not empty'])

    def test_security(self):
        status, lines = self.found("security")
        self.assertEqual(status, 1)
        self.assertEqual(lines, [
            '1:1: warning[security-declared-somewhere]: "security" must be present',
            '3:17: error[servers-by-https]: "url" must match the pattern ^(https:|/)',
            '15:7: warning[writes-are-secured]: "security" must be present',
            '16:18: warning[writes-are-refused-by-name]: "401" must be present and not empty',
            '16:18: warning[writes-are-refused-by-name]: "403" must be present and not empty',
            '19:33: warning[no-basic]: "scheme" must be one of "bearer", "digest"',
            '20:29: warning[no-keys-in-urls]: "in" must not match the pattern ^query$',
            '22:51: info[numbers-bounded]: "schema" must match at least one of the schemas under anyOf'])

    def test_versioning(self):
        status, lines = self.found("versioning")
        self.assertEqual(status, 1)
        self.assertEqual(lines, [
            '2:30: error[version-is-semantic]: "version" must match the pattern ^\\d+\\.\\d+\\.\\d+(-[\\w.]+)?$',
            '3:17: warning[version-in-server]: "url" must match the pattern /v?\\d+',
            '12:82: warning[lists-in-an-envelope]: "type" must be one of "object"',
            '16:18: warning[one-success]: "responses" must have exactly one of "200", "201", "202", "204"'])

    def test_findings_have_the_shape_of_errors(self):
        told = self.lint(RULESETS / "versioning.yaml")
        self.assertIn("""shop.yaml:2:30: error[version-is-semantic]: "version" must match the pattern ^\\d+\\.\\d+\\.\\d+(-[\\w.]+)?$
    2 | info: {title: Shop, version: '2', contact: {name: Ada}}
      |                              ^
  at /info/version
  help: The ruleset requires it.
""", told.stdout)

    def test_what_is_not_read_is_named_and_has_an_exit_status_of_its_own(self):
        folder = self.directory()
        (folder / "rules.yaml").write_text("""extends: [[spectral:oas, off], 'https://example.com/rules.yaml', '@team/rules']
functionsDir: checks
functions: [equals]
rules:
  mine: {given: $.info, then: {function: equals}}
  name: {given: $.info, then: {field: nickname, function: truthy}}
""")
        told = self.lint(folder / "rules.yaml")
        unread = [line.removeprefix(f"{folder}/") for line in told.stdout.splitlines() if line.startswith(str(folder))]
        self.assertEqual(unread, [
            'rules.yaml:1:32: warning[ruleset]: "https://example.com/rules.yaml" is not read: a ruleset extends files and spectral:oas',
            'rules.yaml:1:66: warning[ruleset]: "@team/rules" is not read: a ruleset extends files and spectral:oas',
            "rules.yaml:2:1: warning[ruleset]: `functionsDir` of a ruleset is not read",
            "rules.yaml:3:1: warning[ruleset]: `functions` of a ruleset is not read",
            "rules.yaml:5:31: warning[ruleset]: the rule mine is left out: the function `equals` is not read"])
        self.assertIn("warning[name]: ", told.stdout)
        self.assertEqual(told.returncode, 3, "the contract passes, and the ruleset was not read whole")
        self.assertEqual(self.lint(folder / "rules.yaml", "--fail-on", "warning").returncode, 1, "a finding counts")
        self.assertEqual(self.lint(folder / "rules.yaml", "--fail-on", "never").returncode, 0)
        self.assertEqual(self.lint(folder / "none.yaml").returncode, 2)


class AgreementWithSpectral(harness.ServerTest):
    """The same rules find the same places with the same severity."""
    def contracts(self):
        if not harness.REAL.is_dir():
            self.skipTest(f"real data is not here: {harness.REAL}")
        real = [harness.REAL / "contracts" / name for name in CONTRACTS]
        if os.environ.get("PLIMSOLL_TORTURE"):
            real.append(harness.REAL / "contracts/twilio-api-v2010.yaml")
        return [*real, harness.ROOT / "examples/shop/shop.yaml", harness.ROOT / "examples/packages/packages.yaml"]

    def ours(self, ruleset, contract):
        told = self.plimsoll("lint", contract, "--ruleset", ruleset, "--format", "json", patience=120)
        self.assertIn(told.returncode, (0, 1), told.stdout[:2000] + told.stderr)
        names = self.names(ruleset)
        return {(each["rule"], each["pointer"], each["severity"]) for each in json.loads(told.stdout) if each["rule"] in names}

    def theirs(self, ruleset, contracts):
        """By contract. Spectral reads them all in one run."""
        told = subprocess.run(["node", npm.FOLDER / "node_modules/@stoplight/spectral-cli/dist/index.js", "lint", "-q", "-f", "json", "-r", ruleset, *contracts],
                              capture_output=True, text=True, timeout=900)
        self.assertIn(told.returncode, (0, 1), told.stdout + told.stderr)
        names = self.names(ruleset)
        escaped = lambda part: str(part).replace("~", "~0").replace("/", "~1")  # noqa: E731
        found = {contract: set() for contract in contracts}
        for each in json.loads(told.stdout):
            if each["code"] in names:
                found[pathlib.Path(each["source"])].add((each["code"], "".join("/" + escaped(part) for part in each["path"]), SEVERITIES[each["severity"]]))
        return found

    def names(self, ruleset):
        """The rules of a ruleset and of those that it extends, by the lines they begin on."""
        text = ruleset.read_text() + (RULESETS / "base/contact.yaml").read_text()
        if ruleset.stem == "oas":
            text = (harness.ROOT / "plimsoll/contract/ruleset_oas.cpp").read_text()
        return {line.strip().split(":")[0] for line in text.splitlines() if line.startswith("  ") and line[2] not in " -"}

    @staticmethod
    def apart(ours, theirs):
        """What only one of the two found. Spectral places what stands below a reference and a name with `+` or `$` at the parent of that name."""
        only_ours, only_theirs = ours - theirs, theirs - ours
        parents = {(rule, re.split("/[^/]*[+$]", pointer)[0], severity): (rule, pointer, severity) for rule, pointer, severity in ours if re.search("[+$]", pointer)}
        moved = only_theirs & parents.keys()
        return sorted(only_ours - {parents[each] for each in moved}), sorted(only_theirs - moved)

    def test_the_same_places_are_found(self):
        npm.needs("@stoplight/spectral-cli")
        contracts = self.contracts()
        total = 0
        for name in NAMES:
            ruleset = RULESETS / f"{name}.yaml"
            theirs = self.theirs(ruleset, contracts)
            for contract in contracts:
                only_ours, only_theirs = self.apart(self.ours(ruleset, contract), theirs[contract])
                if os.environ.get("PLIMSOLL_SHOW"):
                    print(contract.name, name, only_ours[:12], only_theirs[:12], sep="\n  ")
                    continue
                self.assertEqual((only_ours[:5], only_theirs[:5]), ([], []), f"{contract.name} by {name}: {len(only_ours)} only here, {len(only_theirs)} only by Spectral")
                total += len(theirs[contract])
        print(f"{total} findings of {len(contracts)} contracts by {len(NAMES)} rulesets, the same here and by Spectral")
        self.assertGreater(total, 3000)


if __name__ == "__main__":
    harness.main()
