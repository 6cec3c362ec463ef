"""Judges what clients of a service have seen of rows that others changed at the same time.

    operations = [Write("a", 0.0, 1.0), Read("a", 2.0, 3.0), Swap("a", "b", 2.0, OPEN)]
    history.check(operations)       # an order that explains all of them, or Violation

The operations of one key are judged by themselves: a history is linearizable just when that of each key is (Herlihy and Wing, "Linearizability",
1990). The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993): an order in which no operation stands before one
that had ended when it began, and in which each finds the value that it says. Configurations that were tried are remembered, as Lowe does
("Testing for linearizability", 2017). What changes nothing is taken as soon as it can be: that never spoils an order, so only changes branch.

Session guarantees (Terry and others, "Session guarantees for weakly consistent replicated data", 1994) are orders with a longer reach: a read of a
session may be as old as the last write of that session and no older, and a read without a promise shows any earlier value, or the newest. Both may
come from a standby, which may show a change while it is still being made: PostgreSQL lets others see a commit after it is in the log, and a standby
replays the log.

Instants are those of one monotonic clock. An operation whose outcome is not known is open: it takes effect at any time after it began, or never.
"""
import collections
import math

OPEN = math.inf  # the end of an operation whose outcome is not known
EVER = -math.inf  # the beginning of a read that may be as old as it likes
STEPS = 200_000  # configurations of one search

ABSENT = None  # the value of a row that is not there


class Violation(Exception):
    """No order explains the history. `what` names how; `operations` are all of the key, where an order was sought."""

    def __init__(self, what, text, operations=()):
        super().__init__(f"{what}: {text}")
        self.what, self.operations = what, operations


class Undecided(Exception):
    """The search has found neither an order nor that there is none within its steps."""


class Operation:
    """`invoked` and `returned` are instants; `who` is for messages. `after` is a write that must come before."""

    __slots__ = ("value", "expected", "invoked", "returned", "who", "after")
    changes = False

    def __init__(self, value, invoked, returned, who="", expected=None, after=None):
        self.value, self.expected, self.invoked, self.returned, self.who, self.after = value, expected, invoked, returned, who, after

    def fits(self, state):
        raise NotImplementedError

    def __repr__(self):
        until = "open" if self.returned == OPEN else f"{self.returned:.6f}"
        expected = f"{self.expected!r} -> " if isinstance(self, (Swap, Refused)) else ""
        return f"[{self.invoked:.6f}, {until}] {self.who} {type(self).__name__} {expected}{self.value!r}" + (f" after {self.after.value!r}" if self.after else "")


class Write(Operation):
    """Sets the value. `expected`, if it is told: True when a row was there before, False when there was none."""

    __slots__ = ()
    changes = True

    def fits(self, state):
        return self.expected is None or self.expected == (state is not ABSENT)


class Delete(Operation):
    """Takes the row away, which was there."""

    __slots__ = ()
    changes = True

    def __init__(self, invoked, returned, who="", after=None):
        super().__init__(ABSENT, invoked, returned, who, None, after)

    def fits(self, state):
        return state is not ABSENT


class Swap(Operation):
    """Sets the value where the expected one was there."""

    __slots__ = ()
    changes = True

    def __init__(self, expected, value, invoked, returned, who="", after=None):
        super().__init__(value, invoked, returned, who, expected, after)

    def fits(self, state):
        return state == self.expected


class Refused(Operation):
    """A swap that found another value than the expected one, and has changed nothing."""

    __slots__ = ()

    def __init__(self, expected, value, invoked, returned, who="", after=None):
        super().__init__(value, invoked, returned, who, expected, after)

    def fits(self, state):
        return state != self.expected


class Read(Operation):
    """Has shown the value."""

    __slots__ = ()

    def fits(self, state):
        return state == self.value


class StandbyRead(Read):
    """Has shown the value, perhaps before the primary did: at the latest when the change that made it had ended."""

    __slots__ = ()


def session_read(value, invoked, returned, floor=None, here=True, who=""):
    """A read that shows no less than the write `floor` (None: that shows anything which was there before). `here`: that write is of the same key."""
    return StandbyRead(value, min(invoked, floor.invoked) if floor else EVER, returned, who, after=floor if floor and here else None)


