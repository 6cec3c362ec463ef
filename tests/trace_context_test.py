"""W3C Trace Context, level 2, through the proxy: what a caller says of its trace, and what the service behind is told. Modelled on the rules of the
recommendation (https://www.w3.org/TR/trace-context-2/); each has a case here."""
import re
import socket

import harness
import interim_test

CONTRACT = """
openapi: 3.1.0
info: {title: Pages, version: '1'}
x-plimsoll: {authorization: any-caller, rate-limit: off%s}
paths:
  /page:
    get: {operationId: getPage, x-plimsoll: {upstream: back}, responses: {'200': {description: ok, content: {text/html: {}}}}}
"""
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def parent(flags="01", version="00", more=""):
    return f"{version}-{TRACE}-{PARENT}-{flags}{more}"


class TraceContext(interim_test.InterimTest):
    def setUp(self):
        self.behind = self.service(interim_test.says(interim_test.FINAL))
        self.running = self.serve(CONTRACT % "", f"upstreams: {{back: {{targets: ['{self.behind.url}']}}}}\nthreads: 1\n")

    def told(self, *fields, server=None):
        """(traceparent, tracestate or None) as the service is told them; `fields` are lines of the request."""
        (status, _), = self.heads(self.line(server or self.running, more="".join(f"{name}: {value}\r\n" for name, value in fields)))
        self.assertEqual(status, 200)
        headers = self.behind.requests[-1][1]
        self.assertEqual(len(headers.all("traceparent")), 1)
        self.assertLessEqual(len(headers.all("tracestate")), 1)
        found = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-(0[0-3])", headers["traceparent"])
        self.assertTrue(found, headers["traceparent"])
        self.assertNotEqual((found[1], found[2]), ("0" * 32, "0" * 16))
        return found, headers.get("tracestate")

    def continues(self, *fields):
        found, state = self.told(*fields)
        self.assertEqual(found[1], TRACE, fields)
        self.assertNotEqual(found[2], PARENT, "the parent is this server's span")
        return found[3], state

    def begins_anew(self, *fields):
        found, state = self.told(*fields, ("tracestate", "foo=1"))
        self.assertNotEqual(found[1], TRACE, fields)
        self.assertIsNone(state, "the state of a trace that is not continued")
        self.assertEqual(found[3], "02", "its id is random, and it is not sampled")

    def test_a_trace_is_continued_and_its_flags_go_on(self):
        for flags, expected in (("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("04", "00"), ("ff", "03"), ("fd", "01")):
            self.assertEqual(self.continues(("traceparent", parent(flags))), (expected, None))

    def test_names_of_fields_are_read_in_any_case_and_blanks_around_values_are_none(self):
        for name in ("TraceParent", "TRACEPARENT", "tRaCePaReNt"):
            self.assertEqual(self.continues((name, parent())), ("01", None))
        self.assertEqual(self.continues(("traceparent", f" \t {parent()} \t "), ("TraceState", " foo=1 "))[1], "foo=1")

    def test_without_a_parent_a_trace_begins(self):
        self.begins_anew()
        one, two = self.told()[0], self.told()[0]
        self.assertNotEqual(one[1], two[1])
        self.assertNotEqual(one[2], two[2])

    def test_several_parents_are_none(self):
        other = parent().replace("0af7", "1bf7")
        self.begins_anew(("traceparent", parent()), ("traceparent", other))
        self.begins_anew(("traceparent", parent()), ("traceparent", parent()))
        self.begins_anew(("traceparent", parent() + "," + other))

    def test_a_parent_that_is_not_valid_is_none(self):
        for wrong in ("", "garbage", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT.upper()}-01",
                      f"00-{TRACE}-{PARENT}-1", f"00-{TRACE}-{PARENT}-001", f"00-{TRACE}-{PARENT}-.0", f"00-{TRACE}-{PARENT}-0A", f"0-{TRACE}-{PARENT}-01", f"000-{TRACE}-{PARENT}-01", f".0-{TRACE}-{PARENT}-01",
                      f"00-.{TRACE[1:]}-{PARENT}-01", f"00-{TRACE[:-1]}-{PARENT}-01", f"00-{TRACE}0-{PARENT}-01", f"00-{TRACE}-.{PARENT[1:]}-01", f"00-{TRACE}-{PARENT[:-1]}-01", f"00-{TRACE}-{PARENT}0-01",
                      f"00-{TRACE}-{PARENT}", f"00_{TRACE}_{PARENT}_01", parent(more="-"), parent(more="-what-the-future-will-be-like")):
            self.begins_anew(("traceparent", wrong))

    def test_a_later_version_is_read_as_far_as_it_is_known(self):
        self.assertEqual(self.continues(("traceparent", parent(version="01"))), ("01", None))
        self.assertEqual(self.continues(("traceparent", parent("02", "cc", "-what-the-future-will-be-like"))), ("02", None))
        self.begins_anew(("traceparent", parent(version="cc", more=".what-the-future-will-be-like")))

    def test_the_state_goes_on_in_its_order(self):
        for lines, expected in ((["foo=1"], "foo=1"), (["foo=1,bar=2"], "foo=1,bar=2"), (["foo=1", "bar=2,baz=3", "qux=4"], "foo=1, bar=2,baz=3, qux=4"), (["foo=1 \t , \t bar=2"], "foo=1 \t , \t bar=2"),
                                (["foo=1,foo=2"], "foo=1,foo=2"), (["foo=1,,bar=2"], "foo=1,,bar=2"), (["0a@sys=x y"], "0a@sys=x y")):
            _, state = self.continues(("traceparent", parent()), *[("tracestate", line) for line in lines])
            self.assertEqual([one.strip() for one in state.split(",")], [one.strip() for one in expected.split(",")], lines)

    def test_a_state_that_is_not_valid_is_discarded_whole(self):
        for wrong in ("", " ", "foo", "foo=", "=1", "foo=1,bar", "FOO=1", "foo =1", "foo.bar=1", "@foo=1,bar=2", "foo=bar=baz", "foo=1,bar=\u00e9"):
            self.assertEqual(self.continues(("traceparent", parent()), ("tracestate", wrong)), ("01", None), wrong)
        self.assertIsNone(self.continues(("traceparent", parent()), ("tracestate", "foo=1"), ("tracestate", "BAR=2"))[1])

    def test_the_state_is_bounded(self):
        members = [f"bar{number:02}={number}" for number in range(1, 33)]
        self.assertEqual(self.continues(("traceparent", parent()), ("tracestate", ",".join(members)))[1], ",".join(members))
        self.assertIsNone(self.continues(("traceparent", parent()), ("tracestate", ",".join([*members, "one=more"])))[1])
        long = ",".join(f"{'k' * 256}{number}"[-256:] + "=" + "v" * 256 for number in range(2))
        self.assertEqual(self.continues(("traceparent", parent()), ("tracestate", long))[1], long, "more than 512 characters go on")
        for wrong in ("k" * 257 + "=1", "k=" + "v" * 257):
            self.assertIsNone(self.continues(("traceparent", parent()), ("tracestate", wrong))[1])

    def test_a_server_that_takes_no_traces_begins_its_own(self):
        server = self.serve(CONTRACT % ", trace: {accept: false}", f"upstreams: {{back: {{targets: ['{self.behind.url}']}}}}\n")
        found, state = self.told(("traceparent", parent()), ("tracestate", "foo=1"), server=server)
        self.assertNotEqual(found[1], TRACE)
        self.assertIsNone(state)

    def test_the_log_names_the_trace(self):
        self.told(("traceparent", parent("03")), ("tracestate", "foo=1"))
        line = harness.until(lambda: [one for one in self.running.logged() if one.get("event") == "request"], "a line of the log")[-1]
        self.assertEqual(line["trace_id"], TRACE)


if __name__ == "__main__":
    harness.main()
