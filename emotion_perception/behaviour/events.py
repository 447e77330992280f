"""From the frames of one face to its stable emotion, and to the events in which that changes.

Pure: no clock, only the images' stamps, so that the same results always give the same events.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from emotion_perception.emotions import EMOTIONS, FaceResult, NEUTRAL, TrackState

#: What can happen, as ``msg/EmotionEvent.msg`` names it.
STARTED, CHANGED, ENDED = 'started', 'changed', 'ended'


@dataclass(frozen=True, slots=True)
class EmotionEvent:
    """A change in the stable emotion of a person; the fields of ``msg/EmotionEvent.msg``."""

    type: str  #: STARTED, CHANGED or ENDED
    camera: str
    track_id: int
    label: str  #: the emotion that started or ended, one of EMOTIONS
    previous_label: str  #: of CHANGED the emotion before, else ''
    intensity: float  #: over the last moments, 0 .. 1; of ENDED 0
    peak_intensity: float  #: since it started, 0 .. 1
    mean_intensity: float  #: since it started, 0 .. 1
    since_ns: int  #: stamp of the first image that showed it [ns]
    duration: float  #: from there to the newest image that shows it [s]


class _Frame(NamedTuple):
    seen_ns: int  # how long the face had been seen by then
    stamp_ns: int
    shows: str  # one of LABELS
    intensity: float


@dataclass
class _Showing:
    """What the frames that show an emotion tell of it, from the first one on."""

    since_ns: int  # stamp of the first
    shown_ns: int = 0  # stamp of the newest
    peak: float = 0.0
    total: float = 0.0
    frames: int = 0

    def add(self, frame: _Frame) -> None:
        self.shown_ns = frame.stamp_ns
        self.peak = max(self.peak, frame.intensity)
        self.total += frame.intensity
        self.frames += 1


class Person:
    """One face's stable emotion, moved on frame by frame.

    An emotion starts when every frame of the last ``min_duration`` showed it, and showed it with
    ``enter_intensity`` on average; it ends when none did. A frame shows the strongest emotion of
    its face if that has ``leave_intensity``, and neutral otherwise. What is told of it
    counts from the first of the frames that have all shown it up to its start, even if they go
    back further than ``min_duration``.
    """

    def __init__(self, camera: str, track_id: int, stamp_ns: int) -> None:
        self.camera, self.track_id = camera, track_id
        self.label = NEUTRAL  #: the stable emotion, one of LABELS
        self.since_ns = stamp_ns  #: stamp of the first frame that showed it, see PersonEmotion.msg
        self.seen_since_ns = stamp_ns  #: stamp of the first frame with this face
        self.stamp_ns = stamp_ns  #: stamp of the newest
        self.sequence_length = 0  #: what the newest result rests on [frames]
        self.x = self.y = 0.5  #: centre of the face, 0 (left, top) .. 1
        self.size = 0.0  #: height of the face by that of the image, 0 .. 1
        self._seen_ns = 0
        self._window: deque[_Frame] = deque()  # the frames of the last min_duration
        self._quiet_until_ns = stamp_ns
        self._run = _Showing(stamp_ns)  # of the newest frames, which all show the same
        self._stable = _Showing(stamp_ns)  # of the stable emotion, unless that is neutral
        self._left_ns = stamp_ns  # stamp of the first frame that no longer showed it

    def update(
        self, face: FaceResult, stamp_ns: int, image_size: tuple[int, int], options: dict[str, Any]
    ) -> EmotionEvent | None:
        """Take in the face's next frame.

        :param stamp_ns: stamp of the image [ns], never decreasing.
        :param image_size: its height and width [pixels].
        :param options: dict, see :data:`emotion_perception.behaviour.options.OPTIONS`.
        :return: what happened, if anything.
        """
        elapsed_ns, self.stamp_ns = stamp_ns - self.stamp_ns, stamp_ns
        self.sequence_length = face.sequence_length
        height, width = image_size
        self.x = (face.roi.x_offset + face.roi.width / 2) / width
        self.y = (face.roi.y_offset + face.roi.height / 2) / height
        self.size = face.roi.height / height
        if face.state == TrackState.COASTING:
            return None  # its emotion is an old one, and proves nothing for this time
        self._seen_ns += elapsed_ns
        newest = self._window[-1] if self._window else None
        if newest and newest.seen_ns == self._seen_ns:
            return None  # a stamp that stands still is no time: its first frame counts
        strongest = max(range(len(EMOTIONS)), key=face.scores.__getitem__)
        shows = EMOTIONS[strongest] if face.intensity >= options['leave_intensity'] else NEUTRAL
        frame = _Frame(self._seen_ns, stamp_ns, shows, face.intensity)
        if newest is None or newest.shows != shows:
            self._run = _Showing(stamp_ns)
            if newest and newest.shows == self.label:
                self._left_ns = stamp_ns
        self._run.add(frame)
        if shows == self.label != NEUTRAL:
            self._stable.add(frame)
        self._window.append(frame)
        begin_ns = self._seen_ns - round(options['min_duration'] * 1e9)
        while len(self._window) > 1 and self._window[1].seen_ns <= begin_ns:
            self._window.popleft()
        if self._window[0].seen_ns > begin_ns:
            return None  # not seen for long enough to tell
        return self._decide(options)

    @property
    def intensity(self) -> float:
        """Mean strength of the stable emotion over the window, 0 .. 1; of neutral 0."""
        if self.label == NEUTRAL:
            return 0.0
        return sum(frame.intensity for frame in self._window if frame.shows == self.label) / len(
            self._window
        )

    @property
    def duration(self) -> float:
        """Time from the first frame that showed the stable emotion to the newest one [s]."""
        return (self.stamp_ns - self.since_ns) * 1e-9

    def end(self) -> EmotionEvent | None:
        """End the emotion of a face that is seen no more, if it has one."""
        return self._event(ENDED, 0.0) if self.label != NEUTRAL else None

    def _decide(self, options: dict[str, Any]) -> EmotionEvent | None:
        shown = {frame.shows for frame in self._window}
        label = self._window[-1].shows
        cool_down_ns = round(options['cool_down'] * 1e9)
        mean = sum(frame.intensity for frame in self._window) / len(self._window)
        if (
            len(shown) == 1
            and label not in (NEUTRAL, self.label)
            and mean >= options['enter_intensity']
            and self.stamp_ns >= self._quiet_until_ns
        ):
            return self._begin(label, cool_down_ns)
        if self.label not in shown:
            return self._end(cool_down_ns) if self.label != NEUTRAL else None
        return None

    def _begin(self, label: str, cool_down_ns: int) -> EmotionEvent:
        previous, self.label = self.label, label
        self._stable = replace(self._run)
        self.since_ns = self._stable.since_ns
        self._quiet_until_ns = self.stamp_ns + cool_down_ns
        if previous == NEUTRAL:
            return self._event(STARTED, self.intensity)
        return self._event(CHANGED, self.intensity, previous)

    def _end(self, cool_down_ns: int) -> EmotionEvent:
        event = self._event(ENDED, 0.0)
        self.label = NEUTRAL
        self.since_ns = self._left_ns
        self._quiet_until_ns = self.stamp_ns + cool_down_ns
        return event

    def _event(self, type_: str, intensity: float, previous: str = '') -> EmotionEvent:
        return EmotionEvent(
            type_,
            self.camera,
            self.track_id,
            self.label,
            previous,
            intensity,
            self._stable.peak,
            self._stable.total / self._stable.frames,
            self.since_ns,
            (self._stable.shown_ns - self.since_ns) * 1e-9,
        )
