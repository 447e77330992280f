"""One camera's images, counted."""

from collections import deque
from dataclasses import dataclass, field, replace
from time import monotonic

#: Reports over which the share of lost images is taken, so that one image does not decide.
LOSS_REPORTS = 5


@dataclass
class CameraCounts:
    """What became of a camera's images since the node started."""

    topic: str
    received: int = 0
    processed: int = 0
    overload: int = 0  #: dropped because a newer one came before their turn
    unusable: int = 0  #: refused, see unusable_reason
    lost: int = 0  #: lost by the middleware on the way to the node
    errors: int = 0  #: met an unexpected error, see error
    unusable_reason: str = ''
    error: str = ''
    restarts: int = 0  #: times that its faces were forgotten, for stamps went back
    late: int = 0  #: left out, for a stamp before the last one
    resizes: int = 0  #: times that its faces were forgotten, for the images' size changed
    gaps: int = 0  #: times that its faces were forgotten, for a gap in the stamps
    largest: int = 0  #: size of its largest image [bytes]
    newest: float = field(default_factory=monotonic)  #: arrival of the newest, or the start [s]
    incompatible: str = ''  #: QoS policy that a publisher does not offer
    stamp: int | None = None  #: of the newest result [ns]
    still_stamps: int = 0  #: results whose stamp was that of the one before
    #: Stamp to result, of the results since the last report [s].
    ages: list[float] = field(default_factory=list)
    #: Images received and lost, report by report.
    window: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=LOSS_REPORTS))

    def add_result(self, stamp_ns: int, age: float) -> None:
        """Count a result that was published, age [s] after its stamp."""
        self.processed += 1
        self.still_stamps += stamp_ns == self.stamp
        self.stamp = stamp_ns
        self.ages.append(age)

    def report(self, before: 'CameraCounts') -> 'CameraCounts':
        """Begin the next report; return a copy to compare that with."""
        self.window.append((self.received - before.received, self.lost - before.lost))
        self.ages = []
        return replace(self)
