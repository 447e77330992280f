"""Boxes to tracks: every face gets an id, and keeps it.

Pure: no image, no clock. The same detections and stamps give the same tracks.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, hypot, isfinite, log

import numpy as np
import numpy.typing as npt

from emotion_perception.boxes import Box, Detection, overlap, Rectangle, similarity
from emotion_perception.emotions import TrackState
from emotion_perception.options import DEFAULTS

CONFIRM_HITS = 2  # detections after which a new track is believed
POSITION_GAIN = 0.7  # alpha-beta filter: share of the residual that moves the box
VELOCITY_GAIN = 0.2  # ... and that changes its velocity
SIZE_GAIN = 0.4  # sizes jitter more than they change
JITTER = 0.05  # [face sizes] the cascade's boxes of a still face lie so far apart
VELOCITY_DECAY = 1.0  # [s] in about which a face is expected to come to rest
UNSEEN_DECAY = 0.3  # [s] ... where it is not seen from image to image: it may well have turned back
FOLLOW = 3  # coasting may last so many times longer while its picture is seen
BURST = 1 / 240  # [s] images that come faster show no motion that could be measured
USUAL = 1 / 30  # [s] by which a frame ages a face where the stamps stand still
PERIODS = 1.5  # a stream of few images has no gap before so many times its last period
SLOWEST = 3.0  # [s] ... and so much at most: beyond it, images have to do with each other
#                         only where max_coast_seconds says so
ROUNDING = 1e-6  # [s] sums of periods are not exact
REPLACED = 0.6  # overlap at which a face that looks another is in a track's place
SHARED = 0.5  # overlap at which two tracks are of one face
SHARED_SECONDS = 0.4  # [s] ... after so long; people who pass each other take less
DOUBT = 3  # a track coasts at most so many times the frames that it was detected
GATE = 0.6  # [face sizes] how far a detection may be from where it is expected
GATE_GROWTH = 3.0  # [face sizes/s] by which the gate widens while a face is unseen
GATE_LIMIT = 1.5  # [face sizes]
FORGET_SURE = 0.05  # weight of the newest detection in the share of sure ones
LEAST_SURE = 0.2  # share of sure detections below which a track is no face
SAME_FACE = 0.7  # patches less alike than this show different faces: of one face 1 in 1000
#                         is less than .80 alike one frame later, of others of the same size 1 in 100
CHANGE = 0.4  # [1/s] ... by so much less alike may it be the later it is found again,
SAME_LATER = 0.45  # ... down to this
SAME_IN_CROWD = 0.6  # ... where two faces are so near that a detection may be of either


@dataclass(slots=True)
class Track:
    """One face through time."""

    track_id: int  #: from 1 on
    box: Box  #: smoothed
    state: TrackState = TrackState.NEW
    hits: int = 1  #: frames with a detection
    misses: int = 0  #: frames since it was last seen, detected or followed
    undetected: int = 0  #: frames since the last detection
    unseen_seconds: float = 0.0  #: of these misses
    undetected_seconds: float = 0.0  #: of these frames
    waits: bool = False  #: it was not looked for in the last frame
    shared_seconds: float = 0.0  #: for which another track has had the same place
    sure: float = 1.0  #: share of the late detections that were sure, 0 .. 1
    velocity: tuple[float, float] = (0.0, 0.0)  #: of the centre [pixels/s]
    patch: npt.NDArray[np.uint8] | None = None  #: picture at the last detection, upright
    tilt: int = 0  #: degrees clockwise by which it was tilted there

    def predict(self, seconds: float) -> Box:
        """Return the box expected after so many seconds without seeing it."""
        reach = VELOCITY_DECAY * (1 - exp(-seconds / VELOCITY_DECAY))
        x, y, width, height = self.box
        return Box(x + self.velocity[0] * reach, y + self.velocity[1] * reach, width, height)


class Tracker:
    """Give the faces of one camera their ids.

    Call ``update`` once a frame, also with no detections: that is how tracks age.
    An id is given out once, counted up from 1.
    """

    def __init__(
        self,
        max_coast_seconds: float = DEFAULTS['max_coast_seconds'],
        max_faces: int = DEFAULTS['max_faces'],
    ) -> None:
        self.tracks: list[Track] = []
        self.max_coast_seconds = max_coast_seconds
        self._max_faces = max_faces
        self._next_id = 1
        self._stamp_ns: int | None = None
        self._period = 0.0  # [s] between the last two frames

    def restart(self) -> None:
        """Forget all tracks and the time, for a stream that begins anew; ids count on."""
        self.tracks = []
        self._stamp_ns = None
        self._period = 0.0

    def gap(self, stamp_ns: int) -> bool:
        """Say whether so much time lies before this frame that no face in it is a known one."""
        usual = min(PERIODS * self._period, SLOWEST)
        return self.seconds_until(stamp_ns) > max(self.max_coast_seconds, usual)

    def predict(self, stamp_ns: int) -> dict[int, Box]:
        """Return {track_id: Box}, where each face is expected at that time."""
        seconds = self.seconds_until(stamp_ns)
        return {track.track_id: track.predict(seconds) for track in self.tracks}

    def update(
        self,
        detections: Sequence[Detection],
        stamp_ns: int,
        followed: Mapping[int, Box] | None = None,
        waiting: Collection[int] = (),
        still: Collection[int] = (),
    ) -> list[Track]:
        """Advance by one frame and return the living tracks, oldest first.

        After a gap they are all new.

        detections: of Detection, one a face. stamp_ns: time of the frame [ns], never
        decreasing. followed: {track_id: Box} for faces that were not detected but seen to
        have moved there: it steers their boxes and lets them coast longer. waiting: track_ids
        that were not looked for in this frame; they do not age. still: track_ids of faces that
        look as they did: detected as near as usual, they keep their boxes.
        ValueError: a stamp that runs backwards, a box that is not finite or has no area.
        """
        for detection in detections:
            if not all(map(isfinite, detection.box)) or min(detection.box[2:]) <= 0:
                raise ValueError(
                    f'a detection must be a finite box with a positive width and '
                    f'height, got {detection.box}'
                )
        if self.gap(stamp_ns):
            self.tracks = []
        seconds = self.seconds_until(stamp_ns)
        expected = self.predict(stamp_ns)
        self._stamp_ns, self._period = stamp_ns, seconds
        crowded = {
            i
            for i, box in expected.items()
            if any(overlap(box, other) > 0.1 for j, other in expected.items() if j != i)
        }

        matches = self._match(detections, expected, crowded, seconds)
        for track in self.tracks:
            place = expected[track.track_id]
            track.waits = track.track_id in waiting and track.track_id not in matches
            alone = track.track_id not in crowded
            if track.track_id in matches:
                detection = detections[matches[track.track_id]]
                if track.track_id in still and _near(track.box, detection.box):
                    place, track.velocity = track.box, (0.0, 0.0)
                    detection = detection._replace(box=track.box)
                self._hit(track, place, detection, seconds if alone else 0.0)
            elif track.waits:
                self._coast(track, place)
            else:
                # Half hidden, its picture would stick to the face in front.
                seen_at = (followed or {}).get(track.track_id) if alone else None
                self._miss(track, place, seen_at, seconds)
        self._end_replaced(detections, matches, expected, crowded)
        self._end_doubles(seconds or USUAL)
        self.tracks = [track for track in self.tracks if self._lives(track)]

        taken = set(matches.values())
        for index, detection in enumerate(detections):
            if (
                index not in taken
                and len(self.tracks) < self._max_faces
                and all(overlap(detection.box, track.box) < 0.4 for track in self.tracks)
            ):
                self.tracks.append(Track(self._next_id, Box(*detection.box), patch=detection.patch))
                self._next_id += 1
        return list(self.tracks)

    def forget(self, track_ids: Collection[int]) -> None:
        """End tracks whose faces are known to be gone."""
        self.tracks = [track for track in self.tracks if track.track_id not in track_ids]

    def seconds_until(self, stamp_ns: int) -> float:
        """Return the time from the last frame to this one [s], 0 where there was none."""
        if self._stamp_ns is None:
            return 0.0
        if stamp_ns < self._stamp_ns:
            raise ValueError(
                f'stamps must not run backwards, got {stamp_ns} ns after {self._stamp_ns} ns'
            )
        return (stamp_ns - self._stamp_ns) * 1e-9

    def _match(
        self,
        detections: Sequence[Detection],
        expected: Mapping[int, Box],
        crowded: Collection[int],
        seconds: float,
    ) -> dict[int, int]:
        """Return {track_id: index of its detection}; the closest pairs choose first."""
        pairs = []
        for track in self.tracks:
            box = expected[track.track_id]
            gate = min(GATE + GATE_GROWTH * track.unseen_seconds, GATE_LIMIT)
            same = max(SAME_FACE - CHANGE * (track.undetected_seconds + seconds), SAME_LATER)
            if track.track_id in crowded:
                same = max(same, SAME_IN_CROWD)
            for index, detection in enumerate(detections):
                u, v = Box(*detection.box).center
                # It may have moved on, or come to rest where it was.
                distance = min(
                    hypot(x - u, y - v) / box.width for x, y in (box.center, track.box.center)
                )
                growth = abs(log(detection.box[2] / box.width))
                if distance > gate or growth > 0.5:
                    continue
                alike = similarity(track.patch, detection.patch, detection.tilt - track.tilt)
                if alike >= same:
                    pairs.append((distance + growth + 1 - alike, track.track_id, index))
        matches: dict[int, int] = {}
        for _, track_id, index in sorted(pairs):
            if track_id not in matches and index not in matches.values():
                matches[track_id] = index
        return matches

    def _hit(self, track: Track, expected: Box, detection: Detection, seconds: float) -> None:
        box = Box(*detection.box)
        (x, y), (u, v) = expected.center, box.center
        moved = _beyond_jitter(hypot(u - x, v - y) / expected.width)
        grown = SIZE_GAIN * _beyond_jitter(log(box.width / expected.width))
        if seconds > 0:  # not in a crowd: half a hidden face gives a wrong velocity
            self._accelerate(track, expected, box, seconds, moved)
        width = expected.width + grown * (box.width - expected.width)
        height = expected.height + grown * (box.height - expected.height)
        x += POSITION_GAIN * moved * (u - x)
        y += POSITION_GAIN * moved * (v - y)
        track.box = Box(x - width / 2, y - height / 2, width, height)
        track.patch, track.tilt = detection.patch, detection.tilt
        track.sure += FORGET_SURE * (detection.sure - track.sure)
        track.hits += 1
        track.misses = track.undetected = 0
        track.unseen_seconds = track.undetected_seconds = 0.0
        if track.hits >= CONFIRM_HITS:
            track.state = TrackState.CONFIRMED

    def _miss(self, track: Track, expected: Box, followed: Box | None, seconds: float) -> None:
        step = seconds or USUAL
        track.undetected += 1
        track.undetected_seconds += step
        track.misses = track.misses + 1 if followed is None else 0
        track.unseen_seconds = track.unseen_seconds + step if followed is None else 0.0
        if followed is None:
            decay = exp(-seconds / UNSEEN_DECAY)
            track.velocity = (track.velocity[0] * decay, track.velocity[1] * decay)
        elif seconds > 0:
            self._accelerate(track, expected, followed, seconds)
        self._coast(track, followed or expected)

    @staticmethod
    def _coast(track: Track, box: Box) -> None:
        track.box = box
        if track.state is TrackState.CONFIRMED:
            track.state = TrackState.COASTING

    @staticmethod
    def _accelerate(
        track: Track, expected: Box, seen: Box, seconds: float, moved: float = 1.0
    ) -> None:
        gain = VELOCITY_GAIN * moved / max(seconds, BURST)
        (x, y), (u, v) = expected.center, seen.center
        track.velocity = (track.velocity[0] + gain * (u - x), track.velocity[1] + gain * (v - y))

    def _end_replaced(
        self,
        detections: Sequence[Detection],
        matches: Mapping[int, int],
        expected: Mapping[int, Box],
        crowded: Collection[int],
    ) -> None:
        """End the tracks in whose place there is a face that looks another: the picture was cut."""
        others = [
            d.box for i, d in enumerate(detections) if d.sure is True and i not in matches.values()
        ]
        self.tracks = [
            track
            for track in self.tracks
            if track.track_id in matches
            or track.track_id in crowded
            or not any(
                overlap(expected[track.track_id], box) > REPLACED
                and abs(log(box[2] / expected[track.track_id].width)) < 0.5
                for box in others
            )
        ]

    def _end_doubles(self, seconds: float) -> None:
        """End one of two tracks that stay in one place: the one not detected, or the newer."""
        shared: set[int] = set()
        for i, a in enumerate(self.tracks):
            for b in self.tracks[i + 1 :]:
                if overlap(a.box, b.box) > SHARED:
                    shared.add(max(a, b, key=lambda t: (t.undetected, -t.hits)).track_id)
        for track in self.tracks:
            track.shared_seconds = (
                track.shared_seconds + seconds if track.track_id in shared else 0.0
            )

    def _lives(self, track: Track) -> bool:
        if (
            track.shared_seconds > SHARED_SECONDS
            or track.unseen_seconds > self.max_coast_seconds + ROUNDING
            or track.undetected_seconds > FOLLOW * self.max_coast_seconds + ROUNDING
        ):
            return False
        if track.state is TrackState.NEW:
            return track.undetected <= 1
        # What only just looks like a face, a pattern say, does so again and again.
        return (
            track.sure >= LEAST_SURE and max(track.misses, track.undetected) <= DOUBT * track.hits
        )


def _beyond_jitter(off: float) -> float:
    """Return how far a detection is to be believed, 0 .. 1: the less it is off, the less.

    A box that follows every detection shakes the crop, and beside that shaking the first frames of
    an expression are not seen. Off by JITTER is believed by half.
    """
    return off**2 / (off**2 + JITTER**2)


def _near(box: Box, detected: Rectangle) -> bool:
    """Say whether a detection is no further off than the cascade's boxes of a still face."""
    (x, y), (u, v) = box.center, Box(*detected).center
    return hypot(u - x, v - y) <= JITTER * box.width and abs(log(detected[2] / box.width)) <= JITTER


def nearest(tracks: Iterable[Track], previous_id: int | None = None) -> Track | None:
    """Return the track of the nearest (largest) face, or None where there is no track.

    The track chosen before keeps its place until another one's face is a quarter larger,
    so that the choice does not flip between faces of like size.
    """
    return max(
        tracks,
        key=lambda track: nearness(track.state, track.box.width, track.track_id == previous_id),
        default=None,
    )


def nearness(state: TrackState, width: float, was_nearest: bool) -> tuple[bool, float]:
    """Return by what the faces of an image are compared: the greatest is the nearest one's."""
    return state is not TrackState.NEW, width * (1.25 if was_nearest else 1.0)
