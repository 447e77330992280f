import rclpy
from rclpy.executors import ExternalShutdownException
from emotion_perception.msg import EmotionArray, FaceEmotion


def on_emotions(message):
    for face in message.faces:
        if face.label_id != FaceEmotion.NEUTRAL:  # or: == FaceEmotion.SADNESS
            print(f'face {face.track_id}: {face.label}, {face.intensity:.0%} strong', flush=True)


rclpy.init()
node = rclpy.create_node('print_emotions')
node.create_subscription(EmotionArray, '/emotion_node/emotions', on_emotions, 10)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, ExternalShutdownException):  # Ctrl-C
    pass
