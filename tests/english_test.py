"""Plain English in pages, problems, errors of contracts, messages, help, option sentences and log events: forbidden phrases, and what to write instead."""
import json
import re

import harness
import pages

# (regular expression, what to write instead, an example that it must match). Keep the expressions narrow: ORDINARY lists sentences that none of them may match.
PHRASES = [
    # Free relative clauses, and indefinite pronouns as the subject.
    (r"^#+ Who (?:asks|may|lacks|is)\b", "a noun: Authentication, Authorization", "## Who may read it"),
    (r"\bwhoever\b", "the caller that, the client that, the operator", "Whoever sends none is rejected."),
    (r"\b(?:those|callers?|for|to) who lacks?\b|\bwho lacks\b", "callers without", "Rejects callers who lack the scope."),
    (r"\b(?:for|to|of) those who\b|\bthose who\b", "the callers that, the authorities that", "The file of those who sign it."),
    (r"\bfor who (?:has|is|asks|sends)\b", "for clients that", "A 304 for who has it already."),
    (r"\bnobody\b", "no caller, no process, no request", "Nobody reads it."),
    (r"\bsomebody\b", "a caller, a client, another process", "Somebody else writes."),
    (r"\bstrangers?\b", "unauthenticated callers", "Strangers learn nothing."),
    (r"\bnewcomers?\b", "new callers, new readers", "A newcomer is served."),
    (r"\bthat which\b", "the value that, the one that", "That which is sent is kept."),

    # Personification.
    (r"\bvouch(?:es|ed)?\b", "verify, authenticate", "Nothing vouches for it."),
    (r"\b(?:is|are|was|were|be|being) told\b(?! apart)", "gets, is answered, is reported, is set", "The caller is told the reason."),
    (r"\btells? (?:nobody|who|what|which|all|callers|browsers|where|whether)\b", "says, names, reports", "The log tells what is wrong."),
    (r"\b(?:is|are|was) believed\b", "is trusted", "Its header is believed."),
    (r"\bknocking\b", "rejected requests", "Knocking costs nothing."),
    (r"\b(?:is|are) not heard of\b", "does not renew its lease", "A worker that is not heard of."),
    (r"\bgoes? nowhere\b|\bleads? nowhere\b", "does not exist, cannot be resolved", "The reference leads nowhere."),
    (r"\bthe other side(?:'s)?\b", "the client, the called service, the peer", "The other side cannot be reached."),
    (r"\bspeaks? in clear\b|\bin clear\b", "without TLS, in plain text", "The listener is in clear."),
    # Archaic or unusual words.
    (r"\banew\b", "again, new", "The keys are read anew."),
    (r"\bwherefore\b|\bhence\b|\btherein\b|\bthereof\b|\bwhereupon\b", "so, in it", "It is closed, hence the error."),
    (r"\bheld against\b", "validated against, compared with", "Answers are held against the contract."),
    (r"\bunder way\b", "in progress", "Requests that are under way."),
    (r"\bparted by\b", "separated by", "Names parted by commas."),
    (r"\bpassed over\b", "skipped, ignored, rejected", "Such keys are passed over."),
    (r"\b(?:goes|go|comes?|sent) along\b", "is included, is sent with it", "The id goes along."),
    (r"\bmakes? up\b|\bmade up\b(?! of)", "generates, generated", "The answer is made up."),
    (r"\bof ours\b", "our, the server's", "A function of ours."),
    (r"\bwithout a word\b", "without configuration, silently", "It is on without a word in the contract."),
    (r"\bgoes without saying\b", "may be omitted", "The charset goes without saying."),

    (r"\bnothing is to be\b|\bis to be had\b|\bcan be had\b", "is not needed, is available", "Nothing is to be configured."),
    (r"\basked for once\b", "requested for the first time", "What is asked for once is kept."),
    (r"\btoo much to do\b", "overloaded", "It has too much to do."),
    (r"\bserved on\b(?! the| a| an| port)", "stays in force, is still served", "What was served before is served on."),
    (r"\banother life\b", "requeue", "It gives dead jobs another life."),
    (r"\bfor a laptop\b", "development mode", "For a laptop: it makes a key."),
    (r"\banother's row\b", "rows of other owners are not visible (404)", "Another's row does not exist."),
    (r"\bwhose word counts\b", "which proxies are trusted", "Name the proxies whose word counts."),
    # Riddles.
    (r"\bthe data says otherwise\b", "conflict with existing data", "The data says otherwise."),
    (r"\bwhat is there is not\b", "the resource has changed since you read it", "What is there is not what was read."),
    (r"\bnothing that answers it\b", "no handler", "The operation has nothing that answers it."),
    (r"\b(?:is|are) (?:nobody's|the program's own)\b", "say whose, or what for", "The table is the program's own."),
    (r"\brows? of (?:somebody else|others) do(?:es)? not exist\b", "rows of other owners are not visible (404)", "Rows of others do not exist."),
]

# Ordinary sentences: no phrase may match them.
ORDINARY = [
    "The server validates each request against the contract and answers 400 if it is not valid.",
    "Callers who have the role `admin` see the rows of all owners.",
    "The response says how many units are left, and when the next one is available.",
    "A list is made up of pages. The page is served on port 8080, and on the management listener.",
    "The command asks for the password; the log level is set for 10 minutes.",
    "The caller may hold several roles. There is no default. The log names the phase.",
    "It belongs to the tenant that the token names, and goes to the queue again.",
    "The client disconnects, and what it has sent is dropped. The key belongs to whichever scheme has no section.",
]

WORDS = [(re.compile(phrase, re.I), instead, example) for phrase, instead, example in PHRASES]


