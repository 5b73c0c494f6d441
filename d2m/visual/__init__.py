"""Pictures: figures for the notebooks, charts of measurements, frames, videos and the player of a dance.

figures      the common style, saving, alternative texts; strips of poses, beats over time
charts       losses, histograms, confusion matrices, scores of dances and of controls
body         the shape of the body about a pose, and where it is in a camera's picture
raster       its pixels: capsules with a depth buffer, light, shadow, floor
render       the picture of a dance at any time: frames, mp4 with music, GIF
gltf         a dance as glTF, a skinned body with its motion
player       a dance with its song in one HTML file and in notebooks: played, turned round, sent
"""