def settled(operations):
    """The operations, where reads of a standby end no sooner than the changes under way that may have made what they show."""
    makers, last = collections.defaultdict(list), max((op.returned for op in operations if op.returned != OPEN), default=0)
    for op in operations:
        if op.changes:
            makers[op.value].append(op)

    def end(op):
        return max([op.returned, *(min(maker.returned, last) for maker in makers[op.value] if maker.invoked <= op.returned)])

    return [StandbyRead(op.value, op.invoked, end(op), op.who, after=op.after) if isinstance(op, StandbyRead) else op for op in operations]


class _Search:
    def __init__(self, operations, initial, steps):
        self.ops = sorted(operations, key=lambda op: op.invoked)
        self.initial, self.left = initial, steps
        place = {id(op): i for i, op in enumerate(self.ops)}
        self.after = [1 << place[id(op.after)] if op.after is not None and id(op.after) in place else 0 for op in self.ops]
        self.ends = sorted((i for i, op in enumerate(self.ops) if op.returned != OPEN), key=lambda i: self.ops[i].returned)
        self.closed = sum(1 << i for i in self.ends)
        self.changes = [i for i, op in enumerate(self.ops) if op.changes]
        self.refusals = [i for i, op in enumerate(self.ops) if isinstance(op, Refused)]
        self.reads, self.makers = collections.defaultdict(int), collections.defaultdict(int)
        for i, op in enumerate(self.ops):
            if isinstance(op, Read):
                self.reads[op.value] |= 1 << i
            elif op.changes:
                self.makers[op.value] |= 1 << i

    def horizon(self, mask, low):
        """The earliest end of what has no place yet: what began later cannot be next. With where to look on."""
        while low < len(self.ends) and mask >> self.ends[low] & 1:
            low += 1
        return (self.ops[self.ends[low]].returned if low < len(self.ends) else OPEN), low

    def absorb(self, mask, state, low):
        """Gives a place to all that changes nothing and fits here."""
        while True:
            horizon, low = self.horizon(mask, low)
            before, waiting = mask, self.reads[state] & ~mask
            while waiting:
                bit = waiting & -waiting
                waiting ^= bit
                i = bit.bit_length() - 1
                if self.ops[i].invoked <= horizon and self.after[i] & ~mask == 0:
                    mask |= bit
            for i in self.refusals:
                op = self.ops[i]
                if op.invoked > horizon:
                    break
                if not mask >> i & 1 and op.fits(state):
                    mask |= 1 << i
            if mask == before:
                return mask, low

    def candidates(self, mask, state, low, first):
        # A value that nothing will set again is not left while somebody has still to see it.
        if self.reads[state] & ~mask and not self.makers[state] & ~mask:
            return iter(())
        horizon, _ = self.horizon(mask, low)
        found = []
        for at in range(first, len(self.changes)):
            i = self.changes[at]
            op = self.ops[i]
            if op.invoked > horizon:
                break
            if not mask >> i & 1 and op.fits(state) and self.after[i] & ~mask == 0:
                found.append(i)
        found.sort(key=lambda i: self.ops[i].returned)  # the open ones last
        return iter(found)

    def run(self):
        """The order, as operations that change something, or None and the furthest configuration."""
        mask, low = self.absorb(0, self.initial, 0)
        self.best, self.best_path, self.best_low = mask, (), low
        if mask & self.closed == self.closed:
            return []
        seen, path = {(mask, self.initial)}, []
        stack = [(mask, self.initial, low, 0, self.candidates(mask, self.initial, low, 0))]
        while stack:
            mask, state, low, first, options = stack[-1]
            for i in options:
                after, value = mask | 1 << i, self.ops[i].value
                after, further = self.absorb(after, value, low)
                if after & self.closed == self.closed:
                    return [self.ops[each] for each in (*path, i)]
                if (after, value) in seen:
                    continue
                seen.add((after, value))
                self.left -= 1
                if self.left < 0:
                    raise Undecided(f"{len(self.ops)} operations, {sum(op.returned == OPEN for op in self.ops)} of them open")
                while first < len(self.changes) and after >> self.changes[first] & 1:
                    first += 1
                path.append(i)
                if (after & self.closed).bit_count() > (self.best & self.closed).bit_count():
                    self.best, self.best_path, self.best_low = after, tuple(path), further
                stack.append((after, value, further, first, self.candidates(after, value, further, first)))
                break
            else:
                stack.pop()
                if path:
                    path.pop()
        return None

    def stuck(self):
        horizon, low = self.horizon(self.best, self.best_low)
        placed = [repr(self.ops[i]) for i in self.best_path[-4:]]
        near = [repr(op) for i, op in enumerate(self.ops) if not self.best >> i & 1 and op.invoked <= horizon and op.returned != OPEN]
        return "\n  ".join([f"{len(self.ops)} operations; the furthest order ends with", *(placed or ["nothing"]), "and none of these can be next:", *near[:12]])


