"""The functional tests of tables, jobs, idempotency, cache and tenants, and the model test, on PostgreSQL and through PgBouncer in transaction mode.

A representative tenth runs with `make test`, all with `make torture` (PLIMSOLL_TORTURE). One of them by hand:

    PLIMSOLL_TEST_ENGINE=postgres python3 tests/tables_test.py Tables.test_a_row_is_replaced_whole

What an engine does not have is marked where the test stands (`harness.engines`), with the reason, and is skipped here."""
import importlib
import os
import sys
import time
import unittest

import harness

TORTURE = bool(os.environ.get("PLIMSOLL_TORTURE"))
MODULES = ("tables_test", "jobs_test", "idempotency_test", "cache_test", "tenants_test", "versions_test", "authorization_test", "deprecation_test", "http_semantics_test",
           "ordinary_clients_test", "slow_statements_test", "import_test", "files_test", "file_folder_test", "model_test")
TENTH = {
    "postgres": """
        test_a_row_is_replaced_whole test_batches_are_all_or_nothing_or_tell_each_result test_a_first_migration_makes_what_a_start_makes
        test_violations_of_rules_that_the_contract_does_not_know_name_the_field_too test_tables_that_are_there_are_the_first_migration
        test_answers_202_with_a_status_document_that_comes_to_its_end test_a_worker_stopped_past_its_lease_and_woken_changes_nothing
        test_a_repeated_request_is_answered_byte_for_byte_and_takes_effect_once test_a_write_is_visible_at_the_next_read
        test_a_file_is_stored_sent_replaced_and_removed test_parts_are_those_of_a_slice test_rows_of_other_programs_have_files_too
        test_what_no_row_names_is_removed_when_it_is_old_and_nothing_else
        test_each_row_that_the_database_refuses_is_told_and_nothing_is_stored test_csv_is_stored_with_the_types_of_its_columns
        test_a_slow_read_is_logged_with_its_plan_and_without_values test_a_statement_that_waits_for_a_lock_is_logged_and_its_plan_waits_for_none
        test_a_reference_to_a_row_that_the_caller_does_not_see_is_refused_as_one_to_no_row test_every_answer_and_every_stored_row_is_as_the_documentation_has_it""",
    "pgbouncer": """
        test_batches_are_all_or_nothing_or_tell_each_result test_a_worker_stopped_past_its_lease_and_woken_changes_nothing test_files_of_others_do_not_exist
        test_a_slow_read_is_logged_with_its_plan_and_without_values test_each_row_that_the_database_refuses_is_told_and_nothing_is_stored
        test_two_hundred_clients_racing_with_one_key_cause_one_execution test_an_embedded_list_that_is_cut_says_so""",
}


class Indented:
    """Standard error, two columns further right: tests inside of a test are not taken for its neighbours."""

    def __init__(self):
        self.begins = True

    def write(self, text):
        for line in text.splitlines(keepends=True):
            sys.stderr.write("  " * self.begins + line)
            self.begins = line.endswith("\n")

    def flush(self):
        sys.stderr.flush()


class Told(unittest.TextTestResult):
    """Says of each test how long it took."""

    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.stream.writeln(f"    {time.monotonic() - self.began:.1f} s")


def tests_of(engine):
    """The tests of all modules as tests on another engine."""
    chosen, found = set(TENTH[engine].split()), set()
    for module in map(importlib.import_module, MODULES):
        for each in vars(module).values():
            if not (isinstance(each, type) and issubclass(each, harness.ServerTest) and each.__module__ == module.__name__):
                continue
            there = type(f"{each.__name__}_{engine}", (each,), {"engine": engine, "__module__": module.__name__})
            for name in unittest.defaultTestLoader.getTestCaseNames(each):
                if TORTURE or name in chosen:
                    found.add(name)
                    yield there(name)
    assert chosen <= found, f"there are no tests {chosen - found}"


class Engines(unittest.TestCase):
    def on(self, engine):
        harness.Postgres.programs()
        for name in () if TORTURE else ("PLIMSOLL_WORLDS", "PLIMSOLL_REQUESTS"):
            os.environ.setdefault(name, {"PLIMSOLL_WORLDS": "1", "PLIMSOLL_REQUESTS": "200"}[name])
        sys.stderr.write("\n")  # what follows is of the tests inside, and not the outcome of this one
        result = unittest.TextTestRunner(stream=Indented(), verbosity=2, resultclass=Told).run(unittest.TestSuite(tests_of(engine)))
        self.assertEqual([str(test) for test, _ in (*result.failures, *result.errors)], [])
        self.assertGreater(result.testsRun - len(result.skipped), 3)

    def test_functional_tests_pass_on_postgresql(self):
        self.on("postgres")

    def test_functional_tests_pass_through_pgbouncer_in_transaction_mode(self):
        self.on("pgbouncer")


if __name__ == "__main__":
    harness.main()
