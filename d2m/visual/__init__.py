"""Pictures: figures for the notebooks, charts of measurements, frames, videos and the player of a dance.

figures      the common style, saving, alternative texts; strips of poses, beats over time
charts       losses, histograms, confusion matrices, scores of dances and of controls
body         the shape of the body about a pose
camera       the body and its floor in a picture
raster       their pixels: capsules with a depth buffer, light, shadow
scene        the picture of a dance at any time
render       frames, mp4 with music, GIF
gltf         a dance as glTF, a body with its motion
player       a dance with its song in one HTML file and in notebooks: played, turned round, sent
"""
