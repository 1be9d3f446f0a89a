"""That the judge of the fault suite sees what it has to see; and, with FAULTS=quick, a quick run of the suite.

Run with: sudo FAULTS=quick python3 -m unittest discover -v -s Tests/Faults
"""

import os
import pathlib
import random
import subprocess
import sys
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
from clients import Acknowledged  # noqa: E402
from judge import Judge  # noqa: E402
import faults  # noqa: E402
from fault import Nothing, name  # noqa: E402
from rounds import Round  # noqa: E402


def judged(*records):
    judge = Judge()
    judge.take("".join(f"{record}\n" for record in records).encode())
    return judge


class Judging(unittest.TestCase):
    def test_one_after_the_other_is_well(self):
        judge = judged("S a 1 one 100 free", "B a 100 101", "S a 2 two 110 free", "B a 110 111", "S b 3 three 112 free")
        self.assertEqual((judge.overlaps, judge.tokens, judge.lifetimes), ([], [], 3))

    def test_a_record_of_a_process_that_has_a_successor_is_an_overlap(self):
        judge = judged("S a 1 one 100 free", "S a 2 two 110 free", "B a 110 112", "B a 100 113", "B a 100 118")
        self.assertEqual(len(judge.overlaps), 1, "one for a pair, however often it wrote")

    def test_the_order_of_the_log_counts_and_not_the_times_in_it(self):
        self.assertEqual(judged("S a 1 one 100 free", "B a 100 900", "S a 2 two 110 free").overlaps, [])

    def test_a_lock_that_is_held_is_an_overlap_also_of_a_process_that_writes_no_more(self):
        self.assertEqual(len(judged("S a 1 one 100 free", "S a 2 two 110 held").overlaps), 1)

    def test_a_token_that_does_not_grow_is_seen(self):
        for token in (1, 2):
            judge = judged("S a 2 one 100 free", f"S a {token} two 110 free")
            self.assertEqual((len(judge.tokens), judge.overlaps), (1, []))

    def test_other_keys_have_nothing_to_do_with_it(self):
        judge = judged("S a 5 one 100 free", "S b 4 two 110 free", "B a 100 111", "B b 110 112")
        self.assertEqual((judge.overlaps, judge.tokens), ([], []))

    def test_a_log_in_pieces_reads_as_a_whole_one(self):
        text = b"S a 1 one 100 free\nS a 2 two 110 free\nB a 110 111\nB a 100 113\nB a 110 115\n"
        whole, pieces = judged(*text.decode().splitlines()), Judge()
        for byte in text:
            pieces.take(bytes([byte]))
        self.assertEqual((pieces.overlaps, pieces.offset), (whole.overlaps, len(text)))

    def test_a_line_that_is_no_record_is_not_passed_over(self):
        for line in ("B a 100", "X", "S a 1 one 100", "B a 100 101"):
            with self.assertRaises(ValueError):
                judged(line)


class ForgedSite:
    """Knows what the test says that controllers and backends do."""

    def __init__(self, state, answer):
        self.state, self.answer = state, answer
        self.judge, self.clients = Judge(), self
        self.acknowledged = [Acknowledged("a", "one", 1, "http://drone/token/", "ready")]
        self.wrong = []

    def take(self):
        return self.acknowledged

    def states(self, backend):
        return [("controller", self.state)]

    def use(self, answer):
        return self.answer


class FoundAgain(unittest.TestCase):
    def lost(self, state, answer):
        found = Round(ForgedSite(state, answer), Nothing)
        found.patience = 0.05
        found.check_acknowledged()
        return found.outcome.lost

    def test_a_backend_that_answers_is_found(self):
        self.assertEqual(self.lost({"status": "ready"}, 200), 0)

    def test_a_backend_that_ended_for_a_reason_is_found(self):
        self.assertEqual(self.lost({"status": "terminated", "end_reason": "lost"}, None), 0)

    def test_a_backend_that_no_controller_knows_is_lost(self):
        self.assertEqual(self.lost(None, 200), 1)

    def test_a_backend_that_ended_without_a_reason_is_lost(self):
        self.assertEqual(self.lost({"status": "terminated"}, 410), 1)

    def test_a_backend_that_is_said_to_run_and_does_not_answer_is_lost(self):
        self.assertEqual(self.lost({"status": "ready"}, 410), 1)


class NamedParts:
    """A site of which only names are asked."""

    kind = "postgres"
    urls, controllers = ["http://host:1", "http://host:2"], ["first", "second"]
    drones, spare = ["one", "two"], "spare"

    def part(self, name):
        return name


def drawn(fault):
    """What was drawn for a fault, and for those that it is made of."""
    facts = vars(fault) | {"site": None, "kind": type(fault)}
    return facts | {"faults": [drawn(one) for one in facts.get("faults", [])]}


class Drawing(unittest.TestCase):
    def test_a_seed_draws_the_same_again(self):
        for fault in faults.ALL:
            one, two = (drawn(fault(NamedParts(), random.Random(7))) for _ in range(2))
            self.assertEqual(one, two, name(fault))


@unittest.skipUnless(os.environ.get("FAULTS") == "quick", "breaks real processes for minutes; asked for by FAULTS=quick")
class Quick(unittest.TestCase):
    def test_nothing_that_was_promised_breaks(self):
        done = subprocess.run([str(FOLDER / "run"), "--quick"])
        self.assertEqual(done.returncode, 0, "see the table and the problems above it")


if __name__ == "__main__":
    unittest.main()
