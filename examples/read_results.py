from pathlib import Path
from emotion_perception.offline.result_bag import read_results

for result in read_results(Path('emotions/starter')):
    for face in result.faces:
        print(result.time_ns, face.track_id, face.label, face.intensity)
