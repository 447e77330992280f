"""How well the faces that a system found agree with the truth."""

from dataclasses import dataclass

#: A found box is a face when it overlaps the true one by at least this, as intersection over union.
OVERLAP = 0.5


@dataclass(frozen=True)
class Agreement:
    """Counts over a video."""

    recall: float  #: share of the true boxes that were found
    false_boxes: int  #: found boxes without a true one, second boxes of a face included
    id_switches: int | None  #: times that a face's id became another; None: there are no ids


def intersection_over_union(a, b):
    """Return it for two boxes (x, y, width, height), 0 .. 1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def match(found, truth):
    """Pair boxes one to one, those that overlap most first: {index in truth: index in found}."""
    overlaps = sorted(
        (
            (intersection_over_union(f, t), j, i)
            for i, f in enumerate(found)
            for j, t in enumerate(truth)
        ),
        reverse=True,
    )
    pairs = {}
    for overlap, j, i in overlaps:
        if overlap >= OVERLAP and j not in pairs and i not in pairs.values():
            pairs[j] = i
    return pairs


def agreement(found, truth):
    """Compare a video's results with its truth.

    found: for each frame a list of (id or None, x, y, width, height).
    truth: for each frame a sequence of (x, y, width, height), every face always at its index.
    """
    hits = true_boxes = false_boxes = switches = 0
    ids = {}
    for faces, boxes in zip(found, truth, strict=True):
        pairs = match([face[1:] for face in faces], boxes)
        hits += len(pairs)
        true_boxes += len(boxes)
        false_boxes += len(faces) - len(pairs)
        for j, i in pairs.items():
            switches += ids.get(j, faces[i][0]) != faces[i][0]
            ids[j] = faces[i][0]
    return Agreement(hits / true_boxes, false_boxes, None if None in ids.values() else switches)


def mean_overlap(found, truth):
    """Return the mean over the frames of the best overlap with the one true box; none is 0."""
    best = [
        max((intersection_over_union(face[1:], box) for face in faces), default=0.0)
        for faces, (box,) in zip(found, truth, strict=True)
    ]
    return sum(best) / len(best)
