from emotion_perception.pipeline import EmotionPipeline
from emotion_perception.videos import Video

pipeline = EmotionPipeline()
for stamp_ns, image in Video('people.mp4'):  # int [ns], uint8 [H,W,3] BGR
    for face in pipeline.process(image, stamp_ns):  # a list of FaceEmotion
        print(face.track_id, face.label, round(face.intensity, 2))