def _plain(operations, initial):
    """What can be said without a search."""
    made, refused = {}, {}
    for op in operations:
        if op.changes:
            made[op.value] = min(op.invoked, made.get(op.value, OPEN))
        elif isinstance(op, Refused):
            refused[op.value] = op
    for op in operations:
        seen = op.value if isinstance(op, Read) else op.expected if isinstance(op, Swap) and op.returned != OPEN else ABSENT
        if seen is ABSENT or seen == initial:
            continue
        if seen not in made:
            if seen in refused:
                raise Violation("value of a refused change", f"{op!r}, which {refused[seen]!r} wanted to set")
            raise Violation("value from nowhere", repr(op))
        if op.returned < made[seen]:
            raise Violation("value before it was written", repr(op))


def check(operations, initial=ABSENT, steps=STEPS):
    """An order of the changes that explains all operations of one key. Raises Violation, or Undecided."""
    _plain(operations, initial)
    operations = settled(operations)
    # An open change that nobody has seen, and that explains nothing, is left out: it may never have happened.
    heeded = {op.value for op in operations if isinstance(op, Read)} | {op.expected for op in operations if isinstance(op, Swap)}
    if not any(isinstance(op, Refused) or isinstance(op, Delete) or (isinstance(op, Write) and op.expected is not None) for op in operations):
        operations = [op for op in operations if not (op.changes and op.returned == OPEN and op.value not in heeded)]
    search = _Search(operations, initial, steps)
    order = search.run()
    if order is not None:
        return order
    def explained(without):
        """Whether there is an order if these reads had promised nothing."""
        relaxed = [Read(op.value, EVER, op.returned, op.who) if op in without else op for op in operations]
        try:
            return _Search(relaxed, initial, steps).run() is not None
        except Undecided:
            return False

    reads = [op for op in operations if isinstance(op, Read) and op.invoked != EVER]
    operations = sorted(operations, key=lambda op: op.returned)
    if not explained(set(reads)):
        raise Violation("not linearizable", search.stuck(), operations)
    alone = [repr(op) for op in reads if explained({op})]
    raise Violation("stale read", "\n  ".join(["there is an order without", *alone]) if alone else search.stuck(), operations)


class Exchange:
    """A request with an idempotency key and its response: `answer` is all of it that must be the same each time."""

    __slots__ = ("invoked", "returned", "replayed", "answer")

    def __init__(self, invoked, returned, replayed, answer):
        self.invoked, self.returned, self.replayed, self.answer = invoked, returned, replayed, answer

    def __repr__(self):
        return f"[{self.invoked:.6f}, {self.returned:.6f}] {'replayed ' if self.replayed else ''}{self.answer!r}"


def check_key(key, exchanges, effects=None, lost=False):
    """One effect, and the same response each time. `effects`: how many are there, where that can be counted; `lost`: whether a response was not
    seen, so that there may be an effect without one."""
    if effects and effects > 1:
        raise Violation("effect more than once", f"{key}: {effects} effects of {exchanges!r}")
    if effects and not exchanges and not lost:
        raise Violation("effect of a refused request", key)
    if effects == 0 and exchanges:
        raise Violation("lost effect", f"{key}: {exchanges!r}")
    if not exchanges:
        return
    if len({each.answer for each in exchanges}) > 1:
        raise Violation("another response", f"{key}: {exchanges!r}")
    first = [each for each in exchanges if not each.replayed]
    if len(first) > 1:
        raise Violation("executed more than once", f"{key}: {first!r}")
    if first and any(each.returned < first[0].invoked for each in exchanges):
        raise Violation("executed more than once", f"{key}: executed after its response: {exchanges!r}")
