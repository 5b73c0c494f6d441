"""Pictures: figures of the notebooks, charts, frames and videos of a dance.

figures      one style and one `save`; strips of poses, beats over time
charts       losses, distances, confusions, scores beside their controls
render       frames, mp4 with music, GIF
"""