def found_in(where, text):
    """`README.md:12: "is told": write …` of each forbidden phrase; `where` and the line in a text of several lines."""
    for number, line in enumerate(text.splitlines(), 1):
        for phrase, instead, _ in WORDS:
            for found in phrase.finditer(line):
                yield f'{where}:{number}: "{found[0]}": write: {instead}'


def unreleased(text):
    """The part of CHANGELOG.md up to the end of Unreleased. Released sections do not change."""
    return re.split(r"^## (?!\[Unreleased\])", text, flags=re.M)[0]


def strings(text):
    """(offset, value) of each C++ string literal; adjacent literals are joined."""
    for found in re.finditer(r'"(?:[^"\\\n]|\\.)*"(?:\s*\n\s*"(?:[^"\\\n]|\\.)*")*', text):
        yield found.start(), "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', found[0]))


def sources():
    for folder in ("plimsoll", "apps"):
        for path in sorted((harness.ROOT / folder).rglob("*.?pp")):
            if not re.search(r"_test\.|_bench\.|_fuzz\.|_cases\.|_check\.|conformance|testkit", str(path.relative_to(harness.ROOT))):
                yield path


class TheList(harness.ServerTest):
    def test_each_phrase_is_found_in_its_example_and_none_in_ordinary_sentences(self):
        for phrase, _, example in WORDS:
            self.assertRegex(example, phrase)
        self.assertEqual([fault for each in ORDINARY for fault in found_in("ordinary", each)], [])

    def test_a_fault_names_its_line_and_what_to_write(self):
        self.assertEqual(list(found_in("page.md", "One line.\nThe caller is told why.")), ['page.md:2: "is told": write: gets, is answered, is reported, is set'])


class PlainEnglish(harness.ServerTest):
    def assert_plain(self, texts):
        """`texts`: (where, text)."""
        faults = [fault for where, text in texts for fault in found_in(where, text)]
        self.assertEqual(faults, [], "\n" + "\n".join(faults))

    def test_pages(self):
        found = []
        for path in pages.all_pages():
            text = path.read_text()
            found.append((str(path.relative_to(harness.ROOT)), unreleased(text) if path.name == "CHANGELOG.md" else text))
        self.assertGreater(len(found), 50)
        for path in [*(harness.ROOT / "deploy").iterdir(), *(harness.ROOT / "examples").rglob("*.yaml")]:  # users copy these
            found.append((str(path.relative_to(harness.ROOT)), path.read_text()))
        self.assert_plain(found)

    def test_titles_and_remedies_of_problems_and_errors_of_contracts(self):
        """Read from the sources, because `plimsoll problems` does not list those that only a log or a start prints."""
        found = []
        for path in sources():
            text = path.read_text()
            for declared in re.finditer(r"\b(?:Problem|LoadError)\s+k\w+\s*\{", text):
                end = text.find("};", declared.end())
                for at, value in strings(text[declared.end():end]):
                    line = text.count("\n", 0, declared.end() + at) + 1
                    found += [(f"{path.relative_to(harness.ROOT)}:{line}", value)]
        self.assertGreater(len(found), 400)
        self.assert_plain(found)

    def test_problem_titles_are_short_and_without_a_full_stop(self):
        listed = json.loads(self.plimsoll("problems", "--json").stdout)
        self.assertGreater(len(listed), 60)
        self.assert_plain((one["code"], f'{one["title"]}\n{one["remedy"]}') for one in listed)
        self.assertEqual([one["code"] for one in listed if not one["title"][0].isupper() or one["title"].endswith(".") or len(one["title"]) > 60], [])
        self.assertEqual([one["code"] for one in listed if one["remedy"] and not re.search(r"[.)]$", one["remedy"])], [], "remedies are sentences")

    def test_help_of_every_command_and_the_sentences_of_every_option(self):
        def commands(*words):
            text = self.plimsoll(*words, "--help").stdout
            yield "plimsoll " + " ".join([*words, "--help"]), text
            listed = re.search(r"^Subcommands:\n(.*)", text, re.S | re.M)
            for name in re.findall(r"^  (\S+)", listed[1], re.M) if listed else ():
                yield from commands(*words, name)
        said = dict(commands())
        self.assertGreater(len(said), 25)
        self.assert_plain(said.items())
        self.assert_plain((f"plimsoll {' '.join(words)}", self.plimsoll(*words).stdout)
                          for words in (("explain",), ("config", "--explain"), ("schema", "contract"), ("schema", "deployment")))

    def test_messages_in_the_sources(self):
        """String literals of the sources with several words: errors, remedies, option sentences, metrics, log lines."""
        found = []
        for path in sources():
            text = re.sub(r"//[^\n]*", lambda comment: " " * len(comment[0]), path.read_text())
            for at, value in strings(text):
                if value.count(" ") > 1:
                    found += [(f"{path.relative_to(harness.ROOT)}:{text.count(chr(10), 0, at) + 1}", value)]
        self.assertGreater(len(found), 1500)
        self.assert_plain(found)

    def test_events_of_the_log_are_names(self):
        """Such as `certificates-reloaded`: a name to filter by, not a sentence."""
        wrong, seen = [], 0
        for path in sources():
            for event in re.findall(r"\bwrite\(\s*(?:telemetry::)?(?:Level::|level)\w*[^,\"]*,\s*\"([^\"]+)\"", path.read_text()):
                seen += 1
                if not re.fullmatch(r"[a-z]+(-[a-z]+)*", event) or list(found_in("event", event.replace("-", " "))):
                    wrong.append(f"{path.relative_to(harness.ROOT)}: {event}")
        self.assertGreater(seen, 15)
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    harness.main()
